"""The watch on the event loop: lag as a metric, an alarm from outside when the loop stands still."""

import asyncio
import itertools
import threading
import time

import pytest

from maestro_monitoring import InvalidCheck, LoopStuck, LoopWatch, Metrics
from maestro_monitoring.testing import ManualClock, MetricsRecorder, settle

STUCK_S = 1.5
"""Longer than a busy machine keeps a process from running, which would be a stall too."""


async def test_the_lag_is_measured() -> None:
    """How much later than asked the loop woke, beat by beat."""
    metrics, clock = Metrics(), ManualClock()
    seen = MetricsRecorder(metrics)

    async def late(delay_s: float) -> None:
        await clock.sleep(delay_s + 0.75)

    async with LoopWatch(metrics, interval_s=1.0, stuck_after_s=30.0, monotonic=clock.monotonic, sleep=late):
        await clock.advance(1.75 * 4)
    assert seen.delta("maestro_event_loop_lag_seconds_count") == 4
    assert seen.delta("maestro_event_loop_lag_seconds_sum") == 3.0


async def test_liveness_fails_after_a_stall_and_recovers() -> None:
    """Once the loop runs again, it is told for as long as a stall may last, and then forgotten."""
    metrics, clock, lag_s = Metrics(), ManualClock(), [0.0]

    async def late(delay_s: float) -> None:
        await clock.sleep(delay_s + lag_s[0])

    watch = LoopWatch(metrics, interval_s=1.0, stuck_after_s=5.0, monotonic=clock.monotonic, sleep=late)
    async with watch:
        await clock.advance(3.0)
        await watch.probe()
        lag_s[0] = 9.0
        await clock.advance(9.5)
        assert watch.stuck
        with pytest.raises(LoopStuck):
            await watch.probe()
        await clock.advance(1.5)
        lag_s[0] = 0.0
        assert not watch.stuck
        with pytest.raises(LoopStuck, match="more than 5 s"):
            await watch.probe()
        await clock.advance(16.0)
        await watch.probe()


async def test_a_loop_that_really_stands_still_is_told_from_a_thread_with_its_stack(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The very line that holds the loop is in the log, once, while it still stands."""
    metrics, told, looked_again = Metrics(), threading.Event(), threading.Event()
    seen, looks = MetricsRecorder(metrics), itertools.count()

    def monotonic() -> float:
        if told.is_set() and next(looks) > 20:
            looked_again.set()
        return time.monotonic()

    def blocks_the_loop() -> None:
        assert told.wait(20.0)  # the alarm comes while this holds the loop
        assert looked_again.wait(20.0)  # and only once, however often the guard looks

    def on_stuck(still_s: float) -> None:
        assert still_s > STUCK_S
        told.set()

    watch = LoopWatch(metrics, interval_s=0.01, stuck_after_s=STUCK_S, on_stuck=on_stuck, monotonic=monotonic)
    async with watch:
        await settle()
        blocks_the_loop()
    assert seen.delta("maestro_event_loop_stalls_total") == 1
    assert "monitoring.loop_stuck" in caplog.text
    assert "blocks_the_loop" in caplog.text


async def test_a_listener_that_raises_is_logged_and_the_watch_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """The second stall is told too."""
    told = threading.Semaphore(0)

    def on_stuck(still_s: float) -> None:
        told.release()
        raise RuntimeError("listener bug")

    watch = LoopWatch(Metrics(), interval_s=0.01, stuck_after_s=STUCK_S, on_stuck=on_stuck)
    async with asyncio.timeout(30.0), watch:
        for _ in range(2):
            before_s = watch._beat_s
            while watch._beat_s == before_s:
                await settle()
            assert told.acquire(timeout=20.0)
    assert caplog.text.count("monitoring.on_stuck_failed") == 2


async def test_nothing_is_left_behind() -> None:
    """Neither task nor thread."""
    before = threading.active_count()
    async with LoopWatch(Metrics()):
        assert threading.active_count() == before + 1
    assert threading.active_count() <= before + 1  # the pool that joined it may have grown
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "loop watch"]
    assert not [thread for thread in threading.enumerate() if thread.name == "loop watch"]


def test_bad_parameters_are_refused() -> None:
    """An interval longer than the limit could see nothing."""
    with pytest.raises(InvalidCheck):
        LoopWatch(Metrics(), interval_s=5.0, stuck_after_s=1.0)
