"""Tasks of MCP (the extension io.modelcontextprotocol/tasks): what a server says about one, and when to ask again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maestro_tools._errors import ServerMisbehaved
from maestro_tools._questions import Question, read_question, shown

EXTENSION = "io.modelcontextprotocol/tasks"
STATUSES = ("working", "input_required", "completed", "failed", "cancelled")

_LONGEST_ID = 1024
_LONGEST_POLL_S = 600.0
_SHORTEST_POLL_S = 0.05
_USUAL_POLL_S = 1.0
# A task that has run for long is asked about less often, so that a month of waiting does not fill a journal.
_POLLS_PER_AGE = 20
_SELDOM_S = 60.0
_MOST_QUESTIONS = 16


@dataclass(frozen=True, slots=True)
class TaskState:
    """One answer about a task; `result` and `error` are what the wire holds, unread.

    `ttl_s` None: the server keeps it for ever. `poll_s` None: the server has no wish.
    """

    id: str
    status: str
    message: str = ""
    ttl_s: float | None = None
    poll_s: float | None = None
    questions: tuple[Question, ...] = ()
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        """Whether it will never change again."""
        return self.status in ("completed", "failed", "cancelled")

    @property
    def failure(self) -> str:
        """Why it ended without a result, in the server's own words."""
        if self.status == "cancelled":
            return f"its task was cancelled on the server{_because(self.message)}"
        error = self.error or {}
        said = error.get("message")
        reason = shown(said, 500) if isinstance(said, str) else self.message
        return f"its task failed with error {shown(str(error.get('code')), 20)}{_because(reason)}"


def read_task(label: str, raw: Mapping[str, Any], expected: str | None = None) -> TaskState:
    """Read what a server says about a task, whose id is `expected`. Raises ServerMisbehaved for nonsense."""
    task = raw.get("taskId")
    if not isinstance(task, str) or not 0 < len(task) <= _LONGEST_ID or not task.isprintable():
        raise ServerMisbehaved(f"{label} answered with a task whose id is no text of 1 to {_LONGEST_ID} characters")
    if expected is not None and task != expected:
        raise ServerMisbehaved(f"{label}: asked about task {expected!r}, it answered about {shown(task, 80)!r}")
    status = raw.get("status")
    if status not in STATUSES:
        raise ServerMisbehaved(f"{label} answered with a task whose status is {shown(repr(status), 80)}")
    said = raw.get("statusMessage")
    return TaskState(
        task,
        status,
        message=shown(said, 500) if isinstance(said, str) else "",
        ttl_s=_seconds(label, raw, "ttlMs"),
        poll_s=_seconds(label, raw, "pollIntervalMs"),
        questions=read_questions(label, raw.get("inputRequests")) if status == "input_required" else (),
        result=_payload(label, raw, "result") if status == "completed" and expected is not None else None,
        error=_payload(label, raw, "error") if status == "failed" and expected is not None else None,
    )


def read_questions(label: str, requests: Any) -> tuple[Question, ...]:
    """The questions of an `inputRequests` mapping, in its order; empty when there are none."""
    if requests is None:
        return ()
    if not isinstance(requests, Mapping) or len(requests) > _MOST_QUESTIONS:
        raise ServerMisbehaved(f"{label} asks for input that is no mapping of at most {_MOST_QUESTIONS} requests")
    questions = []
    for key, request in requests.items():
        method = request.get("method") if isinstance(request, Mapping) else None
        if method != "elicitation/create":
            raise ServerMisbehaved(f"{label} asks for {shown(str(method), 80)}, which it was not offered")
        if len(key) > _LONGEST_ID:
            raise ServerMisbehaved(f"{label} asks with a key longer than {_LONGEST_ID} characters")
        questions.append(read_question(label, key, request.get("params")))
    return tuple(questions)


def poll_delay_s(wish_s: float | None, age_s: float) -> float:
    """How long to wait before asking again about a task of such an age: never sooner than the server wishes."""
    wish = _USUAL_POLL_S if wish_s is None else wish_s
    return min(_LONGEST_POLL_S, max(_SHORTEST_POLL_S, wish, min(_SELDOM_S, age_s / _POLLS_PER_AGE)))


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _seconds(label: str, raw: Mapping[str, Any], key: str) -> float | None:
    value = raw.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ServerMisbehaved(f"{label} answered with a task whose {key} is {shown(repr(value), 80)}")
    return float(value) / 1000


def _payload(label: str, raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    if not isinstance(value, Mapping):
        raise ServerMisbehaved(f"{label} answered with a task that is {raw['status']} and has no {key}")
    return value
