"""Time as the policies see it: one protocol, and the real clock."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A callback that is still to come."""

    def cancel(self) -> None:
        """Forget the callback; harmless when it has run."""


class Clock(Protocol):
    """Everything that a policy asks of time; `testing.ManualClock` is the other implementation."""

    def now_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def sleep(self, delay_s: float) -> None:
        """Block this thread."""

    async def asleep(self, delay_s: float) -> None:
        """Suspend this task; gives way to others even when `delay_s` is 0."""

    def wait(self, event: threading.Event, limit_s: float | None) -> bool:
        """Block this thread until the event is set (True) or the limit passes (False); None waits without limit."""

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> Timer:
        """Run the callback on the running event loop after the delay."""


class SystemClock:
    """The monotonic clock of this machine."""

    def __init__(self) -> None:
        self._skipped_s = 0.0
        self._skipping = 0
        self._lock = threading.Lock()

    def now_s(self) -> float:
        return time.monotonic() + self._skipped_s

    def sleep(self, delay_s: float) -> None:
        if not self._skip(delay_s):
            time.sleep(delay_s)

    async def asleep(self, delay_s: float) -> None:
        await asyncio.sleep(0 if self._skip(delay_s) else delay_s)

    def wait(self, event: threading.Event, limit_s: float | None) -> bool:
        return event.wait(limit_s)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(delay_s, callback)

    def skip_sleeps(self, skip: bool) -> None:
        """Let time jump over every sleep (True), or end one earlier such request (False); for `testing.no_sleep`."""
        with self._lock:
            self._skipping += 1 if skip else -1

    def _skip(self, delay_s: float) -> bool:
        if not self._skipping:
            return False
        with self._lock:
            self._skipped_s += delay_s
        return True


SYSTEM_CLOCK = SystemClock()


def wake(future: "asyncio.Future[None]") -> None:
    """Resolve a future that somebody may have resolved or cancelled already."""
    if not future.done():
        future.set_result(None)
