"""The state of a workflow: what the fold of its events gives."""

import copy
from collections.abc import Callable
from dataclasses import field
from datetime import datetime
from typing import Final, Literal, TypeAlias, cast

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._definition import Phase, WorkflowDefinition
from maestro_workflow_engine._events import ArtifactRef, time_as_text
from maestro_workflow_engine._json import JSON

WorkflowStatus: TypeAlias = Literal["running", "paused", "cancelling", "succeeded", "failed", "cancelled"]
StepStatus: TypeAlias = Literal[
    "pending", "scheduled", "running", "waiting", "retrying", "succeeded", "failed", "skipped", "cancelled"
]
Place: TypeAlias = tuple[str, int | None]
"""Where an attempt belongs: a step, and the index of its item when the step maps over a list."""

UNFINISHED: Final = frozenset({"running", "paused", "cancelling"})
ENDED: Final = frozenset({"succeeded", "failed", "skipped", "cancelled"})


@dataclass(slots=True)
class WaitState:
    """What a run waits for beside time, and its answer once there is one."""

    on: dict[str, JSON] | None
    memo: JSON
    since: datetime
    answer: JSON = None
    is_answered: bool = False
    by: str | None = None
    answered_at: datetime | None = None

    @property
    def kind(self) -> str | None:
        """What sort of thing is waited for; None when it is time alone."""
        return None if self.on is None else cast(str, self.on["kind"])


@dataclass(slots=True)
class ItemState:
    """How one run of a step stands: of the step itself, or of one item that it maps over."""

    status: StepStatus = "pending"
    attempt: int = 0
    output: JSON | ArtifactRef = None
    """Of a step that repeats also that of the last iteration."""
    error: dict[str, JSON] | None = None
    artifacts: tuple[ArtifactRef, ...] = ()
    started_at: datetime | None = None
    finished_at: datetime | None = None
    due_at: datetime | None = None
    """When a retrying run is tried again, or a waiting one goes on; of a run that has gone on, when that was due."""
    wait: WaitState | None = None
    """Set while an attempt waits, and when it goes on after that."""
    iteration: int = 1
    base_attempt: int = 0
    """The attempts that earlier iterations and earlier definitions took."""
    reserved: dict[str, float] | None = None
    why: str | None = None
    """In a workflow that runs another one again: why this was reused, or was not."""

    def as_json(self) -> dict[str, JSON]:
        """The parts that say something, for APIs."""
        shape: dict[str, JSON] = {"status": self.status, "attempt": self.attempt}
        if isinstance(self.output, ArtifactRef):
            shape["output_ref"] = self.output.as_json()
        elif self.status == "succeeded" or self.output is not None:
            shape["output"] = self.output
        if self.error is not None:
            shape["error"] = cast(JSON, self.error)
        if self.artifacts:
            shape["artifacts"] = [artifact.as_json() for artifact in self.artifacts]
        if self.status in ("waiting", "retrying") and self.due_at is not None:
            shape["due_at"] = time_as_text(self.due_at)
        if self.status == "waiting" and self.wait is not None and self.wait.on is not None:
            shape["waits_on"] = cast(JSON, self.wait.on)
        if self.iteration > 1:
            shape["iteration"] = self.iteration
        if self.why is not None:
            shape["why"] = self.why
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
    """Items that have not ended well yet."""
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
    lookup: Callable[[str], WorkflowDefinition] | None = field(default=None, repr=False, compare=False)
    """Gives the definition with a digest, for workflows that have migrated."""
    id: str = ""
    name: str = ""
    template: str | None = None
    version: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    priority: int = 0
    parent: dict[str, JSON] | None = None
    """`{workflow, step, item, depth}` of the step that this is the child of."""
    origin: dict[str, JSON] | None = None
    """`{workflow, seq, from}` of the workflow that this one runs again."""
    anew: frozenset[str] = frozenset()
    """The steps that such a workflow does not reuse in any case; known only with the definition."""
    by: str | None = None
    status: WorkflowStatus = "running"
    phase: Phase = "main"
    inputs: dict[str, JSON] = field(default_factory=dict)
    outputs: JSON | ArtifactRef = None
    error: dict[str, JSON] | None = None
    failed_step: str | None = None
    failed_item: int | None = None
    reason: str | None = None
    """Why it was paused or cancelled."""
    is_forced: bool = False
    """Whether it was cancelled without compensation and finally."""
    is_timed_out: bool = False
    budget: dict[str, float] | None = None
    spent: dict[str, float] = field(default_factory=dict)
    reserved: dict[str, float] = field(default_factory=dict)
    signals: dict[str, tuple[str, JSON]] = field(default_factory=dict)
    """Signals that no step has taken yet, by id, in the order in which they came: name and payload."""
    signal_ids: set[str] = field(default_factory=set)
    seq: int = 0
    started_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    steps: dict[str, StepState] = field(default_factory=dict)
    outdated: frozenset[str] = frozenset()
    """Steps whose results are those of a definition that is not theirs any more."""
    attempts: dict[str, int] = field(default_factory=dict)
    """How many attempts steps took that a migration has dropped."""
    in_flight: dict[Place, None] = field(default_factory=dict)
    """Attempts that are scheduled, running, waiting or retrying, in the order in which they were scheduled."""
    starved: dict[Place, None] = field(default_factory=dict)
    """Those of them that wait for budget."""
    undoable: list[Place] = field(default_factory=list)
    """What compensation has to undo, the last one first; known only with the definition, like the two that follow."""
    unmet: dict[str, int] = field(default_factory=dict)
    """How many needs of each step are not satisfied yet."""
    lost: dict[str, int] = field(default_factory=dict)
    """How many needs of a step with a join have ended without success."""

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
        """The shape for APIs; a large output is shown as `output_ref` instead of `output`.

        Steps of the later phases are there once something has happened to them.
        """
        shape: dict[str, JSON] = {
            "id": self.id,
            "name": self.name,
            "template": self.template,
            "version": self.version,
            "labels": cast(JSON, self.labels),
            "priority": self.priority,
            "parent": cast(JSON, self.parent),
            "origin": cast(JSON, self.origin),
            "by": self.by,
            "status": self.status,
            "phase": self.phase,
            "inputs": self.inputs,
            "outputs": None if isinstance(self.outputs, ArtifactRef) else self.outputs,
            "error": cast(JSON, self.error),
            "failed_step": self.failed_step,
            "failed_item": self.failed_item,
            "reason": self.reason,
            "budget": cast(JSON, self.budget),
            "spent": cast(JSON, self.spent),
            "reserved": cast(JSON, self.reserved),
            "signals": [{"id": id_, "name": name} for id_, (name, _) in self.signals.items()],
            "seq": self.seq,
            "started_at": None if self.started_at is None else time_as_text(self.started_at),
            "updated_at": None if self.updated_at is None else time_as_text(self.updated_at),
            "finished_at": None if self.finished_at is None else time_as_text(self.finished_at),
            "steps": {step.id: step.as_json() for step in self.steps.values() if self._is_shown(step)},
        }
        if isinstance(self.outputs, ArtifactRef):
            shape["outputs_ref"] = self.outputs.as_json()
        return shape

    def _is_shown(self, step: StepState) -> bool:
        if step.status != "pending" or self.definition is None:
            return True
        return self.definition.steps[step.id].phase == "main"


def new_state(
    definition: WorkflowDefinition,
    workflow_id: str = "",
    *,
    lookup: Callable[[str], WorkflowDefinition] | None = None,
) -> WorkflowState:
    """The state before the first event: every step is pending."""
    state = WorkflowState(
        definition=definition,
        lookup=lookup,
        id=workflow_id,
        name=definition.name,
        steps={step_id: StepState(id=step_id) for step_id in definition.steps},
    )
    recount(state, definition)
    return state


def recount(state: WorkflowState, definition: WorkflowDefinition) -> None:
    """Count anew what each step still needs."""
    state.unmet, state.lost = {}, {}
    for step in definition.steps.values():
        if not step.needs:
            continue
        ended = [state.steps[need].status for need in step.needs if state.steps[need].status in ENDED]
        if step.join is None:
            state.unmet[step.id] = len(step.needs) - len(ended)
        else:
            won = ended.count("succeeded")
            state.unmet[step.id] = step.join.count - won
            state.lost[step.id] = len(ended) - won


def snapshot(state: WorkflowState) -> WorkflowState:
    """A copy that later events do not touch."""
    twin = copy.copy(state)
    twin.labels = dict(state.labels)
    twin.spent, twin.reserved = dict(state.spent), dict(state.reserved)
    twin.signals, twin.signal_ids = dict(state.signals), set(state.signal_ids)
    twin.steps = {step_id: copy.copy(step) for step_id, step in state.steps.items()}
    for step in twin.steps.values():
        if step.wait is not None:
            step.wait = copy.copy(step.wait)
        if step.items is not None:
            step.items = [copy.copy(item) for item in step.items]
            for item in step.items:
                if item.wait is not None:
                    item.wait = copy.copy(item.wait)
    twin.in_flight, twin.starved = dict(state.in_flight), dict(state.starved)
    twin.undoable, twin.attempts = list(state.undoable), dict(state.attempts)
    twin.unmet, twin.lost = dict(state.unmet), dict(state.lost)
    return twin
