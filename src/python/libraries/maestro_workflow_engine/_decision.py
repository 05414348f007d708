"""What every rule of the law is made of: events that are part of the state as soon as they are emitted."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._budget import lacking, reservation
from maestro_workflow_engine._definition import Phase, Step, WorkflowDefinition
from maestro_workflow_engine._errors import WorkflowError
from maestro_workflow_engine._events import Event, EventData
from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._fold import apply
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._reuse import Reuse
from maestro_workflow_engine._scope import Load, rendered, scope_of
from maestro_workflow_engine._state import ItemState, Place, WorkflowState

Usage: TypeAlias = Mapping[str, float] | None


class Decision:
    """The state while it is decided about, and the events so far."""

    __slots__ = ("definition", "events", "load", "now", "position", "random", "reuse", "state")

    def __init__(
        self,
        state: WorkflowState,
        *,
        now: datetime,
        random: Callable[[], float],
        load: Load,
        origin: WorkflowState | None,
        position: int,
    ) -> None:
        if state.definition is None:
            raise ValueError("the law needs a state that was folded with its definition")
        self.state = state
        self.definition: WorkflowDefinition = state.definition
        self.events: list[Event] = []
        self.now = now
        self.random = random
        self.load = load
        self.reuse = None if origin is None else Reuse(state, origin, load)
        self.position = position

    def emit(self, type_: str, data: EventData) -> None:
        """One more event."""
        state = self.state
        event = Event(state.seq + 1, state.id, type_, self.now, data, self.position + len(self.events))
        apply(state, event)
        self.events.append(event)

    def may_go_on(self, phase: Phase) -> bool:
        """Whether anything new of a phase may start."""
        state = self.state
        if state.phase != phase:
            return False
        if phase == "main":
            return state.error is None and state.status in ("running", "paused")
        return not state.is_forced

    def rendered(self, template: Template, path: str, **extra: object) -> JSON:
        return rendered(template, scope_of(self.state, template, self.load, extra), path)

    def schedule(self, step: Step, item: int | None, attempt: int, why: str | None = None) -> None:
        """Schedule an attempt, or let it wait until the budget has room for it; a bad cost fails it."""
        data = at_place(step.id, item, attempt)
        if self.state.budget is not None and step.cost is not None:
            try:
                reserve = reservation(self.rendered(step.cost, "/cost"))
            except WorkflowError as problem:
                self.emit_failed(step, item, attempt, error_data(problem), None)
                if not step.tolerates_failure:
                    self.stop_after_failure(step)
                return
            lack = lacking(self.state, reserve)
            if lack is not None:
                if (step.id, item) not in self.state.starved:
                    self.emit(ev.STEP_WAITING, {**data, "on": {"kind": "budget", **lack}})
                return
            data["reserve"] = reserve
        if why is not None:
            data["why"] = why
        self.emit(ev.STEP_SCHEDULED, data)

    def answer(self, place: Place, value: JSON, *, signal: str | None = None, by: str | None = None) -> None:
        """What a run waits for has come."""
        data = at_place(*place, self.state.place(place).attempt)
        data["answer"] = value
        if signal is not None:
            data["signal"] = signal
        if by is not None:
            data["by"] = by
        self.emit(ev.STEP_ANSWERED, data)

    def emit_failed(self, step: Step, item: int | None, attempt: int, error: dict[str, JSON], usage: Usage) -> None:
        """The event of a final failure."""
        data = at_place(step.id, item, attempt)
        data["error"] = error
        if usage:
            data["usage"] = usage
        if step.tolerates_failure:
            data["tolerated"] = True
        self.emit(ev.STEP_FAILED, data)

    def stop_after_failure(self, step: Step) -> None:
        """Nothing new starts in the main phase; in a later one, only the other items of the step are given up."""
        places = self.not_running()
        if step.phase != "main":
            places = [place for place in places if place[0] == step.id]
        self.cancel_runs(places)

    def not_running(self) -> list[Place]:
        """What is in flight and has not begun to run, or waits."""
        return [place for place in self.state.in_flight if self.state.place(place).status != "running"]

    def cancel_runs(self, places: list[Place]) -> None:
        """End what is in flight at these places."""
        for place in places:
            data: EventData = {"step": place[0]} if place[1] is None else {"step": place[0], "item": place[1]}
            usage = self.used_so_far([place])
            self.emit(ev.STEP_CANCELLED, {**data, "usage": usage} if usage else data)

    def skip(self, step: Step, item: int | None, reason: str, *, output: JSON = None, by: str | None = None) -> None:
        """Count a run as done."""
        data: EventData = {"step": step.id, "reason": reason}
        items = self.state.steps[step.id].items if item is None else None
        places: list[Place] = [(step.id, item)] if items is None else [(step.id, each) for each in range(len(items))]
        more = {"item": item, "output": output, "by": by, "usage": self.used_so_far(places) or None}
        self.emit(ev.STEP_SKIPPED, {**data, **{name: value for name, value in more.items() if value is not None}})

    def used_so_far(self, places: Iterable[Place]) -> dict[str, float]:
        """What counts of the attempts that run at these places, when nobody waits for their end any more."""
        total: dict[str, float] = {}
        for place in places:
            run = self.state.place(place)
            if run.status == "running":
                for unit, amount in self.used(run, None).items():
                    total[unit] = total.get(unit, 0.0) + amount
        return total

    def used(self, run: ItemState, reported: Usage) -> dict[str, float]:
        """What an attempt counts as in the budget: what its kind says, else what was reserved."""
        if not run.reserved:
            return dict(reported) if reported else {}
        usage = dict(reported or {})
        for unit, amount in run.reserved.items():
            if unit == "time_s" and run.started_at is not None:
                amount = max(0.0, (self.now - run.started_at).total_seconds())
            usage.setdefault(unit, amount)
        return usage


def at_place(step: str, item: int | None, attempt: int) -> EventData:
    """The data of an event about one attempt."""
    if item is None:
        return {"step": step, "attempt": attempt}
    return {"step": step, "attempt": attempt, "item": item}


def error_data(problem: WorkflowError) -> dict[str, JSON]:
    """A problem as an event tells it."""
    return {"code": problem.code, "message": str(problem), "retryable": False}
