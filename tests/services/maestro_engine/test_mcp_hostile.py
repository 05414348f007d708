"""`/mcp` under raw requests that no client of good will sends."""

import json
from pathlib import Path
from typing import Any

import pytest
from services.maestro_engine.mcp_calls import (
    ACCEPT,
    MODERN,
    WITH_TASKS,
    ask,
    headers_of,
    message,
    post,
    workflows,
    write_templates,
)
from services.maestro_engine.running import Engine, StartEngine


@pytest.fixture(autouse=True)
def templates(tmp_path: Path) -> None:
    write_templates(tmp_path / "data")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH"])
async def test_there_is_nothing_but_post(engine: Engine, method: str) -> None:
    """No stream to open, no session to end: 405, and what is allowed."""
    answer = await engine.http.request(method, "/mcp", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
async def test_a_page_of_another_site_is_refused(engine: Engine, origin: str) -> None:
    """403 before a word of the body is read."""
    answer = await post(
        engine, message("tools/call", {"name": "greet", "arguments": {"name": "x"}}), {"Origin": origin}
    )
    assert answer.status_code == 403
    assert await workflows(engine) == []


async def test_a_name_that_points_here_is_refused(engine: Engine) -> None:
    """DNS rebinding: the host must be one of ours."""
    answer = await post(engine, message("tools/list"), {"Host": "evil.example"})
    assert answer.status_code == 421


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Mcp-Method": "tools/call"}, -32020),
        ({"MCP-Protocol-Version": "2026-01-01"}, -32020),
        ({"Mcp-Method": ""}, -32020),
    ],
)
async def test_headers_must_say_what_the_body_says(engine: Engine, headers: dict[str, str], code: int) -> None:
    """Who routes or filters by headers must not be lied to."""
    answer = await post(engine, message("tools/list"), headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


async def test_the_name_of_the_tool_must_be_in_the_header(engine: Engine) -> None:
    """Another name and none at all are both refused; nothing is started."""
    body = message("tools/call", {"name": "greet", "arguments": {"name": "x"}})
    without = {name: value for name, value in headers_of(body).items() if name != "Mcp-Name"}
    for headers in (without, {**without, "Mcp-Name": "slow"}):
        answer = await engine.http.post("/mcp", json=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)
    assert await workflows(engine) == []


NO_REQUESTS = [
    b"",
    b"{",
    b"[]",
    b"7",
    b"null",
    b'"tools/list"',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"jsonrpc": "2.0", "id": 1}',
    b'{"jsonrpc": "1.0", "id": 1, "method": "tools/list"}',
    b'[{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]',
    b'{"jsonrpc": "2.0", "id": ' + b"9" * 5000 + b', "method": "tools/list"}',
]


@pytest.mark.parametrize("version", [MODERN, "2025-11-25", None])
async def test_what_is_no_request_is_a_400(engine: Engine, version: str | None) -> None:
    """In either era, and never a fault."""
    headers = {**ACCEPT, "Content-Type": "application/json", "Mcp-Method": "tools/list"}
    if version is not None:
        headers["MCP-Protocol-Version"] = version
    for body in NO_REQUESTS:
        answer = await engine.http.post("/mcp", content=body, headers=headers)
        assert answer.status_code == 400, (body[:60], answer.text)


NO_CALLS: list[dict[str, Any]] = [
    {"name": 7},
    {"name": None},
    {"arguments": {}},
    {"name": "greet", "arguments": []},
    {"name": "greet", "arguments": "name"},
    {"name": "../greet", "arguments": {}},
    {"name": "greet.yml", "arguments": {}},
    {"name": "", "arguments": {}},
    {"name": "x" * 100_000, "arguments": {}},
    {"name": "greet", "arguments": {"name": "x"}, "requestState": 7},
    {"name": "greet", "arguments": {"name": "x"}, "requestState": "forged"},
    {"name": "greet", "arguments": {"name": "x"}, "requestState": "v1.AAAA"},
    {"name": "greet", "arguments": {"name": "x"}, "inputResponses": 7},
    {"name": "greet", "arguments": {"name": "x"}, "inputResponses": {"a": 7}},
]


async def test_calls_that_are_none_start_nothing(engine: Engine) -> None:
    """Wrong parameters are refused as that, however they are wrong."""
    for params in NO_CALLS:
        body = message("tools/call", params, WITH_TASKS)
        name = params.get("name")
        headers = {**headers_of({**body, "params": {}}), "Mcp-Name": name if isinstance(name, str) else ""}
        answer = await engine.http.post("/mcp", json=body, headers=headers)
        assert 400 <= answer.status_code < 500, (str(params)[:60], answer.text)
        if answer.headers["content-type"] == "application/json":
            assert answer.json()["error"]["code"] in (-32602, -32020)
    assert await workflows(engine) == []


async def test_a_state_is_good_for_its_call_alone(start_engine: StartEngine) -> None:
    """Shown with other arguments, for another tool or altered, it is refused."""
    async with start_engine(mcp_wait_s=0.05) as engine:
        first = await ask(engine, "tools/call", {"name": "slow", "arguments": {}})
        state = first["requestState"]
        for params in (
            {"name": "slow", "arguments": {"x": 1}, "requestState": state},
            {"name": "greet", "arguments": {}, "requestState": state},
            {"name": "slow", "arguments": {}, "requestState": state[:-2] + "AA"},
        ):
            answer = await post(engine, message("tools/call", params))
            assert answer.json()["error"]["data"] == {"reason": "invalid_request_state"}
        assert len(await workflows(engine)) == 1
        engine.gate.open()


async def test_a_body_may_be_only_so_large(start_engine: StartEngine) -> None:
    """Beyond the limit it is 413, and nothing has begun."""
    async with start_engine(max_body_bytes=2000) as engine:
        body = message("tools/call", {"name": "greet", "arguments": {"name": "x" * 3000}})
        assert (await post(engine, body)).status_code == 413
        assert await workflows(engine) == []


@pytest.mark.parametrize("accept", ["text/html", "application/json", ""])
async def test_a_client_must_take_both_forms_of_an_answer(engine: Engine, accept: str) -> None:
    """406 where it says that it does not."""
    answer = await post(engine, message("tools/list"), {"Accept": accept})
    assert answer.status_code == 406


async def test_text_that_is_no_json_is_not_read(engine: Engine) -> None:
    """A form of a page cannot be a request."""
    body = message("tools/list")
    answer = await engine.http.post(
        "/mcp", content=json.dumps(body), headers={**headers_of(body), "Content-Type": "text/plain"}
    )
    assert answer.status_code == 400


async def test_a_session_that_is_named_changes_nothing(engine: Engine) -> None:
    """There are none: the header is ignored and never given."""
    answer = await post(engine, message("tools/list"), {"Mcp-Session-Id": "somebody-elses"})
    assert answer.status_code == 200
    assert "mcp-session-id" not in answer.headers


@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "logging/setLevel", "resources/list", "prompts/list", "nothing"],
)
async def test_what_is_not_served_is_not_found(engine: Engine, method: str) -> None:
    """404 in today's era."""
    answer = await post(engine, message(method))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, -32601)
