"""What a backend promises: the one seam between workflows and what runs them."""

import builtins
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._events import Event
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._ports import Cause, FlowLimit, MigrationPlan, Page, Started, WaitingPage
from maestro_workflow_engine._state import WorkflowState, WorkflowStatus


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
        version: str | None = None,
        labels: Mapping[str, str] | None = None,
        base_dir: Path | None = None,
        priority: int | None = None,
        budget: Mapping[str, float] | None = None,
        by: str | None = None,
    ) -> Started:
        """Begin a workflow; it is durable when this returns. Raises InvalidInputs, UnknownStepKind, WorkflowExists.

        `priority` (higher goes first) and `budget` stand in for those of the definition; `by` says who started it.
        """
        ...

    async def rerun(
        self,
        workflow_id: str,
        *,
        from_steps: Sequence[str] = (),
        definition: WorkflowDefinition | None = None,
        inputs: Mapping[str, object] | None = None,
        at_seq: int | None = None,
        new_id: str | None = None,
        by: str | None = None,
    ) -> Started:
        """Begin a new workflow that takes over what an earlier one has achieved.

        A step that had succeeded is reused when its definition, its rendered input and its tools are the same;
        `from_steps` run in any case, with all that come after them. None keeps the definition and the inputs of the
        earlier one; `at_seq` takes it as it was then: a fork. Raises WorkflowNotFound, StepNotFound, InvalidInputs.
        """
        ...

    # Each command gives the seq up to which it is durable, and raises WorkflowNotFound or WorkflowFinished.

    async def cancel(
        self, workflow_id: str, reason: str | None = None, *, by: str | None = None, force: bool = False
    ) -> int:
        """Begin to cancel; again is fine. `force` leaves out compensation and finally."""
        ...

    async def pause(self, workflow_id: str, reason: str | None = None, *, by: str | None = None) -> int:
        """Start nothing more until it is resumed; what runs may end; again is fine."""
        ...

    async def resume(self, workflow_id: str, *, by: str | None = None) -> int:
        """Go on after a pause; again is fine."""
        ...

    async def signal(
        self, workflow_id: str, name: str, payload: JSON = None, *, signal_id: str | None = None, by: str | None = None
    ) -> int:
        """Tell it something; kept until a step waits for it. The same `signal_id` again changes nothing.

        Raises SignalRefused.
        """
        ...

    async def answer(
        self, workflow_id: str, step: str, value: JSON, *, item: int | None = None, by: str | None = None
    ) -> int:
        """Answer what a step waits for; raises StepNotWaiting, StepNotFound, InvalidAnswer."""
        ...

    async def retry(self, workflow_id: str, step: str, *, item: int | None = None, by: str | None = None) -> int:
        """Try a retrying step at once; raises StepNotWaiting, StepNotFound."""
        ...

    async def skip(
        self,
        workflow_id: str,
        step: str,
        *,
        item: int | None = None,
        output: JSON = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> int:
        """Count a step, or one item of it, as done with this output; raises StepEnded, StepNotFound."""
        ...

    async def set_budget(self, workflow_id: str, budget: Mapping[str, float], *, by: str | None = None) -> int:
        """Set the limits of its budget; raises BadSetting."""
        ...

    async def set_priority(self, workflow_id: str, priority: int, *, by: str | None = None) -> int:
        """Set its priority, from -100 to 100; raises BadSetting."""
        ...

    async def migrate(
        self,
        workflow_id: str,
        definition: WorkflowDefinition,
        *,
        rerun: Sequence[str] = (),
        dry_run: bool = False,
        by: str | None = None,
    ) -> MigrationPlan:
        """Go on with another definition, or with `dry_run` only say what that would do; raises MigrationRefused."""
        ...

    async def publish(self, event: Mapping[str, JSON]) -> int:
        """Give an event (CloudEvents attributes and `data`) to every run that waits for it; gives how many did."""
        ...

    async def waiting(self, *, kind: str | None = None, limit: int = 50, after: str | None = None) -> WaitingPage:
        """Runs that wait for an answer, of all workflows, the oldest first; `kind` as in the `on` of Wait."""
        ...

    async def why(self, workflow_id: str) -> builtins.list[Cause]:
        """Why each unfinished step has not ended yet, in the order of the definition; raises WorkflowNotFound."""
        ...

    async def state_at(self, workflow_id: str, seq: int) -> WorkflowState:
        """The state after its first `seq` events; raises WorkflowNotFound, ValueError beyond the last one."""
        ...

    async def set_limit(self, limit: FlowLimit) -> None:
        """Set a flow limit, durably and at once; raises BadSetting."""
        ...

    async def delete_limit(self, name: str) -> None:
        """Forget a flow limit; again is fine."""
        ...

    async def limits(self) -> builtins.list[FlowLimit]:
        """All flow limits that are set, by name."""
        ...

    async def delete(self, workflow_id: str) -> None:
        """Forget an ended workflow with its events; raises WorkflowNotFound, CommandRefused when it has not ended."""
        ...

    async def get(self, workflow_id: str) -> WorkflowState:
        """The state as it is durable now; raises WorkflowNotFound."""
        ...

    async def definition(self, workflow_id: str) -> WorkflowDefinition:
        """What the workflow was started with; its state has what it has migrated to. Raises WorkflowNotFound."""
        ...

    async def list(
        self,
        *,
        status: WorkflowStatus | None = None,
        name: str | None = None,
        template: str | None = None,
        labels: Mapping[str, str] | None = None,
        inputs: Mapping[str, JSON] | None = None,
        parent: str | None = None,
        started_after: datetime | None = None,
        started_before: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """Workflows that fit everything given, the newest first; pages stay stable while others start.

        `labels` and `inputs` must be among those of the workflow; inputs are found by values that are no list or object
        and at most 256 characters long. Raises ValueError for a bad `after`.
        """
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

    def artifact_bytes(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The content of an artifact up to `end` (None: all), in parts; raises ArtifactNotFound, ArtifactUnreadable."""
        ...

    async def unfinished(self) -> builtins.list[str]:
        """The ids of workflows that have not ended, the oldest first."""
        ...

    async def close(self, drain_s: float = 10.0) -> None:
        """Start nothing more, let running steps end for `drain_s` seconds, leave the rest to the next opening."""
        ...
