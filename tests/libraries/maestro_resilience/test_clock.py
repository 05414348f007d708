"""Virtual time runs in order, the real clock is real, and sleeps can be switched off."""

import asyncio
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_resilience import SYSTEM_CLOCK, Bulkhead, BulkheadFull, Hedge, Retry, TimedOut, Timeout
from maestro_resilience.testing import ManualClock, no_sleep, seeded


def test_a_sync_sleep_moves_time_at_once() -> None:
    """An hour of sleep is over immediately, and is recorded."""
    clock = ManualClock(start_s=0.0)
    clock.sleep(3600.0)
    assert clock.now_s() == 3600.0
    assert clock.sleeps == [3600.0]


async def test_tasks_wake_in_virtual_order() -> None:
    """Tasks that sleep concurrently wake by time, and equal times by the order in which they fell asleep."""
    clock = ManualClock(start_s=0.0)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, delay_s: float) -> None:
        await clock.asleep(delay_s)
        woken.append((name, clock.now_s()))

    await asyncio.gather(sleeper("c", 30.0), sleeper("a", 10.0), sleeper("b1", 20.0), sleeper("b2", 20.0))
    assert woken == [("a", 10.0), ("b1", 20.0), ("b2", 20.0), ("c", 30.0)]


@given(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=4), min_size=1, max_size=5))
def test_concurrent_tasks_see_exact_times(plans: list[list[int]]) -> None:
    """Whatever tasks sleep beside it, each task wakes exactly when its own sleeps end."""
    clock = ManualClock(start_s=0.0)

    async def sleeper(delays: list[int]) -> list[float]:
        seen = []
        for delay in delays:
            await clock.asleep(delay)
            seen.append(clock.now_s())
        return seen

    async def main() -> list[list[float]]:
        return await asyncio.gather(*(sleeper(plan) for plan in plans))

    expected = [[float(sum(plan[: index + 1])) for index in range(len(plan))] for plan in plans]
    assert asyncio.run(main()) == expected


async def test_work_without_the_clock_is_finished_before_time_jumps() -> None:
    """A deep chain of tasks settles before virtual time moves on."""
    clock = ManualClock(start_s=0.0)

    async def chain(depth: int) -> float:
        return clock.now_s() if depth == 0 else await asyncio.create_task(chain(depth - 1))

    alarm = asyncio.ensure_future(clock.asleep(5.0))
    assert await chain(20) == 0.0
    await alarm
    assert clock.now_s() == 5.0


async def test_a_cancelled_timer_does_not_move_time() -> None:
    """Time does not jump to a moment that nobody waits for any more."""
    clock = ManualClock(start_s=0.0)
    rang: list[float] = []
    late = clock.call_later(100.0, lambda: rang.append(clock.now_s()))
    late.cancel()
    await clock.asleep(1.0)
    assert (clock.now_s(), rang) == (1.0, [])


async def test_advance_fires_what_is_due() -> None:
    """Advancing by hand rings the timers on the way, not those beyond."""
    clock = ManualClock(start_s=0.0)
    rang: list[str] = []
    clock.call_later(1.0, lambda: rang.append("near"))
    far = clock.call_later(10.0, lambda: rang.append("far"))
    clock.advance(2.0)
    await asyncio.sleep(0)
    far.cancel()
    assert rang == ["near"]
    assert clock.now_s() == 2.0


def test_one_clock_serves_one_loop_after_another() -> None:
    """Timers of a loop that was closed do not disturb the next one."""
    clock = ManualClock(start_s=0.0)

    async def abandon() -> None:
        clock.call_later(50.0, lambda: None)

    asyncio.run(abandon())
    asyncio.run(clock.asleep(1.0))
    assert clock.now_s() == 1.0


def test_waiting_for_an_event_takes_virtual_time() -> None:
    """A wait with a limit returns at once: True when the event is set, else False with the time gone."""
    clock, event = ManualClock(start_s=0.0), threading.Event()
    assert clock.wait(event, 3.0) is False
    assert clock.now_s() == 3.0
    event.set()
    assert clock.wait(event, 3.0) is True
    assert clock.wait(event, None) is True
    assert clock.now_s() == 3.0


def test_the_system_clock_is_monotonic_time() -> None:
    """Between two readings of the operating system's clock lies ours, less what tests have skipped."""
    skipped = SYSTEM_CLOCK.now_s() - time.monotonic()
    before = time.monotonic()
    now = SYSTEM_CLOCK.now_s() - skipped
    assert before - 0.001 <= now <= time.monotonic() + 0.001


async def test_the_system_clock_runs_callbacks_and_wakes_sleepers() -> None:
    """Real sleeps and timers work, bounded here to a few milliseconds."""
    rang = asyncio.Event()
    SYSTEM_CLOCK.call_later(0.001, rang.set)
    await asyncio.wait_for(rang.wait(), 10.0)
    SYSTEM_CLOCK.sleep(0.0)
    await SYSTEM_CLOCK.asleep(0.0)
    assert SYSTEM_CLOCK.wait(threading.Event(), 0.001) is False


async def test_policies_keep_real_time_too() -> None:
    """On the real clock a timeout cancels, a queue is left at its limit, and a hedge overtakes, in milliseconds."""
    attempts: list[int] = []

    async def first_hangs() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            await asyncio.Event().wait()
        return "overtaken"

    with pytest.raises(TimedOut):
        await Timeout(0.01).acall(asyncio.Event().wait)
    assert await Hedge(0.01).acall(first_hangs) == "overtaken"
    bulkhead = Bulkhead(1, max_waiting=1, max_wait_s=0.01)
    with bulkhead.slot():
        with pytest.raises(BulkheadFull):
            bulkhead.call(len, "sync")
        with pytest.raises(BulkheadFull):
            await bulkhead.acall(first_hangs)
    assert (bulkhead.in_use, len(attempts)) == (0, 2)


async def test_no_sleep_skips_waits_but_keeps_time_consistent() -> None:
    """Under `no_sleep` a retry on the real clock waits nowhere, and still its total time is spent."""
    calls: list[float] = []
    retry = Retry(
        on=OSError, max_attempts=None, total_s=100.0, initial_delay_s=30.0, multiplier=1.0, max_delay_s=30.0, jitter=0
    )

    def fail() -> None:
        calls.append(SYSTEM_CLOCK.now_s())
        raise OSError("down")

    async def afail() -> None:
        fail()

    began = time.monotonic()
    with no_sleep(), no_sleep():
        with pytest.raises(OSError, match="down"):
            retry.call(fail)
        with pytest.raises(OSError, match="down"):
            await retry.acall(afail)
    assert len(calls) == 8
    assert time.monotonic() - began < 10.0


def test_seeded_randomness_repeats() -> None:
    """The same seed gives the same numbers, all in [0, 1)."""
    first, second = seeded(7), seeded(7)
    drawn = [first() for _ in range(100)]
    assert drawn == [second() for _ in range(100)]
    assert all(0.0 <= number < 1.0 for number in drawn)
