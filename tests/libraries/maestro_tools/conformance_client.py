"""The client that the official MCP conformance suite tests: `python conformance_client.py URL`; see mcp-conformance.

It uses a server as the step kind `mcp` does: looks at the tools, calls them, lets a person agree to every question, and
forgets everything between two turns of a call but the memo, as after a restart of the engine.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from libraries.maestro_tools.engine import StepCall, step

from maestro_tools import McpKind, Tool, ToolFailed, ToolsError, Wait

_TURNS = 50
_EXAMPLES: Mapping[str, Any] = {"string": "text", "number": 2, "integer": 2, "boolean": True, "array": [], "object": {}}


def example(schema: Any) -> Any:
    """A value that fits a simple schema; an object has what it requires."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if isinstance(schema, Mapping) and "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return {name: example(schema.get("properties", {}).get(name, {})) for name in schema.get("required", [])}
    return _EXAMPLES.get(str(kind), "text")


def plan(context: Mapping[str, Any], known: Mapping[str, Tool]) -> list[tuple[str, Any]]:
    """What to call: what the scenario asks for, else every tool once."""
    if "json_schema_echo" in known:
        # This one wants to see the schema of the other as we keep it.
        return [("json_schema_echo", {"schema": known["json_schema_2020_12_tool"].input_schema})]
    if "toolCalls" in context:
        # Null where a schema has none means left out: arguments are held against the schema before they are sent.
        return [
            (one["name"], {name: value for name, value in one["arguments"].items() if value is not None})
            for one in context["toolCalls"]
        ]
    return [(name, example(tool.input_schema)) for name, tool in known.items()]


async def use(kind: McpKind, call: StepCall, *, forgets: bool) -> tuple[McpKind, object]:
    """Run one call to its end."""
    current = call
    for _ in range(_TURNS):
        result = await kind.run(current)
        if not isinstance(result, Wait):
            return kind, result
        if result.on is None or result.on["kind"] == "task":
            await asyncio.sleep(result.seconds or 0)
            answer = None
        else:
            answer = {"approved": True, "data": example(result.on.get("form", {}))}
        if forgets:
            await kind.close()
            kind = McpKind()
        current = current.after(result, answer)
    raise AssertionError("the call does not end")


async def main(url: str) -> None:
    """Use every tool of a server, as the scenario wants it."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    source = {"mcp": {"url": url, "call_timeout_s": 20}}
    kind = McpKind()
    try:
        look = step(source, "none", {}, Path.cwd())
        async with kind.borrowed(look) as shared:
            tools: tuple[Tool, ...] = await shared.connection.list_tools()
        known = {tool.name: tool for tool in tools}
        for name, arguments in plan(context, known):
            try:
                # Only a server of the new era can go on where another of us left off.
                kind, value = await use(kind, step(source, name, arguments, Path.cwd()), forgets="retry" in name)
                print(name, json.dumps(value))
            except ToolFailed as error:
                print(name, error)
    finally:
        await kind.close()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except ToolsError as error:
        sys.exit(f"{type(error).__name__}: {error}")
