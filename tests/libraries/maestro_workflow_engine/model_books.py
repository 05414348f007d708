"""Books about one workflow, kept by hand from its events: the naive model that the law is held against.

Nothing is counted along: whatever is asked is looked for among all runs. Each event must be allowed by what the books
say at that moment.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from maestro_workflow_engine import Event, WorkflowDefinition
from maestro_workflow_engine._definition import Step
from maestro_workflow_engine._state import Place

OPEN = {"scheduled", "running", "waiting", "retrying", "repeated"}
DONE = {"succeeded", "skipped", "tolerated"}
OVER = DONE | {"failed", "cancelled"}
ORDER = ["main", "compensation", "on_failure", "finally"]
ROUNDING = 1e-6


@dataclass
class Entry:
    """What the books say of one run."""

    status: str = "pending"
    attempt: int = 0
    tries: int = 0
    waits_on: str | None = None
    reserved: dict[str, float] = field(default_factory=dict)


class Books:
    """Enters the events of one workflow, and objects."""

    def __init__(self, definition: WorkflowDefinition, known: Mapping[str, WorkflowDefinition]) -> None:
        self.definition = definition
        self.known = known
        self.entries: dict[Place, Entry] = {(step_id, None): Entry() for step_id in definition.steps}
        self.counts: dict[str, int] = {}
        self.over: set[tuple[Place, int]] = set()
        """Attempts that have ended: none of them may ever begin again."""
        self.to_undo: list[Place] = []
        self.phase = "main"
        self.failed = self.cancelling = self.forced = self.timed_out = self.paused = self.migrated = False
        self.ended: str | None = None
        self.budget: dict[str, float] | None = None
        self.spent: dict[str, float] = {}
        self.seq = 0
        self.phases = ["main"]

    # --- questions, answered by looking at everything ---

    def step(self, step_id: str) -> Step:
        return self.definition.steps[step_id]

    def status(self, step_id: str) -> str:
        return self.entries[step_id, None].status

    def in_flight(self, step_id: str | None = None) -> list[Place]:
        return [
            place
            for place, entry in self.entries.items()
            if entry.status in OPEN and not self.is_map_itself(place) and step_id in (None, place[0])
        ]

    def is_map_itself(self, place: Place) -> bool:
        return place[1] is None and place[0] in self.counts

    def items(self, step_id: str) -> list[Entry]:
        return [self.entries[step_id, item] for item in range(self.counts[step_id])]

    def starved(self) -> set[Place]:
        return {
            p for p in self.in_flight() if self.entries[p].status == "waiting" and self.entries[p].waits_on == "budget"
        }

    def may_go_on(self) -> bool:
        if self.phase == "main":
            return not (self.failed or self.cancelling or self.timed_out)
        return not self.forced

    def won(self, step: Step) -> int:
        return sum(self.status(need) == "succeeded" for need in step.needs)

    def is_ready(self, step: Step) -> bool:
        if step.join is None:
            return all(self.status(need) in DONE for need in step.needs)
        return self.won(step) >= step.join.count

    def is_impossible(self, step: Step) -> bool:
        if step.join is None:
            return False
        lost = sum(self.status(need) in ("skipped", "tolerated") for need in step.needs)
        return len(step.needs) - lost < step.join.count

    def reserved(self) -> dict[str, float]:
        total: dict[str, float] = {}
        for entry in self.entries.values():
            for unit, amount in entry.reserved.items():
                total[unit] = total.get(unit, 0.0) + amount
        return total

    def has_room(self, wanted: Mapping[str, float]) -> bool:
        held = self.reserved()
        return self.budget is None or all(
            amount + self.spent.get(unit, 0.0) + held.get(unit, 0.0) <= self.budget[unit] + ROUNDING
            for unit, amount in wanted.items()
            if unit in self.budget
        )

    # --- events ---

    def see(self, events: Iterable[Event]) -> None:
        """Enter events, one by one; raises AssertionError when one is not allowed."""
        for event in events:
            assert event.seq == self.seq + 1, "events are numbered without a gap"
            assert self.ended is None, f"{event.type} comes after the end"
            self.seq = event.seq
            getattr(self, "_" + event.type.replace(".", "_"))(event.data)

    def _entry(self, data: Mapping[str, Any]) -> tuple[Place, Entry, Step]:
        place: Place = (data["step"], data.get("item"))
        return place, self.entries.setdefault(place, Entry()), self.step(data["step"])

    def _close(self, place: Place, entry: Entry, data: Mapping[str, Any], status: str) -> None:
        if entry.status in OPEN and entry.attempt:
            self.over.add((place, entry.attempt))
        if entry.status == "running":
            assert entry.reserved.keys() <= (data.get("usage") or {}).keys(), "what ran is counted"
        entry.status, entry.reserved, entry.waits_on = status, {}, None
        self._spend(data)
        undone = self.step(place[0]).undoes
        if undone is not None and status in ("succeeded", "failed", "skipped", "tolerated"):
            self.to_undo = [each for each in self.to_undo if each != (undone, place[1])]

    def _spend(self, data: Mapping[str, Any]) -> None:
        for unit, amount in (data.get("usage") or {}).items():
            self.spent[unit] = self.spent.get(unit, 0.0) + amount

    def _check_open(self, place: Place, step: Step) -> None:
        """Something new may begin here."""
        assert step.phase == self.phase, f"{place} begins in the phase {self.phase}"
        assert self.may_go_on(), f"{place} begins although the workflow is ending"
        if step.undoes is not None:
            assert self.to_undo, f"{place} undoes what was not done"
            assert self.to_undo[-1] == (step.undoes, place[1]), "compensation is done in reverse order of completion"
            assert self.in_flight() in ([], [place]), "compensations run one at a time"
        elif place[1] is None and self.entries[place].status == "pending":
            assert self.is_ready(step), f"{place} begins before what it needs"

    def _begin(self, data: Mapping[str, Any], status: str) -> Entry:
        place, entry, step = self._entry(data)
        attempt = data["attempt"]
        self._check_open(place, step)
        if entry.status == "waiting":
            assert attempt == entry.attempt, "a run goes on after a wait with the same attempt"
        elif entry.status in ("retrying", "repeated"):
            assert attempt == entry.attempt + 1
        else:
            assert entry.status == "pending", f"{place} begins while it is {entry.status}"
            assert attempt == 1 or self.migrated, "attempts count from 1"
            entry.tries = 0
        assert (place, attempt) not in self.over, f"attempt {attempt} of {place} is used twice"
        if attempt != entry.attempt:
            entry.tries += 1
        entry.status, entry.attempt = status, attempt
        if place[1] is not None and step.map is not None:
            most = step.map.max_parallel or 1000
            assert self.migrated or len(self.in_flight(place[0])) <= most, "more items at once than max_parallel"
        return entry

    def _step_scheduled(self, data: dict[str, Any]) -> None:
        reserve = data.get("reserve")
        if reserve is not None:
            assert self.has_room(reserve), "the budget is exceeded by what is reserved"
        entry = self._begin(data, "scheduled")
        entry.waits_on = None
        if reserve is not None:
            entry.reserved = dict(reserve)

    def _step_waiting(self, data: dict[str, Any]) -> None:
        _, entry, _ = self._entry(data)
        on = data.get("on")
        if on is not None and on["kind"] == "budget":
            assert self.budget is not None
            assert not self.has_room({on["unit"]: on["needed"]}), "it waits for budget although there is room"
            entry = self._begin(data, "waiting")
        else:
            assert entry.status in ("scheduled", "running")
            assert data["attempt"] == entry.attempt
            assert self.may_go_on()
        entry.status, entry.waits_on = "waiting", None if on is None else on["kind"]

    def _step_expanded(self, data: dict[str, Any]) -> None:
        place, entry, step = self._entry(data)
        assert entry.status == "pending"
        self._check_open(place, step)
        entry.status = "running"
        self.counts[place[0]] = data["count"]
        for item in range(data["count"]):
            self.entries[place[0], item] = Entry()

    def _step_started(self, data: dict[str, Any]) -> None:
        place, entry, _ = self._entry(data)
        assert entry.status in ("scheduled", "running")
        assert data["attempt"] == entry.attempt
        assert (place, entry.attempt) not in self.over
        entry.status = "running"

    def _step_answered(self, data: dict[str, Any]) -> None:
        _, entry, _ = self._entry(data)
        assert entry.status == "waiting"
        assert entry.waits_on not in (None, "budget")
        entry.status, entry.waits_on = "scheduled", None

    def _step_repeated(self, data: dict[str, Any]) -> None:
        place, entry, step = self._entry(data)
        assert entry.status in ("scheduled", "running")
        assert step.repeat is not None
        assert 1 < data["iteration"] <= step.repeat.max_iterations
        self._close(place, entry, data, "repeated")
        entry.tries = 0

    def _step_reused(self, data: dict[str, Any]) -> None:
        place, entry, step = self._entry(data)
        assert entry.status == "pending"
        self._check_open(place, step)
        self._well(place, entry, data)

    def _step_succeeded(self, data: dict[str, Any]) -> None:
        place, entry, _ = self._entry(data)
        if self.is_map_itself(place):
            assert entry.status == "running"
            assert all(item.status in DONE for item in self.items(place[0]))
            entry.status = "succeeded"
        else:
            assert entry.status in ("scheduled", "running")
            assert data["attempt"] == entry.attempt
            self._well(place, entry, data)

    def _well(self, place: Place, entry: Entry, data: Mapping[str, Any]) -> None:
        self._close(place, entry, data, "succeeded")
        if f"{place[0]}.undo" in self.definition.steps:
            self.to_undo.append(place)

    def _step_failed(self, data: dict[str, Any]) -> None:
        place, entry, step = self._entry(data)
        if "retry_at" in data:
            assert entry.status in ("scheduled", "running")
            assert entry.tries < step.retry.max_attempts
            assert self.may_go_on()
            self._close(place, entry, data, "retrying")
            return
        if self.is_map_itself(place):
            assert any(item.status == "failed" for item in self.items(place[0]))
            assert not self.in_flight(place[0])
        elif entry.status == "pending":
            assert step.phase == self.phase
            assert self.may_go_on()
            assert self.is_ready(step) or self.is_impossible(step)
        else:
            assert entry.status in OPEN
        is_tolerated = data.get("tolerated", False)
        assert is_tolerated == step.tolerates_failure
        self._close(place, entry, data, "tolerated" if is_tolerated else "failed")
        self.failed = self.failed or not is_tolerated

    def _step_skipped(self, data: dict[str, Any]) -> None:
        place, entry, step = self._entry(data)
        assert entry.status not in OVER
        assert self.may_go_on()
        assert step.phase == self.phase
        if place[1] is None and (place[0] in self.counts or step.undoes is not None):
            for other, item in list(self.entries.items()):
                if other[0] == place[0] and other != place and item.status not in OVER:
                    self._close(other, item, {"usage": dict.fromkeys(data.get("usage", ()), 0)}, "skipped")
            if step.undoes is not None:
                self.to_undo = [each for each in self.to_undo if each[0] != step.undoes]
        self._close(place, entry, data, "skipped")

    def _step_cancelled(self, data: dict[str, Any]) -> None:
        place, entry, step = self._entry(data)
        assert entry.status in OPEN
        has_failed_item = any(e.status == "failed" for p, e in self.entries.items() if p[0] == place[0])
        assert not self.may_go_on() or (step.phase != "main" and has_failed_item), "only what is given up is cancelled"
        self._close(place, entry, data, "cancelled")

    # --- events of the whole ---

    def _workflow_started(self, data: dict[str, Any]) -> None:
        assert self.seq == 1
        self.budget = data.get("budget")

    def _workflow_paused(self, data: dict[str, Any]) -> None:
        assert not self.paused
        assert not self.cancelling
        self.paused = True

    def _workflow_resumed(self, data: dict[str, Any]) -> None:
        assert self.paused
        self.paused = False

    def _workflow_cancel_requested(self, data: dict[str, Any]) -> None:
        self.cancelling, self.paused = True, False
        self.forced = self.forced or data.get("force", False)

    def _workflow_timed_out(self, data: dict[str, Any]) -> None:
        assert self.phase == "main"
        self.timed_out = self.failed = True

    def _workflow_budget_changed(self, data: dict[str, Any]) -> None:
        self.budget = data["budget"]

    def _workflow_priority_changed(self, data: dict[str, Any]) -> None:
        assert -100 <= data["priority"] <= 100

    def _signal_received(self, data: dict[str, Any]) -> None:
        assert data["id"]

    def _workflow_phase_entered(self, data: dict[str, Any]) -> None:
        self.failed = self.failed or "error" in data
        left = list(self._phases_left())
        assert left, "no phase is left that has something to do"
        assert data["phase"] == left[0], f"{left[0]} was left out"
        assert not self.in_flight()
        self._check_main_is_over()
        self.phase = data["phase"]
        self.phases.append(self.phase)

    def _phases_left(self) -> Iterator[str]:
        """The phases that still have something to do."""
        for phase in ORDER[ORDER.index(self.phase) + 1 :]:
            has_steps = any(step.phase == phase for step in self.definition.steps.values())
            if self.forced:
                return
            if phase == "compensation" and self.to_undo and (self.failed or self.cancelling):
                yield phase
            if phase == "on_failure" and has_steps and self.failed and not self.cancelling:
                yield phase
            if phase == "finally" and has_steps:
                yield phase

    def _check_main_is_over(self) -> None:
        if not (self.failed or self.cancelling):
            for step in self.definition.steps.values():
                assert step.phase != "main" or self.status(step.id) in DONE, f"{step.id} was left behind"

    def _end(self, status: str, data: dict[str, Any]) -> None:
        self.failed = self.failed or (status == "failed" and "error" in data and self.phase == "main")
        assert status == ("cancelled" if self.cancelling else "failed" if self.failed else "succeeded")
        assert not list(self._phases_left()), "a phase was left out"
        assert not self.in_flight()
        assert self.phase != "compensation" or self.forced or not self.to_undo, "not all was undone"
        self._check_main_is_over()
        self.ended = status

    def _workflow_succeeded(self, data: dict[str, Any]) -> None:
        self._end("succeeded", data)

    def _workflow_failed(self, data: dict[str, Any]) -> None:
        self._end("failed", data)

    def _workflow_cancelled(self, data: dict[str, Any]) -> None:
        self._end("cancelled", data)

    def _workflow_migrated(self, data: dict[str, Any]) -> None:
        assert self.phase == "main"
        assert self.may_go_on()
        old, self.definition, self.migrated = self.definition, self.known[data["definition"]], True
        for step_id, step in self.definition.steps.items():
            is_same = step_id in old.steps and old.steps[step_id].digest == step.digest
            if step_id in old.steps and self.entries[step_id, None].status in OPEN and not is_same:
                assert step_id in data["restarted"], f"{step_id} goes on although it is another"
        gone = {*data["restarted"], *data["rerun"], *data["dropped"]}
        for place in [place for place in self.entries if place[0] in gone]:
            entry = self.entries.pop(place)
            if entry.status == "running" and not self.is_map_itself(place):
                assert entry.reserved.keys() <= data.get("usage", {}).keys(), "what ran is counted"
            if entry.status in OPEN and entry.attempt:
                self.over.add((place, entry.attempt))
        self._spend(data)
        self.counts = {step_id: count for step_id, count in self.counts.items() if step_id not in gone}
        for step_id in self.definition.steps:
            self.entries.setdefault((step_id, None), Entry())
        self.to_undo = [
            place for place in self.to_undo if place[0] not in gone and f"{place[0]}.undo" in self.definition.steps
        ]
