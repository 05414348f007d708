"""Whatever comes in whatever order: no limit is exceeded, nothing waits for nothing, and nothing is forgotten."""

from collections import Counter, deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from libraries.maestro_workflow_engine.limit_desk import Desk

from maestro_workflow_engine._limits._breaker import Breaker
from maestro_workflow_engine._limits._rate import Rate
from maestro_workflow_engine._run import Run

NAMES = ("a", "b", "c")
USES: tuple[list[str], ...] = ([], ["a"], ["b"], ["a", "b"], ["b", "a"], ["c"], ["a", "c"])

Acts = st.one_of(
    st.tuples(st.just("offer"), st.integers(0, len(USES) - 1), st.integers(-1, 1)),
    st.tuples(st.just("end"), st.integers(0, 100), st.sampled_from([True, False, None])),
    st.tuples(st.just("later"), st.floats(0.0, 30.0), st.none()),
    st.tuples(
        st.just("set"),
        st.sampled_from(NAMES),
        st.fixed_dictionaries(
            {},
            optional={
                "max_parallel": st.integers(1, 3),
                "rate_count": st.integers(1, 3),
                "rate_per_s": st.sampled_from([0.5, 10.0]),
                "breaker_failures": st.integers(1, 2),
                "breaker_open_s": st.sampled_from([1.0, 20.0]),
                "is_paused": st.booleans(),
            },
        ),
    ),
    st.tuples(st.just("delete"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("withdraw"), st.integers(0, 100), st.none()),
)


@settings(max_examples=200, deadline=None)
@given(acts=st.lists(Acts, max_size=60), free=st.integers(1, 6))
def test_limits_hold_and_everything_begins_in_the_end(acts: list[tuple[str, Any, Any]], free: int) -> None:
    """At each moment what waits is refused by a limit of its own; once all limits are gone, all of it begins."""
    desk = Desk(free=free)
    runs: list[Run] = []
    withdrawn: set[str] = set()
    for act, first, second in acts:
        if act == "offer":
            run = desk.run(f"w{len(runs)}", {"limits": USES[first]}, priority=second)
            runs.append(run)
            desk.offer(run)
        elif act == "end" and desk.begun:
            desk.end(list(desk.begun)[first % len(desk.begun)], second)
        elif act == "later":
            desk.later(first)
        elif act == "set":
            desk.set(first, **second)
        elif act == "delete":
            desk.delete(first)
        elif act == "withdraw" and runs:
            run = runs[first % len(runs)]
            desk.limits.withdraw(run)
            if run.state.in_flight and f"{run.id}/s0" not in desk.begun:
                withdrawn.add(run.id)
        _check(desk, runs, withdrawn, free)
    for name in NAMES:
        desk.delete(name)
    while desk.begun:
        desk.end(next(iter(desk.begun)))
    assert {run.id for run in runs if run.state.in_flight} == withdrawn


def _check(desk: Desk, runs: list[Run], withdrawn: set[str], free: int) -> None:
    used = Counter(line.gate.figures.name for turn in desk.begun.values() for line, _ in turn.passes)
    for turn in desk.begun.values():
        assert [line.gate.running for line, _ in turn.passes] == [
            used[line.gate.figures.name] for line, _ in turn.passes
        ]
    for run in runs:
        if not run.state.in_flight or f"{run.id}/s0" in desk.begun or run.id in withdrawn:
            continue
        cause = desk.limits.held(run, ("s0", None))
        if len(desk.begun) < free:
            assert cause is not None, "it waits although there is room"
            assert cause.kind != "turn", "it waits although its limit lets it begin"


@settings(max_examples=200, deadline=None)
@given(
    count=st.integers(1, 5),
    per_s=st.sampled_from([0.1, 1.0, 60.0]),
    gaps=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=80),
    idle_s=st.sampled_from([0.0, 0.5, 1e9]),
)
def test_a_rate_is_kept_over_every_span(count: int, per_s: float, gaps: list[float], idle_s: float) -> None:
    """Between any two begins of a greedy caller there is the time that the rate asks for, a full bucket apart."""
    now = 0.0
    rate = Rate(count, per_s, empty_at=now - idle_s)
    begun: deque[float] = deque()
    for gap in gaps:
        now += gap * per_s
        wait_s = rate.wait_s(now)
        assert wait_s <= per_s + 1e-9
        if wait_s:
            assert rate.wait_s(now + wait_s) == 0.0, "waiting for as long as it says is enough"
            continue
        rate.take(now)
        begun.append(now)
        for number, earlier in enumerate(begun):
            assert len(begun) - number <= count + (now - earlier) * count / per_s + 0.01
    if idle_s == 0.0:
        for number, at in enumerate(begun, 1):
            assert number <= at * count / per_s + 0.01, "after a restart not even a full bucket"


@given(
    failures=st.integers(1, 4),
    outcomes=st.lists(st.tuples(st.sampled_from([True, False, None]), st.floats(0.0, 20.0)), max_size=60),
)
def test_a_breaker_lets_one_trial_through_per_time(failures: int, outcomes: list[tuple[bool | None, float]]) -> None:
    """It opens after exactly so many failures in a row, and one after the other decides from then on."""
    breaker = Breaker(failures, 10.0)
    now, in_a_row, opened_at = 0.0, 0, None
    for went_well, gap in outcomes:
        now += gap
        wait_s = breaker.wait_s(now)
        if opened_at is not None and now < opened_at + 10.0 - 1e-4:
            assert wait_s == opened_at + 10.0 - now
            continue
        assert wait_s == 0.0
        era = breaker.begin()
        assert (breaker.wait_s(now) is None) == (opened_at is not None), "only a trial keeps the others out"
        breaker.end(era, went_well, now)
        if went_well is True:
            in_a_row, opened_at = 0, None
        elif went_well is False:
            in_a_row += 1
            if opened_at is not None or in_a_row == failures:
                in_a_row, opened_at = 0, now
