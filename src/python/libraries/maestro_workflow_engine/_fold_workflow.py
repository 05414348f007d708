"""How the events of a workflow as a whole change its state."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._events import Event, EventData, artifact_from_json
from maestro_workflow_engine._state import StepState, WorkflowState, recount


def _started(state: WorkflowState, data: EventData, event: Event) -> None:
    state.id = event.workflow_id
    state.name = data["name"]
    state.inputs = data["inputs"]
    state.template = data.get("template")
    state.version = data.get("version")
    state.labels = dict(data.get("labels") or {})
    state.priority = data.get("priority", 0)
    state.parent = data.get("parent")
    state.origin = data.get("origin")
    state.by = data.get("by")
    state.budget = data.get("budget")
    state.started_at = event.at
    if state.origin is not None and state.definition is not None:
        state.anew = behind(state.definition, state.origin["from"])


def behind(definition: WorkflowDefinition, steps: Iterable[str]) -> frozenset[str]:
    """The steps, and all that come after them."""
    found = set(steps)
    queue = list(found)
    for step_id in queue:
        for dependent in definition.dependents.get(step_id, ()):
            if dependent not in found:
                found.add(dependent)
                queue.append(dependent)
    return frozenset(found)


def _paused(state: WorkflowState, data: EventData, event: Event) -> None:
    state.status = "paused"
    state.reason = data.get("reason")


def _resumed(state: WorkflowState, data: EventData, event: Event) -> None:
    state.status = "running"
    state.reason = None


def _phase_entered(state: WorkflowState, data: EventData, event: Event) -> None:
    state.phase = data["phase"]
    if state.error is None and "error" in data:
        state.error = data["error"]


def _timed_out(state: WorkflowState, data: EventData, event: Event) -> None:
    state.is_timed_out = True
    if state.error is None:
        state.error = data["error"]


def _cancel_requested(state: WorkflowState, data: EventData, event: Event) -> None:
    state.status = "cancelling"
    state.reason = data.get("reason")
    state.is_forced = state.is_forced or data.get("force", False)


def _budget_changed(state: WorkflowState, data: EventData, event: Event) -> None:
    state.budget = data["budget"]


def _priority_changed(state: WorkflowState, data: EventData, event: Event) -> None:
    state.priority = data["priority"]


def _signal_received(state: WorkflowState, data: EventData, event: Event) -> None:
    state.signals[data["id"]] = (data["name"], data["payload"])
    state.signal_ids.add(data["id"])


def _migrated(state: WorkflowState, data: EventData, event: Event) -> None:
    """Steps that begin anew keep the number of their attempts, so that no late report of an old one can be mistaken."""
    anew = {*data["restarted"], *data["rerun"]}
    for step_id in (*anew, *data["dropped"]):
        old = state.steps.pop(step_id, None)
        if old is not None:
            taken = [old.attempt] if old.items is None else [item.attempt for item in old.items]
            state.attempts[step_id] = max([old.base_attempt, *taken])
    for step_id in (*anew, *data["added"]):
        attempts = state.attempts.pop(step_id, 0)
        state.steps[step_id] = StepState(id=step_id, attempt=attempts, base_attempt=attempts)
    for place in [place for place in state.in_flight if place[0] in anew or place[0] in data["dropped"]]:
        del state.in_flight[place]
        state.starved.pop(place, None)
    state.outdated = (state.outdated | {*data["changed"]}) - anew - {*data["dropped"]}
    state.inputs = data.get("inputs", state.inputs)
    for unit, amount in data.get("usage", {}).items():
        state.spent[unit] = state.spent.get(unit, 0.0) + amount
    state.reserved = {}
    for place in state.in_flight:
        for unit, amount in (state.place(place).reserved or {}).items():
            state.reserved[unit] = state.reserved.get(unit, 0.0) + amount
    if state.lookup is not None:
        definition = state.definition = state.lookup(data["definition"])
        state.name = definition.name
        state.steps = {step_id: state.steps.get(step_id) or StepState(id=step_id) for step_id in definition.steps}
        state.undoable = [
            place for place in state.undoable if place[0] not in anew and f"{place[0]}.undo" in definition.steps
        ]
        recount(state, definition)


def _succeeded(state: WorkflowState, data: EventData, event: Event) -> None:
    state.status = "succeeded"
    state.finished_at = event.at
    reference = data.get("outputs_ref")
    state.outputs = data.get("outputs") if reference is None else artifact_from_json(reference)


def _failed(state: WorkflowState, data: EventData, event: Event) -> None:
    state.status = "failed"
    state.finished_at = event.at
    state.error = data["error"]
    state.failed_step = data.get("step")
    state.failed_item = data.get("item")


def _cancelled(state: WorkflowState, data: EventData, event: Event) -> None:
    state.status = "cancelled"
    state.finished_at = event.at
    state.reason = data.get("reason")


WORKFLOW_EVENTS: Final[dict[str, Callable[[WorkflowState, Any, Event], None]]] = {
    ev.WORKFLOW_STARTED: _started,
    ev.WORKFLOW_PAUSED: _paused,
    ev.WORKFLOW_RESUMED: _resumed,
    ev.WORKFLOW_PHASE_ENTERED: _phase_entered,
    ev.WORKFLOW_TIMED_OUT: _timed_out,
    ev.WORKFLOW_CANCEL_REQUESTED: _cancel_requested,
    ev.WORKFLOW_BUDGET_CHANGED: _budget_changed,
    ev.WORKFLOW_PRIORITY_CHANGED: _priority_changed,
    ev.SIGNAL_RECEIVED: _signal_received,
    ev.WORKFLOW_MIGRATED: _migrated,
    ev.WORKFLOW_SUCCEEDED: _succeeded,
    ev.WORKFLOW_FAILED: _failed,
    ev.WORKFLOW_CANCELLED: _cancelled,
}
