"""The rules by which a workflow begins, goes on, and ends."""

from datetime import timedelta
from typing import Any, Final

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._decision import Decision, Usage, error_data
from maestro_workflow_engine._definition import PHASES, Phase, Step
from maestro_workflow_engine._errors import BadMapItems, ConditionNotBoolean, WorkflowError
from maestro_workflow_engine._events import ArtifactRef, EventData, time_as_text
from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._json import JSON, json_kind
from maestro_workflow_engine._scope import loaded
from maestro_workflow_engine._state import ENDED, ItemState, StepState
from maestro_workflow_engine._step_errors import JoinImpossible, RepeatExhausted

MAX_MAP_ITEMS: Final = 100_000
MAX_ITEMS_IN_FLIGHT: Final = 1_000
"""More items of a step than this are never scheduled at once, so that no decision grows with the list."""


class Law(Decision):
    """How a workflow begins, goes on, and ends."""

    __slots__ = ()

    # --- beginning ---

    def open(self, ready: list[str]) -> None:
        """Bring steps whose needs are satisfied on their way; those that end at once open more of them in turn."""
        queue = ready
        for step_id in queue:
            step = self.definition.steps[step_id]
            if not self.may_go_on(step.phase):
                return
            if self.state.steps[step_id].status == "pending":
                try:
                    self._open_step(step, queue)
                except WorkflowError as problem:
                    self.emit_failed(step, None, 0, error_data(problem), None)
                    if not step.tolerates_failure:
                        self.stop_after_failure(step)
                if self.state.steps[step_id].status in ENDED:
                    queue.extend(self._ready_after(step_id))

    def _ready_after(self, step_id: str) -> list[str]:
        """The steps that may begin, or can no longer begin, now that a step has ended."""
        return [dependent for dependent in self.definition.dependents.get(step_id, ()) if self.is_ready(dependent)]

    def is_ready(self, step_id: str) -> bool:
        """Whether nothing that a step needs keeps it from beginning, or from failing because too few can succeed."""
        join = self.definition.steps[step_id].join
        return self.state.unmet.get(step_id, 0) <= 0 or (join is not None and self._is_impossible(step_id, join.count))

    def _is_impossible(self, step_id: str, count: int) -> bool:
        return len(self.definition.steps[step_id].needs) - self.state.lost.get(step_id, 0) < count

    def _open_step(self, step: Step, queue: list[str]) -> None:
        """Skip it, reuse it, schedule it, or begin its items."""
        if step.join is not None:
            if self._is_impossible(step.id, step.join.count):
                raise JoinImpossible(
                    f"{step.join.count} of the {len(step.needs)} needed steps must succeed, and too few still can"
                )
            if step.join.cancel_rest:
                self._skip_rest(step, queue)
        if step.when is not None and not self._is_wanted(step.when):
            self.emit(ev.STEP_SKIPPED, {"step": step.id, "reason": "its condition is false"})
        elif step.map is not None:
            self.emit(ev.STEP_EXPANDED, {"step": step.id, "count": self._count_items(step.map.items)})
            self._begin_items(step)
        else:
            self._begin(step, None)

    def _skip_rest(self, step: Step, queue: list[str]) -> None:
        for need in step.needs:
            if self.state.steps[need].status not in ENDED:
                self.skip(self.definition.steps[need], None, f"{step.id} has what it needs")
                queue.extend(self._ready_after(need))

    def _is_wanted(self, when: Template) -> bool:
        wanted = self.rendered(when, "/when")
        if wanted is True or wanted is False:
            return wanted
        raise ConditionNotBoolean(
            f"/when: true or false was expected, {json_kind(wanted)} came: compare it with something"
        )

    def _count_items(self, items: Template) -> int:
        value = self.rendered(items, "/map/items")
        if not isinstance(value, list):
            raise BadMapItems(f"/map/items: a list was expected, {json_kind(value)} came")
        if len(value) > MAX_MAP_ITEMS:
            raise BadMapItems(f"/map/items: {len(value)} items, at most {MAX_MAP_ITEMS} are allowed")
        return len(value)

    def _begin(self, step: Step, item: int | None) -> None:
        """Take over the earlier result of a run, or schedule its first attempt."""
        why = None
        if self.reuse is not None and step.phase == "main":
            old, why = self.reuse.earlier(step, item)
            if old is not None:
                data: EventData = {"step": step.id} if item is None else {"step": step.id, "item": item}
                if isinstance(old.output, ArtifactRef):
                    data["output_ref"] = old.output.as_json()
                else:
                    data["output"] = old.output
                if old.artifacts:
                    data["artifacts"] = [artifact.as_json() for artifact in old.artifacts]
                self.emit(ev.STEP_REUSED, {**data, "why": why})
                return
        self.schedule(step, item, self.state.place((step.id, item)).attempt + 1, why)

    def _begin_items(self, step: Step) -> None:
        """Begin as many more items as may be in flight; end the step when none is left."""
        state = self.state.steps[step.id]
        items = state.items or []
        most = MAX_ITEMS_IN_FLIGHT
        if step.map is not None and step.map.max_parallel is not None:
            most = min(most, step.map.max_parallel)
        item = state.next_item
        while state.items_in_flight < most and item < len(items) and self._takes_items(step, state):
            if items[item].status == "pending":
                self._begin(step, item)
            item += 1
        if state.items_left == 0:
            self.emit(ev.STEP_SUCCEEDED, {"step": step.id, "attempt": 1})

    def _takes_items(self, step: Step, state: StepState) -> bool:
        """Whether more of its items may begin: the step has not failed, and no item waits for budget already."""
        if not self.may_go_on(step.phase) or (state.failed_item is not None and not step.tolerates_failure):
            return False
        return not any(place[0] == step.id for place in self.state.starved)

    def admit(self) -> None:
        """Schedule what has waited for budget, as far as there is room now."""
        for place in list(self.state.starved):
            step = self.definition.steps[place[0]]
            if place in self.state.starved and self.may_go_on(step.phase):
                self.schedule(step, place[1], self.state.place(place).attempt)
                if place not in self.state.starved:
                    self._follow(step, place[1])

    # --- going on ---

    def is_last_iteration(self, step: Step, run: ItemState, output: JSON | ArtifactRef) -> bool:
        """Whether a repeating step is done with this output; raises what keeps `until` from being worked out."""
        if step.repeat is None:
            return True
        until = step.repeat.until
        done = self.rendered(until, "/repeat/until", output=loaded(output, self.load), iteration=run.iteration)
        if done is not True and done is not False:
            raise ConditionNotBoolean(f"/repeat/until: true or false was expected, {json_kind(done)} came")
        if not done and run.iteration >= step.repeat.max_iterations:
            raise RepeatExhausted(f"`until` was not true after {run.iteration} iterations")
        return done

    def repeat(self, step: Step, item: int | None, run: ItemState, data: EventData) -> None:
        """Begin the next iteration; `data` says what the last one gave."""
        if step.repeat is None or not self.may_go_on(step.phase):
            self.cancel_runs([(step.id, item)])
            self.settle()
            return
        data["iteration"] = run.iteration + 1
        if step.repeat.delay_s > 0:
            data["until"] = time_as_text(self.now + timedelta(seconds=step.repeat.delay_s))
        self.emit(ev.STEP_REPEATED, data)
        if step.repeat.delay_s <= 0:
            self.try_again(step, item, run.attempt + 1)
        else:
            self.go_on_from(step, item)

    def try_again(self, step: Step, item: int | None, attempt: int) -> None:
        """Schedule one more attempt of a run, which fails for good when its cost cannot be worked out any more."""
        self.schedule(step, item, attempt)
        self.go_on_from(step, item)

    def go_on_from(self, step: Step, item: int | None) -> None:
        """Something has come of a run, its end perhaps, and the workflow goes on."""
        self._follow(step, item)
        if self.state.starved:
            self.admit()
        self.settle()

    def _follow(self, step: Step, item: int | None) -> None:
        """Begin what may begin now that a run has ended."""
        if step.undoes is None:
            if item is not None:
                self._begin_items(step)
            if self.state.steps[step.id].status in ENDED:
                self.open(self._ready_after(step.id))

    # --- failing and stopping ---

    def fail(self, step: Step, item: int | None, attempt: int, error: dict[str, JSON], usage: Usage) -> None:
        """A run has failed for good."""
        self.emit_failed(step, item, attempt, error, usage)
        if step.tolerates_failure or step.undoes is not None:
            self.go_on_from(step, item)
        else:
            self.stop_after_failure(step)
            self.settle()

    # --- ending ---

    def settle(self) -> None:
        """End the mapped steps, then the phase, and then the workflow, that nothing is left to wait for."""
        self._settle_mapped_steps()
        if self.state.in_flight or self.state.is_finished:
            return
        if self.state.phase == "compensation" and self._undo_next():
            return
        self._leave_phase()

    def _settle_mapped_steps(self) -> None:
        """A mapped step whose last item has left too early fails when one of them failed, else it is cancelled."""
        touched = {event.data["step"]: None for event in self.events if "item" in event.data}
        for step_id in touched:
            step, state = self.definition.steps.get(step_id), self.state.steps.get(step_id)
            if step is None or state is None or step.map is None or state.status in ENDED or state.items_in_flight:
                continue
            failed = None if step.tolerates_failure else state.failed_item
            if failed is not None and state.items is not None:
                error: Any = state.items[failed].error
                error = {**error, "message": f"item {failed}: {error['message']}"}
                self.emit_failed(step, None, 1, error, None)
            elif not self.may_go_on(step.phase):
                self.emit(ev.STEP_CANCELLED, {"step": step_id})

    def _undo_next(self) -> bool:
        """Begin the next compensation; whether there was one."""
        if not self.state.undoable or self.state.is_forced:
            return False
        undone, item = self.state.undoable[-1]
        step = self.definition.steps[f"{undone}.undo"]
        state = self.state.steps[step.id]
        run = ItemState() if item is not None and len(state.items or ()) <= item else self.state.place((step.id, item))
        self.schedule(step, item, run.attempt + 1)
        return True

    def _leave_phase(self) -> None:
        """Enter the next phase that has something to do, or end the workflow."""
        state = self.state
        problem = self._output_problem() if state.phase == "main" else None
        for phase in PHASES[PHASES.index(state.phase) + 1 :]:
            if not self._has_work(phase, problem is not None or state.error is not None):
                continue
            self.emit(ev.WORKFLOW_PHASE_ENTERED, {"phase": phase, **({"error": problem} if problem else {})})
            if phase == "compensation":
                self._undo_next()
            else:
                self.open([step.id for step in self.definition.of_phase(phase) if not step.needs])
                self._settle_mapped_steps()
            if state.in_flight:
                return
        self._end(problem)

    def _has_work(self, phase: Phase, has_failed: bool) -> bool:
        state = self.state
        if state.is_forced:
            return False
        is_cancelled = state.status == "cancelling"
        if phase == "compensation":
            return bool(state.undoable) and (has_failed or is_cancelled)
        wanted = phase == "finally" or (has_failed and not is_cancelled)
        return wanted and any(step.phase == phase for step in self.definition.steps.values())

    def _output_problem(self) -> dict[str, JSON] | None:
        """Why the outputs of a workflow that has done all its work cannot be made."""
        if self.state.error is not None or self.state.status == "cancelling":
            return None
        try:
            self.rendered(self.definition.outputs, "/outputs")
        except WorkflowError as problem:
            return error_data(problem)
        return None

    def _end(self, problem: dict[str, JSON] | None) -> None:
        state = self.state
        error = state.error or problem
        if state.status == "cancelling":
            self.emit(ev.WORKFLOW_CANCELLED, {"reason": state.reason})
        elif error is not None:
            self.emit(ev.WORKFLOW_FAILED, {"error": error, "step": state.failed_step, "item": state.failed_item})
        else:
            self.emit(ev.WORKFLOW_SUCCEEDED, {"outputs": self.rendered(self.definition.outputs, "/outputs")})
