"""The law of a workflow: what follows from a command. Pure, and never slower than what changes."""

import random as _random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._commands import (
    Cancel,
    Command,
    Due,
    Recover,
    Start,
    StepFailed,
    StepStarted,
    StepStopped,
    StepSucceeded,
    StepWaits,
)
from maestro_workflow_engine._definition import Step, WorkflowDefinition
from maestro_workflow_engine._errors import (
    BadMapItems,
    ConditionNotBoolean,
    WorkflowError,
    WorkflowFinished,
)
from maestro_workflow_engine._events import ArtifactRef, Decided, EventData, time_as_text
from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._json import JSON, json_kind
from maestro_workflow_engine._scope import Ended, Load, load_nothing, rendered, scope_of
from maestro_workflow_engine._state import Place, StepState, WorkflowState

MAX_MAP_ITEMS: Final = 100_000
MAX_ITEMS_IN_FLIGHT: Final = 1_000
"""More items of a step than this are never scheduled at once, so that no decision grows with the list."""


def decide(
    state: WorkflowState,
    command: Command,
    *,
    now: datetime,
    random: Callable[[], float] = _random.random,
    load: Load = load_nothing,
) -> list[Decided]:
    """The events that follow from a command, as (type, data); an outdated report gives none.

    `state` must know its definition and is left as it is. `load` gives the value behind an ArtifactRef. Raises
    WorkflowFinished when a workflow that has succeeded or failed shall be cancelled.
    """
    definition = state.definition
    if definition is None:
        raise ValueError("the law needs a state that was folded with its definition")
    decision = _Decision(state, definition, now, random, load)
    _DECIDE[type(command)](decision, command)
    return decision.events


class _Decision:
    """One decision in the making: the events so far, and what they change in the state beneath them."""

    __slots__ = (
        "_definition", "_ended", "_failed", "_freed", "_inputs", "_load", "_met", "_now", "_random", "_scheduled",
        "_state", "events",
    )  # fmt: skip

    def __init__(
        self,
        state: WorkflowState,
        definition: WorkflowDefinition,
        now: datetime,
        random: Callable[[], float],
        load: Load,
    ) -> None:
        self.events: list[Decided] = []
        self._state = state
        self._definition = definition
        self._now = now
        self._random = random
        self._load = load
        self._inputs: Mapping[str, JSON] = state.inputs
        self._ended: dict[str, Ended] = {}  # steps that end in this decision
        self._met: dict[str, int] = {}  # needs that are satisfied by this decision, per step
        self._freed: dict[Place, None] = {}
        self._scheduled: dict[Place, None] = {}
        self._failed: dict[str, Any] | None = None

    # --- commands ---

    def start(self, command: Start) -> None:
        if self._state.seq:
            return
        data: EventData = {
            "name": self._definition.name,
            "definition": self._definition.digest,
            "inputs": dict(command.inputs),
            "template": command.template,
            "labels": dict(command.labels or {}),
        }
        self._emit(ev.WORKFLOW_STARTED, data)
        self._inputs = command.inputs
        self._open([step.id for step in self._definition.steps.values() if not step.needs])
        self._settle()

    def step_started(self, command: StepStarted) -> None:
        if self._is_current(command.step, command.item, command.attempt):
            self._emit(ev.STEP_STARTED, _at(command.step, command.item, command.attempt))

    def step_succeeded(self, command: StepSucceeded) -> None:
        if not self._is_current(command.step, command.item, command.attempt):
            return
        data = _at(command.step, command.item, command.attempt)
        if isinstance(command.output, ArtifactRef):
            data["output_ref"] = command.output.as_json()
        else:
            data["output"] = command.output
        if command.artifacts:
            data["artifacts"] = [artifact.as_json() for artifact in command.artifacts]
        self._emit(ev.STEP_SUCCEEDED, data)
        self._freed[command.step, command.item] = None
        if command.item is None:
            self._succeeded(command.step, command.output)
        else:
            self._item_succeeded(self._state.steps[command.step], command.item, command.output)
        self._settle()

    def step_failed(self, command: StepFailed) -> None:
        if not self._is_current(command.step, command.item, command.attempt):
            return
        error = {"code": command.code, "message": command.message, "retryable": command.retryable}
        data = _at(command.step, command.item, command.attempt)
        data["error"] = error
        policy = self._definition.steps[command.step].retry
        if command.retryable and command.attempt < policy.max_attempts and self._may_go_on():
            delay_s = policy.delay_s(command.attempt, self._random())
            if command.retry_after_s is not None:
                delay_s = max(delay_s, min(command.retry_after_s, policy.max_delay_s))
            data["retry_at"] = time_as_text(self._now + timedelta(seconds=delay_s))
            self._emit(ev.STEP_FAILED, data)
            return
        self._emit(ev.STEP_FAILED, data)
        self._freed[command.step, command.item] = None
        self._fail(command.step, command.item, error)
        self._settle()

    def step_waits(self, command: StepWaits) -> None:
        if not self._is_current(command.step, command.item, command.attempt):
            return
        if self._may_go_on():
            data = _at(command.step, command.item, command.attempt)
            data["until"] = time_as_text(self._now + timedelta(seconds=command.seconds))
            self._emit(ev.STEP_WAITING, data)
        else:
            self._cancel_runs([(command.step, command.item)])
            self._settle()

    def step_stopped(self, command: StepStopped) -> None:
        if self._is_current(command.step, command.item, command.attempt):
            self._cancel_runs([(command.step, command.item)])
            self._settle()

    def due(self, command: Due) -> None:
        place = (command.step, command.item)
        if place not in self._state.in_flight:
            return
        run = self._state.place(place)
        if run.status == "retrying":
            self._schedule(command.step, command.item, run.attempt + 1)
        elif run.status == "waiting":
            self._schedule(command.step, command.item, run.attempt)

    def cancel(self, command: Cancel) -> None:
        if self._state.status in ("succeeded", "failed"):
            raise WorkflowFinished(self._state.id, self._state.status)
        if self._state.status != "running":
            return
        self._emit(ev.WORKFLOW_CANCEL_REQUESTED, {"reason": command.reason})
        self._cancel_runs(self._not_running())
        self._settle(cancelling=True, reason=command.reason)

    def recover(self, command: Recover) -> None:
        if self._state.status == "cancelling":
            self._cancel_runs(list(self._state.in_flight))
            self._settle()

    # --- rules ---

    def _emit(self, type_: str, data: EventData) -> None:
        self.events.append((type_, data))

    def _is_current(self, step: str, item: int | None, attempt: int) -> bool:
        """Whether a report is about an attempt that the runner has in hand."""
        if (step, item) not in self._state.in_flight:
            return False
        run = self._state.place((step, item))
        return run.attempt == attempt and run.status in ("scheduled", "running")

    def _may_go_on(self) -> bool:
        """Whether anything new may start."""
        return self._failed is None and self._state.error is None and self._state.status == "running"

    def _schedule(self, step: str, item: int | None, attempt: int) -> None:
        self._emit(ev.STEP_SCHEDULED, _at(step, item, attempt))
        self._scheduled[step, item] = None

    def _succeeded(self, step_id: str, output: Any) -> None:
        self._ended[step_id] = ("succeeded", output)
        self._open(self._now_ready(step_id))

    def _now_ready(self, step_id: str) -> list[str]:
        ready = []
        for dependent in self._definition.dependents.get(step_id, ()):
            met = self._met[dependent] = self._met.get(dependent, 0) + 1
            if self._state.unmet[dependent] == met:
                ready.append(dependent)
        return ready

    def _open(self, ready: list[str]) -> None:
        """Bring steps whose needs are satisfied on their way; skipped and empty ones open more of them in turn."""
        queue = ready
        position = 0
        while position < len(queue) and self._may_go_on():
            step = self._definition.steps[queue[position]]
            position += 1
            try:
                self._open_step(step)
            except WorkflowError as error:
                self._fail_unstarted(step, error)
                return
            if step.id in self._ended:
                queue.extend(self._now_ready(step.id))

    def _open_step(self, step: Step) -> None:
        """Skip it, schedule it, or schedule the first of its items."""
        if step.when is not None and not self._is_wanted(step.when):
            self._emit(ev.STEP_SKIPPED, {"step": step.id, "reason": "its condition is false"})
            self._ended[step.id] = ("skipped", None)
            return
        if step.map is None:
            self._schedule(step.id, None, 1)
            return
        count = self._count_items(step.map.items)
        self._emit(ev.STEP_EXPANDED, {"step": step.id, "count": count})
        if count == 0:
            self._emit(ev.STEP_SUCCEEDED, {"step": step.id, "attempt": 1})
            self._ended[step.id] = ("succeeded", [])
        for item in range(min(count, step.map.max_parallel or MAX_ITEMS_IN_FLIGHT, MAX_ITEMS_IN_FLIGHT)):
            self._schedule(step.id, item, 1)

    def _is_wanted(self, when: Template) -> bool:
        wanted = self._rendered(when, "/when")
        if wanted is True or wanted is False:
            return wanted
        raise ConditionNotBoolean(
            f"/when: true or false was expected, {json_kind(wanted)} came: compare it with something"
        )

    def _count_items(self, items: Template) -> int:
        value = self._rendered(items, "/map/items")
        if not isinstance(value, list):
            raise BadMapItems(f"/map/items: a list was expected, {json_kind(value)} came")
        if len(value) > MAX_MAP_ITEMS:
            raise BadMapItems(f"/map/items: {len(value)} items, at most {MAX_MAP_ITEMS} are allowed")
        return len(value)

    def _rendered(self, template: Template, path: str) -> JSON:
        scope = scope_of(self._state, template, self._load, inputs=self._inputs, ended=self._ended)
        return rendered(template, scope, path)

    def _item_succeeded(self, step: StepState, item: int, output: JSON | ArtifactRef) -> None:
        if step.items_left == 1 and step.items is not None:
            self._emit(ev.STEP_SUCCEEDED, {"step": step.id, "attempt": 1})
            outputs = [each.output for each in step.items]
            outputs[item] = output
            self._succeeded(step.id, outputs)
        elif self._may_go_on() and step.items is not None and step.next_item < len(step.items):
            self._schedule(step.id, step.next_item, 1)

    def _fail_unstarted(self, step: Step, problem: WorkflowError) -> None:
        error = {"code": problem.code, "message": str(problem), "retryable": False}
        self._emit(ev.STEP_FAILED, {"step": step.id, "attempt": 0, "error": error})
        self._fail(step.id, None, error)

    def _fail(self, step_id: str, item: int | None, error: dict[str, Any]) -> None:
        """A step has failed for good: nothing new starts, and what has not begun to run never will."""
        if self._failed is None and self._state.error is None:
            self._failed = {"error": error, "step": step_id, "item": item}
        self._cancel_runs(self._not_running())

    def _not_running(self) -> list[Place]:
        state = self._state
        places = [place for place in state.in_flight if state.place(place).status != "running"]
        places.extend(self._scheduled)
        return [place for place in places if place not in self._freed]

    def _cancel_runs(self, places: list[Place]) -> None:
        for step, item in places:
            self._emit(ev.STEP_CANCELLED, {"step": step} if item is None else {"step": step, "item": item})
            self._freed[step, item] = None

    def _settle(self, *, cancelling: bool = False, reason: str | None = None) -> None:
        """End the mapped steps, and then the workflow, that nothing is left to wait for."""
        if cancelling or not self._may_go_on():
            self._settle_mapped_steps()
        new = sum(1 for place in self._scheduled if place not in self._state.in_flight)
        if len(self._state.in_flight) + new - len(self._freed) > 0:
            return
        if cancelling or self._state.status == "cancelling":
            self._emit(ev.WORKFLOW_CANCELLED, {"reason": reason if cancelling else self._state.reason})
        elif self._failed is not None:
            self._emit(ev.WORKFLOW_FAILED, self._failed)
        elif self._state.error is not None:
            failed = {"error": self._state.error, "step": self._state.failed_step, "item": self._state.failed_item}
            self._emit(ev.WORKFLOW_FAILED, failed)
        else:
            self._succeed()

    def _settle_mapped_steps(self) -> None:
        """A mapped step whose last item has left ends as failed when one of them failed, else as cancelled."""
        left: dict[str, int] = {}
        for step_id, item in self._freed:
            if item is not None:
                left[step_id] = left.get(step_id, 0) + 1
        for step_id, freed in left.items():
            step = self._state.steps[step_id]
            in_flight = step.items_in_flight if step.items is not None else 0
            in_flight += sum(
                1 for place in self._scheduled if place[0] == step_id and place not in self._state.in_flight
            )
            if in_flight == freed and step_id not in self._ended:
                self._end_mapped_step(step)

    def _end_mapped_step(self, step: StepState) -> None:
        error: Any = None
        failed_item = step.failed_item
        if failed_item is not None and step.items is not None:
            error = step.items[failed_item].error
        else:
            for type_, data in self.events:
                if type_ == ev.STEP_FAILED and data["step"] == step.id and "item" in data:
                    failed_item, error = data["item"], data["error"]
        if failed_item is None:
            self._emit(ev.STEP_CANCELLED, {"step": step.id})
            return
        message = f"item {failed_item}: {error['message']}"
        self._emit(ev.STEP_FAILED, {"step": step.id, "attempt": 1, "error": {**error, "message": message}})

    def _succeed(self) -> None:
        try:
            outputs = self._rendered(self._definition.outputs, "/outputs")
        except WorkflowError as problem:
            error = {"code": problem.code, "message": str(problem), "retryable": False}
            self._emit(ev.WORKFLOW_FAILED, {"error": error, "step": None, "item": None})
        else:
            self._emit(ev.WORKFLOW_SUCCEEDED, {"outputs": outputs})


def _at(step: str, item: int | None, attempt: int) -> EventData:
    if item is None:
        return {"step": step, "attempt": attempt}
    return {"step": step, "attempt": attempt, "item": item}


_DECIDE: Final[dict[type, Callable[[_Decision, Any], None]]] = {
    Start: _Decision.start,
    StepStarted: _Decision.step_started,
    StepSucceeded: _Decision.step_succeeded,
    StepFailed: _Decision.step_failed,
    StepWaits: _Decision.step_waits,
    StepStopped: _Decision.step_stopped,
    Due: _Decision.due,
    Cancel: _Decision.cancel,
    Recover: _Decision.recover,
}
