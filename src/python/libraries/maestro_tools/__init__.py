"""One catalogue of tools and one call, over MCP and UTCP."""

from maestro_tools._catalogue import ToolCatalogue
from maestro_tools._errors import (
    InputRequired,
    InvalidArguments,
    InvalidSource,
    Problem,
    ResultTooLarge,
    ServerMisbehaved,
    ServerUnavailable,
    ToolFailed,
    ToolsError,
    ToolTimedOut,
    UnknownSource,
    UnknownTool,
)
from maestro_tools._kinds import ToolKind, tool_step_kinds
from maestro_tools._tools import Tool, ToolResult, ToolSource

__all__ = [
    "InputRequired",
    "InvalidArguments",
    "InvalidSource",
    "Problem",
    "ResultTooLarge",
    "ServerMisbehaved",
    "ServerUnavailable",
    "Tool",
    "ToolCatalogue",
    "ToolFailed",
    "ToolKind",
    "ToolResult",
    "ToolSource",
    "ToolTimedOut",
    "ToolsError",
    "UnknownSource",
    "UnknownTool",
    "tool_step_kinds",
]
