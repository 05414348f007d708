"""Templates for the MCP door, and requests to it as they look on the wire."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
from services.maestro_engine.running import Engine

MODERN = "2026-07-28"
TASKS = "io.modelcontextprotocol/tasks"
ACCEPT = {"Accept": "application/json, text/event-stream"}

GREET = """
name: Greeting
description: Greets somebody
inputs:
  name: {type: string, description: Who}
  often: {type: integer, default: 1}
  tone: {type: string, enum: [kind, loud], default: null}
steps:
  say: {kind: echo, with: {text: "Hello, ${{ inputs.name }}!"}}
outputs:
  greeting: ${{ steps.say.output.text }}
"""
SLOW = """
name: Slow
steps:
  first: {kind: echo, with: {x: 1}}
  second: {kind: gate, needs: [first], with: {x: 2}}
  third: {kind: echo, needs: [second], with: {x: 3}}
outputs:
  x: ${{ steps.third.output.x }}
  y: ${{ steps.second.output }}
"""
BROKEN = """
name: Broken
steps:
  only: {kind: broken, with: {x: 1}}
"""
BREAKS_LATER = """
name: Breaks later
steps:
  wait: {kind: gate, with: {x: 1}}
  only: {kind: broken, needs: [wait], with: {x: 1}}
"""
TEMPLATES = {"greet": GREET, "slow": SLOW, "broken": BROKEN}


def write_templates(data_dir: Path, templates: Mapping[str, str] = TEMPLATES) -> None:
    """Put templates where an engine finds them."""
    folder = data_dir / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in templates.items():
        (folder / f"{name}.yml").write_text(text)


def envelope(**capabilities: Any) -> dict[str, Any]:
    """`_meta` of a request of today's protocol."""
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }


WITH_TASKS: dict[str, Any] = {"extensions": {TASKS: {}}}
WITH_FORMS: dict[str, Any] = {"elicitation": {"form": {}}}


def message(
    method: str, params: Mapping[str, Any] | None = None, capabilities: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A request; `_meta` in the parameters comes on top of the envelope."""
    given = dict(params or {})
    meta = {**envelope(**(capabilities or {})), **given.pop("_meta", {})}
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**given, "_meta": meta}}


def headers_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The headers that mirror a request."""
    params = body["params"]
    name = params.get("name") or params.get("taskId")
    return {
        **ACCEPT,
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": body["method"],
        **({"Mcp-Name": name} if name else {}),
    }


async def post(engine: Engine, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> httpx2.Response:
    """The HTTP answer to a request; `headers` come on top of those that it needs."""
    answer: httpx2.Response = await engine.http.post("/mcp", json=body, headers={**headers_of(body), **(headers or {})})
    return answer


async def ask(
    engine: Engine,
    method: str,
    params: Mapping[str, Any] | None = None,
    capabilities: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The result of a request."""
    answer = await post(engine, message(method, params, capabilities), headers)
    said = said_in(answer)
    assert "result" in said, said
    result: dict[str, Any] = said["result"]
    return result


async def refused(
    engine: Engine,
    method: str,
    params: Mapping[str, Any] | None = None,
    capabilities: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The error that a request is answered with."""
    said = said_in(await post(engine, message(method, params, capabilities), headers))
    assert "error" in said, said
    error: dict[str, Any] = said["error"]
    return error


def said_in(answer: httpx2.Response) -> dict[str, Any]:
    """The last JSON-RPC message of an answer, which may be a stream."""
    text = answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        text = [line[6:] for line in text.splitlines() if line.startswith("data: ")][-1]
    said: dict[str, Any] = json.loads(text)
    return said


async def call(engine: Engine, tool: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The result of a call by a client with Tasks."""
    return await ask(engine, "tools/call", {"name": tool, "arguments": dict(arguments or {}), **more}, WITH_TASKS)


async def workflows(engine: Engine) -> list[dict[str, Any]]:
    """All workflows, newest first."""
    items: list[dict[str, Any]] = (await engine.http.get("/api/workflows")).json()["items"]
    return items


async def ended(engine: Engine, workflow_id: str) -> None:
    """Wait for the end of a workflow."""
    await asyncio.wait_for(engine.backend.wait(workflow_id), 20)
