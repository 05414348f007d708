"""The step kinds of this package; they fit the engine by shape, and know nothing of it."""

from __future__ import annotations

from maestro_tools._kinds import ToolKind
from maestro_tools._mcp_kind import McpKind
from maestro_tools._sources import OpenApi, Utcp


def tool_step_kinds() -> dict[str, ToolKind]:
    """The step kinds of this package by name: `mcp`, `openapi` and `utcp`."""
    return {
        "mcp": McpKind(),
        "openapi": ToolKind(key="source", kinds=(OpenApi,)),
        "utcp": ToolKind(key="source", kinds=(Utcp,)),
    }
