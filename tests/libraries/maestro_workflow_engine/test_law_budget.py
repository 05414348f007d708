"""The law of budgets: reserved before a call, held over parallel steps, settled by what was used."""

from datetime import timedelta
from typing import Any

import pytest

from maestro_workflow_engine import StepNotWaiting
from maestro_workflow_engine._commands import Answer, Cancel, ChangeBudget, Due, Recover, Skip, StepSucceeded
from maestro_workflow_engine.testing import LawCase


def paid(cost: Any = 4, **rest: Any) -> dict[str, Any]:
    """A step that costs tokens."""
    return {"kind": "test", "cost": {"tokens": cost}, **rest}


def test_parallel_steps_reserve_together_and_the_one_too_many_waits() -> None:
    """It is told what it lacks."""
    case = LawCase({"a": paid(), "b": paid(), "c": paid()}, budget={"tokens": 10})
    assert case.start() == ["workflow.started", "step.scheduled a", "step.scheduled b", "step.waiting c"]
    assert case.state.reserved == {"tokens": 8}
    wait = case.state.steps["c"].wait
    assert wait is not None
    assert wait.on == {"kind": "budget", "unit": "tokens", "needed": 4.0, "left": 2.0}


def test_what_is_left_over_admits_the_one_that_waits() -> None:
    """What a step says it used counts, else what it had reserved."""
    case = LawCase({"a": paid(), "b": paid(), "c": paid()}, budget={"tokens": 10})
    case.start()
    assert case.ok("a") == ["step.succeeded a"]
    assert case.state.spent == {"tokens": 4}
    assert case.do(StepSucceeded("b", None, 1, None, usage={"tokens": 1})) == ["step.succeeded b", "step.scheduled c"]
    assert (case.state.spent, case.state.reserved) == ({"tokens": 5}, {"tokens": 4})
    assert case.ok("c")[-1] == "workflow.succeeded"
    assert (case.state.spent, case.state.reserved) == ({"tokens": 9}, {})


def test_a_raised_budget_lets_the_workflow_go_on() -> None:
    """Nothing else answers such a wait."""
    case = LawCase({"a": paid(20)}, budget={"tokens": 10})
    assert case.start() == ["workflow.started", "step.waiting a"]
    with pytest.raises(StepNotWaiting):
        case.do(Answer("a", None, "please"))
    assert case.do(Due("a", None)) == []
    assert case.do(ChangeBudget({"tokens": 19})) == ["workflow.budget_changed"]
    assert case.do(ChangeBudget({"tokens": 20}, "eva")) == ["workflow.budget_changed", "step.scheduled a"]
    assert case.ok("a")[-1] == "workflow.succeeded"


def test_units_without_a_limit_are_free() -> None:
    """And are counted all the same."""
    case = LawCase({"a": {"kind": "test", "cost": {"calls": 1, "tokens": 5}}}, budget={"tokens": 5})
    case.start()
    case.ok("a")
    assert case.state.spent == {"calls": 1, "tokens": 5}


def test_without_a_budget_nothing_is_reserved_but_usage_is_counted() -> None:
    """For the bill."""
    case = LawCase({"a": paid()})
    case.start()
    assert case.state.reserved == {}
    case.do(StepSucceeded("a", None, 1, None, usage={"money_usd": 0.5}))
    assert case.state.spent == {"money_usd": 0.5}


def test_each_attempt_reserves_anew() -> None:
    """A failed one has cost what it cost."""
    case = LawCase({"a": paid(retry=5)}, budget={"tokens": 10})
    case.start()
    case.fail("a")
    assert (case.state.spent, case.state.reserved) == ({"tokens": 4}, {})
    assert case.do(Due("a", None)) == ["step.scheduled a #2"]
    case.fail("a", attempt=2)
    assert case.do(Due("a", None)) == ["step.waiting a"]
    assert case.do(ChangeBudget({"tokens": 12})) == ["workflow.budget_changed", "step.scheduled a #3"]


def test_time_is_what_it_took() -> None:
    """By the clock of the journal."""
    case = LawCase({"a": {"kind": "test", "cost": {"time_s": 60}}}, budget={"time_s": 100})
    case.start()
    case.begin("a")
    case.do(StepSucceeded("a", None, 1, None), now=case.NOW + timedelta(seconds=7))
    assert case.state.spent == {"time_s": 7}


def test_a_wait_keeps_what_was_reserved() -> None:
    """A second attempt to begin does not reserve twice."""
    case = LawCase({"a": paid()}, budget={"tokens": 5})
    case.start()
    case.wait("a", seconds=3.0)
    assert case.state.reserved == {"tokens": 4}
    assert case.do(Due("a", None)) == ["step.scheduled a"]
    assert case.state.reserved == {"tokens": 4}


def test_items_wait_one_at_a_time() -> None:
    """Ten thousand items do not make ten thousand waits."""
    case = LawCase({"m": paid(map={"items": "${{ range(50) }}"})}, budget={"tokens": 8})
    assert case.start() == [
        "workflow.started", "step.expanded m", "step.scheduled m[0]", "step.scheduled m[1]", "step.waiting m[2]",
    ]  # fmt: skip
    assert case.do(ChangeBudget({"tokens": 16})) == [
        "workflow.budget_changed", "step.scheduled m[2]", "step.scheduled m[3]", "step.waiting m[4]",
    ]  # fmt: skip


def test_a_waiting_step_is_skipped_and_cancelled_like_any_other() -> None:
    """And gives back nothing that it did not have."""
    case = LawCase({"a": paid(20), "b": paid(20)}, budget={"tokens": 10})
    case.start()
    assert case.do(Skip("a", None)) == ["step.skipped a"]
    assert case.do(Cancel()) == ["workflow.cancel_requested", "step.cancelled b", "workflow.cancelled"]
    assert (case.state.spent, case.state.reserved, case.state.starved) == ({}, {}, {})


def test_what_is_stopped_while_it_runs_counts_in_full() -> None:
    """Nobody knows what it has used."""
    case = LawCase({"a": paid()}, budget={"tokens": 10})
    case.start()
    case.begin("a")
    case.do(Cancel())
    case.do(Recover())
    assert (case.state.spent, case.state.reserved) == ({"tokens": 4}, {})


@pytest.mark.parametrize(
    "cost", ["${{ 'many' }}", "${{ 0 - 1 }}", "${{ null }}", "${{ inputs.missing.x }}", "${{ true }}"]
)
def test_a_cost_that_is_no_number_fails_the_step(cost: str) -> None:
    """Whenever it is worked out; the engine goes on."""
    case = LawCase({"a": paid(cost)}, budget={"tokens": 10}, inputs={"missing": {"type": "object", "default": {}}})
    assert case.start() == ["workflow.started", "step.failed a", "workflow.failed a"]
