"""The fold: how each event changes the state of a workflow."""

from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._errors import JournalGap
from maestro_workflow_engine._events import ArtifactRef, Event, EventData, artifact_from_json, time_from_text
from maestro_workflow_engine._fold_workflow import WORKFLOW_EVENTS
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._state import ENDED, ItemState, StepState, WaitState, WorkflowState, new_state, snapshot


def fold(
    events: Iterable[Event],
    start: WorkflowState | None = None,
    *,
    definition: WorkflowDefinition | None = None,
    lookup: Callable[[str], WorkflowDefinition] | None = None,
) -> WorkflowState:
    """The state after the events; `start` is left as it was.

    With the definition that the workflow was started with, the steps that nothing has happened to are there too, and
    the law can go on from the state; `lookup` gives those that it has migrated to, by digest. Raises JournalGap when an
    event is missing.
    """
    if start is None:
        start = WorkflowState() if definition is None else new_state(definition, lookup=lookup)
    state = snapshot(start)
    for event in events:
        apply(state, event)
    return state


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


def _run(state: WorkflowState, data: EventData) -> tuple[StepState, ItemState, int | None]:
    step = _step(state, data["step"])
    item: int | None = data.get("item")
    if item is None:
        return step, step, None
    if step.items is None:  # a compensation has the items of the step that it undoes
        step.items = []
    while len(step.items) <= item:
        step.items.append(ItemState())
    return step, step.items[item], item


def _enter(state: WorkflowState, step: StepState, item: int | None) -> None:
    if (step.id, item) not in state.in_flight:
        state.in_flight[step.id, item] = None
        if item is not None:
            step.items_in_flight += 1
            step.next_item = max(step.next_item, item + 1)


def _leave(state: WorkflowState, step: StepState, item: int | None) -> None:
    if (step.id, item) in state.in_flight:
        del state.in_flight[step.id, item]
        state.starved.pop((step.id, item), None)
        if item is not None:
            step.items_in_flight -= 1


def _settle(state: WorkflowState, run: ItemState, data: EventData) -> None:
    """Give back what the attempt had reserved, and count what it used."""
    if run.reserved is not None:
        for unit, amount in run.reserved.items():
            left = state.reserved.get(unit, 0.0) - amount
            if left > 1e-9:
                state.reserved[unit] = left
            else:
                state.reserved.pop(unit, None)
        run.reserved = None
    for unit, amount in (data.get("usage") or {}).items():
        state.spent[unit] = state.spent.get(unit, 0.0) + amount


def _ended(state: WorkflowState, step: StepState, item: int | None, *, well: bool) -> None:
    """A run has ended: tell those that need it, and what compensation has to undo."""
    definition = state.definition
    if definition is None:
        return
    known = definition.steps.get(step.id)
    if known is not None and known.undoes is not None:
        _undone(state, known.undoes, item)
        if item is not None and not step.items_in_flight:
            step.status = "succeeded" if step.failed_item is None else "failed"
        return
    is_whole = item is None and step.items is None
    if well and (is_whole or item is not None) and f"{step.id}.undo" in definition.steps:
        state.undoable.append((step.id, item))
    if item is None:
        for dependent in definition.dependents.get(step.id, ()):
            if well or definition.steps[dependent].join is None:
                state.unmet[dependent] -= 1
            else:
                state.lost[dependent] = state.lost.get(dependent, 0) + 1


def _undone(state: WorkflowState, step_id: str, item: int | None) -> None:
    """A run has been undone, or shall not be; without an item, so have all the items of the step."""
    if state.undoable and state.undoable[-1] == (step_id, item):
        state.undoable.pop()
    else:
        state.undoable = [each for each in state.undoable if each[0] != step_id or item not in (None, each[1])]


def _output(data: EventData) -> JSON | ArtifactRef:
    reference = data.get("output_ref")
    return data.get("output") if reference is None else artifact_from_json(reference)


def _step_scheduled(state: WorkflowState, data: EventData, event: Event) -> None:
    step, run, item = _run(state, data)
    run.status = "scheduled"
    if run.attempt != data["attempt"]:
        run.attempt = data["attempt"]
        run.due_at = None
        run.wait = None
    if item is not None:
        step.status = "running"
    reserve = data.get("reserve")
    if reserve is not None:
        run.reserved = reserve
        for unit, amount in reserve.items():
            state.reserved[unit] = state.reserved.get(unit, 0.0) + amount
    if "why" in data:
        run.why = data["why"]
    state.starved.pop((step.id, item), None)
    _enter(state, step, item)


def _step_expanded(state: WorkflowState, data: EventData, event: Event) -> None:
    step = _step(state, data["step"])
    step.status = "running"
    step.started_at = event.at
    floor = step.attempt
    step.attempt = 1
    step.items = [ItemState(attempt=floor, base_attempt=floor) for _ in range(data["count"])]
    step.items_left = data["count"]


def _step_started(state: WorkflowState, data: EventData, event: Event) -> None:
    _, run, _ = _run(state, data)
    run.status = "running"
    run.started_at = event.at


def _step_waiting(state: WorkflowState, data: EventData, event: Event) -> None:
    step, run, item = _run(state, data)
    run.status = "waiting"
    run.attempt = data["attempt"]
    until = data.get("until")
    run.due_at = None if until is None else time_from_text(until)
    on = data.get("on")
    run.wait = WaitState(on, data.get("memo"), event.at)
    if on is not None and on["kind"] == "budget":
        state.starved[step.id, item] = None
    _enter(state, step, item)


def _step_answered(state: WorkflowState, data: EventData, event: Event) -> None:
    _, run, _ = _run(state, data)
    run.status = "scheduled"
    run.due_at = None
    if run.wait is None:
        run.wait = WaitState(None, None, event.at)
    run.wait.is_answered = True
    run.wait.answer = data["answer"]
    run.wait.by = data.get("by")
    run.wait.answered_at = event.at
    state.signals.pop(data.get("signal", ""), None)


def _step_repeated(state: WorkflowState, data: EventData, event: Event) -> None:
    _, run, _ = _run(state, data)
    run.output = _output(data)
    run.artifacts += tuple(artifact_from_json(artifact) for artifact in data.get("artifacts", ()))
    run.iteration = data["iteration"]
    run.base_attempt = run.attempt
    run.error = None
    run.wait = None
    until = data.get("until")
    run.due_at = None if until is None else time_from_text(until)
    run.status = "waiting"
    _settle(state, run, data)


def _step_succeeded(state: WorkflowState, data: EventData, event: Event) -> None:
    step, run, item = _run(state, data)
    run.status = "succeeded"
    run.finished_at = event.at
    run.error = None
    run.due_at = None
    run.wait = None
    if item is None and step.items is not None:
        step.output = cast(JSON, [each.output for each in step.items])
    else:
        run.output = _output(data)
    artifacts = data.get("artifacts")
    if artifacts:
        run.artifacts += tuple(artifact_from_json(artifact) for artifact in artifacts)
    if "why" in data:
        run.why = data["why"]
    _settle(state, run, data)
    _leave(state, step, item)
    if item is not None:
        step.items_left -= 1
        step.next_item = max(step.next_item, item + 1)
    _ended(state, step, item, well=True)


def _step_failed(state: WorkflowState, data: EventData, event: Event) -> None:
    step, run, item = _run(state, data)
    run.error = data["error"]
    run.wait = None
    _settle(state, run, data)
    retry_at = data.get("retry_at")
    if retry_at is not None:
        run.status = "retrying"
        run.due_at = time_from_text(retry_at)
        return
    is_tolerated = data.get("tolerated", False)
    run.status = "failed"
    run.finished_at = event.at
    run.due_at = None
    run.output = None
    _leave(state, step, item)
    if item is not None:
        if step.failed_item is None:
            step.failed_item = item
        if is_tolerated:
            step.items_left -= 1
    if not is_tolerated and state.error is None:
        state.error = data["error"]
        state.failed_step = step.id
        state.failed_item = item
    if is_tolerated or _is_undo(state, step.id):
        _ended(state, step, item, well=False)


def _is_undo(state: WorkflowState, step_id: str) -> bool:
    known = None if state.definition is None else state.definition.steps.get(step_id)
    return known is not None and known.undoes is not None


def _step_skipped(state: WorkflowState, data: EventData, event: Event) -> None:
    step, run, item = _run(state, data)
    if item is None and step.items is not None:
        for index, each in enumerate(step.items):
            if each.status not in ENDED:
                each.status = "skipped"
                each.finished_at = event.at
                _settle(state, each, {})
                _leave(state, step, index)
        step.items_left = 0
    run.status = "skipped"
    run.finished_at = event.at
    run.due_at = None
    run.wait = None
    run.output = data.get("output")
    _settle(state, run, data)
    _leave(state, step, item)
    if item is not None:
        step.items_left -= 1
    _ended(state, step, item, well=False)


def _step_cancelled(state: WorkflowState, data: EventData, event: Event) -> None:
    step, run, item = _run(state, data)
    run.status = "cancelled"
    run.finished_at = event.at
    run.due_at = None
    run.wait = None
    _settle(state, run, data)
    _leave(state, step, item)


_APPLY: Final[dict[str, Callable[[WorkflowState, Any, Event], None]]] = {
    **WORKFLOW_EVENTS,
    ev.STEP_SCHEDULED: _step_scheduled,
    ev.STEP_EXPANDED: _step_expanded,
    ev.STEP_STARTED: _step_started,
    ev.STEP_WAITING: _step_waiting,
    ev.STEP_ANSWERED: _step_answered,
    ev.STEP_REPEATED: _step_repeated,
    ev.STEP_REUSED: _step_succeeded,
    ev.STEP_SUCCEEDED: _step_succeeded,
    ev.STEP_FAILED: _step_failed,
    ev.STEP_SKIPPED: _step_skipped,
    ev.STEP_CANCELLED: _step_cancelled,
}
