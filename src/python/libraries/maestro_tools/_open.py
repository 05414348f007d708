"""From a source's configuration to its connection; the heavy libraries are imported here, when they are needed."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

from maestro_tools._sources import Source, Utcp
from maestro_tools._tools import ToolSource


async def open_source(name: str, source: Source, base_dir: Path, *, idle_s: float | None = None) -> ToolSource:
    """A connection for a source; it connects when it is first used, and closes itself after `idle_s` without use."""
    if isinstance(source, Utcp):
        from maestro_tools._utcp import UtcpConnection

        return UtcpConnection(name, source, base_dir, idle_s=idle_s)
    # The SDK takes a second to import; the event loop has other things to do meanwhile.
    await asyncio.to_thread(importlib.import_module, "maestro_tools._mcp")
    from maestro_tools._mcp import McpConnection

    return McpConnection(name, source, base_dir, idle_s=idle_s)
