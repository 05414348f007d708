"""The law of going on with another definition."""

from typing import Any

import pytest

from maestro_workflow_engine import MigrationRefused, WorkflowFinished, fold, parse_definition
from maestro_workflow_engine._commands import Cancel, Migrate, StepSucceeded
from maestro_workflow_engine._migrate import plan_migration
from maestro_workflow_engine.testing import LawCase

T = {"kind": "test"}
OLD: dict[str, Any] = {"a": T, "b": {**T, "needs": ["a"]}, "c": {**T, "needs": ["b"]}}


def begun() -> LawCase:
    """`a` has ended, `b` runs, `c` has not begun."""
    case = LawCase(OLD)
    case.start()
    case.ok("a", 1)
    case.begin("b")
    return case


def other(steps: dict[str, Any], **rest: Any) -> Any:
    """Another definition."""
    return parse_definition({"name": "other", "steps": steps, **rest})


def test_what_is_the_same_goes_on_as_if_nothing_had_happened() -> None:
    """A running step keeps its attempt."""
    case = begun()
    steps = {**OLD, "d": {**T, "needs": ["c"]}}
    assert case.do(Migrate(other(steps))) == ["workflow.migrated"]
    assert case.ok("b", 2) == ["step.succeeded b", "step.scheduled c"]
    assert case.ok("c") == ["step.succeeded c", "step.scheduled d"]
    assert case.ok("d")[-1] == "workflow.succeeded"
    assert case.state.name == "other"


def test_the_plan_says_what_becomes_of_each_step() -> None:
    """Before anything is done."""
    case = begun()
    steps = {"a": {**T, "with": {"x": 1}}, "b": {**T, "with": {"x": 1}, "needs": ["a"]}, "d": {**T, "needs": ["b"]}}
    plan = plan_migration(case.state, other(steps))
    assert (plan.kept, plan.changed, plan.restarted) == ((), ("a",), ("b",))
    assert (plan.dropped, plan.added, plan.rerun) == (("c",), ("d",), ())
    assert case.state.seq == len(case.events)


def test_a_running_step_with_another_definition_starts_over() -> None:
    """A late report of the old attempt is not taken for the new one's."""
    case = begun()
    steps = {**OLD, "b": {**T, "with": {"x": 1}, "needs": ["a"]}}
    assert case.do(Migrate(other(steps))) == ["workflow.migrated", "step.scheduled b #2"]
    assert case.do(StepSucceeded("b", None, 1, "old")) == []
    assert case.ok("b", "new", attempt=2) == ["step.succeeded b", "step.scheduled c"]


def test_an_ended_step_is_run_again_when_asked_for() -> None:
    """With all that comes after it."""
    case = begun()
    assert case.do(Migrate(other(OLD), frozenset({"a"}))) == ["workflow.migrated", "step.scheduled a #2"]
    assert case.do(StepSucceeded("b", None, 1, "old")) == []
    assert case.ok("a", 2, attempt=2) == ["step.succeeded a", "step.scheduled b #2"]


def test_a_dropped_step_leaves_and_nobody_waits_for_it() -> None:
    """What needed it may begin."""
    case = begun()
    assert case.do(Migrate(other({"a": T, "c": {**T, "needs": ["a"]}}))) == ["workflow.migrated", "step.scheduled c"]
    assert set(case.state.steps) == {"a", "c"}
    assert case.ok("c")[-1] == "workflow.succeeded"


def test_a_workflow_that_lost_its_last_running_step_ends() -> None:
    """Nothing is left to do."""
    case = begun()
    assert case.do(Migrate(other({"a": T}))) == ["workflow.migrated", "workflow.succeeded"]


def test_items_that_run_start_over_with_new_numbers() -> None:
    """No attempt has a number that was used before."""
    steps = {"m": {**T, "map": {"items": [1, 2]}}}
    case = LawCase(steps)
    case.start()
    case.begin("m", item=1)
    steps = {"m": {**T, "map": {"items": [1, 2, 3]}}}
    assert case.do(Migrate(other(steps))) == [
        "workflow.migrated", "step.expanded m", "step.scheduled m[0] #2", "step.scheduled m[1] #2",
        "step.scheduled m[2] #2",
    ]  # fmt: skip
    assert case.ok("m", item=1) == []


def test_new_inputs_get_their_defaults() -> None:
    """One without a default is refused."""
    case = begun()
    case.do(Migrate(other(OLD, inputs={"n": {"type": "integer", "default": 3}})))
    assert case.state.inputs == {"n": 3}
    with pytest.raises(MigrationRefused, match="n"):
        begun().do(Migrate(other(OLD, inputs={"n": {"type": "integer"}})))


def test_what_is_ending_stays_as_it_is() -> None:
    """Nothing is changed by a refusal."""
    for spoil in ("cancel", "fail"):
        case = LawCase({"a": T, "b": T})
        case.start()
        case.begin("b")
        if spoil == "cancel":
            case.do(Cancel())
        else:
            case.fail("a", retryable=False)
        with pytest.raises(MigrationRefused, match="ending"):
            case.do(Migrate(other({"a": T})))
    case = LawCase({"a": T})
    case.start()
    case.ok("a")
    with pytest.raises(WorkflowFinished):
        case.do(Migrate(other({"a": T})))
    with pytest.raises(MigrationRefused, match="no step 'x'"):
        begun().do(Migrate(other(OLD), frozenset({"x"})))


def test_the_history_folds_to_the_same_state_with_both_definitions() -> None:
    """Found by digest."""
    case = begun()
    new = other({**OLD, "d": T})
    case.do(Migrate(new))
    case.ok("b")
    state = fold(case.events, definition=case.definition, lookup={new.digest: new}.__getitem__)
    assert state == case.state
    assert state.definition == new
    bare = fold(case.events)
    assert bare.steps["b"].status == "succeeded"


def test_compensation_follows_the_new_definition() -> None:
    """What the new one does not know how to undo stays done."""
    case = LawCase(
        {"a": {**T, "compensate": T}, "b": {**T, "needs": ["a"], "compensate": T}, "c": {**T, "needs": ["b"]}}
    )
    case.start()
    case.ok("a")
    case.ok("b")
    case.do(Migrate(other({"a": {**T, "compensate": T}, "b": {**T, "needs": ["a"]}, "c": {**T, "needs": ["b"]}})))
    assert case.fail("c", retryable=False) == ["step.failed c", "workflow.phase_entered", "step.scheduled a.undo"]
