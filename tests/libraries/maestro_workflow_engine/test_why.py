"""Why is it waiting? Each cause, in words that help at three in the morning."""

from datetime import timedelta
from typing import Any

from maestro_workflow_engine import Cause
from maestro_workflow_engine._commands import (
    Answer,
    Cancel,
    Due,
    Pause,
    StepFailed,
    StepStopped,
    StepWaits,
)
from maestro_workflow_engine._state import Place
from maestro_workflow_engine._why import causes
from maestro_workflow_engine.testing import LawCase


def nothing_held(place: Place) -> Cause | None:
    """The runner knows nothing."""
    return None


def why(case: LawCase, *, later_s: float = 0.0, held: Any = nothing_held) -> dict[str, Cause]:
    """The causes by step."""
    found = causes(case.state, now=case.NOW + timedelta(seconds=later_s), held=held)
    assert len({cause.step for cause in found}) == len(found)
    return {cause.step or "": cause for cause in found}


def steps(**more: dict[str, Any]) -> dict[str, Any]:
    """Steps of kind test."""
    return {step_id: {"kind": "test", **step} for step_id, step in more.items()}


def test_a_workflow_that_has_ended_waits_for_nothing() -> None:
    """There is nothing to say."""
    case = LawCase(steps(a={}))
    case.start()
    case.begin("a")
    case.ok("a")
    assert why(case) == {}


def test_a_running_step_says_since_when_and_how_long_it_may() -> None:
    """With the number of the attempt."""
    case = LawCase(steps(a={"timeout_s": 600}))
    case.start()
    case.begin("a")
    cause = why(case, later_s=90)["a"]
    assert (cause.kind, cause.message) == (
        "running",
        "attempt 1 is running, for 90 s now; it is stopped after 10 minutes",
    )
    assert cause.detail == {"attempt": 1, "since": "2026-03-01T12:00:00.000000Z", "timeout_s": 600.0}


def test_a_scheduled_step_says_what_the_runner_says() -> None:
    """Or that it is about to begin."""
    case = LawCase(steps(a={}))
    case.start()
    assert why(case)["a"].message == "it is about to begin"
    limit = Cause("limit", "the limit 'api' lets 2 run at once, and 2 run now", "a")
    assert why(case, held=lambda place: limit if place == ("a", None) else None) == {"a": limit}


def test_a_dependency_is_followed_down_to_what_holds_it_up() -> None:
    """Each pending step names what it needs, and the chain ends at the one that has begun."""
    case = LawCase(steps(a={}, b={"needs": ["a"]}, c={"needs": ["b"]}, d={"needs": ["c", "a"]}))
    case.start()
    case.begin("a")
    found = why(case)
    assert [found[step].message for step in "bcd"] == ["it needs 'a'", "it needs 'b'", "it needs 'a', 'c'"]
    assert found["b"].because == (found["a"],)
    (chain,) = found["c"].because
    assert (chain.step, chain.message, chain.because) == ("b", "it needs 'a'", (found["a"],))
    over_c = found["d"].because[1]
    assert over_c.message == "it needs 'b', which needs 'a'"
    assert over_c.detail == {"chain": ["c", "b", "a"]}
    assert over_c.because == (found["a"],)


def test_a_long_chain_is_cut_in_the_middle() -> None:
    """Its end is what matters."""
    case = LawCase(steps(s0={}, **{f"s{i}": {"needs": [f"s{i - 1}"]} for i in range(1, 100)}))
    case.start()
    case.begin("s0")
    (chain,) = why(case)["s99"].because
    assert chain.because[0].step == "s0"
    assert chain.message.endswith("which needs 's91', which needs … 90 more …, which needs 's0'")


def test_many_needs_are_counted() -> None:
    """Ten of them are named."""
    case = LawCase(steps(**{f"n{i:02}": {} for i in range(30)}, z={"needs": [f"n{i:02}" for i in range(30)]}))
    case.start()
    cause = why(case)["z"]
    assert cause.message.endswith("'n09' and 20 others")
    assert len(cause.because) == 10
    assert cause.detail["count"] == 30


def test_a_join_says_how_many_are_missing() -> None:
    """Not that all are needed."""
    case = LawCase(steps(a={}, b={}, c={}, z={"needs": ["a", "b", "c"], "join": 2}))
    case.start()
    case.begin("a")
    case.ok("a")
    assert why(case)["z"].message == "it needs 1 more of 'b', 'c' to succeed"


def test_a_step_that_retries_says_why_and_when() -> None:
    """The last error, and the time that is left."""
    case = LawCase(steps(a={"retry": {"max_attempts": 3, "initial_delay_s": 300, "max_delay_s": 300, "jitter": 0}}))
    case.start()
    case.begin("a")
    case.do(StepFailed("a", None, 1, "http.bad-status", "the answer was 503", True))
    cause = why(case, later_s=60)["a"]
    assert (cause.kind, cause.message) == (
        "retry",
        "attempt 1 failed: the answer was 503; the next one begins in 4 minutes",
    )
    assert cause.detail["due_at"] == "2026-03-01T12:05:00.000000Z"


def waiting(seconds: float | None, on: dict[str, Any] | None, later_s: float = 30.0) -> Cause:
    """The cause of a step that waits."""
    case = LawCase(steps(a={}))
    case.start()
    case.begin("a")
    case.do(StepWaits("a", None, 1, seconds, on))
    return why(case, later_s=later_s)["a"]


def test_each_sort_of_wait_says_what_is_waited_for() -> None:
    """And for how long it has been, and when that is over."""
    cause = waiting(120.0, None)
    assert (cause.kind, cause.message) == ("timer", "it goes on in 90 s, at 2026-03-01T12:02:00.000000Z")
    cause = waiting(None, {"kind": "approval", "title": "Pay?", "to": ["finance", "ada"]})
    assert cause.message == "it waits for 'finance' or 'ada' to approve 'Pay?', for 30 s so far"
    assert cause.detail["to"] == ["finance", "ada"]
    cause = waiting(90.0, {"kind": "approval", "title": "Pay?"})
    assert cause.message == "it waits for somebody to approve 'Pay?', for 30 s so far; in 60 s that is over"
    cause = waiting(None, {"kind": "signal", "name": "paid"}, later_s=86_400 * 3)
    assert (cause.kind, cause.message) == ("signal", "it waits for the signal 'paid', for 3 days so far")
    cause = waiting(None, {"kind": "event", "type": "order.paid", "match": {"data.id": 4}})
    assert cause.message == "it waits for an event of type 'order.paid' with {'data.id': 4}, for 30 s so far"
    cause = waiting(None, {"kind": "workflow", "workflow": "w.bill.1"})
    assert cause.message == "it waits for the child workflow 'w.bill.1' to end, for 30 s so far"
    assert cause.detail["workflow"] == "w.bill.1"
    cause = waiting(None, {"kind": "task"})
    assert (cause.kind, cause.message) == ("task", "it waits for an answer (task), for 30 s so far")


def test_a_budget_that_is_used_up_says_what_is_lacking() -> None:
    """In the unit of the budget."""
    case = LawCase(steps(a={"cost": {"tokens": 70}}, b={"cost": {"tokens": 50}}), budget={"tokens": 100})
    case.start()
    case.begin("a")
    cause = why(case)["b"]
    assert cause.kind == "budget"
    assert "it needs 50 tokens and 30 are left" in cause.message


def test_a_pause_is_told_wherever_it_matters() -> None:
    """What runs goes on; all else waits for somebody to resume it."""
    case = LawCase(steps(a={}, b={}, c={"needs": ["a"]}, d={}))
    case.start()
    case.begin("a")
    case.begin("d")
    case.do(StepWaits("d", None, 1, None, {"kind": "signal", "name": "go"}))
    case.do(Pause("fire drill"))
    found = why(case)
    message = "the workflow is paused (fire drill): it goes on when somebody resumes it"
    assert found["a"].kind == "running"
    assert (found["b"].kind, found["b"].message) == ("paused", message)
    assert found["c"].because == (found["a"],)
    assert [cause.message for cause in found["d"].because] == [message]
    case.ok("a")
    assert why(case)["c"].kind == "paused"


def test_after_a_failure_what_has_not_begun_says_that_it_never_will() -> None:
    """And what the end of the workflow waits for."""
    case = LawCase(steps(a={}, b={}, c={"needs": ["a"]}))
    case.start()
    case.begin("a")
    case.begin("b")
    case.fail("a", retryable=False)
    found = why(case)
    assert found["c"].message == (
        "it does not begin any more, because step 'a' has failed; the workflow ends once what still runs has ended"
    )
    assert found["c"].because == (found["b"],)


def test_a_cancellation_is_told() -> None:
    """While something still has to stop."""
    case = LawCase(steps(a={}, c={"needs": ["a"]}))
    case.start()
    case.begin("a")
    case.do(Cancel())
    assert "the workflow is being cancelled" in why(case)["c"].message
    case.do(StepStopped("a", None, 1))
    assert why(case) == {}


def test_a_mapped_step_tells_of_its_items() -> None:
    """How many have ended, and what holds up those that are under way."""
    case = LawCase(steps(m={"map": {"items": [1, 2, 3, 4], "max_parallel": 2}}, z={"needs": ["m"]}))
    case.start()
    case.begin("m", 0)
    case.ok("m", item=0)
    case.begin("m", 1)
    cause = why(case)["m"]
    assert cause.message == "1 of 4 items have ended, 2 are under way, 1 come after them, 2 at once"
    assert [(item.item, item.kind) for item in cause.because] == [(1, "running"), (2, "turn")]
    assert why(case)["z"].because == (cause,)


def test_an_iteration_that_is_to_come_says_when() -> None:
    """Between two runs of a step that repeats."""
    repeat = {"until": "${{ output }}", "max_iterations": 3, "delay_s": 60}
    case = LawCase(steps(a={"repeat": repeat}))
    case.start()
    case.begin("a")
    case.ok("a", False)
    cause = why(case, later_s=10)["a"]
    assert (cause.kind, cause.message) == ("timer", "the next iteration begins in 50 s, at 2026-03-01T12:01:00.000000Z")


def test_later_phases_are_told_of_when_they_have_come() -> None:
    """Compensation one step after the other; what is never going to run is not mentioned."""
    rest: dict[str, Any] = {"finally": steps(tidy={}, sweep={"needs": ["tidy"]})}
    case = LawCase(
        steps(
            a={"compensate": {"kind": "test"}},
            b={"needs": ["a"], "compensate": {"kind": "test"}},
            c={"needs": ["b"]},
        ),
        **rest,
    )
    case.start()
    assert set(why(case)) == {"a", "b", "c"}
    for step in "ab":
        case.begin(step)
        case.ok(step)
    case.begin("c")
    case.fail("c", retryable=False)
    found = why(case)
    assert list(found) == ["a.undo", "b.undo"]
    assert found["a.undo"].message == "steps are undone one at a time, the one that ended last comes first"
    assert found["a.undo"].because == (found["b.undo"],)
    for step in ("b.undo", "a.undo"):
        case.begin(step)
        case.ok(step)
    found = why(case)
    assert list(found) == ["tidy", "sweep"]
    assert found["sweep"].message == "it needs 'tidy'"


def test_an_answer_or_a_timer_that_has_come_is_no_wait_any_more() -> None:
    """It is about to go on."""
    case = LawCase(steps(a={}))
    case.start()
    case.begin("a")
    case.do(StepWaits("a", None, 1, 60.0, {"kind": "task"}))
    case.do(Answer("a", None, 3))
    assert why(case)["a"].kind == "turn"
    case.begin("a")
    case.do(StepWaits("a", None, 1, 60.0, {"kind": "task"}))
    case.do(Due("a", None), now=case.NOW + timedelta(seconds=60))
    assert why(case)["a"].kind == "turn"
