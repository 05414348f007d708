"""The state of a workflow as the fold of its events."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, cast

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._errors import JournalGap
from maestro_workflow_engine._events import ArtifactRef, Event, EventData, artifact_from_json, time_as_text
from maestro_workflow_engine._json import JSON

WorkflowStatus: TypeAlias = Literal["running", "cancelling", "succeeded", "failed", "cancelled"]
StepStatus: TypeAlias = Literal[
    "pending", "scheduled", "running", "waiting", "retrying", "succeeded", "failed", "skipped", "cancelled"
]
Place: TypeAlias = tuple[str, int | None]
"""Where an attempt belongs: a step, and the index of its item when the step maps over a list."""

UNFINISHED: Final = frozenset({"running", "cancelling"})


@dataclass(slots=True)
class ItemState:
    """How one run of a step stands: of the step itself, or of one item that it maps over."""

    status: StepStatus = "pending"
    attempt: int = 0
    output: JSON | ArtifactRef = None
    error: dict[str, JSON] | None = None
    artifacts: tuple[ArtifactRef, ...] = ()
    started_at: datetime | None = None
    finished_at: datetime | None = None
    due_at: datetime | None = None
    """When a retrying run is tried again, or a waiting one goes on; of a run that has gone on, when that was due."""

    def as_json(self) -> dict[str, JSON]:
        """The parts that say something, for APIs."""
        shape: dict[str, JSON] = {"status": self.status, "attempt": self.attempt}
        if isinstance(self.output, ArtifactRef):
            shape["output_ref"] = self.output.as_json()
        elif self.status == "succeeded":
            shape["output"] = self.output
        if self.error is not None:
            shape["error"] = cast(JSON, self.error)
        if self.artifacts:
            shape["artifacts"] = [artifact.as_json() for artifact in self.artifacts]
        if self.status in ("waiting", "retrying") and self.due_at is not None:
            shape["due_at"] = time_as_text(self.due_at)
        shape["started_at"] = None if self.started_at is None else time_as_text(self.started_at)
        shape["finished_at"] = None if self.finished_at is None else time_as_text(self.finished_at)
        return shape


@dataclass(slots=True)
class StepState(ItemState):
    """How one step stands; `items` is None unless the step maps over a list that is known by now."""

    id: str = ""
    items: list[ItemState] | None = None
    next_item: int = 0
    """The first item that has not been scheduled yet."""
    items_left: int = 0
    """Items that have not succeeded yet."""
    items_in_flight: int = 0
    failed_item: int | None = None

    def as_json(self) -> dict[str, JSON]:
        """The parts that say something; the output of a mapped step is shown item by item."""
        shape = ItemState.as_json(self)
        if self.items is not None:
            shape.pop("output", None)
            shape["items"] = [item.as_json() for item in self.items]
        return shape


@dataclass(slots=True)
class WorkflowState:
    """How one workflow stands after its first `seq` events."""

    definition: WorkflowDefinition | None = field(default=None, repr=False, compare=False)
    id: str = ""
    name: str = ""
    template: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    status: WorkflowStatus = "running"
    inputs: dict[str, JSON] = field(default_factory=dict)
    outputs: JSON | ArtifactRef = None
    error: dict[str, JSON] | None = None
    failed_step: str | None = None
    failed_item: int | None = None
    reason: str | None = None
    seq: int = 0
    started_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    steps: dict[str, StepState] = field(default_factory=dict)
    in_flight: dict[Place, None] = field(default_factory=dict)
    """Attempts that are scheduled, running, waiting or retrying, in the order in which they were scheduled."""
    unmet: dict[str, int] = field(default_factory=dict)
    """How many needs of each step are not satisfied yet; counted only when the definition is known."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.status not in UNFINISHED

    def place(self, place: Place) -> ItemState:
        """The run at a place; raises KeyError or IndexError when there is none."""
        step = self.steps[place[0]]
        if place[1] is None:
            return step
        if step.items is None:
            raise KeyError(place)
        return step.items[place[1]]

    def as_json(self) -> dict[str, JSON]:
        """The shape for APIs; a large output is shown as `output_ref` instead of `output`."""
        shape: dict[str, JSON] = {
            "id": self.id,
            "name": self.name,
            "template": self.template,
            "labels": cast(JSON, self.labels),
            "status": self.status,
            "inputs": self.inputs,
            "outputs": None if isinstance(self.outputs, ArtifactRef) else self.outputs,
            "error": cast(JSON, self.error),
            "failed_step": self.failed_step,
            "failed_item": self.failed_item,
            "reason": self.reason,
            "seq": self.seq,
            "started_at": None if self.started_at is None else time_as_text(self.started_at),
            "updated_at": None if self.updated_at is None else time_as_text(self.updated_at),
            "finished_at": None if self.finished_at is None else time_as_text(self.finished_at),
            "steps": {step.id: step.as_json() for step in self.steps.values()},
        }
        if isinstance(self.outputs, ArtifactRef):
            shape["outputs_ref"] = self.outputs.as_json()
        return shape


def new_state(definition: WorkflowDefinition, workflow_id: str = "") -> WorkflowState:
    """The state before the first event: every step is pending."""
    return WorkflowState(
        definition=definition,
        id=workflow_id,
        name=definition.name,
        steps={step_id: StepState(id=step_id) for step_id in definition.steps},
        unmet={step.id: len(step.needs) for step in definition.steps.values() if step.needs},
    )


def fold(
    events: Iterable[Event],
    start: WorkflowState | None = None,
    *,
    definition: WorkflowDefinition | None = None,
) -> WorkflowState:
    """The state after the events; `start` is left as it was.

    With a definition the steps that nothing has happened to are there too, and the law can go on from the state.
    Raises JournalGap when an event is missing.
    """
    if start is None:
        start = WorkflowState() if definition is None else new_state(definition)
    state = snapshot(start)
    for event in events:
        apply(state, event)
    return state


def snapshot(state: WorkflowState) -> WorkflowState:
    """A copy that later events do not touch."""
    twin = copy.copy(state)
    twin.labels = dict(state.labels)
    twin.steps = {step_id: copy.copy(step) for step_id, step in state.steps.items()}
    for step in twin.steps.values():
        if step.items is not None:
            step.items = [copy.copy(item) for item in step.items]
    twin.in_flight = dict(state.in_flight)
    twin.unmet = dict(state.unmet)
    return twin


def apply(state: WorkflowState, event: Event) -> None:
    """Bring a state that the caller owns one event further."""
    if event.seq != state.seq + 1:
        raise JournalGap(event.workflow_id, expected_seq=state.seq + 1, found_seq=event.seq)
    _APPLY[event.type](state, event.data, event)
    state.seq = event.seq
    state.updated_at = event.at


def _step(state: WorkflowState, step_id: str) -> StepState:
    step = state.steps.get(step_id)
    if step is None:  # folded without a definition: a step appears with its first event
        step = state.steps[step_id] = StepState(id=step_id)
    return step


def _run(state: WorkflowState, data: EventData) -> tuple[StepState, ItemState]:
    step = _step(state, data["step"])
    item = data.get("item")
    if item is None or step.items is None:
        return step, step
    return step, step.items[item]


def _leave(state: WorkflowState, step: StepState, item: int | None) -> None:
    if (step.id, item) in state.in_flight:
        del state.in_flight[step.id, item]
        if item is not None:
            step.items_in_flight -= 1


def _satisfied(state: WorkflowState, step_id: str) -> None:
    if state.definition is not None:
        for dependent in state.definition.dependents.get(step_id, ()):
            state.unmet[dependent] -= 1


def _workflow_started(state: WorkflowState, data: EventData, event: Event) -> None:
    state.id = event.workflow_id
    state.name = data["name"]
    state.inputs = data["inputs"]
    state.template = data.get("template")
    state.labels = dict(data.get("labels") or {})
    state.started_at = event.at


def _step_scheduled(state: WorkflowState, data: EventData, event: Event) -> None:
    step, run = _run(state, data)
    item = data.get("item")
    run.status = "scheduled"
    if run.attempt != data["attempt"]:
        run.attempt = data["attempt"]
        run.due_at = None
    if (step.id, item) not in state.in_flight:
        state.in_flight[step.id, item] = None
        if item is not None:
            step.items_in_flight += 1
            step.next_item = item + 1


def _step_expanded(state: WorkflowState, data: EventData, event: Event) -> None:
    step = _step(state, data["step"])
    step.status = "running"
    step.attempt = 1
    step.started_at = event.at
    step.items = [ItemState() for _ in range(data["count"])]
    step.items_left = data["count"]


def _step_started(state: WorkflowState, data: EventData, event: Event) -> None:
    _, run = _run(state, data)
    run.status = "running"
    run.started_at = event.at


def _step_waiting(state: WorkflowState, data: EventData, event: Event) -> None:
    _, run = _run(state, data)
    run.status = "waiting"
    run.due_at = ev.time_from_text(data["until"])


def _step_succeeded(state: WorkflowState, data: EventData, event: Event) -> None:
    step, run = _run(state, data)
    item = data.get("item")
    run.status = "succeeded"
    run.finished_at = event.at
    run.error = None
    run.due_at = None
    if item is None and step.items is not None:
        step.output = cast(JSON, [each.output for each in step.items])
    else:
        reference = data.get("output_ref")
        run.output = data.get("output") if reference is None else artifact_from_json(reference)
    artifacts = data.get("artifacts")
    if artifacts:
        run.artifacts = tuple(artifact_from_json(artifact) for artifact in artifacts)
    _leave(state, step, item)
    if item is None:
        _satisfied(state, step.id)
    else:
        step.items_left -= 1


def _step_failed(state: WorkflowState, data: EventData, event: Event) -> None:
    step, run = _run(state, data)
    item = data.get("item")
    run.error = data["error"]
    retry_at = data.get("retry_at")
    if retry_at is not None:
        run.status = "retrying"
        run.due_at = ev.time_from_text(retry_at)
        return
    run.status = "failed"
    run.finished_at = event.at
    run.due_at = None
    _leave(state, step, item)
    if item is not None and step.failed_item is None:
        step.failed_item = item
    if state.error is None:
        state.error = data["error"]
        state.failed_step = step.id
        state.failed_item = item


def _step_skipped(state: WorkflowState, data: EventData, event: Event) -> None:
    step = _step(state, data["step"])
    step.status = "skipped"
    step.finished_at = event.at
    _satisfied(state, step.id)


def _step_cancelled(state: WorkflowState, data: EventData, event: Event) -> None:
    step, run = _run(state, data)
    run.status = "cancelled"
    run.finished_at = event.at
    run.due_at = None
    _leave(state, step, data.get("item"))


def _workflow_cancel_requested(state: WorkflowState, data: EventData, event: Event) -> None:
    state.status = "cancelling"
    state.reason = data.get("reason")


def _workflow_succeeded(state: WorkflowState, data: EventData, event: Event) -> None:
    state.status = "succeeded"
    state.finished_at = event.at
    reference = data.get("outputs_ref")
    state.outputs = data.get("outputs") if reference is None else artifact_from_json(reference)


def _workflow_failed(state: WorkflowState, data: EventData, event: Event) -> None:
    state.status = "failed"
    state.finished_at = event.at
    state.error = data["error"]
    state.failed_step = data.get("step")
    state.failed_item = data.get("item")


def _workflow_cancelled(state: WorkflowState, data: EventData, event: Event) -> None:
    state.status = "cancelled"
    state.finished_at = event.at
    state.reason = data.get("reason")


_APPLY: Final[dict[str, Callable[[WorkflowState, Any, Event], None]]] = {
    ev.WORKFLOW_STARTED: _workflow_started,
    ev.STEP_SCHEDULED: _step_scheduled,
    ev.STEP_EXPANDED: _step_expanded,
    ev.STEP_STARTED: _step_started,
    ev.STEP_WAITING: _step_waiting,
    ev.STEP_SUCCEEDED: _step_succeeded,
    ev.STEP_FAILED: _step_failed,
    ev.STEP_SKIPPED: _step_skipped,
    ev.STEP_CANCELLED: _step_cancelled,
    ev.WORKFLOW_CANCEL_REQUESTED: _workflow_cancel_requested,
    ev.WORKFLOW_SUCCEEDED: _workflow_succeeded,
    ev.WORKFLOW_FAILED: _workflow_failed,
    ev.WORKFLOW_CANCELLED: _workflow_cancelled,
}
