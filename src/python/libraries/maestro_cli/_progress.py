"""What a person sees of a workflow, as a fold of its events: one row a step. Pure: the time is passed in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from maestro_workflow_engine import Event, WorkflowDefinition

Word = Literal["waiting", "running", "retrying", "sleeping", "asking", "done", "failed", "skipped", "cancelled"]
SETTLED: Final = frozenset({"done", "failed", "skipped", "cancelled"})


@dataclass(slots=True)
class Row:
    """One step as it stands; `items` is None unless it maps over a list that is known by now."""

    step: str
    kind: str
    max_attempts: int = 1
    word: Word = "waiting"
    attempt: int = 0
    failures: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    due_at: datetime | None = None
    message: str = ""
    reused: str = ""
    """Why the result of an earlier workflow was taken over; empty when the step ran."""
    items: int | None = None
    items_done: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens to the step."""
        return self.word in SETTLED

    def elapsed_s(self, now: datetime) -> float | None:
        """Seconds from its first start to its end, or to now; None when it never started."""
        if self.started_at is None:
            return None
        return max(0.0, ((self.finished_at or now) - self.started_at).total_seconds())

    def note(self, now: datetime) -> str:
        """What else there is to say: the count of a map, the retry that is due, the error."""
        parts = [] if self.items is None else [f"{self.items_done}/{self.items}"]
        if self.word == "retrying":
            wait_s = max(0.0, (self.due_at - now).total_seconds()) if self.due_at is not None else 0.0
            parts.append(f"attempt {self.attempt + 1} of {self.max_attempts} in {wait_s:.1f} s · {self.message}")
        elif self.word in ("failed", "skipped", "cancelled", "asking"):
            parts.append(self.message)
        elif self.word == "running" and self.attempt > 1 and self.items is None:
            parts.append(f"attempt {self.attempt} of {self.max_attempts}")
        elif self.reused:
            parts.append(f"reused: {self.reused}")
        elif self.word == "done" and self.failures:
            parts.append(f"{self.failures} {'retry' if self.failures == 1 else 'retries'}")
        return " · ".join(part for part in parts if part)


@dataclass(slots=True)
class Progress:
    """All rows of one workflow, in the order of its definition; `apply` brings them one event further."""

    rows: dict[str, Row]
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancelling: bool = False
    seq: int = field(default=0)

    later: dict[str, Row] = field(default_factory=dict)
    """Steps of the phases after the main one: shown once something happens to them."""
    is_paused: bool = False

    @classmethod
    def of(cls, definition: WorkflowDefinition) -> "Progress":
        """Every step waiting."""
        rows = {step.id: Row(step.id, step.kind, step.retry.max_attempts) for step in definition.steps.values()}
        later = {step.id: rows.pop(step.id) for step in definition.steps.values() if step.phase != "main"}
        return cls(rows, later=later)

    @property
    def settled(self) -> int:
        """How many steps nothing more happens to."""
        return sum(row.is_settled for row in self.rows.values())

    @property
    def took_s(self) -> float | None:
        """Seconds from the start to the end of the workflow; None while it has no end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    def apply(self, event: Event) -> Row | None:
        """Take one event in; returns the row that it is about, or None when it is about the whole workflow."""
        self.seq = event.seq
        step = event.data.get("step", "")
        if step in self.later:
            self.rows[step] = self.later.pop(step)
        if event.type.startswith("workflow.") or step not in self.rows:
            self._apply_to_workflow(event)
            return None
        row = self.rows[step]
        if event.type in _APPLY:
            _APPLY[event.type](row, event)
        return row

    def _apply_to_workflow(self, event: Event) -> None:
        if event.type == "workflow.started":
            self.started_at = event.at
        elif event.type == "workflow.cancel_requested":
            self.cancelling = True
        elif event.type in ("workflow.paused", "workflow.resumed"):
            self.is_paused = event.type == "workflow.paused"
        elif event.type in ("workflow.succeeded", "workflow.failed", "workflow.cancelled"):
            self.finished_at = event.at


def _expanded(row: Row, event: Event) -> None:
    row.word = "running"
    row.items = event.data["count"]
    row.started_at = row.started_at or event.at


def _started(row: Row, event: Event) -> None:
    row.word = "running"
    row.attempt = event.data["attempt"]
    row.started_at = row.started_at or event.at


def _waiting(row: Row, event: Event) -> None:
    on = event.data.get("on") or {}
    if row.items is not None or on.get("kind") == "workflow":
        row.word = "running"
    elif on:
        row.word = "asking"
        about = on.get("title") or on.get("name") or on.get("type") or on.get("unit") or ""
        row.message = f"{on['kind']} {about}".strip()
    else:
        row.word = "sleeping"


def _answered(row: Row, event: Event) -> None:
    row.word = "running"


def _repeated(row: Row, event: Event) -> None:
    if event.data.get("item") is None and "until" in event.data:
        row.word = "sleeping"


def _reused(row: Row, event: Event) -> None:
    if event.data.get("item") is None:
        row.reused = str(event.data.get("why") or "yes")
    _succeeded(row, event)


def _succeeded(row: Row, event: Event) -> None:
    if event.data.get("item") is not None:
        row.items_done += 1
        return
    row.word = "done"
    row.finished_at = event.at


def _failed(row: Row, event: Event) -> None:
    error = event.data["error"]
    row.message = " ".join(str(error.get("message") or error.get("code")).split())
    retry_at = event.data.get("retry_at")
    row.failures += retry_at is not None
    if event.data.get("item") is not None:
        return
    row.attempt = event.data["attempt"]
    if retry_at is not None:
        row.word = "retrying"
        row.due_at = datetime.fromisoformat(retry_at)
        return
    row.word = "failed"
    row.finished_at = event.at


def _skipped(row: Row, event: Event) -> None:
    if event.data.get("item") is not None:
        row.items_done += 1
        return
    row.word = "skipped"
    row.message = str(event.data.get("reason") or "")
    row.finished_at = event.at


def _cancelled(row: Row, event: Event) -> None:
    if event.data.get("item") is not None:
        return
    row.word = "cancelled"
    row.finished_at = event.at


_APPLY: Final[dict[str, Callable[[Row, Event], None]]] = {
    "step.expanded": _expanded,
    "step.started": _started,
    "step.waiting": _waiting,
    "step.answered": _answered,
    "step.repeated": _repeated,
    "step.reused": _reused,
    "step.succeeded": _succeeded,
    "step.failed": _failed,
    "step.skipped": _skipped,
    "step.cancelled": _cancelled,
}
