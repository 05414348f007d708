"""Deadlines: nested ones only shrink, async code is cancelled, sync code can look."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_resilience import (
    CallTimedOut,
    DeadlinePassed,
    Pipeline,
    Retry,
    TimedOut,
    Timeout,
    check_deadline,
    deadline,
    remaining_s,
)
from maestro_resilience.testing import ManualClock, Recorder

limits = st.lists(st.floats(0.001, 1000), min_size=1, max_size=6)


async def _forever() -> None:
    await asyncio.Event().wait()


@given(limits, st.floats(0, 2))
def test_nested_deadlines_only_shrink(nested: list[float], step_s: float) -> None:
    """At each level the deadline is the earliest of those around it, and on the way out each is what it was."""
    clock = ManualClock(0.0)

    def descend(rest: list[float], outer_at_s: float) -> None:
        at_s = min(outer_at_s, clock.now_s() + rest[0])
        try:
            scope = deadline(rest[0], clock=clock)
            scope.__enter__()
        except DeadlinePassed:
            assert outer_at_s <= clock.now_s()
            return
        assert remaining_s() == pytest.approx(max(0.0, at_s - clock.now_s()))
        clock.advance(step_s)
        if rest[1:]:
            descend(rest[1:], at_s)
        left_s = remaining_s()
        assert left_s is not None
        assert left_s == max(0.0, at_s - clock.now_s())
        scope.__exit__(None, None, None)

    descend(nested, float("inf"))
    assert remaining_s() is None


@given(limits)
def test_the_tightest_of_nested_timeouts_fires(nested: list[float]) -> None:
    """A hanging call ends exactly at the tightest limit, as the error of the outermost timeout that has it."""
    clock = ManualClock(0.0)
    policies = [Timeout(limit, name=f"level-{level}", clock=clock) for level, limit in enumerate(nested)]
    with pytest.raises(TimedOut, match=rf"level-{nested.index(min(nested))}:") as caught:
        asyncio.run(Pipeline(*policies).acall(_forever))
    assert type(caught.value) is TimedOut
    assert clock.now_s() == pytest.approx(min(nested))


@given(st.floats(0.001, 1000), limits)
def test_a_child_task_keeps_the_deadline_of_its_parent(outer_s: float, nested: list[float]) -> None:
    """Timeouts in another task, which the outer scope cannot cancel itself, still end no later than it."""
    clock = ManualClock(0.0)
    pipeline = Pipeline(*(Timeout(limit, clock=clock) for limit in nested))

    async def main() -> BaseException | None:
        with contextlib.suppress(TimedOut):
            async with deadline(outer_s, clock=clock):
                task = asyncio.ensure_future(pipeline.acall(_forever))
                await asyncio.wait([task])
        await asyncio.wait([task])
        return task.exception()

    error = asyncio.run(main())
    assert type(error) is (TimedOut if min(nested) < outer_s else DeadlinePassed)
    assert clock.now_s() == pytest.approx(min(outer_s, *nested))


async def test_a_timeout_cancels_async_code() -> None:
    """The call is cancelled at the limit, cleans up, and TimedOut says which limit it was."""
    clock, recorder, cleaned = ManualClock(0.0), Recorder(), []

    async def hang() -> None:
        try:
            await _forever()
        finally:
            cleaned.append(clock.now_s())

    with pytest.raises(TimedOut, match=r"db: no end within 2\.5 s") as caught:
        await Timeout(2.5, name="db", clock=clock, listeners=[recorder]).acall(hang)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.retryable
    assert cleaned == [2.5]
    assert [(event.limit_s, event.cancelled) for event in recorder.of(CallTimedOut)] == [(2.5, True)]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_only_the_timeout_that_fired_tells() -> None:
    """A timeout around another one that fired is not heard."""
    clock, inner, outer = ManualClock(0.0), Recorder(), Recorder()
    pipeline = Pipeline(Timeout(5.0, clock=clock, listeners=[outer]), Timeout(1.0, clock=clock, listeners=[inner]))
    with pytest.raises(TimedOut):
        await pipeline.acall(_forever)
    assert (len(inner.events), len(outer.events)) == (1, 0)


async def test_what_ends_in_time_is_untouched() -> None:
    """A result in time comes through, and its timer never rings afterwards."""
    clock = ManualClock(0.0)

    async def work() -> str:
        await clock.asleep(1.0)
        return "done"

    assert await Timeout(2.0, clock=clock).acall(work) == "done"
    await clock.asleep(10.0)
    assert remaining_s() is None


async def test_cancellation_from_outside_stays_cancellation() -> None:
    """A task that is cancelled by others under a timeout ends as cancelled, not as timed out."""
    clock, started = ManualClock(0.0), asyncio.Event()

    async def work() -> None:
        started.set()
        await _forever()

    task = asyncio.ensure_future(Timeout(5.0, clock=clock).acall(work))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancellation_at_the_same_moment_wins() -> None:
    """When the limit and a cancellation from outside meet, the task ends as cancelled."""
    clock = ManualClock(0.0)
    task = asyncio.ensure_future(Timeout(5.0, clock=clock).acall(_forever))
    await asyncio.sleep(0)
    clock.call_later(5.0, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_block_can_have_a_deadline() -> None:
    """`async with deadline(…)` cancels its block and raises TimedOut."""
    clock = ManualClock(0.0)

    async def block() -> None:
        async with deadline(3.0, clock=clock):
            assert remaining_s() == 3.0
            await _forever()

    with pytest.raises(TimedOut):
        await block()
    assert (clock.now_s(), remaining_s()) == (3.0, None)


async def test_an_error_of_the_block_is_not_replaced() -> None:
    """What the block raises while it is being cancelled reaches the caller, and the task is not left cancelling."""
    clock = ManualClock(0.0)

    async def stubborn() -> None:
        try:
            await _forever()
        except asyncio.CancelledError:
            raise LookupError("while cleaning up") from None

    with pytest.raises(LookupError):
        await Timeout(1.0, clock=clock).acall(stubborn)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_no_call_begins_after_the_deadline() -> None:
    """With the ambient deadline passed, a timeout refuses before it calls, with an error that no retry repeats."""
    clock, calls = ManualClock(0.0), []

    async def work() -> None:
        calls.append(1)

    policy = Retry(on=TimedOut, clock=clock)
    with deadline(1.0, clock=clock):
        clock.advance(1.0)
        with pytest.raises(DeadlinePassed) as caught:
            await policy.acall(Timeout(5.0, clock=clock).acall, work)
        with pytest.raises(DeadlinePassed):
            Timeout(5.0, clock=clock).call(len, "abc")
    assert not caught.value.retryable
    assert (calls, clock.sleeps) == ([], [])


async def test_an_attempt_cut_by_the_outer_deadline_is_not_repeated() -> None:
    """Under a cooperative outer scope, the inner timeout ends at the outer deadline as DeadlinePassed."""
    clock, calls = ManualClock(0.0), []

    async def work() -> None:
        calls.append(1)
        await _forever()

    with deadline(3.0, clock=clock), pytest.raises(DeadlinePassed):
        await Retry(on=TimedOut, clock=clock).acall(Timeout(5.0, clock=clock).acall, work)
    assert (len(calls), clock.now_s()) == (1, 3.0)


@pytest.mark.parametrize(("whole_s", "ended_by", "ended_at_s"), [(4.5, "whole", 4.5), (6.0, "attempt", 5.0)])
async def test_each_attempt_gets_its_own_limit(whole_s: float, ended_by: str, ended_at_s: float) -> None:
    """A retry gives every attempt its limit; the outer limit cuts an attempt, and forbids a wait that would not fit."""
    clock, calls = ManualClock(0.0), []

    async def work() -> None:
        calls.append(clock.now_s())
        await _forever()

    pipeline = Pipeline(
        Timeout(whole_s, name="whole", clock=clock),
        Retry(on=TimedOut, initial_delay_s=1.0, jitter=0.0, clock=clock),
        Timeout(2.0, name="attempt", clock=clock),
    )
    with pytest.raises(TimedOut, match=ended_by):
        await pipeline.acall(work)
    assert (calls, clock.now_s()) == ([0.0, 3.0], ended_at_s)


def test_sync_code_cooperates() -> None:
    """Sync code sees what is left, stops at a checkpoint, and what returns late is kept and told."""
    clock, recorder = ManualClock(0.0), Recorder()
    policy = Timeout(2.0, clock=clock, listeners=[recorder])

    def looks() -> float | None:
        clock.advance(0.5)
        check_deadline()
        return remaining_s()

    def checks() -> None:
        clock.advance(2.0)
        check_deadline()

    def ignores() -> str:
        clock.advance(9.0)
        return "late"

    assert policy.call(looks) == 1.5
    assert recorder.events == []
    with pytest.raises(DeadlinePassed):
        policy.call(checks)
    assert policy.call(ignores) == "late"
    assert [event.cancelled for event in recorder.of(CallTimedOut)] == [False]
    check_deadline()


def test_two_clocks_still_only_shrink() -> None:
    """A scope on another clock takes over what the outer one has left."""
    outer, inner = ManualClock(0.0), ManualClock(777.0)
    with deadline(5.0, clock=outer):
        outer.advance(2.0)
        with deadline(60.0, clock=inner):
            assert remaining_s() == 3.0
        with deadline(1.0, clock=inner):
            assert remaining_s() == 1.0
        assert remaining_s() == 3.0
