"""From a source's configuration to its connection; the heavy libraries are imported here, when they are needed."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

from maestro_tools._sources import OpenApi, Source, Utcp
from maestro_tools._tools import ToolSource


async def open_source(
    name: str, source: Source, base_dir: Path, *, idle_s: float | None = None, may_ask: bool = False
) -> ToolSource:
    """A connection for a source; it connects when it is first used, and closes itself after `idle_s` without use.

    With `may_ask`, MCP servers are told that they can put questions to a person. Raises InvalidSource when the lock
    that the source names cannot be read.
    """
    from maestro_tools._pins import Guard

    guard = await asyncio.to_thread(Guard, name, source.pinning, base_dir)
    if isinstance(source, Utcp):
        from maestro_tools._utcp import UtcpConnection

        return UtcpConnection(name, source, base_dir, idle_s=idle_s, guard=guard)
    if isinstance(source, OpenApi):
        from maestro_tools._openapi import OpenApiConnection

        return OpenApiConnection(name, source, base_dir, idle_s=idle_s, guard=guard)
    # The SDK takes a second to import; the event loop has other things to do meanwhile.
    await asyncio.to_thread(importlib.import_module, "maestro_tools._mcp")
    from maestro_tools._mcp import McpConnection

    return McpConnection(name, source, base_dir, idle_s=idle_s, guard=guard, may_ask=may_ask)
