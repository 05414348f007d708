"""What follows from the commands of a workflow's user, and from its time being up."""

from collections.abc import Callable
from typing import Any, Final

from maestro_workflow_engine import _commands as do
from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._decision import error_data
from maestro_workflow_engine._errors import CommandRefused, WorkflowFinished
from maestro_workflow_engine._events import EventData
from maestro_workflow_engine._law import Law
from maestro_workflow_engine._migrate import migrate
from maestro_workflow_engine._refusals import SignalRefused, StepEnded, StepNotFound, StepNotWaiting
from maestro_workflow_engine._state import ENDED, ItemState
from maestro_workflow_engine._step_errors import WorkflowTimedOut

MAX_SIGNALS: Final = 1_000
"""Signals that a workflow keeps for steps that have not asked for them yet."""


def _said(command: Any, **data: Any) -> EventData:
    """The data of an event, with who asked for it where that is known."""
    if command.by is not None:
        data["by"] = command.by
    return data


def _check_unfinished(law: Law) -> None:
    if law.state.is_finished:
        raise WorkflowFinished(law.state.id, law.state.status)


def _run(law: Law, command: Any) -> ItemState:
    """The run that a command names; raises StepNotFound."""
    if command.step not in law.state.steps or (command.item is not None and command.item < 0):
        raise StepNotFound(law.state.id, command.step, command.item)
    try:
        return law.state.place((command.step, command.item))
    except (KeyError, IndexError):
        raise StepNotFound(law.state.id, command.step, command.item) from None


def _cancel(law: Law, command: do.Cancel) -> None:
    state = law.state
    if state.status in ("succeeded", "failed"):
        raise WorkflowFinished(state.id, state.status)
    is_new = state.status != "cancelling" or (command.force and not state.is_forced)
    if state.status == "cancelled" or not is_new:
        return
    data = _said(command, reason=command.reason if state.status != "cancelling" else state.reason)
    if command.force:
        data["force"] = True
    law.emit(ev.WORKFLOW_CANCEL_REQUESTED, data)
    if state.phase == "main" or command.force:
        law.cancel_runs(law.not_running())
    law.settle()


def _pause(law: Law, command: do.Pause) -> None:
    _check_unfinished(law)
    if law.state.status == "cancelling":
        raise CommandRefused(f"workflow {law.state.id!r} is being cancelled, so it cannot be paused")
    if law.state.status == "running":
        law.emit(ev.WORKFLOW_PAUSED, _said(command, reason=command.reason))


def _resume(law: Law, command: do.Resume) -> None:
    _check_unfinished(law)
    if law.state.status == "paused":
        law.emit(ev.WORKFLOW_RESUMED, _said(command))


def _time_up(law: Law, command: do.TimeUp) -> None:
    state, timeout_s = law.state, law.definition.timeout_s
    if timeout_s is None or state.phase != "main" or state.error is not None or state.status == "cancelling":
        return
    if state.is_finished:
        return
    problem = WorkflowTimedOut(f"the workflow ran longer than its timeout of {timeout_s:g} s")
    law.emit(ev.WORKFLOW_TIMED_OUT, {"error": error_data(problem)})
    law.cancel_runs(law.not_running())
    law.settle()


def _signal(law: Law, command: do.Signal) -> None:
    _check_unfinished(law)
    state = law.state
    if command.id in state.signal_ids:
        return
    if len(state.signals) >= MAX_SIGNALS:
        raise SignalRefused(f"{MAX_SIGNALS:,} signals wait in workflow {state.id!r} and no step takes them")
    law.emit(ev.SIGNAL_RECEIVED, _said(command, id=command.id, name=command.name, payload=command.payload))
    for place in state.in_flight:
        run = state.place(place)
        if run.status == "waiting" and run.wait is not None and run.wait.on is not None:
            on = run.wait.on
            if on["kind"] == "signal" and on["name"] == command.name:
                law.answer(place, command.payload, signal=command.id, by=command.by)
                return


def _answer(law: Law, command: do.Answer) -> None:
    _check_unfinished(law)
    run = _run(law, command)
    kind = run.wait.kind if run.wait is not None and run.status == "waiting" else None
    if kind is None:
        raise StepNotWaiting(law.state.id, command.step, command.item, run.status, "waits for no answer")
    if kind == "budget":
        raise StepNotWaiting(law.state.id, command.step, command.item, run.status, "waits for budget: raise the budget")
    law.answer((command.step, command.item), command.value, by=command.by)


def _retry_now(law: Law, command: do.RetryNow) -> None:
    _check_unfinished(law)
    run = _run(law, command)
    if run.status != "retrying":
        raise StepNotWaiting(law.state.id, command.step, command.item, run.status, "waits for no retry")
    law.try_again(law.definition.steps[command.step], command.item, run.attempt + 1)


def _skip(law: Law, command: do.Skip) -> None:
    _check_unfinished(law)
    run = _run(law, command)
    step = law.definition.steps[command.step]
    if run.status in ENDED:
        raise StepEnded(law.state.id, command.step, command.item, run.status)
    if not law.may_go_on(step.phase):
        raise CommandRefused(f"workflow {law.state.id!r} is ending, so step {command.step!r} cannot be skipped")
    law.skip(step, command.item, command.reason or "as asked for", output=command.output, by=command.by)
    law.go_on_from(step, command.item)


def _change_budget(law: Law, command: do.ChangeBudget) -> None:
    _check_unfinished(law)
    law.emit(ev.WORKFLOW_BUDGET_CHANGED, _said(command, budget=dict(command.budget)))
    law.admit()
    law.settle()


def _change_priority(law: Law, command: do.ChangePriority) -> None:
    _check_unfinished(law)
    if command.priority != law.state.priority:
        law.emit(ev.WORKFLOW_PRIORITY_CHANGED, _said(command, priority=command.priority))


def _migrate(law: Law, command: do.Migrate) -> None:
    _check_unfinished(law)
    migrate(law, command)


CONTROL: Final[dict[type, Callable[[Law, Any], None]]] = {
    do.Cancel: _cancel,
    do.Pause: _pause,
    do.Resume: _resume,
    do.TimeUp: _time_up,
    do.Signal: _signal,
    do.Answer: _answer,
    do.RetryNow: _retry_now,
    do.Skip: _skip,
    do.ChangeBudget: _change_budget,
    do.ChangePriority: _change_priority,
    do.Migrate: _migrate,
}
