"""MCP over the stdin and stdout of a server that we start."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from maestro_tools import InputRequired, ServerUnavailable, ToolCatalogue, UnknownTool
from maestro_tools._environment import SAFE_VARIABLES
from maestro_tools._mcp import McpConnection
from maestro_tools._process import Process, spawn
from maestro_tools._source_reader import parse_source
from maestro_tools._sources import McpCommand
from maestro_tools.testing import example_server, fake_server


def serving(base_dir: Path | None = None, **config: Any) -> ToolCatalogue:
    return ToolCatalogue({"fake": fake_server(**config)}, base_dir)


def connect(source: dict[str, Any]) -> McpConnection:
    parsed = parse_source("fake", source)
    assert isinstance(parsed, McpCommand)
    return McpConnection("fake", parsed, Path.cwd())


async def test_server_sees_only_what_was_named_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment is the safe default, `env` and `pass_env`."""
    monkeypatch.setenv("CLOUD_SECRET", "s")
    monkeypatch.setenv("SSL_CERT_FILE", "/cert")
    async with serving(env={"OWN": "1"}, pass_env=["SSL_CERT_FILE", "NOT_SET_ANYWHERE"]) as tools:
        seen = (await tools.call("fake", "environment")).value
    assert set(seen) - set(SAFE_VARIABLES) == {"OWN", "SSL_CERT_FILE"}


async def test_relative_cwd_begins_at_base_dir(tmp_path: Path) -> None:
    """Where the workflow lies; without `cwd`, that folder itself."""
    (tmp_path / "sub").mkdir()
    async with serving(tmp_path) as tools:
        assert (await tools.call("fake", "about")).value["cwd"] == str(tmp_path)
    async with serving(tmp_path, cwd="sub") as tools:
        assert (await tools.call("fake", "about")).value["cwd"] == str(tmp_path / "sub")
    async with serving(tmp_path, cwd="none") as tools:
        with pytest.raises(ServerUnavailable, match="none"):
            await tools.list_tools()


@pytest.mark.parametrize("source", [fake_server(), example_server()], ids=["2025-11-25", "2026-07-28"])
async def test_idempotency_key_travels_beside_the_arguments(source: dict[str, Any]) -> None:
    """In `_meta`, where a server may find it and none must."""
    async with ToolCatalogue({"fake": source}) as tools:
        seen = await tools.call("fake", "about", idempotency_key="w/s/1")
        assert '"maestro/idempotency-key": "w/s/1"' in str(seen).replace("'", '"').replace("\\n", "")
        seen = await tools.call("fake", "about")
        assert "idempotency" not in str(seen)


@pytest.mark.parametrize(
    ("source", "mode"), [(fake_server(), "legacy"), (example_server(), "auto")], ids=["old", "new"]
)
async def test_server_of_the_old_era_is_asked_once(source: dict[str, Any], mode: str) -> None:
    """It may not bear the question in the new protocol twice; the next connection speaks its language at once."""
    connection = connect(source)
    first = await connection.call_tool("echo", {"text": "x"})
    assert connection._mode == mode
    await connection.close()
    again = connect(source)
    again._mode = connection._mode
    assert await again.call_tool("echo", {"text": "x"}) == first
    await again.close()


async def test_server_that_was_replaced_by_another_is_asked_again() -> None:
    """A failure to connect makes the era forgotten."""
    connection = connect(fake_server("dies-at-start"))
    connection._mode = "legacy"
    with pytest.raises(ServerUnavailable):
        await connection.list_tools()
    assert connection._mode == "auto"
    await connection.close()


async def test_new_server_may_be_spoken_to_in_the_old_way() -> None:
    """A server made with the SDK answers in both eras."""
    connection = connect(example_server())
    connection._mode = "legacy"
    assert (await connection.call_tool("echo", {"text": "x"})).value == {"text": "x"}
    assert '"version": "2025-11-25"' in str((await connection.call_tool("about", {})).value)
    await connection.close()


async def test_content_becomes_a_value() -> None:
    """Structured content as it is, text as text, other content as its blocks, nothing as null."""
    async with serving() as tools:
        assert (await tools.call("fake", "echo", {"text": "x"})).value == {"text": "x"}
        assert (await tools.call("fake", "lines")).value == "one\ntwo"
        image = {"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"}
        assert (await tools.call("fake", "image")).value == [image]
        assert (await tools.call("fake", "nothing")).value is None


async def test_new_tool_is_found_when_the_server_says_so() -> None:
    """And an unknown one is looked for once more before it is refused."""
    async with serving() as tools:
        with pytest.raises(UnknownTool):
            await tools.call("fake", "new")
        await tools.call("fake", "change-tools")
        assert (await tools.call("fake", "new")).value == "I am new"
        assert "new" in [tool.name for tool in await tools.list_tools()]


async def test_tool_that_asks_a_person_says_so() -> None:
    """Elicitation is not supported; the error names it and is not worth a retry."""
    async with ToolCatalogue({"example": example_server()}) as tools:
        with pytest.raises(InputRequired, match="asks for input") as caught:
            await tools.call("example", "ask")
        assert not caught.value.retryable
        assert (await tools.call("example", "echo", {"text": "x"})).value == {"text": "x"}


async def test_twenty_cycles_leave_no_file_open() -> None:
    """Opening and closing costs nothing that lasts."""

    async def cycle() -> None:
        async with serving() as tools:
            await tools.call("fake", "echo", {"text": "x"})

    await cycle()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        await cycle()
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_closing_in_the_middle_of_the_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that was being started is stopped."""
    started = asyncio.Event()

    async def announced(*arguments: Any, **options: Any) -> Process:
        process = await spawn(*arguments, **options)
        started.set()
        return process

    monkeypatch.setattr("maestro_tools._mcp.spawn", announced)
    tools = ToolCatalogue({"fake": fake_server("silent")})
    waiting = asyncio.create_task(tools.list_tools())
    async with asyncio.timeout(20):
        await started.wait()
        await tools.close()
        with pytest.raises(ServerUnavailable):
            await waiting


async def test_server_inherits_no_file_of_ours() -> None:
    """Our sockets and databases are not its business."""
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    try:
        script = "import os, sys; sys.stderr.write(' '.join(sorted(os.listdir('/proc/self/fd')))); sys.exit(1)"
        async with ToolCatalogue({"x": {"mcp": {"command": [sys.executable, "-I", "-S", "-c", script]}}}) as tools:
            with pytest.raises(ServerUnavailable) as caught:
                await tools.list_tools()
        assert str(write_end) not in str(caught.value).partition("stderr: ")[2].split()
    finally:
        os.close(read_end)
        os.close(write_end)
