"""The step kinds `mcp` and `utcp`, as an engine uses them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from maestro_tools import InvalidArguments, InvalidSource, ServerUnavailable, ToolKind, ToolTimedOut, tool_step_kinds
from maestro_tools._sources import McpCommand, McpUrl
from maestro_tools.testing import ExampleService, fake_server


@dataclass(frozen=True)
class StepCall:
    """What the engine gives, as far as a kind may look."""

    arguments: Mapping[str, Any]
    tools: Mapping[str, Any]
    timeout_s: float | None = None
    idempotency_key: str = "workflow/step/1"
    base_dir: Path = field(default_factory=Path.cwd)


def with_(tool: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"server": "fake", "tool": tool, "arguments": arguments or {}, **more}


FAKE = {"fake": fake_server()}


async def test_step_gives_the_value_of_the_tool(service: ExampleService) -> None:
    """For either kind."""
    kinds = tool_step_kinds()
    assert sorted(kinds) == ["mcp", "openapi", "utcp"]
    try:
        assert await kinds["mcp"].run(StepCall(with_("echo", {"text": "x"}), FAKE)) == {"text": "x"}
        web = StepCall(
            {"source": "web", "tool": "echo", "arguments": {"text": "y"}},
            {"web": {"utcp": {"manual": service.manual}}},
        )
        assert await kinds["utcp"].run(web) == {"text": "y"}
    finally:
        for kind in kinds.values():
            await kind.close()


async def test_idempotency_key_of_the_step_reaches_the_server() -> None:
    """Each attempt has its own."""
    kind = tool_step_kinds()["mcp"]
    await kind.run(StepCall(with_("echo", {"text": "x"}), FAKE))
    seen = await kind.run(StepCall(with_("about"), FAKE, idempotency_key="w/s[3]/2"))
    assert isinstance(seen, dict)
    assert seen["meta"]["maestro/idempotency-key"] == "w/s[3]/2"
    await kind.close()


async def test_equal_sources_share_a_connection() -> None:
    """Of any number of steps and workflows; another configuration or folder gets its own."""
    kind = tool_step_kinds()["mcp"]

    async def pid(tools: Mapping[str, Any], base_dir: Path = Path("/")) -> object:
        seen = await kind.run(StepCall(with_("about"), tools, base_dir=base_dir))
        assert isinstance(seen, dict)
        return seen["pid"]

    first, *others = await asyncio.gather(*(pid({"fake": fake_server(), "other": {}}) for _ in range(5)))
    assert set(others) == {first}
    assert await pid({"fake": fake_server(env={"A": "1"})}) != first
    assert await pid(FAKE, Path("/tmp")) != first
    assert await pid(FAKE) == first
    await kind.close()


async def test_idle_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that runs for months does not gather servers: the least recently used is closed."""
    monkeypatch.setattr("maestro_tools._kinds._MOST_IDLE", 2)
    kind = tool_step_kinds()["mcp"]

    async def pid(number: int) -> object:
        seen = await kind.run(StepCall(with_("about"), {"fake": fake_server(env={"N": str(number)})}))
        assert isinstance(seen, dict)
        return seen["pid"]

    first = [await pid(number) for number in range(3)]
    assert await pid(2) == first[2]
    assert await pid(1) == first[1]
    assert await pid(0) != first[0]
    await kind.close()


async def test_connection_that_nobody_uses_is_closed() -> None:
    """And opened again when it is needed."""
    kind = ToolKind(key="server", kinds=(McpCommand, McpUrl), idle_s=0.01)
    call = StepCall(with_("about"), FAKE)
    first = await kind.run(call)
    (shared,) = kind._open.values()
    owner = shared.connection._owner  # type: ignore[attr-defined]  # what ends is no part of the port
    async with asyncio.timeout(20):
        await asyncio.wait([owner._task])
    second = await kind.run(call)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["pid"] != second["pid"]
    await kind.close()


async def test_time_limit_is_the_steps_own_or_that_of_its_arguments() -> None:
    """The nearer one holds."""
    kind = tool_step_kinds()["mcp"]
    await kind.run(StepCall(with_("echo", {"text": "connected"}), FAKE))
    for call in (
        StepCall(with_("sleep", {"seconds": 60}), FAKE, timeout_s=0.1),
        StepCall(with_("sleep", {"seconds": 60}, timeout_s=0.1), FAKE, timeout_s=30),
    ):
        with pytest.raises(ToolTimedOut):
            await kind.run(call)
    await kind.close()


async def test_close_ends_steps_in_flight() -> None:
    """They fail, no process is left, and nothing starts after it."""
    kind = tool_step_kinds()["mcp"]
    await kind.run(StepCall(with_("echo", {"text": "connected"}), FAKE))
    waiting = asyncio.create_task(kind.run(StepCall(with_("sleep", {"seconds": 60}), FAKE)))
    await asyncio.sleep(0)
    await kind.close()
    with pytest.raises(ServerUnavailable):
        await waiting
    with pytest.raises(ServerUnavailable, match="closed"):
        await kind.run(StepCall(with_("echo", {"text": "late"}), FAKE))


async def test_wrong_step_fails_when_it_runs_too() -> None:
    """What came from an expression is checked when it is known."""
    kind = tool_step_kinds()["mcp"]
    with pytest.raises(InvalidArguments, match="with/server names the source 'none'"):
        await kind.run(StepCall({"server": "none", "tool": "x"}, FAKE))
    with pytest.raises(InvalidArguments, match="with/arguments must be a mapping"):
        await kind.run(StepCall({"server": "fake", "tool": "x", "arguments": [1]}, FAKE))
    await kind.close()


async def test_configuration_that_only_the_run_can_judge_is_judged() -> None:
    """An expression that rendered to nonsense is refused as if it had been written so."""
    kind = tool_step_kinds()["mcp"]
    with pytest.raises((InvalidSource, InvalidArguments), match="must be a list"):
        await kind.run(StepCall(with_("echo"), {"fake": {"mcp": {"command": "uvx"}}}))
    await kind.close()


@pytest.mark.parametrize(
    ("arguments", "problems"),
    [
        ({"server": "git", "tool": "log"}, []),
        ({"server": "git", "tool": "log", "arguments": {"n": "${{ inputs.n }}"}, "timeout_s": 5}, []),
        ({"server": "${{ inputs.s }}", "tool": "${{ inputs.t }}", "arguments": "${{ inputs.a }}"}, []),
        ({"server": "later", "tool": "x"}, []),
        ({"server": "partly", "tool": "x"}, []),
        ({}, [("/server", "must be given, as a string"), ("/tool", "must be given, as a string")]),
        (
            {"server": "gti", "tool": 7, "arguments": [], "timeout_s": "soon", "argumnets": {}},
            [
                ("/argumnets", "is not known here; did you mean 'arguments'?"),
                ("/tool", "must be given, as a string"),
                ("/arguments", "must be a mapping"),
                ("/timeout_s", "must be a number of seconds above 0 and at most 86400"),
                ("/server", "names the source 'gti', which the section tools does not have; did you mean 'git'?"),
            ],
        ),
        ({"server": "repo", "tool": "x"}, [("/server", "names the source 'repo', which is of another kind")]),
        (
            {"server": "bad", "tool": "x"},
            [
                (
                    "/server",
                    "names a source that is not right: tools/bad/mcp/command: must be a list, as [uvx, mcp-server-git]:"
                    " the program, then its arguments (no shell)",
                )
            ],
        ),
    ],
)
def test_check_finds_what_can_be_known_before_the_run(
    arguments: dict[str, Any], problems: list[tuple[str, str]]
) -> None:
    """And holds nothing against what cannot."""
    tools = {
        "git": {"mcp": {"command": ["uvx", "mcp-server-git", "--repository", "${{ inputs.path }}"]}},
        "repo": {"utcp": {"manual": "repo.json"}},
        "bad": {"mcp": {"command": "uvx"}},
        "later": "${{ inputs.source }}",
        "partly": {"mcp": {"url": "${{ inputs.url }}", "call_timeout_s": "${{ inputs.limit }}"}},
    }
    assert list(tool_step_kinds()["mcp"].check(arguments, tools)) == problems


def test_utcp_step_names_a_source() -> None:
    """Not a server: each kind has its own word, as its protocol has."""
    kind = tool_step_kinds()["utcp"]
    tools = {"repo": {"utcp": {"manual": "repo.json"}}}
    assert list(kind.check({"source": "repo", "tool": "x"}, tools)) == []
    assert [path for path, _ in kind.check({"server": "repo", "tool": "x"}, tools)] == ["/server", "/source"]
