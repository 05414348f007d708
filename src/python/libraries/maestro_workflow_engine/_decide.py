"""The law of a workflow: what follows from a command. Pure, and never slower than what changes."""

import random as _random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from maestro_workflow_engine import _commands as do
from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._decide_control import CONTROL
from maestro_workflow_engine._decision import at_place, error_data
from maestro_workflow_engine._errors import WorkflowError
from maestro_workflow_engine._events import ArtifactRef, Decided, Event, EventData, time_as_text
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._law import Law
from maestro_workflow_engine._scope import Load, load_nothing
from maestro_workflow_engine._state import ItemState, WorkflowState, snapshot


def decide(
    state: WorkflowState,
    command: do.Command,
    *,
    now: datetime,
    random: Callable[[], float] = _random.random,
    load: Load = load_nothing,
    origin: WorkflowState | None = None,
) -> list[Decided]:
    """The events that follow from a command, as (type, data); an outdated report gives none.

    `state` must know its definition and is left as it is. `load` gives the value behind an ArtifactRef, `origin` is the
    workflow that this one runs again. Raises CommandRefused when the command does not fit the state.
    """
    events = advance(snapshot(state), command, now=now, random=random, load=load, origin=origin)
    return [(event.type, event.data) for event in events]


def advance(
    state: WorkflowState,
    command: do.Command,
    *,
    now: datetime,
    random: Callable[[], float] = _random.random,
    load: Load = load_nothing,
    origin: WorkflowState | None = None,
    position: int = 0,
) -> list[Event]:
    """Like `decide`, for a state that the caller owns: it has moved on by the events that come back.

    The first event has the given position. When a command is refused, the state is as it was.
    """
    law = Law(state, now=now, random=random, load=load, origin=origin, position=position)
    _DECIDE[type(command)](law, command)
    return law.events


def _start(law: Law, command: do.Start) -> None:
    state, definition = law.state, law.definition
    if state.seq:
        return
    priority = definition.priority if command.priority is None else command.priority
    budget = definition.budget if command.budget is None else command.budget
    data: EventData = {
        "name": definition.name,
        "definition": definition.digest,
        "inputs": dict(command.inputs),
        "template": command.template,
        "labels": dict(command.labels or {}),
    }
    more = {
        "version": command.version,
        "priority": priority or None,
        "budget": None if budget is None else dict(budget),
        "parent": command.parent,
        "origin": command.origin,
        "by": command.by,
    }
    data.update({name: value for name, value in more.items() if value is not None})
    law.emit(ev.WORKFLOW_STARTED, data)
    law.open([step.id for step in definition.steps.values() if step.phase == "main" and not step.needs])
    law.settle()


def _current(law: Law, command: Any) -> ItemState | None:
    """The run that a report is about, unless the runner has that attempt in hand no more."""
    place = (command.step, command.item)
    if place not in law.state.in_flight:
        return None
    run = law.state.place(place)
    return run if run.attempt == command.attempt and run.status in ("scheduled", "running") else None


def _step_started(law: Law, command: do.StepStarted) -> None:
    if _current(law, command) is not None:
        law.emit(ev.STEP_STARTED, at_place(command.step, command.item, command.attempt))


def _step_succeeded(law: Law, command: do.StepSucceeded) -> None:
    run = _current(law, command)
    if run is None:
        return
    step = law.definition.steps[command.step]
    data = at_place(command.step, command.item, command.attempt)
    if isinstance(command.output, ArtifactRef):
        data["output_ref"] = command.output.as_json()
    else:
        data["output"] = command.output
    if command.artifacts:
        data["artifacts"] = [artifact.as_json() for artifact in command.artifacts]
    usage = law.used(run, command.usage)
    if usage:
        data["usage"] = usage
    if step.repeat is not None:
        try:
            is_last = law.is_last_iteration(step, run, command.output)
        except WorkflowError as problem:
            law.fail(step, command.item, command.attempt, error_data(problem), usage)
            return
        if not is_last:
            law.repeat(step, command.item, run, data)
            return
    law.emit(ev.STEP_SUCCEEDED, data)
    law.go_on_from(step, command.item)


def _step_failed(law: Law, command: do.StepFailed) -> None:
    run = _current(law, command)
    if run is None:
        return
    step = law.definition.steps[command.step]
    error: dict[str, JSON] = {"code": command.code, "message": command.message, "retryable": command.retryable}
    usage = law.used(run, command.usage)
    tried = command.attempt - run.base_attempt
    if not command.retryable or tried >= step.retry.max_attempts or not law.may_go_on(step.phase):
        law.fail(step, command.item, command.attempt, error, usage)
        return
    data = at_place(command.step, command.item, command.attempt)
    data["error"] = error
    if usage:
        data["usage"] = usage
    delay_s = step.retry.delay_s(tried, law.random())
    if command.retry_after_s is not None:
        delay_s = max(delay_s, min(command.retry_after_s, step.retry.max_delay_s))
    data["retry_at"] = time_as_text(law.now + timedelta(seconds=delay_s))
    law.emit(ev.STEP_FAILED, data)
    law.go_on_from(step, command.item)


def _step_waits(law: Law, command: do.StepWaits) -> None:
    if _current(law, command) is None:
        return
    place = (command.step, command.item)
    if not law.may_go_on(law.definition.steps[command.step].phase):
        law.cancel_runs([place])
        law.settle()
        return
    data = at_place(command.step, command.item, command.attempt)
    if command.seconds is not None:
        data["until"] = time_as_text(law.now + timedelta(seconds=command.seconds))
    if command.on is not None:
        data["on"] = dict(command.on)
    if command.memo is not None:
        data["memo"] = command.memo
    law.emit(ev.STEP_WAITING, data)
    if command.on is not None and command.on["kind"] == "signal":
        for id_, (name, payload) in law.state.signals.items():
            if name == command.on["name"]:
                law.answer(place, payload, signal=id_)
                return


def _step_stopped(law: Law, command: do.StepStopped) -> None:
    if _current(law, command) is not None:
        law.cancel_runs([(command.step, command.item)])
        law.settle()


def _due(law: Law, command: do.Due) -> None:
    place = (command.step, command.item)
    if place not in law.state.in_flight:
        return
    run = law.state.place(place)
    if run.due_at is None:
        return
    if run.status == "retrying" or (run.status == "waiting" and run.wait is None):
        law.try_again(law.definition.steps[command.step], command.item, run.attempt + 1)
    elif run.status == "waiting":
        law.emit(ev.STEP_SCHEDULED, at_place(command.step, command.item, run.attempt))


def _recover(law: Law, command: do.Recover) -> None:
    state = law.state
    is_ending = state.status == "cancelling" or state.is_timed_out
    if state.is_forced or (is_ending and state.phase == "main"):
        law.cancel_runs(list(state.in_flight))
        law.settle()


_DECIDE: Final[dict[type, Callable[[Law, Any], None]]] = {
    do.Start: _start,
    do.StepStarted: _step_started,
    do.StepSucceeded: _step_succeeded,
    do.StepFailed: _step_failed,
    do.StepWaits: _step_waits,
    do.StepStopped: _step_stopped,
    do.Due: _due,
    do.Recover: _recover,
    **CONTROL,
}
