"""Why each unfinished step has not ended yet, for a person who has to do something about it."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from maestro_workflow_engine._definition import Step
from maestro_workflow_engine._events import time_as_text
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._ports import Cause
from maestro_workflow_engine._spans import span
from maestro_workflow_engine._state import ENDED, ItemState, Place, StepState, WorkflowState
from maestro_workflow_engine._why_waiting import waiting_cause

_SHOWN: Final = 10
"""How many of several steps or items are named."""


def causes(state: WorkflowState, *, now: datetime, held: Callable[[Place], Cause | None]) -> list[Cause]:
    """One cause for each unfinished step of the phase that the workflow is in, in the order of the definition.

    `held` says why a place that is scheduled has not begun; None when nothing is known about it. What never begins on
    this way through the workflow is left out. The work is linear in the steps, and causes are nested at most 5 deep.
    """
    return [] if state.is_finished else list(_Inquiry(state, now, held).steps())


class _Inquiry:
    """One look at one workflow; what has been found out about a step is kept."""

    def __init__(self, state: WorkflowState, now: datetime, held: Callable[[Place], Cause | None]) -> None:
        self._state = state
        self._now = now
        self._held = held
        self._found: dict[str, Cause] = {}
        self._ends: dict[str, tuple[str, int]] = {}
        self._steps: dict[str, Step] = {} if state.definition is None else dict(state.definition.steps)
        self._paused: Cause | None = None
        if state.status == "paused":
            reason = f" ({state.reason})" if state.reason else ""
            self._paused = Cause("paused", f"the workflow is paused{reason}: it goes on when somebody resumes it")

    def steps(self) -> Iterator[Cause]:
        for step in self._state.steps.values():
            if step.status in ENDED:
                continue
            if step.status != "pending":
                yield self._of_step(step)
            elif self._is_to_come(step.id):
                yield self._of_pending(step.id)

    def _is_to_come(self, step_id: str) -> bool:
        """Whether a step that has not begun belongs to what runs now."""
        step = self._steps.get(step_id)
        if step is None or step.phase != self._state.phase:
            return False
        return step.undoes is None or any(place[0] == step.undoes for place in self._state.undoable)

    # --- steps that have begun ---

    def _of_step(self, step: StepState) -> Cause:
        cause = self._found.get(step.id)
        if cause is None:
            has_items = step.items is not None and (step.id, None) not in self._state.in_flight
            cause = self._of_items(step, step.items or []) if has_items else self._of_place((step.id, None), step)
            self._found[step.id] = cause
        return cause

    def _of_items(self, step: StepState, items: list[ItemState]) -> Cause:
        left = [(index, item) for index, item in enumerate(items) if item.status not in ENDED]
        begun = [(index, item) for index, item in left if item.status != "pending"]
        message = f"{len(items) - len(left)} of {len(items)} items have ended"
        if begun:
            message += f", {len(begun)} are under way"
        if len(left) > len(begun):
            over = None if step.id not in self._steps else self._steps[step.id].map
            most = "" if over is None or over.max_parallel is None else f", {over.max_parallel} at once"
            message += f", {len(left) - len(begun)} come after them{most}"
        because = [self._of_place((step.id, index), item) for index, item in begun[:_SHOWN]]
        if not because and self._paused is not None:
            because = [self._paused]
        detail: dict[str, JSON] = {"items": len(items), "left": len(left), "under_way": len(begun)}
        return Cause("running", message, step.id, None, detail, tuple(because))

    def _of_place(self, place: Place, run: ItemState) -> Cause:
        if run.status == "running":
            return self._running(place, run)
        if run.status == "scheduled":
            return self._scheduled(place)
        because = () if self._paused is None else (self._paused,)
        if run.status == "retrying":
            return self._retrying(place, run, because)
        return waiting_cause(place, run, self._now, because)

    def _running(self, place: Place, run: ItemState) -> Cause:
        detail: dict[str, JSON] = {"attempt": run.attempt}
        message = f"attempt {run.attempt} is running"
        if run.started_at is not None:
            detail["since"] = time_as_text(run.started_at)
            message += f", for {span(max(0.0, (self._now - run.started_at).total_seconds()))} now"
        step = self._steps.get(place[0])
        if step is not None and step.timeout_s is not None:
            detail["timeout_s"] = step.timeout_s
            message += f"; it is stopped after {span(step.timeout_s)}"
        return Cause("running", message, *place, detail)

    def _scheduled(self, place: Place) -> Cause:
        if self._paused is not None:
            return Cause("paused", self._paused.message, *place)
        return self._held(place) or Cause("turn", "it is about to begin", *place)

    def _retrying(self, place: Place, run: ItemState, because: tuple[Cause, ...]) -> Cause:
        error = run.error or {}
        message = f"attempt {run.attempt} failed: {error.get('message', 'nobody knows why')}"
        detail: dict[str, JSON] = {"attempt": run.attempt, "error": dict(error)}
        if run.due_at is not None:
            detail["due_at"] = time_as_text(run.due_at)
            message += f"; the next one begins in {span(max(0.0, (run.due_at - self._now).total_seconds()))}"
        return Cause("retry", message, *place, detail, because)

    # --- steps that have not begun ---

    def _of_pending(self, step_id: str) -> Cause:
        step = self._steps[step_id]
        if step.phase == "main" and (self._state.error is not None or self._state.status == "cancelling"):
            return self._given_up(step_id)
        if step.undoes is not None:
            return self._undone_later(step)
        open_needs = self._open_needs(step)
        if not open_needs:
            return self._paused_at(step_id) or Cause("turn", "it is about to begin", step_id)
        names: list[JSON] = list(open_needs[:_SHOWN])
        message = f"it needs {_listed(open_needs)}"
        if step.join is not None:
            message = (
                f"it needs {self._state.unmet.get(step_id, step.join.count)} more of {_listed(open_needs)} to succeed"
            )
        because = tuple(self._of_need(need) for need in open_needs[:_SHOWN])
        return Cause("dependency", message, step_id, None, {"needs": names, "count": len(open_needs)}, because)

    def _open_needs(self, step: Step) -> list[str]:
        return [need for need in step.needs if self._state.steps[need].status not in ENDED]

    def _of_need(self, step_id: str) -> Cause:
        """Why a needed step has not ended: one that has not begun is followed down to one that has."""
        step = self._state.steps[step_id]
        if step.status != "pending":
            return self._of_step(step)
        end, length = self._end_of(step_id)
        last = self._state.steps[end]
        if last.status != "pending":
            because = self._of_step(last)
        else:
            because = self._paused_at(end) or Cause("turn", "it is about to begin", end)
        if length == 1:
            return because
        shown = [step_id]
        while len(shown) < min(length, _SHOWN) and (following := self._most_telling(shown[-1])) is not None:
            shown.append(following)
        if length > _SHOWN:
            shown[-2:] = [f"… {length - _SHOWN + 1} more …", end]
        chain: list[JSON] = list(shown)
        message = f"it needs {_quoted(shown[1])}" + "".join(f", which needs {_quoted(name)}" for name in shown[2:])
        return Cause("dependency", message, step_id, None, {"chain": chain}, (because,))

    def _end_of(self, step_id: str) -> tuple[str, int]:
        """Where the chain from a pending step ends, and how many steps it has; each step is looked at once."""
        path = []
        following: str | None = step_id
        while following is not None and following not in self._ends:
            path.append(following)
            is_pending = self._state.steps[following].status == "pending"
            following = self._most_telling(following) if is_pending else None
        end, length = (path[-1], 0) if following is None else self._ends[following]
        for each in reversed(path):
            length += 1
            self._ends[each] = end, length
        return self._ends[step_id]

    def _most_telling(self, step_id: str) -> str | None:
        """The need that a step waits for and about which most is known: one that has begun before one that has not."""
        open_needs = self._open_needs(self._steps[step_id])
        begun = (need for need in open_needs if self._state.steps[need].status != "pending")
        return next(begun, open_needs[0] if open_needs else None)

    def _paused_at(self, step_id: str) -> Cause | None:
        return None if self._paused is None else Cause("paused", self._paused.message, step_id)

    def _given_up(self, step_id: str) -> Cause:
        if self._state.status == "cancelling":
            why = "the workflow is being cancelled"
        else:
            failed = self._state.failed_step
            why = "the workflow has failed" if failed is None else f"step {failed!r} has failed"
        message = f"it does not begin any more, because {why}; the workflow ends once what still runs has ended"
        return Cause("dependency", message, step_id, None, {}, tuple(self._under_way()))

    def _undone_later(self, step: Step) -> Cause:
        message = "steps are undone one at a time, the one that ended last comes first"
        return Cause("dependency", message, step.id, None, {}, tuple(self._under_way()))

    def _under_way(self) -> Iterable[Cause]:
        """Why those that are in flight have not ended."""
        step_ids = dict.fromkeys(place[0] for place in self._state.in_flight)
        return [self._of_step(self._state.steps[step_id]) for step_id in list(step_ids)[:_SHOWN]]


def _quoted(name: str) -> str:
    return name if name.startswith("…") else repr(name)


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} others"
