"""Deciding histories anew: whatever happened follows from its facts, and a change of one event is found."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from libraries.maestro_workflow_engine.test_decide_properties import Plan, plans, run

from maestro_workflow_engine import Event, parse_definition
from maestro_workflow_engine._commands import (
    Answer,
    Cancel,
    ChangeBudget,
    Due,
    Migrate,
    Pause,
    Recover,
    Resume,
    RetryNow,
    Signal,
    Skip,
    StepStopped,
    TimeUp,
)
from maestro_workflow_engine._replay import replay
from maestro_workflow_engine.testing import LawCase

T = {"kind": "test"}


def holds(case: LawCase) -> None:
    """The law comes to what is recorded, and each single event that is taken away is missed."""
    replayed = replay(case.definition, case.events, definitions=case.known, origin=case.origin)
    assert replayed.difference is None, str(replayed.difference)
    assert replayed.state == case.state


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(plans(), st.integers(0, 2**32), st.booleans(), st.booleans())
def test_random_histories_follow_from_their_facts(plan: Plan, seed: int, crashes: bool, cancels: bool) -> None:
    """With failures, retries, cancels and crashes."""
    world = run(plan, Random(seed), crashes=crashes, cancels=cancels)
    replayed = replay(plan.definition, world.events)
    assert replayed.difference is None, str(replayed.difference)
    assert replayed.state == world.state


def test_everything_that_people_do_follows_too() -> None:
    """Pauses, signals, answers, retries, skips, budgets and cancels with all their phases."""
    steps = {
        "a": {**T, "retry": 3, "compensate": T},
        "b": {**T, "needs": ["a"], "repeat": {"until": "${{ output == 2 }}", "max_iterations": 3, "delay_s": 1}},
        "c": {**T, "needs": ["b"], "cost": {"calls": 2}},
        "d": {**T, "needs": ["b"]},
    }
    case = LawCase(steps, budget={"calls": 1}, **{"finally": {"z": T}})
    case.start()
    case.do(Pause("lunch", "eva"))
    case.fail("a")
    case.do(Resume())
    case.do(RetryNow("a", None))
    case.wait("a", kind="approval", title="?")
    case.do(Answer("a", None, {"approved": True}, "eva"))
    case.do(Signal("go", 1, "s1"))
    case.ok("a", attempt=2)
    case.ok("b", 1)
    case.do(Due("b", None))
    case.ok("b", 2, attempt=2)
    case.do(ChangeBudget({"calls": 5}, "eva"))
    case.wait("d", kind="signal", name="go")
    case.begin("c")
    case.do(Skip("d", None, 3, "enough", "eva"))
    case.do(Cancel("stop", "eva"))
    case.do(StepStopped("c", None, 1))
    case.ok("a.undo")
    case.ok("z")
    assert case.state.status == "cancelled"
    holds(case)


def test_time_limits_crashes_and_migrations_follow_too() -> None:
    """With the definition that it went on with."""
    case = LawCase({"a": T, "b": {**T, "needs": ["a"]}}, timeout_s=60)
    case.start()
    case.ok("a", 1)
    case.begin("b")
    new = parse_definition(
        {"name": "new", "timeout_s": 60, "steps": {"a": T, "b": {**T, "with": {"x": 1}, "needs": ["a"]}}}
    )
    case.do(Migrate(new))
    case.begin("b", attempt=2)
    case.do(TimeUp())
    case.do(Recover())
    assert case.state.status == "failed"
    holds(case)


def test_a_rerun_follows_from_its_origin() -> None:
    """What was reused is compared anew."""
    steps = {"a": T, "b": {**T, "with": {"x": "${{ steps.a.output }}"}}}
    origin = LawCase(steps)
    origin.start()
    origin.ok("a", 1)
    origin.fail("b", retryable=False)
    case = LawCase(steps, origin=origin.state)
    case.start(origin={"workflow": "w", "seq": 4, "from": []})
    case.ok("b", 2)
    holds(case)
    assert replay(case.definition, case.events).difference is not None


def chain() -> LawCase:
    """Three steps, one after the other."""
    case = LawCase({"a": T, "b": {**T, "needs": ["a"]}, "c": {**T, "when": "${{ steps.b.output > 1 }}"}})
    case.start()
    case.ok("a", 1)
    case.ok("b", 2)
    case.ok("c", 3)
    return case


def forged(events: list[Event], at: int, **data: object) -> list[Event]:
    """The same history with one event changed."""
    return [replace(event, data={**event.data, **data}) if event.seq == at else event for event in events]


@pytest.mark.parametrize("seq", [2, 4, 6, 8])
def test_an_event_that_is_missing_is_missed(seq: int) -> None:
    """Those behind it have moved up."""
    events = [event for event in chain().events if event.seq != seq]
    events = [replace(event, seq=number) for number, event in enumerate(events, start=1)]
    assert replay(chain().definition, events).difference is not None


def test_a_changed_event_is_found_where_it_makes_a_difference() -> None:
    """A condition that should have been false, a step that should have run."""
    case = chain()
    found = replay(case.definition, forged(case.events, 5, output=0)).difference
    assert found is not None
    assert found.seq == 5
    assert "step.skipped c" in str(found)


def test_what_was_redacted_fits_anything_where_no_rule_reads_it() -> None:
    """An output that nobody read can be taken out."""
    case = chain()
    events = forged(case.events, 3, output="[redacted]")
    assert replay(case.definition, events, redacted="[redacted]").difference is None
