"""Hedging: the first success wins, it is a real one, and nobody is left behind."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_resilience import (
    Hedge,
    HedgeFailed,
    HedgeStarted,
    HedgeWon,
    Pipeline,
    RetryBudget,
    TimedOut,
    Timeout,
    WrongCall,
)
from maestro_resilience._hedge import Latencies
from maestro_resilience.testing import ManualClock, Recorder


class Fatal(Exception):
    """Not named by the hedge."""


@dataclass(frozen=True)
class Plan:
    """What one attempt does."""

    takes_s: float
    outcome: str


class Callee:
    """Runs one plan per attempt, and knows which attempts ended how."""

    def __init__(self, clock: ManualClock, plans: list[Plan]) -> None:
        self.clock, self.plans = clock, plans
        self.begun: list[float] = []
        self.cancelled: list[int] = []

    async def __call__(self) -> int:
        number = len(self.begun)
        self.begun.append(self.clock.now_s())
        plan = self.plans[number] if number < len(self.plans) else Plan(1.0, "ok")
        try:
            await self.clock.asleep(plan.takes_s)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        if plan.outcome == "fatal":
            raise Fatal(number)
        if plan.outcome == "fail":
            raise OSError(number)
        return number


def _run(hedge: Hedge, callee: Callee) -> object:
    async def main() -> object:
        try:
            return await hedge.acall(callee)
        except (OSError, Fatal) as error:
            return error
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return asyncio.run(main())


plans = st.lists(
    st.builds(Plan, takes_s=st.floats(0, 10), outcome=st.sampled_from(["ok", "ok", "fail", "fatal"])), max_size=5
)


@given(plans, st.floats(0, 5), st.integers(2, 4))
def test_the_outcome_is_real_and_no_task_is_left(script: list[Plan], delay_s: float, max_attempts: int) -> None:
    """The outcome is that of the attempt that ended first among the deciding ones; everyone else has ended too."""
    clock = ManualClock(0.0)
    callee = Callee(clock, script)
    outcome = _run(Hedge(delay_s, on=OSError, max_attempts=max_attempts, clock=clock), callee)
    ended_s = clock.now_s()
    assert 1 <= len(callee.begun) <= max_attempts
    plans = (script + [Plan(1.0, "ok")] * 9)[: len(callee.begun)]
    ends = [begun + plan.takes_s for begun, plan in zip(callee.begun, plans, strict=True)]
    if isinstance(outcome, int):
        assert plans[outcome].outcome == "ok"
        assert ends[outcome] == pytest.approx(ended_s)
        assert all(plan.outcome == "fail" or end >= ended_s - 1e-6 for plan, end in zip(plans, ends, strict=True))
    elif isinstance(outcome, Fatal):
        assert plans[outcome.args[0]].outcome == "fatal"
        assert ends[outcome.args[0]] == pytest.approx(ended_s)
    else:
        assert isinstance(outcome, OSError)
        assert len(callee.begun) == max_attempts
        assert {plan.outcome for plan in plans} == {"fail"}
        assert ended_s == pytest.approx(max(ends))
    for earlier, later in zip(callee.begun, callee.begun[1:], strict=False):
        assert later - earlier <= delay_s + 1e-6
    assert {number for number, end in enumerate(ends) if end > ended_s + 1e-6} <= set(callee.cancelled)


def test_a_slow_call_is_overtaken() -> None:
    """The second attempt starts after the delay, wins, and the first is cancelled and awaited."""
    clock, recorder = ManualClock(0.0), Recorder()
    callee = Callee(clock, [Plan(60.0, "ok"), Plan(1.0, "ok")])
    assert _run(Hedge(2.0, clock=clock, listeners=[recorder]), callee) == 1
    assert (callee.begun, callee.cancelled, clock.now_s()) == ([0.0, 2.0], [0], 3.0)
    assert [event.attempt for event in recorder.of(HedgeStarted)] == [2]
    assert [(event.attempt, event.elapsed_s) for event in recorder.of(HedgeWon)] == [(2, 3.0)]


def test_a_quick_call_is_not_hedged() -> None:
    """A call that ends before the delay stays the only one, and tells nothing."""
    clock, recorder = ManualClock(0.0), Recorder()
    callee = Callee(clock, [Plan(1.0, "ok")])
    assert _run(Hedge(2.0, clock=clock, listeners=[recorder]), callee) == 0
    assert (len(callee.begun), recorder.events) == (1, [])


def test_when_all_running_ones_failed_the_next_starts_at_once() -> None:
    """A failure is not waited out; the last failure is raised when nothing is left to try."""
    clock, recorder = ManualClock(0.0), Recorder()
    callee = Callee(clock, [Plan(1.0, "fail"), Plan(1.0, "fail"), Plan(1.0, "fail")])
    error = _run(Hedge(5.0, on=OSError, max_attempts=3, clock=clock, listeners=[recorder]), callee)
    assert isinstance(error, OSError)
    assert error.args == (2,)
    assert callee.begun == [0.0, 1.0, 2.0]
    assert [event.attempt for event in recorder.of(HedgeFailed)] == [1, 2, 3]


def test_an_error_that_is_not_named_ends_the_race() -> None:
    """It reaches the caller at once; the slower attempt is cancelled."""
    clock = ManualClock(0.0)
    callee = Callee(clock, [Plan(60.0, "ok"), Plan(1.0, "fatal")])
    assert isinstance(_run(Hedge(2.0, on=OSError, clock=clock), callee), Fatal)
    assert (callee.cancelled, clock.now_s()) == ([0], 3.0)


def test_a_budget_bounds_hedges() -> None:
    """Without tokens, slow calls are simply waited for."""
    clock = ManualClock(0.0)
    hedge = Hedge(1.0, budget=RetryBudget(ratio=0.0, burst=1), clock=clock)
    assert _run(hedge, Callee(clock, [Plan(5.0, "ok"), Plan(1.0, "ok")])) == 1
    callee = Callee(clock, [Plan(5.0, "ok")])
    assert _run(hedge, callee) == 0
    assert len(callee.begun) == 1


def test_the_delay_follows_the_latency_quantile() -> None:
    """Once ten latencies are known, the delay is their quantile."""
    clock = ManualClock(0.0)
    hedge = Hedge(50.0, quantile=0.9, clock=clock)
    for takes_s in range(1, 11):
        assert hedge.delay_s == 50.0
        _run(hedge, Callee(clock, [Plan(float(takes_s), "ok")]))
    assert hedge.delay_s == 10.0
    for _ in range(100):
        _run(hedge, Callee(clock, [Plan(2.0, "ok")]))
    assert hedge.delay_s == pytest.approx(2.0)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.integers(1, 20), st.floats(0.01, 1))
def test_latencies_are_those_of_the_last_calls(latencies: list[float], size: int, share: float) -> None:
    """The quantile is one of the last `size` values, and that share of them does not exceed it."""
    window = Latencies(size)
    for latency_s in latencies:
        window.add(latency_s)
    kept = latencies[-size:]
    found = window.quantile_s(share, minimum=1)
    assert found in kept
    assert sum(latency <= found for latency in kept) >= share * len(kept) - 1e-9
    assert Latencies(3).quantile_s(0.5, minimum=1) is None


async def test_cancelling_the_call_cancels_every_attempt() -> None:
    """An outer timeout ends all attempts, waits for their clean-up, and leaves none."""
    clock = ManualClock(0.0)
    callee = Callee(clock, [Plan(60.0, "ok")] * 3)
    pipeline = Pipeline(Timeout(5.0, clock=clock), Hedge(2.0, max_attempts=3, clock=clock))
    with pytest.raises(TimedOut):
        await pipeline.acall(callee)
    assert (sorted(callee.cancelled), clock.now_s()) == ([0, 1, 2], 5.0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_losers_are_awaited_even_by_a_cancelled_caller() -> None:
    """A caller that is cancelled while a loser cleans up still waits for it, and then ends as cancelled."""
    clock, cleaned = ManualClock(0.0), []
    cleaning, attempts = asyncio.Event(), 0

    async def work() -> str:
        nonlocal attempts
        attempts += 1
        if attempts > 1:
            return "won"
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await clock.asleep(10.0)
            cleaned.append(clock.now_s())
        return "lost"

    task = asyncio.ensure_future(Hedge(1.0, clock=clock).acall(work))
    await asyncio.wait_for(cleaning.wait(), 10.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [11.0]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_errors_of_losers_are_looked_at() -> None:
    """A loser that fails while it is cancelled does not end as an unretrieved exception."""
    clock, attempts = ManualClock(0.0), 0
    reports: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))

    async def work() -> str:
        nonlocal attempts
        attempts += 1
        if attempts > 1:
            return "won"
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("in clean-up")

    assert await Hedge(1.0, clock=clock).acall(work) == "won"
    assert reports == []


def test_hedging_is_async_only() -> None:
    """Sync use is refused with the reason, called, decorated or in a pipeline."""
    hedge = Hedge(1.0, clock=ManualClock())
    with pytest.raises(WrongCall, match="async only"):
        hedge.call(len, "abc")
    for policy in (hedge, Pipeline(hedge)):
        with pytest.raises(WrongCall, match="async functions only"):
            policy(len)
