"""The law of a workflow, rule by rule."""

from datetime import timedelta
from typing import Any

import pytest

from maestro_workflow_engine import WorkflowFinished, fold
from maestro_workflow_engine._commands import Cancel, Due, Recover, StepStopped, StepSucceeded, StepWaits
from maestro_workflow_engine._decide import decide
from maestro_workflow_engine.testing import LawCase

NOW = LawCase.NOW


def step(**rest: Any) -> dict[str, Any]:
    """A step of some kind."""
    return {"kind": "test", **rest}


def test_roots_are_scheduled_at_once_and_others_when_their_needs_are_met() -> None:
    """A step is scheduled in the decision that satisfies its last need."""
    case = LawCase({"a": step(), "b": step(), "c": step(needs=["a", "b"])})
    assert case.start() == ["workflow.started", "step.scheduled a", "step.scheduled b"]
    assert case.ok("b") == ["step.succeeded b"]
    assert case.ok("a") == ["step.succeeded a", "step.scheduled c"]
    assert case.ok("c") == ["step.succeeded c", "workflow.succeeded"]


def test_outputs_of_the_workflow_are_rendered_from_its_steps() -> None:
    """The outputs hold what the steps gave, with their types."""
    case = LawCase({"a": step()}, outputs={"n": "${{ steps.a.output.n }}", "text": "got ${{ steps.a.output.n }}"})
    case.start()
    case.ok("a", {"n": 3})
    assert case.state.outputs == {"n": 3, "text": "got 3"}
    assert case.state.status == "succeeded"


def test_outputs_that_cannot_be_rendered_fail_the_workflow_and_say_where() -> None:
    """A missing value in `outputs` is an error of the workflow, with its place."""
    case = LawCase({"a": step()}, outputs={"n": "${{ steps.a.output.n }}"})
    case.start()
    assert case.ok("a", {"m": 3}) == ["step.succeeded a", "workflow.failed"]
    assert case.state.error is not None
    assert str(case.state.error["message"]).startswith("/outputs/n: ")
    assert case.state.failed_step is None


def test_a_skipped_step_satisfies_its_dependents() -> None:
    """`when` false skips a step, gives null, and the next step may test for it."""
    case = LawCase(
        {
            "a": step(when="${{ inputs.deep }}"),
            "b": step(when="${{ steps.a.status == 'skipped' && steps.a.output == null }}"),
            "c": step(needs=["b"]),
        },
        inputs={"deep": {"type": "boolean"}},
    )
    assert case.start(deep=False) == ["workflow.started", "step.skipped a", "step.scheduled b"]
    assert case.state.steps["a"].status == "skipped"


def test_a_workflow_whose_steps_are_all_skipped_succeeds_at_its_start() -> None:
    """Nothing is left to wait for."""
    case = LawCase({"a": step(when="${{ false }}"), "b": step(when="${{ steps.a.status != 'skipped' }}")})
    assert case.start() == ["workflow.started", "step.skipped a", "step.skipped b", "workflow.succeeded"]


def test_a_condition_that_is_no_boolean_fails_the_step() -> None:
    """A text is neither true nor false."""
    case = LawCase({"a": step(), "b": step(when="${{ steps.a.output }}")})
    case.start()
    assert case.ok("a", "no") == ["step.succeeded a", "step.failed b", "workflow.failed b"]
    assert case.state.error == {
        "code": "workflow.condition-not-boolean",
        "message": "/when: true or false was expected, a string came: compare it with something",
        "retryable": False,
    }


def test_a_condition_that_cannot_be_evaluated_fails_the_step_with_its_path() -> None:
    """The error names step and path, and running steps are let finish."""
    case = LawCase({"a": step(), "b": step(when="${{ steps.a.output.n > 1 }}"), "c": step()})
    case.start()
    case.begin("c")
    assert case.ok("a", {}) == ["step.succeeded a", "step.failed b"]
    assert case.ok("c") == ["step.succeeded c", "workflow.failed b"]
    assert case.state.error is not None
    assert str(case.state.error["message"]).startswith("/when: ")


def test_a_failure_in_the_same_decision_ends_what_it_has_just_scheduled() -> None:
    """A root that cannot even be judged leaves nothing behind."""
    case = LawCase({"a": step(), "b": step(when="${{ 1 / 0 > 1 }}"), "c": step()})
    assert case.start() == [
        "workflow.started",
        "step.scheduled a",
        "step.failed b",
        "step.cancelled a",
        "workflow.failed b",
    ]
    assert not case.state.in_flight


def test_a_failure_lets_running_steps_finish_and_starts_nothing_new() -> None:
    """What runs is kept, what only was scheduled is cancelled, and then the workflow fails with the first error."""
    case = LawCase({"a": step(), "b": step(), "c": step(), "d": step(needs=["b"])})
    case.start()
    case.begin("a")
    case.begin("b")
    assert case.fail("a") == ["step.failed a", "step.cancelled c"]
    assert case.state.status == "running"
    assert case.ok("b", 7) == ["step.succeeded b", "workflow.failed a"]
    assert case.state.steps["b"].output == 7
    assert case.state.steps["d"].status == "pending"
    assert case.state.error == {"code": "test.bad", "message": "bad luck", "retryable": True}


def test_retries_wait_longer_each_time_and_then_fail() -> None:
    """The delays follow the policy, and the last failure has none."""
    retry = {"max_attempts": 3, "initial_delay_s": 2, "multiplier": 3, "jitter": 0}
    case = LawCase({"a": step(retry=retry)})
    case.start()
    case.begin("a")
    assert case.fail("a") == ["step.failed a"]
    assert case.state.steps["a"].status == "retrying"
    assert case.state.steps["a"].due_at == NOW + timedelta(seconds=2)
    assert case.do(Due("a", None)) == ["step.scheduled a #2"]
    assert case.state.steps["a"].due_at is None, "a new attempt is not the rest of a waiting one"
    case.begin("a", attempt=2)
    case.fail("a", attempt=2)
    assert case.state.steps["a"].due_at == NOW + timedelta(seconds=6)
    case.do(Due("a", None))
    assert case.fail("a", attempt=3) == ["step.failed a", "workflow.failed a"]


def test_an_error_that_no_retry_can_mend_is_not_retried() -> None:
    """`retryable` False ends the step at once."""
    case = LawCase({"a": step(retry=5)})
    case.start()
    assert case.fail("a", retryable=False) == ["step.failed a", "workflow.failed a"]


@pytest.mark.parametrize(("asked_s", "waited_s"), [(5.0, 5.0), (0.1, 1.0), (3600.0, 30.0)])
def test_retry_after_is_honoured_up_to_the_longest_delay(asked_s: float, waited_s: float) -> None:
    """What the other side asks for lengthens the wait, but not beyond `max_delay_s`."""
    case = LawCase({"a": step(retry={"max_attempts": 2, "initial_delay_s": 1, "max_delay_s": 30, "jitter": 0})})
    case.start()
    case.fail("a", after_s=asked_s)
    assert case.state.steps["a"].due_at == NOW + timedelta(seconds=waited_s)


def test_a_failure_elsewhere_ends_what_waits_for_a_retry() -> None:
    """A retry would be something new."""
    case = LawCase({"a": step(retry=3), "b": step()})
    case.start()
    case.fail("a")
    assert case.fail("b") == ["step.failed b", "step.cancelled a", "workflow.failed b"]
    assert case.do(Due("a", None)) == []


def test_cancel_stops_what_runs_and_drops_the_rest() -> None:
    """The workflow is cancelled once the last running step has been stopped; asking again changes nothing."""
    case = LawCase({"a": step(), "b": step(), "c": step(needs=["a"])})
    case.start()
    case.begin("a")
    assert case.do(Cancel("enough")) == ["workflow.cancel_requested", "step.cancelled b"]
    assert case.state.status == "cancelling"
    assert case.do(Cancel("again")) == []
    assert case.do(StepStopped("a", None, 1)) == ["step.cancelled a", "workflow.cancelled"]
    assert case.state.reason == "enough"
    assert case.do(Cancel()) == []


def test_a_result_that_comes_after_cancel_is_kept() -> None:
    """A step that ends before it is stopped has ended."""
    case = LawCase({"a": step(), "b": step(needs=["a"])})
    case.start()
    case.begin("a")
    case.do(Cancel())
    assert case.ok("a", 1) == ["step.succeeded a", "workflow.cancelled"]
    assert case.state.steps["a"].output == 1


def test_a_failure_after_cancel_is_not_retried() -> None:
    """Cancelled is cancelled."""
    case = LawCase({"a": step(retry=5)})
    case.start()
    case.begin("a")
    case.do(Cancel())
    assert case.fail("a") == ["step.failed a", "workflow.cancelled"]


def test_a_finished_workflow_cannot_be_cancelled() -> None:
    """It is too late."""
    case = LawCase({"a": step()})
    case.start()
    case.ok("a")
    with pytest.raises(WorkflowFinished, match="has succeeded already"):
        case.do(Cancel())


def test_a_waiting_step_goes_on_with_the_same_attempt() -> None:
    """A wait is no failure: the attempt keeps its number and learns when it was due."""
    case = LawCase({"a": step()})
    case.start()
    case.begin("a")
    assert case.do(StepWaits("a", None, 1, 60.0)) == ["step.waiting a"]
    assert case.state.steps["a"].status == "waiting"
    assert case.do(Due("a", None)) == ["step.scheduled a"]
    assert case.state.steps["a"].attempt == 1
    assert case.state.steps["a"].due_at == NOW + timedelta(seconds=60)
    assert case.ok("a")[-1] == "workflow.succeeded"


def test_outdated_reports_change_nothing() -> None:
    """A report about another attempt, or about one that has ended, is no news."""
    case = LawCase({"a": step(retry=2), "b": step(needs=["a"])})
    case.start()
    assert case.ok("a", attempt=2) == []
    case.fail("a")
    assert case.ok("a") == []
    case.do(Due("a", None))
    case.ok("a", attempt=2)
    assert case.ok("a", attempt=2) == []
    assert case.fail("a", attempt=2) == []
    assert case.begin("a", attempt=2) == []


def test_a_start_counts_once() -> None:
    """A second start of the same workflow gives nothing."""
    case = LawCase({"a": step()})
    case.start()
    assert case.start() == []


def test_recovery_ends_a_workflow_that_was_being_cancelled() -> None:
    """What ran when the process died does not run any more, so it has been stopped."""
    case = LawCase({"a": step(), "b": step()})
    case.start()
    case.begin("a")
    case.do(Cancel("bye"))
    assert case.do(Recover()) == ["step.cancelled a", "workflow.cancelled"]


def test_recovery_leaves_attempts_as_they_are() -> None:
    """The runner takes them up again under the same number."""
    case = LawCase({"a": step(retry=3)})
    case.start()
    case.begin("a")
    assert case.do(Recover()) == []
    assert case.begin("a") == ["step.started a"]
    assert case.state.steps["a"].attempt == 1


def test_decide_leaves_the_state_alone() -> None:
    """Deciding twice gives the same."""
    case = LawCase({"a": step(), "b": step(needs=["a"])})
    case.start()
    before = fold((), case.state)
    command = StepSucceeded("a", None, 1, {"n": 1})
    assert decide(case.state, command, now=NOW) == decide(case.state, command, now=NOW)
    assert case.state == before
