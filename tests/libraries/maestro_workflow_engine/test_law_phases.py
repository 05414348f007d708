"""The law of compensation, on_failure and finally, and of what ends a workflow early."""

from typing import Any

from maestro_workflow_engine._commands import Cancel, Recover, Skip, StepStopped, TimeUp
from maestro_workflow_engine.testing import LawCase

T = {"kind": "test"}
UNDO = {"kind": "test", "with": {"what": "${{ output }}"}}
SAGA: dict[str, Any] = {
    "book": {**T, "compensate": UNDO},
    "pay": {**T, "needs": ["book"], "compensate": UNDO},
    "send": {**T, "needs": ["pay"]},
}


def test_a_failure_undoes_what_was_done_in_reverse_order() -> None:
    """One after the other; what has no compensation is left alone."""
    case = LawCase(SAGA)
    case.start()
    case.ok("book")
    case.ok("pay")
    assert case.fail("send", retryable=False) == [
        "step.failed send",
        "workflow.phase_entered",
        "step.scheduled pay.undo",
    ]
    assert case.ok("pay.undo") == ["step.succeeded pay.undo", "step.scheduled book.undo"]
    assert case.ok("book.undo") == ["step.succeeded book.undo", "workflow.failed send"]


def test_a_success_undoes_nothing() -> None:
    """And the steps of later phases are not shown."""
    case = LawCase(SAGA)
    case.start()
    case.ok("book")
    case.ok("pay")
    assert case.ok("send") == ["step.succeeded send", "workflow.succeeded"]
    assert set(case.state.as_json()["steps"]) == {"book", "pay", "send"}  # type: ignore[arg-type]  # it is a mapping


def test_a_failing_compensation_does_not_keep_the_others_from_it() -> None:
    """The workflow fails with what failed first."""
    case = LawCase(SAGA)
    case.start()
    case.ok("book")
    case.ok("pay")
    case.fail("send", retryable=False)
    assert case.fail("pay.undo", retryable=False) == ["step.failed pay.undo", "step.scheduled book.undo"]
    case.ok("book.undo")
    assert (case.state.status, case.state.failed_step) == ("failed", "send")


def test_items_are_undone_one_by_one_the_last_first() -> None:
    """Only those that had succeeded."""
    case = LawCase({"m": {**T, "map": {"items": [1, 2, 3]}, "compensate": UNDO}})
    case.start()
    case.ok("m", item=2)
    case.ok("m", item=0)
    assert case.fail("m", item=1, retryable=False) == [
        "step.failed m[1]", "step.failed m", "workflow.phase_entered", "step.scheduled m.undo[0]",
    ]  # fmt: skip
    assert case.ok("m.undo", item=0) == ["step.succeeded m.undo[0]", "step.scheduled m.undo[2]"]
    assert case.ok("m.undo", item=2) == ["step.succeeded m.undo[2]", "workflow.failed m[1]"]


def test_a_compensation_can_be_skipped() -> None:
    """By a person who has done it by hand."""
    case = LawCase(SAGA)
    case.start()
    case.ok("book")
    case.fail("pay", retryable=False)
    assert case.do(Skip("book.undo", None)) == ["step.skipped book.undo", "workflow.failed pay"]


BLOCKS = {"on_failure": {"tell": T}, "finally": {"clean": T, "report": {**T, "needs": ["clean"]}}}


def test_finally_runs_after_success() -> None:
    """And the outputs are there at the end."""
    case = LawCase({"a": T}, **BLOCKS, outputs={"x": "${{ steps.a.output }}"})
    case.start()
    assert case.ok("a", 7) == ["step.succeeded a", "workflow.phase_entered", "step.scheduled clean"]
    assert case.ok("clean") == ["step.succeeded clean", "step.scheduled report"]
    assert case.ok("report") == ["step.succeeded report", "workflow.succeeded"]
    assert case.state.outputs == {"x": 7}


def test_on_failure_runs_before_finally() -> None:
    """Both see what has happened."""
    seen = {
        "${{ workflow.status }}": "failed",
        "${{ workflow.failed_step }}": "a",
        "${{ workflow.error.code }}": "test.bad",
    }
    for expression, value in seen.items():
        blocks = {
            "on_failure": {"tell": {**T, "when": "${{ " + expression[4:-3] + f" == '{value}' " + "}}"}},
            "finally": {"clean": T},
        }
        case = LawCase({"a": T}, **blocks)
        case.start()
        assert case.fail("a", retryable=False) == ["step.failed a", "workflow.phase_entered", "step.scheduled tell"]
        assert case.ok("tell") == ["step.succeeded tell", "workflow.phase_entered", "step.scheduled clean"]
        assert case.ok("clean") == ["step.succeeded clean", "workflow.failed a"]


def test_a_failure_in_finally_fails_a_workflow_that_had_succeeded() -> None:
    """Steps beside it still run; those behind it do not."""
    case = LawCase({"a": T}, **{"finally": {"x": T, "y": T, "z": {**T, "needs": ["x"]}}})
    case.start()
    case.ok("a")
    assert case.fail("x", retryable=False) == ["step.failed x"]
    assert case.ok("y") == ["step.succeeded y", "workflow.failed x"]
    assert (case.state.failed_step, case.status("z")) == ("x", "pending")


def test_outputs_that_cannot_be_made_are_a_failure_with_all_its_phases() -> None:
    """Also what was done is undone."""
    case = LawCase({"a": {**T, "compensate": UNDO}}, outputs={"x": "${{ steps.a.output.missing }}"})
    case.start()
    assert case.ok("a", {}) == ["step.succeeded a", "workflow.phase_entered", "step.scheduled a.undo"]
    assert case.ok("a.undo") == ["step.succeeded a.undo", "workflow.failed"]
    assert case.state.error is not None
    assert case.state.error["code"] == "workflow.expression-failed"


# --- cancel ---


def test_cancel_undoes_and_cleans_up() -> None:
    """on_failure is for failures alone."""
    case = LawCase(SAGA, **BLOCKS)
    case.start()
    case.ok("book")
    case.begin("pay")
    assert case.do(Cancel("enough", "eva")) == ["workflow.cancel_requested"]
    assert case.do(StepStopped("pay", None, 1)) == [
        "step.cancelled pay",
        "workflow.phase_entered",
        "step.scheduled book.undo",
    ]
    assert case.ok("book.undo") == ["step.succeeded book.undo", "workflow.phase_entered", "step.scheduled clean"]
    case.ok("clean")
    assert case.ok("report") == ["step.succeeded report", "workflow.cancelled"]
    assert (case.state.status, case.state.reason) == ("cancelled", "enough")


def test_cancel_during_the_clean_up_lets_it_end() -> None:
    """A second one with force does not."""
    case = LawCase(SAGA)
    case.start()
    case.ok("book")
    case.fail("pay", retryable=False)
    assert case.do(Cancel()) == ["workflow.cancel_requested"]
    assert case.do(Cancel()) == []
    assert case.do(Cancel(force=True)) == [
        "workflow.cancel_requested",
        "step.cancelled book.undo",
        "workflow.cancelled",
    ]


def test_a_forced_cancel_leaves_the_clean_up_out() -> None:
    """What runs is still waited for."""
    case = LawCase(SAGA, **BLOCKS)
    case.start()
    case.ok("book")
    case.begin("pay")
    assert case.do(Cancel(force=True)) == ["workflow.cancel_requested"]
    assert case.do(StepStopped("pay", None, 1)) == ["step.cancelled pay", "workflow.cancelled"]


def test_after_a_crash_a_cancel_goes_on_to_the_clean_up() -> None:
    """And a clean-up that was under way goes on."""
    case = LawCase(SAGA)
    case.start()
    case.ok("book")
    case.begin("pay")
    case.do(Cancel())
    assert case.do(Recover()) == ["step.cancelled pay", "workflow.phase_entered", "step.scheduled book.undo"]
    case.begin("book.undo")
    assert case.do(Recover()) == []
    assert case.ok("book.undo") == ["step.succeeded book.undo", "workflow.cancelled"]


# --- time ---


def test_a_workflow_whose_time_is_up_fails_and_cleans_up() -> None:
    """The clean-up has no time limit."""
    case = LawCase(SAGA, timeout_s=60)
    case.start()
    case.ok("book")
    case.begin("pay")
    assert case.do(TimeUp()) == ["workflow.timed_out"]
    assert case.do(StepStopped("pay", None, 1)) == [
        "step.cancelled pay",
        "workflow.phase_entered",
        "step.scheduled book.undo",
    ]
    assert case.do(TimeUp()) == []
    assert case.ok("book.undo") == ["step.succeeded book.undo", "workflow.failed"]
    assert case.state.error is not None
    assert case.state.error["code"] == "workflow.timed-out"


def test_after_a_crash_what_ran_out_of_time_is_stopped() -> None:
    """As a cancel is."""
    case = LawCase({"a": T}, timeout_s=60)
    case.start()
    case.begin("a")
    case.do(TimeUp())
    assert case.do(Recover()) == ["step.cancelled a", "workflow.failed"]


def test_time_is_no_matter_for_what_has_ended_or_never_had_a_limit() -> None:
    """A late timer changes nothing."""
    case = LawCase({"a": T})
    case.start()
    assert case.do(TimeUp()) == []
    case = LawCase({"a": T}, timeout_s=1)
    case.start()
    case.ok("a")
    assert case.do(TimeUp()) == []
