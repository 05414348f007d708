"""Random workflows with random failures, retries, cancels and crashes, held against a naive model."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro_workflow_engine import Event, WorkflowDefinition, WorkflowState, fold, parse_definition
from maestro_workflow_engine._commands import (
    Cancel,
    Command,
    Due,
    Recover,
    Start,
    StepFailed,
    StepStarted,
    StepStopped,
    StepSucceeded,
    StepWaits,
)
from maestro_workflow_engine._decide import decide
from maestro_workflow_engine._events import TERMINAL_TYPES
from maestro_workflow_engine._state import Place

RANDOMS = st.builds(Random, st.integers(0, 2**32))
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DONE = {"succeeded", "skipped"}


@dataclass
class Plan:
    """A definition, and what each run of each step is going to do."""

    definition: WorkflowDefinition
    items: dict[str, int]
    """How many items a mapped step has."""
    max_parallel: dict[str, int]
    skipped: set[str]
    attempts: dict[str, int]
    failures: dict[Place, int]
    """How many of the first attempts of a run fail."""
    final: set[Place]
    """Runs whose first failure no retry can mend."""


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Up to seven steps with needs, conditions, maps and retries."""
    steps: dict[str, Any] = {}
    plan = Plan(definition=None, items={}, max_parallel={}, skipped=set(), attempts={}, failures={}, final=set())  # type: ignore[arg-type]  # set below
    for number in range(draw(st.integers(1, 7))):
        step_id = f"s{number}"
        needs = [other for other in steps if draw(st.booleans())]
        steps[step_id] = {"kind": "test", "needs": needs}
        plan.attempts[step_id] = steps[step_id]["retry"] = draw(st.integers(1, 3))
        if draw(st.integers(0, 4)) == 0:
            steps[step_id]["when"] = "${{ false }}"
            plan.skipped.add(step_id)
        elif draw(st.booleans()):
            steps[step_id]["when"] = (
                "${{ " + " && ".join(["true", *(f"steps.{n}.error == null" for n in needs)]) + " }}"
            )
        places: list[Place] = [(step_id, None)]
        if draw(st.integers(0, 2)) == 0:
            plan.items[step_id] = draw(st.integers(0, 4))
            plan.max_parallel[step_id] = draw(st.integers(1, 4))
            count, most = plan.items[step_id], plan.max_parallel[step_id]
            steps[step_id]["map"] = {"items": f"${{{{ range({count}) }}}}", "max_parallel": most}
            places = [(step_id, item) for item in range(count)]
        for place in places:
            plan.failures[place] = draw(st.sampled_from([0, 0, 0, 0, 1, 2, 3]))
            if draw(st.integers(0, 9)) == 0:
                plan.final.add(place)
    plan.definition = parse_definition(
        {
            "name": "random",
            "steps": steps,
            "outputs": {step_id: f"${{{{ steps.{step_id}.output }}}}" for step_id in steps},
        }
    )
    return plan


@dataclass
class World:
    """A runner and a journal without a machine beneath them; `crash` loses what was not durable."""

    plan: Plan
    random: Random
    state: WorkflowState
    events: list[Event] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    """Where each record ends in `events`; a crash cuts the journal at one of them."""
    durable: int = 0
    running: set[Place] = field(default_factory=set)
    effects: list[tuple[Place, int]] = field(default_factory=list)

    def do(self, command: Command) -> None:
        """Decide, fold, and note one record."""
        decided = decide(self.state, command, now=NOW, random=self.random.random)
        for type_, data in decided:
            event = Event(self.state.seq + 1, "w", type_, NOW, data)
            self.state = fold([event], self.state)
            self.events.append(event)
        if decided:
            self.records.append(len(self.events))

    def flush(self) -> None:
        """All that was decided is durable."""
        self.durable = len(self.records)

    def crash(self) -> None:
        """Keep the durable records and perhaps some more, and begin again from them."""
        kept = self.random.randint(self.durable, len(self.records))
        self.records = self.records[:kept]
        self.events = self.events[: self.records[-1] if kept else 0]
        self.state = fold(self.events, definition=self.plan.definition)
        self.running.clear()
        self.do(Recover())
        self.flush()

    def choices(self) -> Iterator[tuple[str, Place]]:
        """What could happen next: only what is durable is started."""
        durable = fold(self.events[: self.records[self.durable - 1] if self.durable else 0])
        for place in self.state.in_flight:
            run = self.state.place(place)
            if place in self.running:
                yield "end", place
            elif run.status in ("scheduled", "running"):
                if place in durable.in_flight:
                    yield "begin", place
            else:
                yield "due", place

    def step(self) -> None:
        """Let one thing happen."""
        choices = list(self.choices())
        if not choices or self.random.random() < 0.2:
            self.flush()
            return
        what, place = self.random.choice(choices)
        attempt = self.state.place(place).attempt
        if what == "begin":
            self.running.add(place)
            self.effects.append((place, attempt))
            self.do(StepStarted(*place, attempt))
        elif what == "due":
            self.flush()
            self.do(Due(*place))
        else:
            self.running.discard(place)
            self.do(self._outcome(place, attempt))

    def _outcome(self, place: Place, attempt: int) -> Command:
        if self.state.status == "cancelling" and self.random.random() < 0.5:
            return StepStopped(*place, attempt)
        if self.random.random() < 0.1:
            return StepWaits(*place, attempt, 1.0)
        if place in self.plan.final:
            return StepFailed(*place, attempt, "test", "for good", retryable=False)
        if attempt <= self.plan.failures[place]:
            return StepFailed(*place, attempt, "test", "for now", retryable=True)
        return StepSucceeded(*place, attempt, f"{place[0]}/{place[1]}")


def run(plan: Plan, random: Random, *, crashes: bool, cancels: bool) -> World:
    """One workflow from its start to its end."""
    world = World(plan, random, fold((), definition=plan.definition))
    world.do(Start({}))
    world.flush()
    for _ in range(10_000):
        if world.state.is_finished:
            world.flush()
            return world
        if crashes and random.random() < 0.05:
            world.crash()
        elif cancels and random.random() < 0.03:
            if not world.state.is_finished:
                world.do(Cancel("random"))
        else:
            world.step()
    raise AssertionError("the workflow never ended")


def final_failures(plan: Plan) -> set[str]:
    """Steps that would fail if they ran."""
    return {
        place[0]
        for place, failures in plan.failures.items()
        if place in plan.final or failures >= plan.attempts[place[0]]
    } - plan.skipped


def expected_output(plan: Plan, step_id: str) -> object:
    """What a step gives when it ends well."""
    if step_id in plan.skipped:
        return None
    if step_id in plan.items:
        return [f"{step_id}/{item}" for item in range(plan.items[step_id])]
    return f"{step_id}/None"


def check_rules(world: World) -> None:
    """What holds for every history, whatever happened."""
    state, plan = world.state, world.plan
    types = [event.type for event in world.events]
    assert [event.seq for event in world.events] == list(range(1, len(world.events) + 1))
    assert sum(type_ in TERMINAL_TYPES for type_ in types) == 1
    assert types[-1] in TERMINAL_TYPES
    satisfied: set[str] = set()
    ended: set[Place] = set()
    attempts: dict[Place, int] = {}
    stopped = False
    for event in world.events:
        place: Place = (event.data.get("step", ""), event.data.get("item"))
        if event.type in ("step.scheduled", "step.expanded"):
            assert not stopped, "nothing new starts after a failure or a cancel"
            assert set(plan.definition.steps[place[0]].needs) <= satisfied
        if event.type == "step.scheduled":
            assert place not in ended
            assert event.data["attempt"] in (attempts.get(place, 0), attempts.get(place, 0) + 1)
            attempts[place] = event.data["attempt"]
            in_flight = {p for p in attempts if p[0] == place[0] and p not in ended}
            assert place[1] is None or len(in_flight) <= plan.max_parallel[place[0]]
        if event.type == "step.started":
            assert place not in ended
            assert event.data["attempt"] == attempts[place]
        if event.type in ("step.succeeded", "step.skipped", "step.cancelled") or (
            event.type == "step.failed" and "retry_at" not in event.data
        ):
            assert place not in ended, "a run ends once"
            ended.add(place)
            if place[1] is None and event.type in ("step.succeeded", "step.skipped"):
                satisfied.add(place[0])
        stopped = stopped or (event.type == "step.failed" and "retry_at" not in event.data)
        stopped = stopped or event.type == "workflow.cancel_requested"
    assert all(attempts[place] <= plan.attempts[place[0]] for place in attempts)
    assert not state.in_flight
    for step_id, step in state.steps.items():
        if step.status == "succeeded":
            assert step.output == expected_output(plan, step_id)
            assert set(plan.definition.steps[step_id].needs) <= satisfied


def check_counters(world: World) -> None:
    """What the fold counts is what one would count by hand."""
    state = world.state
    for step in world.plan.definition.steps.values():
        if step.needs:
            assert state.unmet[step.id] == sum(state.steps[need].status not in DONE for need in step.needs)
        items = state.steps[step.id].items
        if items is not None:
            assert state.steps[step.id].items_left == sum(item.status != "succeeded" for item in items)
            open_items = [item for item in items if item.status in ("scheduled", "running", "waiting", "retrying")]
            assert state.steps[step.id].items_in_flight == len(open_items)


MANY = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(plans(), RANDOMS)
def test_a_workflow_ends_as_the_model_says(plan: Plan, random: Random) -> None:
    """Without cancels and crashes: it fails when a step fails that comes to run, else every output is as expected."""
    world = run(plan, random, crashes=False, cancels=False)
    check_rules(world)
    check_counters(world)
    if final_failures(plan) == set():
        assert world.state.status == "succeeded"
        assert world.state.outputs == {step_id: expected_output(plan, step_id) for step_id in plan.definition.steps}
        runs = [place for place in plan.failures if place[0] not in plan.skipped]
        wanted = {(place, attempt) for place in runs for attempt in range(1, plan.failures[place] + 2)}
        assert set(world.effects) == wanted
    else:
        assert world.state.status == "failed"
        assert world.state.failed_step in final_failures(plan)


@MANY
@given(plans(), RANDOMS)
def test_crashes_repeat_at_most_what_was_in_flight(plan: Plan, random: Random) -> None:
    """With crashes the rules hold, and no attempt runs again whose end was durable."""
    world = run(plan, random, crashes=True, cancels=False)
    check_rules(world)
    check_counters(world)
    assert (world.state.status == "succeeded") == (not final_failures(plan))


@MANY
@given(plans(), RANDOMS)
def test_cancels_at_any_moment_end_the_workflow(plan: Plan, random: Random) -> None:
    """With cancels and crashes the rules hold, and a requested cancel is the end of it."""
    world = run(plan, random, crashes=True, cancels=True)
    check_rules(world)
    check_counters(world)
    requested = any(event.type == "workflow.cancel_requested" for event in world.events)
    assert requested == (world.state.status == "cancelled")


@MANY
@given(plans(), RANDOMS, st.data())
def test_fold_is_incremental(plan: Plan, random: Random, data: st.DataObject) -> None:
    """Folding a history at once or in two pieces gives the same state, and leaves the first piece as it was."""
    events = run(plan, random, crashes=True, cancels=True).events
    cut = data.draw(st.integers(0, len(events)))
    first = fold(events[:cut], definition=plan.definition)
    twin = fold(events[:cut], definition=plan.definition)
    assert fold(events[cut:], first) == fold(events, definition=plan.definition)
    assert first == twin


@MANY
@given(plans(), RANDOMS)
def test_a_viewer_without_the_definition_sees_the_same(plan: Plan, random: Random) -> None:
    """Whoever folds the events alone sees every step that something happened to, as the engine does."""
    world = run(plan, random, crashes=False, cancels=True)
    seen = fold(world.events)
    assert seen.status == world.state.status
    for step_id, step in seen.steps.items():
        assert step == world.state.steps[step_id]
    untouched = set(world.state.steps) - set(seen.steps)
    assert all(world.state.steps[step_id].status == "pending" for step_id in untouched)
