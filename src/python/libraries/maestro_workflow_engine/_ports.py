"""The seams of the engine: what a step kind, a clock and a backend promise."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._events import ArtifactRef
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._state import WorkflowStatus


class ArtifactWriter(Protocol):
    """Keeps what a step wants to hand on besides its result."""

    async def put(self, data: bytes | Path, name: str, media_type: str | None = None) -> ArtifactRef:
        """Store bytes or a copy of a file, durably; the media type is guessed from the name when None."""
        ...


class WorkDir(Protocol):
    """The scratch folder of one workflow."""

    def make(self) -> Path:
        """Its path; the folder is there afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """What a Wait was answered with; `by` None when it was not a person."""

    value: JSON
    by: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class StepCall:
    """One attempt of one step, as its kind sees it; `arguments` and `tools` are rendered and must not be changed."""

    workflow_id: str
    workflow_name: str
    step_id: str
    item_index: int | None
    attempt: int
    idempotency_key: str
    """The same when an attempt that a crash cut off runs again."""
    arguments: Mapping[str, object]
    tools: Mapping[str, object]
    timeout_s: float | None
    base_dir: Path
    artifacts: ArtifactWriter
    scratch: WorkDir
    due_at: datetime | None = None
    """Set when this call goes on after a Wait whose time came: when that was due."""
    answer: Answered | None = None
    """Set when this call goes on after a Wait that was answered."""
    memo: JSON = None
    """What the Wait before this call gave to remember."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """The secrets that stand in `arguments` and `tools`, by name: never show their values."""
    usage: dict[str, float] = field(default_factory=dict)
    """The kind notes here what the attempt used: `money_usd`, `tokens`, and what else a budget counts."""

    @property
    def work_dir(self) -> Path:
        """The folder of this workflow: made on first use, kept until the workflow ends."""
        return self.scratch.make()


@dataclass(frozen=True, slots=True)
class Wait:
    """Returned by a step kind that wants the same attempt to be called again later, also after a restart.

    After `seconds`, or as soon as what it waits `on` is answered, whichever is first; None: only by the answer.
    `on` is a mapping with a `kind`, which says who may answer and how:
    `{"kind": "signal", "name"}` the next signal of that name; `{"kind": "event", "type", "match"}` the next published
    event that fits; `{"kind": "approval", "title", "form", "to", …}` a person, through `answer`;
    `{"kind": "workflow", "workflow": id, …}` the end of a child that the engine starts; any other kind: only `answer`.
    `memo`, at most 64 KiB of JSON, is given back as `call.memo`.
    """

    seconds: float | None = None
    on: Mapping[str, JSON] | None = None
    memo: JSON = None


@runtime_checkable
class StepKind(Protocol):
    """Runs the steps of one kind."""

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterable[tuple[str, str]]:
        """Static problems as (JSON Pointer below `with`, message); values that hold `${{` are not known yet."""
        ...

    async def run(self, call: StepCall) -> object:
        """The result as JSON data, or a Wait.

        Any exception fails the attempt; its `code`, `retryable` and `retry_after_s` are honoured (without `retryable`
        it is retried). Cancellation must be let through once everything is cleaned up.
        """
        ...

    async def close(self) -> None:
        """Release what it holds; called once, when the backend closes."""
        ...


class Clock(Protocol):
    """Time as the engine sees it."""

    def now(self) -> datetime:
        """The time in UTC."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back on the running event loop after a delay; the returned function calls it off."""
        ...


@dataclass(frozen=True, slots=True)
class Started:
    """A workflow was started and is durable up to `seq`."""

    workflow_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class WorkflowSummary:
    """One line of a listing."""

    id: str
    name: str
    template: str | None
    labels: Mapping[str, str]
    status: WorkflowStatus
    started_at: datetime
    finished_at: datetime | None
    error: Mapping[str, object] | None
    priority: int = 0
    parent: str | None = None
    """The id of the workflow that it is the child of."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines of a listing; `next` goes into `after` to get those that follow, None when there are none."""

    items: list[WorkflowSummary]
    next: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """One run that waits for an answer: what a person finds in the inbox."""

    workflow_id: str
    workflow_name: str
    step: str
    item: int | None
    on: Mapping[str, JSON]
    since: datetime
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """Some runs that wait, the oldest first; `next` goes into `after`."""

    items: list[Waiting]
    next: str | None


@dataclass(frozen=True, slots=True)
class FlowLimit:
    """What an engine allows at once and per time under a name; kept with the engine, and changeable while it runs.

    `rate_count` attempts may begin per `rate_per_s` seconds; None: no bound. After `breaker_failures` failed attempts
    in a row none begins for `breaker_open_s` seconds, then one as a trial. While `is_paused` nothing begins.
    """

    name: str
    max_parallel: int | None = None
    rate_count: int | None = None
    rate_per_s: float = 1.0
    breaker_failures: int | None = None
    breaker_open_s: float = 30.0
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something has not happened yet; `because` holds the causes of this cause.

    `kind`: dependency, paused, turn, limit, rate, breaker, concurrency, timer, retry, approval, signal, event,
    workflow, budget, running, not_resumed, or the `kind` of what a step kind waits on.
    """

    kind: str
    message: str
    step: str | None = None
    item: int | None = None
    detail: Mapping[str, JSON] = field(default_factory=dict)
    because: tuple["Cause", ...] = ()

    def as_json(self) -> dict[str, JSON]:
        """The parts that say something."""
        shape: dict[str, JSON] = {"kind": self.kind, "message": self.message}
        if self.step is not None:
            shape["step"] = self.step
        if self.item is not None:
            shape["item"] = self.item
        if self.detail:
            shape["detail"] = dict(self.detail)
        if self.because:
            shape["because"] = [cause.as_json() for cause in self.because]
        return shape


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """What going on with another definition does to each step, by id."""

    kept: tuple[str, ...]
    """As they are: ended, running unchanged, or not begun."""
    changed: tuple[str, ...]
    """Ended, kept, although their definition is another now."""
    restarted: tuple[str, ...]
    """In flight with another definition: stopped, and begun anew."""
    rerun: tuple[str, ...]
    """Ended, and run again as asked for."""
    dropped: tuple[str, ...]
    added: tuple[str, ...]

    def as_json(self) -> dict[str, JSON]:
        """Each list by its name."""
        return {name: list(getattr(self, name)) for name in self.__slots__}
