"""An MCP server of the protocol of 2026-07-28 that answers as its caller's arguments say: with tasks, questions, lies.

A script of its own on purpose: it needs the standard library alone. What it knows is in `server.json` in its working
folder, so that tasks outlive the process; a test reads there what the server saw, and changes what it will say.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

_STATE = Path("server.json")
_EXTENSION = "io.modelcontextprotocol/tasks"
_ECHO = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
_EMPTY: dict[str, Any] = {
    "descriptions": {},
    "calls": [],
    "tasks": {},
    "updates": [],
    "cancelled": [],
    "created": 0,
}


def load() -> dict[str, Any]:
    """What is known."""
    return json.loads(_STATE.read_text()) if _STATE.exists() else dict(_EMPTY)


def save(state: dict[str, Any]) -> None:
    """Keep it; whole, since the next moment may be the last."""
    fresh = _STATE.with_suffix(".new")
    fresh.write_text(json.dumps(state))
    fresh.replace(_STATE)


def list_tools(params: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """`echo` says the same again; `work` becomes a task that runs as `polls` says; `play` answers with its `rounds`."""
    schemas = {
        "echo": _ECHO,
        "work": {"type": "object", "properties": {"polls": {"type": "array"}, "created": {"type": "object"}}},
        "play": {"type": "object", "properties": {"rounds": {"type": "array"}}},
    }
    tools = [
        {"name": name, "description": state["descriptions"].get(name, f"The tool {name}."), "inputSchema": schema}
        for name, schema in schemas.items()
    ]
    return {"tools": tools, "ttlMs": 0, "cacheScope": "private"}


def call_tool(params: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """One call, noted with everything that came with it."""
    state["calls"].append(params)
    arguments = params.get("arguments", {})
    if params["name"] == "echo":
        return {"content": [], "structuredContent": {"text": arguments["text"]}}
    if params["name"] == "play":
        # The state that the client hands back says which round it is.
        answer: dict[str, Any] = arguments["rounds"][int(params.get("requestState") or 0)]
        return answer
    state["created"] += 1
    task = f"task-{state['created']}"
    state["tasks"][task] = {"polls": arguments["polls"], "next": 0}
    return {"resultType": "task", **_about(task), **arguments.get("created", {})}


def get_task(params: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """The next of its polls; the last one for ever."""
    task = state["tasks"].get(params["taskId"])
    if task is None:
        return _error(-32602, "Failed to retrieve task: Task not found")
    poll: dict[str, Any] = task["polls"][min(task["next"], len(task["polls"]) - 1)]
    task["next"] += 1
    return poll if "error" in poll and "status" not in poll else {**_about(params["taskId"]), **poll}


def update_task(params: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Noted, and no more."""
    state["updates"].append({"task": params["taskId"], "responses": params["inputResponses"]})
    return {}


def cancel_task(params: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Noted, and no more."""
    state["cancelled"].append(params["taskId"])
    return {}


def discover(params: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """What it can."""
    return {
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}, "extensions": {_EXTENSION: {}}},
        "ttlMs": 0,
        "cacheScope": "private",
    }


HANDLERS = {
    "server/discover": discover,
    "tools/list": list_tools,
    "tools/call": call_tool,
    "tasks/get": get_task,
    "tasks/update": update_task,
    "tasks/cancel": cancel_task,
}


def _about(task: str) -> dict[str, Any]:
    at = "2026-11-21T00:00:00Z"
    return {"taskId": task, "status": "working", "createdAt": at, "lastUpdatedAt": at, "ttlMs": None}


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def answer(message: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; `{"die": true}` in place of it ends the process, `{"silent": true}` is none,
    and `{"bare": …}` does not say what kind of result it is.
    """
    handler = HANDLERS.get(message["method"])
    if handler is None:
        return _error(-32601, "Method not found")
    state = load()
    result = handler(message.get("params") or {}, state)
    save(state)
    if result.get("die"):
        os._exit(7)
    if "bare" in result:
        return {"result": result["bare"]}
    return result if "error" in result and "status" not in result else {"result": {"resultType": "complete", **result}}


if __name__ == "__main__":
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if "id" not in request:
            continue
        answered = answer(request)
        if not answered.get("result", {}).get("silent"):
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answered}) + "\n")
            sys.stdout.flush()
