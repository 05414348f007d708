"""One catalogue of tools and one call, over MCP and UTCP."""

from maestro_tools._catalogue import ToolCatalogue
from maestro_tools._errors import (
    InputRequired,
    InvalidArguments,
    InvalidSource,
    Problem,
    ResultTooLarge,
    SecretAsked,
    ServerMisbehaved,
    ServerUnavailable,
    TaskLost,
    ToolDrifted,
    ToolFailed,
    ToolsError,
    ToolTimedOut,
    UnknownSource,
    UnknownTool,
)
from maestro_tools._kinds import ToolKind
from maestro_tools._mcp_kind import McpKind
from maestro_tools._pins import LOCK_NAME, Drift, ToolLock, drift, pins_of
from maestro_tools._step_kinds import tool_step_kinds
from maestro_tools._tools import Tool, ToolResult, ToolSource
from maestro_tools._waits import Wait

__all__ = [
    "LOCK_NAME",
    "Drift",
    "InputRequired",
    "InvalidArguments",
    "InvalidSource",
    "McpKind",
    "Problem",
    "ResultTooLarge",
    "SecretAsked",
    "ServerMisbehaved",
    "ServerUnavailable",
    "TaskLost",
    "Tool",
    "ToolCatalogue",
    "ToolDrifted",
    "ToolFailed",
    "ToolKind",
    "ToolLock",
    "ToolResult",
    "ToolSource",
    "ToolTimedOut",
    "ToolsError",
    "UnknownSource",
    "UnknownTool",
    "Wait",
    "drift",
    "pins_of",
    "tool_step_kinds",
]
