"""Holds the state of a workflow against the books, whenever a command has been carried out."""

from typing import Any

from libraries.maestro_workflow_engine.model_books import DONE, OVER, Books

from maestro_workflow_engine import WorkflowState
from maestro_workflow_engine._definition import Step
from maestro_workflow_engine._scope import load_nothing, rendered, scope_of

ROUNDING = 1e-6


class Referee(Books):
    """Sees the events of one workflow and what the law makes of them, and objects."""

    def cost(self, state: WorkflowState, step_id: str) -> Any:
        """What an attempt costs now."""
        cost = self.step(step_id).cost
        return {} if cost is None else rendered(cost, scope_of(state, cost, load_nothing), "/cost")

    def check(self, state: WorkflowState) -> None:
        """The state says what the books say, and nothing that could go on was left behind."""
        self._check_state(state)
        self._check_counters(state)
        assert (self.ended is not None) == (not self.in_flight()), "a workflow with nothing under way has ended"
        if self.ended is not None or not self.may_go_on():
            return
        for place in self.starved():
            assert not self.has_room(self.cost(state, place[0])), f"{place} starves although there is room"
        for step in self.definition.steps.values():
            if step.phase == self.phase != "compensation":
                self._check_step(step)

    def _check_step(self, step: Step) -> None:
        if self.status(step.id) == "pending":
            assert not self.is_ready(step), f"{step.id} was left behind"
            assert not self.is_impossible(step), f"{step.id} waits for what cannot be"
        elif self.status(step.id) == "running" and step.id in self.counts and step.map is not None:
            items = self.items(step.id)
            under_way = self.in_flight(step.id)
            assert under_way, f"{step.id} has no item under way and has not ended"
            has_failed = any(item.status == "failed" for item in items)
            if not has_failed and not any(place[0] == step.id for place in self.starved()) and not self.migrated:
                is_full = len(under_way) >= (step.map.max_parallel or 1000)
                assert is_full or all(
                    item.status != "pending" for item in items
                ), f"items of {step.id} were left behind"

    def _check_state(self, state: WorkflowState) -> None:
        shown = {"tolerated": "failed", "repeated": "waiting"}
        for place, entry in self.entries.items():
            undoes = self.step(place[0]).undoes
            if undoes is None or place[1] is not None or undoes not in self.counts:
                assert state.place(place).status == shown.get(entry.status, entry.status), place
        assert set(state.in_flight) == set(self.in_flight())
        assert set(state.starved) == self.starved()
        assert state.phase == self.phase
        assert state.is_finished == (self.ended is not None)
        assert (state.error is not None) == self.failed
        assert (state.status == "paused") == (self.paused and self.ended is None)
        assert state.undoable == self.to_undo
        for mine, theirs in ((self.reserved(), state.reserved), (self.spent, state.spent)):
            for unit in {*mine, *theirs}:
                assert abs(mine.get(unit, 0.0) - theirs.get(unit, 0.0)) < ROUNDING, f"{unit} is counted wrong"

    def _check_counters(self, state: WorkflowState) -> None:
        for step in self.definition.steps.values():
            if step.needs:
                ended = [self.status(need) for need in step.needs if self.status(need) in OVER]
                if step.join is None:
                    well = sum(status in DONE for status in ended)
                    assert state.unmet[step.id] == len(step.needs) - well
                else:
                    assert state.unmet[step.id] == step.join.count - self.won(step)
                    given_up = sum(status in ("skipped", "tolerated") for status in ended)
                    assert state.lost.get(step.id, 0) == given_up
            if step.id in self.counts and self.status(step.id) in ("running", "succeeded"):
                left = sum(item.status not in DONE for item in self.items(step.id))
                assert state.steps[step.id].items_left == left
                assert state.steps[step.id].items_in_flight == len(self.in_flight(step.id))
