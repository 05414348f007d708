"""`/mcp` as clients of the SDK meet it, in both eras: tools, calls, progress, keys, leaving."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from services.maestro_engine.mcp_calls import (
    GREET,
    TASKS,
    ask,
    ended,
    envelope,
    headers_of,
    message,
    refused,
    workflows,
    write_templates,
)
from services.maestro_engine.running import Engine, StartEngine, bearer

ERAS = pytest.mark.parametrize("era", ["2026-07-28", "legacy"])


@pytest.fixture(autouse=True)
def templates(tmp_path: Path) -> None:
    write_templates(tmp_path / "data")


def client(engine: Engine, era: Any = "auto") -> Client:
    return Client(f"{engine.url}/mcp", mode=era)


@ERAS
async def test_every_template_is_a_tool_in_the_order_of_names(engine: Engine, era: str) -> None:
    """Name, description and both schemas come from the definition; the order never changes."""
    async with client(engine, era) as mcp:
        listed = [tool.model_dump(by_alias=True, exclude_none=True) for tool in (await mcp.list_tools()).tools]
    assert [tool["name"] for tool in listed] == ["broken", "greet", "slow"]
    assert listed[0]["description"] == "Runs the workflow template broken."
    assert "outputSchema" not in listed[0]
    assert listed[1]["title"] == "Greeting"
    assert listed[1]["description"] == "Greets somebody"
    assert listed[1]["inputSchema"] == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Who"},
            "often": {"type": "integer", "default": 1},
            "tone": {"type": ["string", "null"], "enum": ["kind", "loud", None], "default": None},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    assert listed[1]["outputSchema"] == {"type": "object", "properties": {"greeting": {}}, "required": ["greeting"]}


@ERAS
async def test_a_call_runs_a_workflow_and_gives_its_outputs(engine: Engine, era: str) -> None:
    """The result has the outputs as they are, and the text for people; the workflow says how it came in."""
    async with client(engine, era) as mcp:
        result = await mcp.call_tool("greet", {"name": "Ann"})
    assert not result.is_error
    assert result.structured_content == {"greeting": "Hello, Ann!"}
    assert [getattr(block, "text", None) for block in result.content] == ["Hello, Ann!"]
    (started,) = await workflows(engine)
    assert (result.meta or {})["maestro/workflow"] == started["id"]
    assert started["template"] == "greet"
    assert started["labels"]["maestro.via"] == "mcp"
    entries = await engine.entries(object=started["id"], action="workflow.start")
    assert [(entry["actor"], entry["details"]["via"]) for entry in entries] == [("local", "mcp")]


@ERAS
async def test_what_is_wrong_is_said_where_it_belongs(engine: Engine, era: str) -> None:
    """Wrong arguments and a failed workflow are results with an error, an unknown tool is an error of the protocol."""
    async with client(engine, era) as mcp:
        wrong = await mcp.call_tool("greet", {"nam": "Ann"})
        assert wrong.is_error
        assert "/name: input 'name' is required" in getattr(wrong.content[0], "text", "")
        failed = await mcp.call_tool("broken", {})
        assert failed.is_error
        assert "failed at step only" in getattr(failed.content[0], "text", "")
        with pytest.raises(MCPError, match="Unknown tool: nowhere") as unknown:
            await mcp.call_tool("nowhere", {})
    assert unknown.value.code == -32602
    assert [each["template"] for each in await workflows(engine)] == ["broken"]


@ERAS
async def test_progress_counts_steps_that_ended(engine: Engine, era: str) -> None:
    """It grows with every message, and the total is the number of steps."""
    heard: list[tuple[float, float | None]] = []
    second = asyncio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total))
        second.set()

    async with client(engine, era) as mcp:
        calling = asyncio.create_task(mcp.call_tool("slow", {}, progress_callback=note))
        await asyncio.wait_for(second.wait(), 10)
        engine.gate.open()
        assert not (await calling).is_error
    assert [progress for progress, _ in heard] == sorted({progress for progress, _ in heard})
    assert heard[0] == (1.0, 3.0)
    assert heard[-1][1] == 3.0


async def test_the_same_key_is_the_same_workflow(engine: Engine) -> None:
    """Asked again with one key, a client gets what it got before; the key of another call is refused."""
    params = {"name": "greet", "arguments": {"name": "Ann"}, "_meta": {"maestro/idempotencyKey": "k1"}}
    first = await ask(engine, "tools/call", params)
    again = await ask(engine, "tools/call", params)
    assert first["_meta"]["maestro/workflow"] == again["_meta"]["maestro/workflow"]
    assert again["structuredContent"] == {"greeting": "Hello, Ann!"}
    assert len(await workflows(engine)) == 1
    other = await refused(engine, "tools/call", {**params, "arguments": {"name": "Bob"}})
    assert other["code"] == -32602
    await ask(engine, "tools/call", {**params, "_meta": {"maestro/idempotencyKey": "k2"}})
    assert len(await workflows(engine)) == 2


@pytest.mark.parametrize("key", ["", "x" * 201, 7, ["a"], {}])
async def test_a_key_that_is_none_is_refused(engine: Engine, key: object) -> None:
    """Nothing is started then."""
    params = {"name": "greet", "arguments": {"name": "Ann"}, "_meta": {"maestro/idempotencyKey": key}}
    assert (await refused(engine, "tools/call", params))["code"] == -32602
    assert await workflows(engine) == []


async def test_a_call_that_takes_too_long_goes_on_with_the_same_workflow(start_engine: StartEngine) -> None:
    """Today's clients are given a state to come again with; older ones are told where the workflow is."""
    async with start_engine(mcp_wait_s=0.05) as engine:
        params = {"name": "slow", "arguments": {}}
        first = await ask(engine, "tools/call", params)
        assert first["resultType"] == "input_required"
        assert "inputRequests" not in first
        (started,) = await workflows(engine)
        assert started["id"] not in first["requestState"]
        engine.gate.open()
        await ended(engine, started["id"])
        result = await ask(engine, "tools/call", {**params, "requestState": first["requestState"]})
        assert result["structuredContent"]["x"] == 3
        assert len(await workflows(engine)) == 1


async def test_a_call_is_answered_before_the_edge_gives_up(start_engine: StartEngine) -> None:
    """However long a call may wait: an answer has to begin in time."""
    async with start_engine(request_timeout_s=1.0, mcp_wait_s=60.0) as engine:
        first = await ask(engine, "tools/call", {"name": "slow", "arguments": {}})
        assert first["resultType"] == "input_required"
        engine.gate.open()


async def test_an_older_client_is_told_where_the_workflow_goes_on(start_engine: StartEngine) -> None:
    """Without a way to come again, the text names the workflow."""
    async with start_engine(mcp_wait_s=0.05) as engine:
        async with client(engine, "legacy") as mcp:
            result = await mcp.call_tool("slow", {})
        (started,) = await workflows(engine)
        assert result.is_error
        assert started["id"] in getattr(result.content[0], "text", "")
        assert started["status"] == "running"
        engine.gate.open()
        await ended(engine, started["id"])


@pytest.mark.parametrize("cancels", [False, True])
async def test_who_leaves_cancels_only_if_asked_for(engine: Engine, cancels: bool) -> None:
    """A workflow is durable: closing the stream leaves it alone, unless the call said otherwise."""
    body = message("tools/call", {"name": "slow", "arguments": {}, "_meta": {"maestro/cancelWithRequest": cancels}})
    async with asyncio.timeout(20):
        events = engine.backend.watch(from_position=0)
        calling = asyncio.create_task(engine.http.post("/mcp", json=body, headers=headers_of(body)))
        workflow_id = ""
        async for event in events:
            if event.type == "step.started" and event.data["step"] == "second":
                workflow_id = event.workflow_id
                break
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        if cancels:
            assert (await engine.backend.wait(workflow_id)).status == "cancelled"
            entries = await engine.entries(object=workflow_id, action="workflow.cancel")
            assert [entry["details"]["via"] for entry in entries] == ["mcp"]
        else:
            engine.gate.open()
            assert (await engine.backend.wait(workflow_id)).status == "succeeded"


async def test_a_new_template_is_told_to_who_listens(engine: Engine, tmp_path: Path) -> None:
    """A client that subscribed hears of the change, and finds the new tool; a broken file changes nothing."""
    async with client(engine, "2026-07-28") as mcp:
        async with mcp.listen(tools_list_changed=True) as changes:
            write_templates(tmp_path / "data", {"more": GREET, "wrong": "name: [", "shapeless": "steps: 7"})
            assert await asyncio.wait_for(anext(aiter(changes)), 10) is not None
        names = [tool.name for tool in (await mcp.list_tools(cache_mode="bypass")).tools]
    assert names == ["broken", "greet", "more", "slow"]


async def test_long_lists_come_in_pages(engine: Engine, tmp_path: Path) -> None:
    """Each tool is on one page, in order; a cursor of somebody else is refused."""
    write_templates(tmp_path / "data", {f"t{number:03}": GREET for number in range(110)})
    first = await ask(engine, "tools/list")
    second = await ask(engine, "tools/list", {"cursor": first["nextCursor"]})
    names = [tool["name"] for tool in first["tools"] + second["tools"]]
    assert names == sorted({"broken", "greet", "slow", *(f"t{number:03}" for number in range(110))})
    assert "nextCursor" not in second
    assert (first["ttlMs"], first["cacheScope"]) == (5000, "private")
    assert (await refused(engine, "tools/list", {"cursor": "!"}))["code"] == -32602


async def test_an_artifact_comes_as_what_it_is(engine: Engine, tmp_path: Path) -> None:
    """An output that is an artifact of the workflow is sent along; something that only looks like one is not."""
    forged = "{sha256: '" + "0" * 64 + "', media_type: image/png}"
    text = f"""
name: Page
steps:
  make: {{kind: artifact, with: {{x: 1}}}}
outputs:
  page: ${{{{ steps.make.output.artifacts.page }}}}
  other: {forged}
"""
    write_templates(tmp_path / "data", {"page": text})
    result = await ask(engine, "tools/call", {"name": "page", "arguments": {}})
    kinds = [block["type"] for block in result["content"]]
    assert kinds == ["text", "resource"]
    assert "0" * 64 in result["content"][0]["text"]
    assert result["content"][1]["resource"]["text"] == "<script>alert(1)</script>"
    assert result["content"][1]["resource"]["mimeType"] == "text/html"


async def test_who_may_not_start_sees_no_tool_and_calls_none(start_engine: StartEngine) -> None:
    """A viewer finds an empty list; a call is refused, and the refusal is in the audit log."""
    async with start_engine(auth="on") as engine:
        viewer = bearer(await engine.add_user("vera", "viewer"))
        assert (await ask(engine, "tools/list", headers=viewer))["tools"] == []
        error = await refused(engine, "tools/call", {"name": "greet", "arguments": {"name": "Ann"}}, headers=viewer)
        assert error["data"]["code"] == "auth.forbidden"
        assert await workflows(engine) == []
        entries = await engine.entries(outcome="denied")
        assert [(entry["actor"], entry["action"]) for entry in entries] == [("vera", "MCP tools/call")]
        operator = bearer(await engine.add_user("olaf", "operator"))
        result = await ask(engine, "tools/call", {"name": "greet", "arguments": {"name": "Ann"}}, headers=operator)
        assert result["structuredContent"] == {"greeting": "Hello, Ann!"}


async def test_nobody_comes_in_without_a_key(start_engine: StartEngine) -> None:
    """Where callers sign in, the SDK's client needs its key as every other."""
    async with start_engine(auth="on") as engine:
        engine.http.headers.pop("Authorization")
        body = message("tools/list")
        answer = await engine.http.post("/mcp", json=body, headers=headers_of(body))
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_of_somebody_lets_the_client_of_the_sdk_in(start_engine: StartEngine) -> None:
    """It is sent as a header of its HTTP client."""
    async with start_engine(auth="on") as engine:
        transport = streamable_http_client(f"{engine.url}/mcp", http_client=engine.http)
        async with Client(transport) as mcp:
            assert [tool.name for tool in (await mcp.list_tools()).tools] == ["broken", "greet", "slow"]


async def test_what_the_server_says_of_itself_is_true(engine: Engine) -> None:
    """Tasks is an extension; what is not served is not declared."""
    found = await ask(engine, "server/discover")
    assert found["capabilities"] == {"tools": {"listChanged": True}, "extensions": {TASKS: {}}}
    assert found["supportedVersions"] == ["2026-07-28"]
    assert envelope()["io.modelcontextprotocol/protocolVersion"] in found["supportedVersions"]
