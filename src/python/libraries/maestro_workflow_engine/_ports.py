"""The seams of the engine: what a step kind, a clock and a backend promise."""

import builtins
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._events import ArtifactRef, Event
from maestro_workflow_engine._state import WorkflowState, WorkflowStatus


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
    """Set when this call goes on after a Wait: when that was due."""

    @property
    def work_dir(self) -> Path:
        """The folder of this workflow: made on first use, kept until the workflow ends."""
        return self.scratch.make()


@dataclass(frozen=True, slots=True)
class Wait:
    """Returned by a step kind that wants the same attempt to be called again later, also after a restart."""

    seconds: float


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


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines of a listing; `next` goes into `after` to get those that follow, None when there are none."""

    items: list[WorkflowSummary]
    next: str | None


class ExecutionBackend(Protocol):
    """Runs workflows durably. Open it with `async with`; the promises are ExecutionBackendConformance in `testing`."""

    async def __aenter__(self) -> Self:
        """Open it and go on with every unfinished workflow."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        ...

    async def start(
        self,
        definition: WorkflowDefinition,
        inputs: Mapping[str, object] | None = None,
        *,
        workflow_id: str | None = None,
        template: str | None = None,
        labels: Mapping[str, str] | None = None,
        base_dir: Path | None = None,
    ) -> Started:
        """Begin a workflow; it is durable when this returns. Raises InvalidInputs, UnknownStepKind, WorkflowExists."""
        ...

    async def cancel(self, workflow_id: str, reason: str | None = None) -> int:
        """Begin to cancel and give the seq of that; again is fine. Raises WorkflowFinished, WorkflowNotFound."""
        ...

    async def get(self, workflow_id: str) -> WorkflowState:
        """The state as it is durable now; raises WorkflowNotFound."""
        ...

    async def definition(self, workflow_id: str) -> WorkflowDefinition:
        """What the workflow was started with; raises WorkflowNotFound."""
        ...

    async def list(
        self,
        *,
        status: WorkflowStatus | None = None,
        name: str | None = None,
        template: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """Workflows, the newest first; pages stay stable while others start. Raises ValueError for a bad `after`."""
        ...

    async def events(self, workflow_id: str, *, from_seq: int = 1, limit: int = 1000) -> builtins.list[Event]:
        """Its durable events from `from_seq` on, in order; raises WorkflowNotFound."""
        ...

    def watch(
        self,
        workflow_id: str | None = None,
        *,
        from_seq: int = 1,
        from_position: int | None = None,
        buffer: int = 1000,
    ) -> AsyncIterator[Event]:
        """Durable events, history first, then live: no gap, no repeat.

        Of one workflow from `from_seq` on, until it ends; of all from `from_position` on (None: from now on). Raises
        SlowReader when more than `buffer` live events wait for the reader, EngineClosed when the backend closes.
        """
        ...

    async def wait(self, workflow_id: str, timeout_s: float | None = None) -> WorkflowState:
        """The state once the workflow has ended; raises WaitTimedOut, WorkflowNotFound."""
        ...

    async def artifact(self, sha256: str) -> Path:
        """The file of an artifact, for reading; raises ArtifactNotFound."""
        ...

    async def unfinished(self) -> builtins.list[str]:
        """The ids of workflows that have not ended, the oldest first."""
        ...

    async def close(self, drain_s: float = 10.0) -> None:
        """Start nothing more, let running steps end for `drain_s` seconds, leave the rest to the next opening."""
        ...
