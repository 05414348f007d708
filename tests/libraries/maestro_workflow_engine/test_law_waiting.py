"""The law of waits, answers, signals, pauses and retries by hand."""

from typing import Any

import pytest

from maestro_workflow_engine import CommandRefused, SignalRefused, StepNotFound, StepNotWaiting, WorkflowFinished
from maestro_workflow_engine._commands import (
    Answer,
    Cancel,
    ChangePriority,
    Due,
    Pause,
    Resume,
    RetryNow,
    Signal,
    StepWaits,
)
from maestro_workflow_engine._decide_control import MAX_SIGNALS
from maestro_workflow_engine.testing import LawCase

T = {"kind": "test"}


def waiting(**on: Any) -> LawCase:
    """A workflow whose only step waits."""
    case = LawCase({"a": T})
    case.start()
    case.wait("a", memo={"round": 1}, **on)
    return case


# --- answers ---


def test_an_answer_brings_the_same_attempt_back_with_its_memo() -> None:
    """The step goes on where it had stopped."""
    case = waiting(kind="approval", title="Ship?")
    assert case.status("a") == "waiting"
    assert case.do(Answer("a", None, {"approved": True}, "eva")) == ["step.answered a"]
    wait = case.state.steps["a"].wait
    assert wait is not None
    assert (wait.memo, wait.answer, wait.by, wait.is_answered) == ({"round": 1}, {"approved": True}, "eva", True)
    assert (case.status("a"), case.state.steps["a"].attempt) == ("scheduled", 1)
    assert case.begin("a") == ["step.started a"]
    assert case.ok("a") == ["step.succeeded a", "workflow.succeeded"]


def test_nothing_is_answered_twice() -> None:
    """The second answer comes too late, and so does the time."""
    case = waiting(kind="approval", title="Ship?")
    case.do(Answer("a", None, 1))
    with pytest.raises(StepNotWaiting):
        case.do(Answer("a", None, 2))
    assert case.do(Due("a", None)) == []


def test_what_waits_for_time_alone_takes_no_answer() -> None:
    """And what does not exist neither."""
    case = LawCase({"a": T, "b": T})
    case.start()
    case.wait("a", seconds=5.0)
    with pytest.raises(StepNotWaiting):
        case.do(Answer("a", None, 1))
    with pytest.raises(StepNotWaiting):
        case.do(Answer("b", None, 1))
    with pytest.raises(StepNotFound):
        case.do(Answer("c", None, 1))


def test_time_and_answer_race_and_the_first_wins() -> None:
    """When time wins, the attempt learns that it was due."""
    case = LawCase({"a": T})
    case.start()
    case.wait("a", seconds=5.0, kind="approval", title="?")
    assert case.do(Due("a", None)) == ["step.scheduled a"]
    run = case.state.steps["a"]
    assert (run.due_at is not None, run.wait is not None and run.wait.is_answered) == (True, False)
    with pytest.raises(StepNotWaiting):
        case.do(Answer("a", None, 1))


def test_a_step_may_wait_again() -> None:
    """The earlier answer is forgotten."""
    case = waiting(kind="approval", title="1")
    case.do(Answer("a", None, 1))
    assert case.wait("a", memo=2, kind="approval", title="2") == ["step.waiting a"]
    wait = case.state.steps["a"].wait
    assert wait is not None
    assert (wait.memo, wait.is_answered) == (2, False)


def test_cancel_ends_a_wait() -> None:
    """Nobody has to answer first."""
    case = waiting(kind="approval", title="Ship?")
    assert case.do(Cancel()) == ["workflow.cancel_requested", "step.cancelled a", "workflow.cancelled"]


# --- signals ---


def test_a_signal_that_comes_first_waits_for_the_step() -> None:
    """In the order in which they came, each taken once."""
    case = LawCase({"a": T, "b": {**T, "needs": ["a"]}})
    case.start()
    assert case.do(Signal("go", 1, "s1")) == ["signal.received"]
    assert case.do(Signal("other", 0, "s2")) == ["signal.received"]
    assert case.do(Signal("go", 2, "s3")) == ["signal.received"]
    assert case.wait("a", kind="signal", name="go") == ["step.waiting a", "step.answered a"]
    assert case.state.steps["a"].wait is not None
    assert case.state.steps["a"].wait.answer == 1
    assert list(case.state.signals) == ["s2", "s3"]
    case.ok("a")
    case.wait("b", kind="signal", name="go")
    assert case.state.steps["b"].wait is not None
    assert case.state.steps["b"].wait.answer == 2


def test_a_signal_goes_to_the_step_that_waits_the_longest() -> None:
    """Each to one."""
    case = LawCase({"a": T, "b": T})
    case.start()
    case.wait("a", kind="signal", name="go")
    case.wait("b", kind="signal", name="go")
    assert case.do(Signal("no", None, "s0")) == ["signal.received"]
    assert case.do(Signal("go", None, "s1")) == ["signal.received", "step.answered a"]
    assert case.do(Signal("go", None, "s2")) == ["signal.received", "step.answered b"]
    assert list(case.state.signals) == ["s0"]


def test_the_same_signal_again_changes_nothing() -> None:
    """Also when it has been taken."""
    case = LawCase({"a": T})
    case.start()
    case.do(Signal("go", 1, "s1"))
    case.wait("a", kind="signal", name="go")
    assert case.do(Signal("go", 1, "s1")) == []


def test_signals_nobody_takes_are_bounded() -> None:
    """A flood is refused."""
    case = LawCase({"a": T})
    case.start()
    case.state.signals = {str(i): ("x", None) for i in range(MAX_SIGNALS)}
    with pytest.raises(SignalRefused):
        case.do(Signal("go", 1, "new"))


# --- pause ---


def test_pause_holds_the_status_and_resume_gives_it_back() -> None:
    """What runs may end, and what follows is scheduled: the engine holds it."""
    case = LawCase({"a": T, "b": {**T, "needs": ["a"]}})
    case.start()
    case.begin("a")
    assert case.do(Pause("lunch", "eva")) == ["workflow.paused"]
    assert case.do(Pause()) == []
    assert (case.state.status, case.state.reason) == ("paused", "lunch")
    assert case.ok("a") == ["step.succeeded a", "step.scheduled b"]
    assert case.state.status == "paused"
    assert case.do(Resume("eva")) == ["workflow.resumed"]
    assert case.do(Resume()) == []
    assert case.ok("b")[-1] == "workflow.succeeded"


def test_a_paused_workflow_can_be_cancelled() -> None:
    """It need not be resumed first."""
    case = LawCase({"a": T})
    case.start()
    case.do(Pause())
    assert case.do(Cancel()) == ["workflow.cancel_requested", "step.cancelled a", "workflow.cancelled"]


def test_what_has_ended_takes_no_command() -> None:
    """And what is being cancelled is not paused."""
    case = LawCase({"a": T})
    case.start()
    case.begin("a")
    case.do(Cancel())
    with pytest.raises(CommandRefused):
        case.do(Pause())
    case = LawCase({"a": T})
    case.start()
    case.ok("a")
    for command in (
        Pause(),
        Resume(),
        Signal("x", 1, "s"),
        Answer("a", None, 1),
        RetryNow("a", None),
        ChangePriority(1),
    ):
        with pytest.raises(WorkflowFinished):
            case.do(command)


# --- by hand ---


def test_a_retry_is_made_at_once() -> None:
    """Only one that waits for it."""
    case = LawCase({"a": {**T, "retry": 2}})
    case.start()
    with pytest.raises(StepNotWaiting):
        case.do(RetryNow("a", None))
    case.fail("a")
    assert case.do(RetryNow("a", None)) == ["step.scheduled a #2"]
    assert case.do(Due("a", None)) == []


def test_the_priority_changes() -> None:
    """Once."""
    case = LawCase({"a": T}, priority=3)
    case.start()
    assert case.state.priority == 3
    assert case.do(ChangePriority(7, "eva")) == ["workflow.priority_changed"]
    assert case.do(ChangePriority(7)) == []


def test_a_report_of_an_attempt_that_waits_is_outdated() -> None:
    """It had given its place back."""
    case = waiting(kind="approval", title="?")
    assert case.ok("a") == []
    assert case.fail("a") == []
    assert case.do(StepWaits("a", None, 1, 1.0)) == []
