"""The law of joins, loops, tolerated failures and skipped steps."""

import pytest

from maestro_workflow_engine import StepEnded, StepNotFound
from maestro_workflow_engine._commands import Due, Skip, StepSucceeded
from maestro_workflow_engine.testing import LawCase

T = {"kind": "test"}
RACE = {"a": {**T, "on_error": "continue"}, "b": {**T, "on_error": "continue"}, "c": {**T, "on_error": "continue"}}


def race(join: object) -> LawCase:
    """Three steps that may fail, and one that joins them."""
    case = LawCase({**RACE, "end": {**T, "needs": ["a", "b", "c"], "join": join}})
    case.start()
    return case


# --- joins ---


def test_any_goes_on_with_the_first_that_succeeds_and_lets_the_others_end() -> None:
    """The workflow ends when all have ended."""
    case = race("any")
    assert case.fail("a", retryable=False) == ["step.failed a"]
    assert case.ok("b") == ["step.succeeded b", "step.scheduled end"]
    assert case.ok("end") == ["step.succeeded end"]
    assert case.ok("c") == ["step.succeeded c", "workflow.succeeded"]


def test_two_of_three_go_on_with_the_second_that_succeeds() -> None:
    """A later one does not begin the step again."""
    case = race(2)
    assert case.ok("c") == ["step.succeeded c"]
    assert case.ok("a") == ["step.succeeded a", "step.scheduled end"]
    assert case.ok("b") == ["step.succeeded b"]
    assert case.ok("end") == ["step.succeeded end", "workflow.succeeded"]


def test_cancel_rest_skips_what_has_not_ended() -> None:
    """Their late reports change nothing."""
    case = race({"count": "any", "cancel_rest": True})
    case.begin("a")
    assert case.ok("b") == ["step.succeeded b", "step.skipped a", "step.skipped c", "step.scheduled end"]
    assert case.ok("a") == []
    assert case.ok("end") == ["step.succeeded end", "workflow.succeeded"]


def test_a_join_that_cannot_succeed_any_more_fails_at_once() -> None:
    """It does not wait for the rest."""
    case = race(2)
    case.fail("a", retryable=False)
    case.begin("c")
    assert case.fail("b", retryable=False) == ["step.failed b", "step.failed end"]
    assert case.state.steps["end"].error is not None
    assert case.state.steps["end"].error["code"] == "workflow.join-impossible"
    assert case.ok("c") == ["step.succeeded c", "workflow.failed end"]


def test_a_step_that_was_skipped_does_not_count_for_a_join_with_a_number() -> None:
    """Only success counts there; for `all` a skipped step is fine."""
    steps = {"a": {**T, "when": False}, "b": T}
    case = LawCase({**steps, "end": {**T, "needs": ["a", "b"], "join": 2}})
    assert case.start() == [
        "workflow.started", "step.skipped a", "step.scheduled b", "step.failed end", "step.cancelled b",
        "workflow.failed end",
    ]  # fmt: skip
    case = LawCase({**steps, "end": {**T, "needs": ["a", "b"]}})
    case.start()
    assert case.ok("b") == ["step.succeeded b", "step.scheduled end"]


# --- tolerated failures ---


def test_a_tolerated_failure_lets_the_workflow_go_on() -> None:
    """Its output is null, its error can be read, and those that need it run."""
    case = LawCase(
        {
            "a": {**T, "on_error": "continue"},
            "b": {**T, "when": "${{ steps.a.status == 'failed' && steps.a.error.code == 'test.bad' }}"},
        }
    )
    case.start()
    assert case.fail("a", retryable=False) == ["step.failed a", "step.scheduled b"]
    assert case.ok("b") == ["step.succeeded b", "workflow.succeeded"]


def test_items_of_a_tolerant_step_fail_alone_and_give_null() -> None:
    """The others go on, and the step succeeds."""
    case = LawCase({"m": {**T, "map": {"items": [1, 2, 3], "max_parallel": 1}, "on_error": "continue"}})
    case.start()
    assert case.ok("m", "x", item=0) == ["step.succeeded m[0]", "step.scheduled m[1]"]
    assert case.fail("m", item=1, retryable=False) == ["step.failed m[1]", "step.scheduled m[2]"]
    assert case.ok("m", "z", item=2) == ["step.succeeded m[2]", "step.succeeded m", "workflow.succeeded"]
    assert case.state.steps["m"].output == ["x", None, "z"]


def test_a_tolerant_step_that_cannot_begin_is_passed_over() -> None:
    """Also a condition that fails is tolerated."""
    case = LawCase(
        {"a": {**T, "when": "${{ inputs.n }}", "on_error": "continue"}, "b": {**T, "needs": ["a"]}},
        inputs={"n": {"type": "integer"}},
    )
    assert case.start(n=1) == ["workflow.started", "step.failed a", "step.scheduled b"]


# --- loops ---


LOOP = {**T, "repeat": {"until": "${{ output.n >= 3 }}", "max_iterations": 5}}


def test_a_step_repeats_until_its_condition_is_true() -> None:
    """Attempts count on, and the last output is the output."""
    case = LawCase({"a": LOOP, "b": {**T, "needs": ["a"]}})
    case.start()
    assert case.ok("a", {"n": 1}) == ["step.repeated a", "step.scheduled a #2"]
    assert (case.state.steps["a"].iteration, case.state.steps["a"].output) == (2, {"n": 1})
    assert case.ok("a", {"n": 2}, attempt=2) == ["step.repeated a", "step.scheduled a #3"]
    assert case.ok("a", {"n": 3}, attempt=3) == ["step.succeeded a", "step.scheduled b"]
    assert case.state.steps["a"].output == {"n": 3}


def test_each_iteration_has_all_its_retries() -> None:
    """Failures of an earlier one do not count."""
    case = LawCase({"a": {**LOOP, "retry": {"max_attempts": 2, "initial_delay_s": 1, "max_delay_s": 1}}})
    case.start()
    case.fail("a")
    assert case.do(Due("a", None)) == ["step.scheduled a #2"]
    assert case.ok("a", {"n": 1}, attempt=2) == ["step.repeated a", "step.scheduled a #3"]
    assert case.fail("a", attempt=3) == ["step.failed a"]
    assert case.status("a") == "retrying"
    case.do(Due("a", None))
    assert case.fail("a", attempt=4) == ["step.failed a", "workflow.failed a"]


def test_a_loop_that_never_ends_fails_at_its_bound() -> None:
    """It says how often it ran."""
    case = LawCase({"a": {**T, "repeat": {"until": "${{ false }}", "max_iterations": 2}}})
    case.start()
    case.ok("a", 1)
    assert case.ok("a", 2, attempt=2) == ["step.failed a", "workflow.failed a"]
    assert case.state.error is not None
    assert case.state.error["code"] == "workflow.repeat-exhausted"


def test_a_delay_between_iterations_is_a_timer() -> None:
    """The next attempt is a new one, and knows nothing of a wait."""
    case = LawCase({"a": {**T, "repeat": {"until": "${{ iteration == 2 }}", "max_iterations": 3, "delay_s": 60}}})
    case.start()
    assert case.ok("a", 1) == ["step.repeated a"]
    assert (case.status("a"), case.state.steps["a"].wait) == ("waiting", None)
    assert case.do(Due("a", None)) == ["step.scheduled a #2"]
    assert case.state.steps["a"].due_at is None
    assert case.ok("a", 2, attempt=2) == ["step.succeeded a", "workflow.succeeded"]


@pytest.mark.parametrize("until", ["${{ output.missing }}", "${{ output }}", "${{ iteration / 0 }}"])
def test_a_condition_that_cannot_be_worked_out_fails_the_step(until: str) -> None:
    """Not the engine."""
    case = LawCase({"a": {**T, "repeat": {"until": until, "max_iterations": 3}}})
    case.start()
    assert case.ok("a", {"n": 1}) == ["step.failed a", "workflow.failed a"]


def test_a_loop_ends_when_another_step_has_failed() -> None:
    """Nothing new starts then."""
    case = LawCase({"a": LOOP, "b": T})
    case.start()
    case.begin("a")
    case.fail("b", retryable=False)
    assert case.ok("a", {"n": 1}) == ["step.cancelled a", "workflow.failed b"]


def test_items_repeat_each_for_itself() -> None:
    """One may be done before the other."""
    case = LawCase({"m": {**LOOP, "map": {"items": [1, 2]}}})
    case.start()
    assert case.ok("m", {"n": 3}, item=0) == ["step.succeeded m[0]"]
    assert case.ok("m", {"n": 1}, item=1) == ["step.repeated m[1]", "step.scheduled m[1] #2"]
    assert case.ok("m", {"n": 4}, item=1, attempt=2)[-1] == "workflow.succeeded"


# --- skipping ---


def test_a_step_is_skipped_whatever_it_is_doing() -> None:
    """Its output is what was given, and what it was doing counts no more."""
    for prepare in ("pending", "scheduled", "running", "waiting", "retrying"):
        case = LawCase(
            {"first": T, "a": {**T, "needs": ["first"], "retry": 2}, "b": {**T, "with": {"x": "${{ steps.a.output }}"}}}
        )
        case.start()
        if prepare != "pending":
            case.ok("first")
        if prepare == "running":
            case.begin("a")
        if prepare == "waiting":
            case.wait("a", seconds=5.0)
        if prepare == "retrying":
            case.fail("a")
        assert case.status("a") == prepare
        events = case.do(Skip("a", None, {"given": 1}, "no time", "eva"))
        assert events == ["step.skipped a", "step.scheduled b"], prepare
        assert case.state.steps["a"].output == {"given": 1}
        assert case.events[-2].data["by"] == "eva"
        assert case.do(StepSucceeded("a", None, 1, "late")) == []
        if prepare == "pending":
            assert case.ok("first") == ["step.succeeded first"]
        assert case.ok("b") == ["step.succeeded b", "workflow.succeeded"]


def test_one_item_is_skipped_and_the_others_go_on() -> None:
    """Also one that had not begun."""
    case = LawCase({"m": {**T, "map": {"items": [1, 2, 3], "max_parallel": 1}}})
    case.start()
    assert case.do(Skip("m", 1)) == ["step.skipped m[1]"]
    assert case.do(Skip("m", 0, "zero")) == ["step.skipped m[0]", "step.scheduled m[2]"]
    assert case.ok("m", "two", item=2) == ["step.succeeded m[2]", "step.succeeded m", "workflow.succeeded"]
    assert case.state.steps["m"].output == ["zero", None, "two"]


def test_a_mapped_step_is_skipped_whole() -> None:
    """All its items leave."""
    case = LawCase({"m": {**T, "map": {"items": [1, 2, 3]}}, "b": {**T, "needs": ["m"]}})
    case.start()
    assert case.do(Skip("m", None)) == ["step.skipped m", "step.scheduled b"]
    assert case.ok("m", item=0) == []
    assert case.ok("b") == ["step.succeeded b", "workflow.succeeded"]


def test_what_cannot_be_skipped_is_refused_and_nothing_changes() -> None:
    """Ended steps, and steps and items that do not exist."""
    case = LawCase({"a": T, "m": {**T, "map": {"items": [1]}, "needs": ["a"]}})
    case.start()
    for command in (Skip("x", None), Skip("m", 0), Skip("a", 0), Skip("a", -1)):
        with pytest.raises(StepNotFound):
            case.do(command)
    case.ok("a")
    with pytest.raises(StepEnded):
        case.do(Skip("a", None))
    with pytest.raises(StepNotFound):
        case.do(Skip("m", 1))
