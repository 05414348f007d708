"""A runner, a journal and a clock without a machine beneath them, in which anything may happen at any moment."""

import json
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from libraries.maestro_workflow_engine.model_plans import Plan, changed
from libraries.maestro_workflow_engine.model_referee import Referee

from maestro_workflow_engine import Event, ExpressionFailed, WorkflowDefinition, WorkflowState, fold, replay
from maestro_workflow_engine import _commands as do
from maestro_workflow_engine._decide import advance
from maestro_workflow_engine._errors import CommandRefused
from maestro_workflow_engine._scope import load_nothing, rendered, scope_of
from maestro_workflow_engine._state import Place, snapshot

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MOST_MOVES = 4_000


class World:
    """One workflow and all that happens to it; the referee sees every event."""

    def __init__(
        self,
        plan: Plan,
        random: Random,
        *,
        origin: WorkflowState | None = None,
        document: tuple[dict[str, Any], WorkflowDefinition] | None = None,
    ) -> None:
        self.plan = plan
        self.random = random
        self.origin = origin
        self.document, self.definition = document or (plan.document, plan.definition)
        self.known: dict[str, WorkflowDefinition] = {self.definition.digest: self.definition}
        self.state = fold((), definition=self.definition, lookup=self.known.__getitem__)
        self.referee = Referee(self.definition, self.known)
        self.events: list[Event] = []
        self.records: list[int] = []
        """Where each record ends in `events`: a crash cuts the journal at one of them."""
        self.durable = 0
        self.now = NOON
        self.running: dict[Place, int] = {}
        self.stale: list[tuple[Place, int]] = []
        self.scheduled_at: dict[Place, int] = {}
        self.effects: list[tuple[Place, int]] = []
        self.signals = 0

    # --- the journal ---

    def tell(self, command: do.Command) -> int:
        """Decide, fold, and enter it in the books; gives the number of events. A refusal changes nothing."""
        if isinstance(command, do.Migrate):
            self.known[command.definition.digest] = command.definition
        twin = snapshot(self.state)
        try:
            events = advance(
                twin,
                command,
                now=self.now,
                random=self.random.random,
                origin=self.origin,
                position=len(self.events) + 1,
            )
        except CommandRefused:
            assert twin == self.state, "a refused command changes nothing"
            return 0
        events = [_stored(event) for event in events]
        assert fold(events, self.state) == twin, "the events say all that was decided"
        self.state = twin
        self.events += events
        if events:
            self.records.append(len(self.events))
        self._enter(events)
        return len(events)

    def _enter(self, events: list[Event]) -> None:
        for event in events:
            if event.type in ("step.scheduled", "step.answered"):
                self.scheduled_at[event.data["step"], event.data.get("item")] = event.seq
        self.referee.see(events)
        if events:
            self.referee.check(self.state)
        for place, attempt in list(self.running.items()):
            if place not in self.state.in_flight or self.state.place(place).attempt != attempt:
                del self.running[place]
                self.stale.append((place, attempt))

    def flush(self) -> None:
        """All that was decided is durable."""
        self.durable = len(self.records)

    def crash(self) -> None:
        """Keep the durable records and perhaps some more, and begin again from them."""
        kept = self.random.randint(self.durable, len(self.records))
        self.records = self.records[:kept]
        self.events = self.events[: self.records[-1] if kept else 0]
        definition = self.definition
        self.state = fold(self.events, definition=definition, lookup=self.known.__getitem__)
        self.referee = Referee(definition, self.known)
        self.running.clear()
        self.stale.clear()
        self.scheduled_at.clear()
        begin = 0
        for end in self.records:
            self.referee.see(self.events[begin:end])
            begin = end
        self._enter_again()
        self.tell(do.Recover())
        self.flush()

    def _enter_again(self) -> None:
        for event in self.events:
            if event.type in ("step.scheduled", "step.answered"):
                self.scheduled_at[event.data["step"], event.data.get("item")] = event.seq
        self.referee.check(self.state)

    # --- the runner ---

    def moves(self) -> Iterator[Callable[[], object]]:
        """What could happen next, were nobody to interfere."""
        durable_seq = self.records[self.durable - 1] if self.durable else 0
        for place in self.state.in_flight:
            run = self.state.place(place)
            if place in self.running:
                yield partial(self.end, place)
            elif self.state.status == "paused":
                continue
            elif run.status in ("scheduled", "running"):
                if self.scheduled_at[place] <= durable_seq:
                    yield partial(self.begin, place)
            elif run.due_at is not None:
                yield partial(self.due, place)
            elif run.wait is not None and run.wait.on is not None:
                yield partial(self.give, place, run.wait.on)

    def begin(self, place: Place) -> None:
        """The runner calls the step kind."""
        attempt = self.state.place(place).attempt
        assert (place, attempt) not in self.referee.over, "no attempt begins again that has ended"
        self.running[place] = attempt
        self.effects.append((place, attempt))
        self.tell(do.StepStarted(*place, attempt))

    def due(self, place: Place) -> None:
        """A timer fires."""
        due_at = self.state.place(place).due_at
        self.now = self.now if due_at is None else max(self.now, due_at)
        self.tell(do.Due(*place))

    def give(self, place: Place, on: dict[str, Any]) -> None:
        """Somebody gives what a run waits for."""
        if on["kind"] == "budget":
            units = {*(self.state.budget or {}), on["unit"]}
            self.tell(do.ChangeBudget({unit: self._enough(unit) for unit in units}))
        elif on["kind"] == "signal":
            self.signal(on["name"])
        else:
            self.tell(do.Answer(*place, {"approved": True}, by="ann"))

    def _enough(self, unit: str) -> float:
        return self.state.spent.get(unit, 0.0) + self.state.reserved.get(unit, 0.0) + self.random.randint(1, 20)

    def end(self, place: Place) -> None:
        """An attempt gives what it gives."""
        attempt = self.running.pop(place)
        self.tell(self._outcome(place, attempt))

    def _outcome(self, place: Place, attempt: int) -> do.Command:
        state, random = self.state, self.random
        is_ending = (state.status == "cancelling" or state.is_timed_out) and state.phase == "main"
        if (is_ending or state.is_forced) and random.random() < 0.6:
            return do.StepStopped(*place, attempt)
        usage = {"tokens": float(random.randint(0, 4))} if random.random() < 0.3 else None
        if random.random() < self.plan.trouble:
            return do.StepFailed(*place, attempt, "test.bad", "bad luck", random.random() < 0.8, None, usage)
        if random.random() < self.plan.waits:
            on = random.choice([None, {"kind": "signal", "name": "go"}, {"kind": "approval", "title": "Well?"}])
            seconds = float(random.randint(0, 60)) if on is None or random.random() < 0.3 else None
            return do.StepWaits(*place, attempt, seconds, on, {"asked": attempt})
        try:
            return do.StepSucceeded(*place, attempt, self.output(place), (), usage)
        except ExpressionFailed as problem:
            return do.StepFailed(*place, attempt, problem.code, str(problem), False)

    def output(self, place: Place) -> Any:
        """What a step gives: it depends on its arguments and on nothing else."""
        step = self.definition_now.steps[place[0]]
        run = self.state.place(place)
        extra: dict[str, object] = {}
        if step.repeat is not None:
            extra |= {"iteration": run.iteration, "previous": run.output}
        if place[1] is not None and step.map is not None:
            items: Any = rendered(step.map.items, scope_of(self.state, step.map.items, load_nothing), "")
            extra |= {"item": items[place[1]], "index": place[1]}
        if step.undoes is not None:
            return None
        arguments = rendered(step.arguments, scope_of(self.state, step.arguments, load_nothing, extra), "")
        return {"n": zlib.crc32(json.dumps([step.id, arguments], sort_keys=True).encode()) % 10}

    @property
    def definition_now(self) -> WorkflowDefinition:
        """The definition that it goes on with."""
        assert self.state.definition is not None
        return self.state.definition

    # --- what comes between ---

    def signal(self, name: str) -> None:
        """Somebody sends a signal; at times the same one once more."""
        self.signals += 1
        sent = do.Signal(name, {"number": self.signals}, f"id{self.signals}", "till")
        self.tell(sent)
        if self.random.random() < 0.2 and not self.state.is_finished:
            assert self.tell(sent) == 0, "the same signal counts once"

    def interfere(self, what: str) -> None:
        """Somebody, or something, comes between."""
        random, state = self.random, self.state
        places = [*state.in_flight, *((step_id, None) for step_id in state.steps)]
        places += [(step.id, item) for step in state.steps.values() for item in range(len(step.items or ()))]
        place = random.choice(places)
        match what:
            case "crash":
                self.crash()
            case "pause":
                self.tell(do.Pause("look", "ann") if random.random() < 0.5 else do.Resume("ann"))
            case "retry":
                self.tell(do.RetryNow(*place))
            case "skip":
                self.tell(do.Skip(*place, {"n": 1} if random.random() < 0.5 else None, None, "ann"))
            case "cancel" if random.random() < 0.2:
                self.tell(do.Cancel("enough", "ann"))
            case "force" if random.random() < 0.2:
                self.tell(do.Cancel("enough", "ann", force=True))
            case "time up" if random.random() < 0.3:
                self.tell(do.TimeUp())
            case "budget":
                self.tell(
                    do.ChangeBudget({"tokens": float(random.randint(0, 30)), "calls": float(random.randint(0, 9))})
                )
            case "priority":
                self.tell(do.ChangePriority(random.randint(-100, 100)))
            case "signal":
                self.signal(random.choice(["go", "other"]))
            case "migrate":
                self.migrate()
            case "clock":
                self.now += timedelta(seconds=random.choice([-3e8, -7200, -5, 0, 5, 7200, 3e8]))
            case "late" if self.stale:
                place, attempt = random.choice(self.stale)
                for report in (do.StepStarted, do.StepStopped):
                    assert self.tell(report(*place, attempt)) == 0, "what comes too late changes nothing"
                assert self.tell(do.StepSucceeded(*place, attempt, "late")) == 0
                assert self.tell(do.StepFailed(*place, attempt, "test.late", "late", True)) == 0

    def migrate(self) -> None:
        """Go on with a changed definition."""
        other = changed(self.document, self.random)
        if other is None:
            return
        main = [step.id for step in other[1].steps.values() if step.phase == "main"]
        rerun = frozenset(step_id for step_id in main if self.random.random() < 0.15)
        if self.tell(do.Migrate(other[1], rerun, "ann")):
            self.document = other[0]

    # --- the whole ---

    def run(self, start: do.Start) -> "World":
        """From the start to the end; raises AssertionError when it hangs, or when the referee objects."""
        self.tell(start)
        self.flush()
        for _ in range(MOST_MOVES):
            if self.state.is_finished:
                self.flush()
                return self
            if self.random.random() < self.plan.unrest:
                self.interfere(self.random.choice(self.plan.interference))
                continue
            self.now += timedelta(seconds=self.random.randint(0, 2))
            moves = list(self.moves())
            if not moves or self.random.random() < 0.2:
                self._nudge(bool(moves))
            else:
                self.random.choice(moves)()
        raise AssertionError("the workflow never ended")

    def _nudge(self, has_moves: bool) -> None:
        if not has_moves and self.durable == len(self.records):
            assert self.state.status == "paused", "it hangs: nothing can happen, and nobody is waited for"
            self.tell(do.Resume())
        self.flush()

    def check_history(self) -> None:
        """The history alone gives the state, and the law comes to it again."""
        definition = self.definition
        whole = fold(self.events, definition=definition, lookup=self.known.__getitem__)
        assert whole == self.state
        again = replay(definition, self.events, definitions=self.known, origin=self.origin)
        assert again.difference is None, str(again.difference)
        assert again.state == whole


def _stored(event: Event) -> Event:
    """The event as the journal gives it back."""
    data = json.loads(json.dumps(event.data))
    assert data == event.data, f"{event.type} is not what the journal gives back"
    return Event(event.seq, event.workflow_id, event.type, event.at, data, event.position)
