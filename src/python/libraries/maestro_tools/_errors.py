"""What can go wrong with a tool.

ToolsError                 tools
├── InvalidSource          tools.invalid-source         a source's configuration is wrong; all problems at once
├── UnknownSource          tools.unknown-source         no source of that name
├── UnknownTool            tools.unknown-tool           the source has no tool of that name
├── InvalidArguments       tools.invalid-arguments      refused before the call, by the tool's input schema
├── ToolFailed             tools.tool-failed            the tool ran and says that it failed
│   ├── InputRequired      tools.input-required         the tool asks a person, and cannot be given an answer
│   └── SecretAsked        tools.secret-asked           the tool asks a person for a secret, in a form
├── TaskLost               tools.task-lost              the server no longer knows the task that it made (retryable)
├── ToolDrifted            tools.tool-drifted           the tool is not the one that was pinned
├── ToolTimedOut           tools.tool-timed-out         no answer in time (retryable; the tool may have run)
├── ResultTooLarge         tools.result-too-large       the answer is larger than `max_result_bytes`
├── ServerMisbehaved       tools.server-misbehaved      the server breaks its protocol or its own schema
└── ServerUnavailable      tools.server-unavailable     cannot start, cannot be reached, or died (retryable)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from maestro_tools._tools import ToolResult


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint to put behind "unknown name": the nearest known one, or all of them when there are few."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    if not names:
        return "; there are none"
    shown = ", ".join(names[:10])
    return f"; there are: {shown}{', …' if len(names) > 10 else ''}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a source: a JSON Pointer into the `tools` mapping, and what to do."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.message}"


class ToolsError(Exception):
    """Root of everything this package raises."""

    code: ClassVar[str] = "tools"
    retryable: bool = False
    retry_after_s: float | None = None


class InvalidSource(ToolsError):
    """A source is not usable as written; `problems` holds everything found."""

    code = "tools.invalid-source"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class UnknownSource(ToolsError):
    """No source has this name."""

    code = "tools.unknown-source"

    def __init__(self, source: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown tool source {source!r}{did_you_mean(source, known)}")
        self.source = source


class UnknownTool(ToolsError):
    """The source offers no tool of this name."""

    code = "tools.unknown-tool"

    def __init__(self, source: str, tool: str, known: Iterable[str]) -> None:
        super().__init__(f"{source} has no tool {tool!r}{did_you_mean(tool, known)}")
        self.source = source
        self.tool = tool


class InvalidArguments(ToolsError):
    """The arguments do not fit the tool; nothing was sent."""

    code = "tools.invalid-arguments"


class ToolFailed(ToolsError):
    """The tool's own error; `result` is what it answered, where it answered anything."""

    code = "tools.tool-failed"

    def __init__(
        self,
        message: str,
        *,
        result: ToolResult | None = None,
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.result = result
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class InputRequired(ToolFailed):
    """The tool asks a person (elicitation) and got no answer: nobody can be asked here, or it asks without end."""

    code = "tools.input-required"


class SecretAsked(ToolFailed):
    """The tool asks for a password or the like in a form, where it would be kept in plain sight. Nobody was asked."""

    code = "tools.secret-asked"


class TaskLost(ToolsError):
    """The server made a task of the call and knows it no longer, or never ended it: only another call can help."""

    code = "tools.task-lost"
    retryable = True


class ToolDrifted(ToolsError):
    """The source declares another tool than was pinned, or one that was never pinned; it was not called."""

    code = "tools.tool-drifted"


class ToolTimedOut(ToolsError):
    """No answer in time. The tool was told to stop; it may have done its work all the same."""

    code = "tools.tool-timed-out"
    retryable = True


class ResultTooLarge(ToolsError):
    """The answer is larger than the source's `max_result_bytes` and was not read."""

    code = "tools.result-too-large"


class ServerMisbehaved(ToolsError):
    """The server breaks its protocol, or a result breaks the schema that the tool declares."""

    code = "tools.server-misbehaved"


class ServerUnavailable(ToolsError):
    """The server cannot be started or reached, or died before it answered."""

    code = "tools.server-unavailable"
    retryable = True

    def __init__(self, message: str, *, retryable: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
