"""UTCP: manuals, and tools over HTTP and from files."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.processes import import_path
from maestro_tools import (
    InvalidSource,
    ResultTooLarge,
    ServerMisbehaved,
    ServerUnavailable,
    ToolCatalogue,
    ToolFailed,
)
from maestro_tools.testing import ExampleService

ANYTHING = {"type": "object"}


def tool(name: str, template: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "inputs": ANYTHING, "tool_call_template": template, **more}


def http(name: str, url: str, **more: Any) -> dict[str, Any]:
    return tool(name, {"call_template_type": "http", "http_method": "GET", "url": url, **more})


def cli(name: str, *commands: str, **more: Any) -> dict[str, Any]:
    steps = [{"command": command} for command in commands]
    return tool(name, {"call_template_type": "cli", "commands": steps, **more})


def manual(*tools: dict[str, Any], base_dir: Path | None = None, **config: Any) -> ToolCatalogue:
    return ToolCatalogue({"u": {"utcp": {"manual": {"tools": list(tools)}, **config}}}, base_dir)


# HTTP


async def test_arguments_go_where_the_template_says(service: ExampleService) -> None:
    """Into the path, the headers and the query; each as text, whatever it holds."""
    seen = http("seen", f"{service.url}/seen/{{item}}", header_fields=["X-One"], headers={"X-Two": "2"})
    async with manual(seen) as tools:
        arguments = {"item": "a/b ?", "X-One": "1", "q": "ü&=", "yes": True, "many": [1, "b"], "deep": {"k": 1}}
        got = (await tools.call("u", "seen", {**arguments, "none": None})).value
    assert got["path"] == "/seen/a%2Fb%20%3F?q=%C3%BC%26%3D&yes=true&many=1&many=b&deep=%7B%22k%22:1%7D"
    assert (got["headers"]["X-One"], got["headers"]["X-Two"]) == ("1", "2")


async def test_body_is_sent_as_its_content_type_says(service: ExampleService) -> None:
    """JSON by default, anything else as text."""
    post = {"http_method": "POST", "body_field": "body"}
    async with manual(
        http("json", f"{service.url}/post", **post),
        http("text", f"{service.url}/post", content_type="text/plain", **post),
    ) as tools:
        sent = (await tools.call("u", "json", {"body": {"a": [1]}})).value
        assert (json.loads(sent["body"]), sent["content_type"]) == ({"a": [1]}, "application/json")
        sent = (await tools.call("u", "text", {"body": "plain"})).value
        assert sent == {"body": "plain", "content_type": "text/plain"}


async def test_secret_comes_from_a_variable(service: ExampleService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the source, or of our environment where it is named; never of our environment otherwise."""
    monkeypatch.setenv("TOKEN", "from-environment")
    auth = {"auth_type": "api_key", "api_key": "Bearer ${TOKEN}", "var_name": "Authorization", "location": "header"}
    seen = http("seen", f"{service.url}/seen", auth=auth)
    forms: list[tuple[dict[str, Any], str]] = [
        ({"pass_env": ["TOKEN"]}, "from-environment"),
        ({"variables": {"TOKEN": "own"}}, "own"),
    ]
    for config, token in forms:
        async with manual(seen, **config) as tools:
            got = (await tools.call("u", "seen")).value
        assert got["headers"]["Authorization"] == f"Bearer {token}"
    async with manual(seen) as tools:
        with pytest.raises(InvalidSource, match="variable 'TOKEN' is not declared"):
            await tools.list_tools()


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (404, False), (429, True), (500, False), (503, True)])
async def test_failed_request_tells_its_status(service: ExampleService, status: int, retryable: bool) -> None:
    """What passes is worth a retry, after as long as the server asks for."""
    async with manual(http("status", f"{service.url}/status/{status}")) as tools:
        with pytest.raises(ToolFailed, match=f"HTTP status {status}: .*not now") as caught:
            await tools.call("u", "status")
    assert caught.value.retryable is retryable
    assert caught.value.retry_after_s == 7.0


async def test_guard_against_inner_addresses_holds(service: ExampleService) -> None:
    """utcp-http's own: no plain HTTP but to a loopback that the template names, and no way there by redirect."""
    tools = [
        http("metadata", "http://169.254.169.254/latest"),
        http("argument", "http://{host}:7777/admin"),
        http("redirect", f"{service.url}/inward"),
        http("local", "file:///etc/passwd"),
    ]
    async with manual(*tools) as catalogue:
        for name in ("metadata", "redirect", "local"):
            with pytest.raises(ToolFailed, match="Security error"):
                await catalogue.call("u", name)
        with pytest.raises(ToolFailed, match="loopback"):
            await catalogue.call("u", "argument", {"host": "127.0.0.1"})


async def test_answer_is_bounded_and_whole(service: ExampleService) -> None:
    """Too large, compressed, or not the JSON that it says: an error, not half an answer."""
    tools = [http(name, f"{service.url}/{name}") for name in ("big", "squeezed", "broken", "nothing")]
    async with manual(*tools, max_result_bytes=10_000) as catalogue:
        assert (await catalogue.call("u", "big", {"size_bytes": 10_000})).value == "x" * 10_000
        with pytest.raises(ResultTooLarge):
            await catalogue.call("u", "big", {"size_bytes": 10_001})
        with pytest.raises(ToolFailed, match="compressed"):
            await catalogue.call("u", "squeezed")
        with pytest.raises(ToolFailed, match="says that it sends JSON"):
            await catalogue.call("u", "broken")
        assert (await catalogue.call("u", "nothing")).value is None


async def test_service_that_is_not_there() -> None:
    """Worth a retry."""
    async with manual(http("gone", "http://127.0.0.1:9/")) as tools:
        with pytest.raises(ServerUnavailable, match=r"u\.gone cannot be reached") as caught:
            await tools.call("u", "gone")
    assert caught.value.retryable


async def test_missing_path_argument_is_named(service: ExampleService) -> None:
    """Nothing is sent."""
    async with manual(http("seen", f"{service.url}/seen/{{item}}")) as tools:
        with pytest.raises(ToolFailed, match="Missing required path parameter: item"):
            await tools.call("u", "seen")


# Files


async def test_file_is_read_as_it_is_now(tmp_path: Path) -> None:
    """Its text, each time anew."""
    async with manual(
        tool("notes", {"call_template_type": "file", "file_path": "notes.txt"}),
        base_dir=tmp_path,
        max_result_bytes=2000,
    ) as tools:
        (tmp_path / "notes.txt").write_text("ünö")
        assert (await tools.call("u", "notes")).value == "ünö"
        (tmp_path / "notes.txt").write_text("x" * 2001)
        with pytest.raises(ResultTooLarge):
            await tools.call("u", "notes")
        (tmp_path / "notes.txt").write_bytes(b"\xff")
        with pytest.raises(ToolFailed, match="utf-8"):
            await tools.call("u", "notes")
        (tmp_path / "notes.txt").unlink()
        (tmp_path / "notes.txt").symlink_to("/etc/passwd")
        with pytest.raises(ToolFailed, match="leads out of the folder"):
            await tools.call("u", "notes")


# Manuals


async def test_manual_is_read_from_base_dir(tmp_path: Path) -> None:
    """The path in the workflow begins where the workflow lies."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/repo.json").write_text(json.dumps({"tools": [cli("hello", "echo hello")]}))
    async with ToolCatalogue({"u": {"utcp": {"manual": "tools/repo.json"}}}, tmp_path) as tools:
        assert (await tools.call("u", "hello")).value == "hello"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no file"),
        ("{", "is not JSON: line 1 column 2"),
        ("[]", "it must be a JSON object"),
        ("{}", "it must hold a list named tools"),
        ('{"tools": {}}', "it must hold a list named tools"),
        ("[" * 100_000, "recursion|is not JSON"),
        ("\ud800", "utf|JSON"),
        (" " * (4 * 1024 * 1024) + "{}", "is larger than 4194304 bytes"),
    ],
)
async def test_manual_that_is_none(tmp_path: Path, text: str | None, message: str) -> None:
    """The error names the source and the file."""
    if text is not None:
        (tmp_path / "m.json").write_text(text, errors="surrogatepass")
    async with ToolCatalogue({"u": {"utcp": {"manual": "m.json"}}}, tmp_path) as tools:
        with pytest.raises(InvalidSource, match=message) as caught:
            await tools.list_tools()
    assert str(caught.value).startswith("/u/utcp/manual: ")


@pytest.mark.parametrize("path", ["../m.json", "/etc/passwd", "link.json", "folder", "pipe"])
async def test_manual_outside_of_base_dir_is_refused(tmp_path: Path, path: str) -> None:
    """By a path, by a link; and what is no plain file is not read."""
    base = tmp_path / "base"
    base.mkdir()
    (tmp_path / "m.json").write_text("{}")
    (base / "link.json").symlink_to(tmp_path / "m.json")
    (base / "folder").mkdir()
    os.mkfifo(base / "pipe")
    async with ToolCatalogue({"u": {"utcp": {"manual": path}}}, base) as tools:
        with pytest.raises(InvalidSource, match=r"leads out of|there is no file"):
            await tools.list_tools()


async def test_all_problems_of_a_manual_come_at_once() -> None:
    """Each with its place."""
    tools = [
        "no tool",
        {"name": "", "tool_call_template": {"call_template_type": "cli", "commands": []}},
        {"name": "a", "inputs": [], "tool_call_template": {"call_template_type": "mcp"}},
        {"name": "b", "tool_call_template": {"call_template_type": "http"}},
        http("c", "https://x", auth={"auth_type": "api_key"}),
        {"name": "d"},
        cli("e", "true"),
        cli("e", "true"),
        tool("f", {"call_template_type": "file", "file_path": "../../etc/passwd"}),
    ]
    async with manual(*tools) as catalogue:  # type: ignore[arg-type]  # the first is none, on purpose
        with pytest.raises(InvalidSource) as caught:
            await catalogue.list_tools()
    found = [(problem.path.removeprefix("/u/utcp/manual/tools/"), problem.message) for problem in caught.value.problems]
    assert [place for place, _ in found] == [
        "0",
        "1/name",
        "1/tool_call_template/commands",
        "2/tool_call_template/call_template_type",
        "2/inputs",
        "3/tool_call_template/url",
        "4/tool_call_template/auth",
        "5/tool_call_template",
        "7/name",
        "8/tool_call_template/file_path",
    ]
    assert (
        dict(found)["2/tool_call_template/call_template_type"] == "'mcp' is not supported; there are: cli, file, http"
    )


async def test_result_is_held_against_its_schema() -> None:
    """What the manual declares, the tool must keep."""
    outputs = {"type": "object", "required": ["ok"]}
    async with manual({**cli("t", "echo '{}'"), "outputs": outputs}) as tools:
        with pytest.raises(ServerMisbehaved, match="'ok' is a required property"):
            await tools.call("u", "t")


async def test_another_way_of_calling_is_another_tool() -> None:
    """The digest covers the call template; its literal secrets are not shown."""
    digests = []
    for command in ("echo one", "echo two"):
        async with manual(cli("t", command, env_vars={"KEY": "hunter2"})) as tools:
            (listed,) = await tools.list_tools()
            digests.append(listed.digest)
            assert "hunter2" not in str(listed)
    assert digests[0] != digests[1]


def test_importing_utcp_leaves_logging_alone() -> None:
    """Each of its plugins calls `logging.basicConfig`; ours is the program's to set up."""
    program = (
        "import logging, asyncio, maestro_tools\n"
        "root = logging.getLogger()\n"
        "async def main():\n"
        "    async with maestro_tools.ToolCatalogue({'u': {'utcp': {'manual': {'tools': []}}}}) as tools:\n"
        "        print(await tools.list_tools())\n"
        "asyncio.run(main())\n"
        "print(root.handlers, root.level, 'utcp_cli' in __import__('sys').modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == ["[]", f"[] {logging.WARNING} True"]
    assert done.stderr == ""


async def test_twenty_calls_leave_no_file_open(service: ExampleService) -> None:
    """Neither a pipe of a command nor a socket of the service."""
    tools = [cli("echo", "echo x"), http("seen", f"{service.url}/seen")]

    async def cycle() -> None:
        async with manual(*tools) as catalogue:
            await asyncio.gather(catalogue.call("u", "echo"), catalogue.call("u", "seen"))

    await cycle()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        await cycle()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
