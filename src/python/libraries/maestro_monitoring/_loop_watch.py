"""A watch on the event loop: its lag as a metric from within, and an alarm from a thread when it stands still."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable

from maestro_monitoring._contract import LATENCY_S
from maestro_monitoring._errors import InvalidCheck, LoopStuck
from maestro_monitoring._metrics import Metrics

_log = logging.getLogger("maestro_monitoring")


class LoopMeters:
    """What is measured of the event loop."""

    def __init__(self, metrics: Metrics) -> None:
        self.lag = metrics.histogram(
            "maestro_event_loop_lag_seconds", "How much later than asked the event loop woke.", buckets=LATENCY_S
        )
        self.stalls = metrics.counter("maestro_event_loop_stalls_total", "Times that the event loop stood still.")


class LoopWatch:
    """While entered, beats every `interval_s`, and alarms when no beat came for `stuck_after_s`.

        async with LoopWatch(metrics) as watch: …

    The alarm is a log record with the stack that holds the loop, and a count; it comes from a thread, because nothing
    else runs in a loop that stands still. `probe` is the liveness check: it fails for one `stuck_after_s` afterwards.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        interval_s: float = 0.25,
        stuck_after_s: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_stuck: Callable[[float], None] | None = None,
    ) -> None:
        if not 0 < interval_s < stuck_after_s:
            raise InvalidCheck(f"0 < interval_s < stuck_after_s, got {interval_s} and {stuck_after_s}")
        self._meters = LoopMeters(metrics)
        self._interval_s = interval_s
        self._stuck_after_s = stuck_after_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._on_stuck = on_stuck
        self._beat_s = monotonic()
        self._recovered_s: float | None = None
        self._stopped = threading.Event()
        self._loop_thread = 0
        self._beating: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None

    @property
    def stuck(self) -> bool:
        """Whether the loop stands still; from any thread."""
        return self._monotonic() - self._beat_s > self._stuck_after_s + self._interval_s

    async def probe(self) -> None:
        """Raise LoopStuck when the loop stands still or did so less than `stuck_after_s` ago."""
        just_now = self._recovered_s is not None and self._monotonic() - self._recovered_s < self._stuck_after_s
        if self.stuck or just_now:
            raise LoopStuck(f"the event loop stood still for more than {self._stuck_after_s:g} s")

    async def __aenter__(self) -> "LoopWatch":
        self._loop_thread = threading.get_ident()
        self._beat_s = self._monotonic()
        self._stopped.clear()
        self._beating = asyncio.create_task(self._beat(), name="loop watch")
        self._thread = threading.Thread(target=self._guard, name="loop watch", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped.set()
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def _beat(self) -> None:
        while True:
            before_s = self._monotonic()
            await self._sleep(self._interval_s)
            now_s = self._monotonic()
            lag_s = max(0.0, now_s - before_s - self._interval_s)
            self._meters.lag.observe(lag_s)
            if lag_s > self._stuck_after_s:
                self._recovered_s = now_s
            self._beat_s = now_s

    def _guard(self) -> None:
        alarmed_for_s: float | None = None
        while not self._stopped.wait(self._interval_s):
            beat_s = self._beat_s
            if self.stuck and alarmed_for_s != beat_s:
                alarmed_for_s = beat_s  # once for each time that the loop stands still
                self._alarm(self._monotonic() - beat_s)

    def _alarm(self, still_s: float) -> None:
        self._meters.stalls.inc()
        frame = sys._current_frames().get(self._loop_thread)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "  (no frame)\n"
        _log.error("monitoring.loop_stuck the event loop has stood still for %.1f s, in:\n%s", still_s, stack)
        try:
            if self._on_stuck is not None:
                self._on_stuck(still_s)
        except Exception:  # the watch goes on, and says so
            _log.exception("monitoring.on_stuck_failed")
