"""What may begin now: flow limits, breakers, rates, priorities and turns, decided without a runner."""

import math
from typing import Any

import pytest
from libraries.maestro_workflow_engine.limit_desk import Desk

from maestro_workflow_engine import BadSetting, FlowLimit
from maestro_workflow_engine._limits import check_limit

USES_API = {"limits": ["api"]}


def test_without_limits_the_workflows_take_turns() -> None:
    """Three steps of one and one of the other: the second comes before the first is through."""
    desk = Desk(free=0)
    desk.offer(desk.run("a", {}, {}, {}))
    desk.offer(desk.run("b", {}))
    desk.free = 10
    assert desk.take() == ["a/s0", "b/s0", "a/s1", "a/s2"]


def test_the_highest_priority_goes_first() -> None:
    """Also when it came last, and below zero comes after zero."""
    desk = Desk(free=0)
    for id_, priority in (("low", -5), ("usual", 0), ("high", 100), ("above", 1)):
        desk.offer(desk.run(id_, {}, {}, priority=priority))
    desk.free = 10
    assert [name[:-3] for name in desk.take()] == ["high"] * 2 + ["above"] * 2 + ["usual"] * 2 + ["low"] * 2


def test_a_priority_that_changes_counts_at_once() -> None:
    """In the queue, and behind a limit."""
    desk = Desk(free=0)
    first, second = desk.run("first"), desk.run("second")
    desk.offer(first)
    desk.offer(second)
    second.state.priority = 9
    desk.limits.reprioritize(second)
    desk.free = 10
    assert desk.take() == ["second/s0", "first/s0"]

    desk.set("api", max_parallel=1)
    runs = [desk.run(id_, USES_API) for id_ in ("x", "y", "z")]
    assert [desk.offer(run) for run in runs] == [["x/s0"], [], []]
    runs[2].state.priority = 1
    desk.limits.reprioritize(runs[2])
    assert desk.end("x/s0") == ["z/s0"]


def test_a_limit_lets_so_many_run_at_once() -> None:
    """The others begin as those before them end, whatever they came to."""
    desk = Desk()
    desk.set("api", max_parallel=2)
    run = desk.run("a", USES_API, USES_API, USES_API, USES_API)
    assert desk.offer(run) == ["a/s0", "a/s1"]
    assert desk.why(run, 2) == ("limit", "the limit 'api' lets 2 run at once, and 2 run now")
    assert desk.end("a/s1", went_well=False) == ["a/s2"]
    assert desk.end("a/s0", went_well=None) == ["a/s3"]


def test_what_is_blocked_blocks_nobody_else() -> None:
    """Neither other steps of its workflow nor those of others behind it."""
    desk = Desk()
    desk.set("api", max_parallel=1)
    assert desk.offer(desk.run("a", USES_API, USES_API, {})) == ["a/s0", "a/s2"]
    assert desk.offer(desk.run("b", USES_API, {})) == ["b/s1"]


def test_behind_a_limit_the_workflows_take_turns_too() -> None:
    """One with many steps does not keep the other waiting until all of them are through."""
    desk = Desk()
    desk.set("api", max_parallel=1)
    desk.offer(desk.run("a", *[USES_API] * 4))
    desk.offer(desk.run("b", USES_API))
    order = []
    name = "a/s0"
    while name:
        order.append(name)
        name = next(iter(desk.end(name)), "")
    assert order == ["a/s0", "a/s1", "b/s0", "a/s2", "a/s3"]


def test_a_newcomer_does_not_overtake_those_that_wait_unless_it_is_more_important() -> None:
    """A rate frees a token with time: who came first takes it, also when the alarm has not gone off yet."""
    desk = Desk()
    desk.set("api", rate_count=1, rate_per_s=10)
    desk.offer(desk.run("first", USES_API))
    desk.offer(desk.run("second", USES_API))
    desk.now += 20
    assert desk.offer(desk.run("third", USES_API)) == ["second/s0"]
    desk.now += 20
    assert desk.offer(desk.run("urgent", USES_API, priority=1)) == ["urgent/s0"]


def test_a_step_needs_room_in_every_limit_that_it_names() -> None:
    """It waits for one after the other, and holds none of them meanwhile."""
    desk = Desk()
    desk.set("a", max_parallel=1)
    desk.set("b", max_parallel=1)
    both, only_a, only_b = {"limits": ["a", "b"]}, {"limits": ["a"]}, {"limits": ["b"]}
    run = desk.run("w", only_a, only_b, both, only_b)
    assert desk.offer(run) == ["w/s0", "w/s1"]
    assert desk.end("w/s1") == ["w/s3"]
    assert desk.end("w/s0") == []
    assert desk.why(run, 2)[1] == "the limit 'b' lets 1 run at once, and 1 run now"
    assert desk.offer(desk.run("x", only_a)) == ["x/s0"]
    assert desk.end("w/s3") == []
    assert desk.end("x/s0") == ["w/s2"]


def test_two_lines_of_steps_that_need_both_limits_do_not_chase_each_other() -> None:
    """Each waits where the other wants to go: both limits are used, and looking for the next ends."""
    desk = Desk()
    desk.set("a", is_paused=True)
    desk.set("b", is_paused=True)
    desk.offer(desk.run("x", {"limits": ["a", "b"]}, {"limits": ["a", "b"]}))
    desk.offer(desk.run("y", {"limits": ["b", "a"]}, {"limits": ["b", "a"]}))
    desk.set("a", max_parallel=1)
    names = desk.set("b", max_parallel=1)
    seen = list(names)
    while names:
        assert len(names) == 1
        names = desk.end(names[0])
        seen += names
    assert sorted(seen) == ["x/s0", "x/s1", "y/s0", "y/s1"]


def test_figures_of_the_definition_hold_until_the_engine_is_told_others() -> None:
    """And again once those are forgotten."""
    desk = Desk()
    use = {"limits": [{"name": "api", "max_parallel": 1}]}
    assert desk.offer(desk.run("a", use, use, use, use)) == ["a/s0"]
    assert desk.set("api", max_parallel=3) == ["a/s1", "a/s2"]
    assert desk.delete("api") == []
    assert desk.end("a/s0") == []
    assert desk.end("a/s1") == []
    assert desk.end("a/s2") == ["a/s3"]


def test_the_name_of_a_limit_may_come_from_the_inputs() -> None:
    """One limit per customer; a name that is none fails the step and says where."""
    desk = Desk()
    step = {"limits": [{"name": "customer-${{ inputs.customer }}", "max_parallel": 1}]}
    inputs = {"customer": {"type": "string"}}
    begun = []
    for number, customer in enumerate(["x", "y", "x", "z" * 300]):
        run = desk.run(f"w{number}", step, inputs=inputs)
        run.state.inputs = {"customer": customer}
        begun += desk.offer(run)
    assert begun == ["w0/s0", "w1/s0"]
    assert desk.errors == ["/limits/0/name: a text of 1 to 256 printable characters was expected"]


def test_kinds_and_workflows_are_counted_under_names_of_their_own() -> None:
    """Also what was under way when the limit was set."""
    desk = Desk()
    run = desk.run("a", {}, {}, {}, name="nightly")
    assert desk.offer(run, 0, 1) == ["a/s0", "a/s1"]
    assert desk.set("workflow:nightly", max_parallel=2) == []
    assert desk.offer(run, 2) == []
    assert desk.offer(desk.run("b", name="other")) == ["b/s0"]
    assert desk.end("a/s0") == ["a/s2"]
    desk.set("kind:test", max_parallel=1)
    assert desk.offer(desk.run("c", name="other")) == []
    assert [desk.end(name) for name in ("a/s1", "a/s2", "b/s0")] == [[], [], ["c/s0"]]
    assert desk.offer(desk.run("d", name="other")) == []
    assert desk.delete("kind:test") == ["d/s0"]


def test_a_paused_limit_lets_nothing_begin_until_it_goes_on() -> None:
    """What runs goes on meanwhile."""
    desk = Desk()
    desk.set("api")
    run = desk.run("a", USES_API, USES_API)
    assert desk.offer(run, 0) == ["a/s0"]
    assert desk.set("api", is_paused=True) == []
    assert desk.offer(run, 1) == []
    kind, message = desk.why(run, 1)
    assert (kind, "is paused" in message) == ("limit", True)
    assert desk.end("a/s0") == []
    assert desk.later(1e6) == []
    assert desk.set("api") == ["a/s1"]


def test_a_rate_lets_so_many_begin_per_time() -> None:
    """A full bucket at first, then evenly; the next one says when."""
    desk = Desk()
    desk.set("api", rate_count=2, rate_per_s=10)
    run = desk.run("a", *[USES_API] * 5)
    assert desk.offer(run) == ["a/s0", "a/s1"]
    assert desk.why(run, 2) == ("rate", "the limit 'api' lets 2 begin per 10 s; the next one may in 5 s")
    assert desk.later(4.9) == []
    assert desk.later(0.2) == ["a/s2"]
    assert desk.later(10) == ["a/s3", "a/s4"]
    assert desk.limits.due_at is None


def test_after_a_restart_a_rate_begins_as_empty_as_need_be() -> None:
    """The earlier engine may have begun something until a moment ago, or has been down for a long time."""
    for idle_s, at_once in ((0.0, 0), (5.0, 1), (60.0, 2)):
        desk = Desk(idle_s=idle_s)
        desk.set("api", rate_count=2, rate_per_s=10)
        assert len(desk.offer(desk.run("a", *[USES_API] * 5))) == at_once


def test_a_rate_that_changes_keeps_what_was_used() -> None:
    """Asking for more does not begin with a new bucket."""
    desk = Desk()
    desk.set("api", rate_count=1, rate_per_s=100)
    run = desk.run("a", *[USES_API] * 6)
    assert desk.offer(run) == ["a/s0"]
    assert desk.set("api", rate_count=4, rate_per_s=40) == []
    assert desk.later(10) == ["a/s1"]
    assert desk.set("api", max_parallel=3) == ["a/s2"]


def test_a_breaker_opens_after_failures_in_a_row_and_tries_with_one() -> None:
    """A success in between counts from the start; a trial that fails opens it again."""
    desk = Desk()
    desk.set("api", breaker_failures=2, breaker_open_s=30)
    run = desk.run("a", *[USES_API] * 8)
    assert desk.offer(run, 0, 1, 2) == ["a/s0", "a/s1", "a/s2"]
    for name, went_well in (("a/s0", False), ("a/s1", True), ("a/s2", False)):
        desk.end(name, went_well)
    assert desk.offer(run, 3) == ["a/s3"]
    desk.end("a/s3", False)
    assert desk.offer(run, 4, 5, 6) == []
    kind, message = desk.why(run, 4)
    assert kind == "breaker"
    assert message.endswith("is open: 2 attempts in a row had failed; in 30 s one goes through as a trial")
    assert desk.later(29) == []
    assert desk.later(2) == ["a/s4"]
    assert desk.why(run, 5)[1].endswith("one goes through as a trial now, and decides")
    assert desk.end("a/s4", False) == []
    assert desk.later(30) == ["a/s5"]
    assert desk.end("a/s5", None) == ["a/s6"], "it said nothing: the next one is the trial"
    assert desk.offer(run, 7) == []
    assert desk.end("a/s6", True) == ["a/s7"]


def test_what_began_before_a_breaker_opened_does_not_close_it() -> None:
    """A late success is no trial."""
    desk = Desk()
    desk.set("api", breaker_failures=1, breaker_open_s=30)
    run = desk.run("a", *[USES_API] * 3)
    assert desk.offer(run, 0, 1) == ["a/s0", "a/s1"]
    desk.end("a/s0", False)
    desk.end("a/s1", True)
    assert desk.offer(run, 2) == []
    assert desk.later(30) == ["a/s2"]


def test_a_withdrawn_workflow_leaves_no_trace_and_can_be_offered_again() -> None:
    """From the queue, and from behind a limit."""
    desk = Desk()
    desk.set("api", max_parallel=1)
    paused, other = desk.run("p", USES_API, USES_API), desk.run("o", USES_API)
    assert desk.offer(paused) == ["p/s0"]
    assert desk.offer(other) == []
    desk.limits.withdraw(paused)
    assert desk.limits.held(paused, ("s1", None)) is None
    assert desk.end("p/s0") == ["o/s0"]
    assert desk.offer(paused, 1) == []
    assert desk.end("o/s0") == ["p/s1"]


def test_what_is_offered_twice_begins_once() -> None:
    """Also when a limit has held it up in between."""
    desk = Desk()
    desk.set("api", max_parallel=1)
    run = desk.run("a", USES_API, USES_API)
    assert desk.offer(run) == ["a/s0"]
    assert desk.offer(run, 1, 1) == []
    assert desk.end("a/s0") == ["a/s1"]
    assert desk.end("a/s1") == []


def test_names_of_limits_that_are_used_no_more_are_forgotten() -> None:
    """But not while their rate still counts: a new one would begin too early."""
    desk = Desk()
    step = {"limits": [{"name": "${{ inputs.name }}", "rate_count": 1, "rate_per_s": 10}]}

    def begin(name: str) -> list[str]:
        run = desk.run(name, step, inputs={"name": {"type": "string"}})
        run.state.inputs = {"name": name.partition("#")[0]}
        return desk.offer(run)

    for number in range(1_500):
        assert begin(f"n{number}") == [f"n{number}/s0"]
        desk.end(f"n{number}/s0")
        desk.later(0.1)
    assert len(desk.limits._lines) <= 600
    assert begin("n1499#again") == []
    assert begin("n0#again") == ["n0#again/s0"]


def test_a_cancelled_step_that_waited_is_passed_over() -> None:
    """The one behind it begins."""
    desk = Desk()
    desk.set("api", max_parallel=1)
    run = desk.run("a", USES_API, USES_API, USES_API)
    desk.offer(run)
    del run.state.in_flight["s1", None]
    assert desk.end("a/s0") == ["a/s2"]


@pytest.mark.parametrize(
    "figures",
    [
        {"name": ""},
        {"name": "x" * 257},
        {"name": "a\nb"},
        {"max_parallel": 0},
        {"max_parallel": True},
        {"max_parallel": 1.5},
        {"rate_count": 10**9},
        {"rate_per_s": 0},
        {"rate_per_s": math.nan},
        {"rate_per_s": "1"},
        {"breaker_failures": -1},
        {"breaker_open_s": math.inf},
        {"is_paused": 1},
    ],
)
def test_a_limit_that_cannot_be_is_refused(figures: dict[str, Any]) -> None:
    """The message names what is wrong."""
    with pytest.raises(BadSetting) as caught:
        check_limit(FlowLimit(**{"name": "api", **figures}))
    assert next(iter(figures)) in str(caught.value)
