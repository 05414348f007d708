"""Slots: a counted limit with a bounded queue, shared by threads and by tasks of any event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from maestro_resilience._clock import Clock, wake
from maestro_resilience._deadline import remaining_s


class _Waiter:
    __slots__ = ("granted", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.granted = False


class Slots:
    """At most `limit` holders at once; a freed slot goes straight to whoever waited longest, so nobody barges in."""

    def __init__(self, limit: int, max_waiting: int, clock: Clock) -> None:
        self._limit = limit
        self._max_waiting = max_waiting
        self._clock = clock
        self._lock = threading.Lock()
        self._waiters: deque[_Waiter] = deque()
        self.in_use = 0

    @property
    def waiting(self) -> int:
        """How many wait in the queue."""
        return len(self._waiters)

    def try_acquire(self) -> bool:
        """Take a slot if one is free now."""
        with self._lock:
            if self.in_use < self._limit:
                self.in_use += 1
                return True
            return False

    def acquire(self, max_wait_s: float | None) -> bool:
        """Take a slot, waiting in the queue at most `max_wait_s` and the ambient deadline; False when there is none."""
        if self.try_acquire():
            return True
        event = threading.Event()
        waiter = self._enqueue(event.set)
        if waiter is None:
            return False
        if not waiter.granted:
            try:
                self._clock.wait(event, _shorter(max_wait_s))
            except BaseException:
                self._abandon(waiter)
                raise
        return not self._withdraw(waiter)

    async def aacquire(self, max_wait_s: float | None) -> bool:
        """`acquire` for a task."""
        if self.try_acquire():
            return True
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        waiter = self._enqueue(lambda: loop.call_soon_threadsafe(wake, future))
        if waiter is None:
            return False
        if not waiter.granted:
            limit_s = _shorter(max_wait_s)
            timer = None if limit_s is None else self._clock.call_later(limit_s, partial(wake, future))
            try:
                await future
            except BaseException:
                self._abandon(waiter)
                raise
            finally:
                if timer is not None:
                    timer.cancel()
        return not self._withdraw(waiter)

    def release(self) -> None:
        """Free a slot, or hand it to the next in the queue."""
        with self._lock:
            self.in_use -= 1
            self._grant()

    def resize(self, limit: int) -> None:
        """Change the limit; holders above a smaller one finish in peace."""
        with self._lock:
            self._limit = limit
            self._grant()

    def _enqueue(self, wake_up: Callable[[], object]) -> _Waiter | None:
        """Join the queue; already granted when a slot came free meanwhile, None when the queue is full."""
        waiter = _Waiter(wake_up)
        with self._lock:
            if self.in_use < self._limit:
                self.in_use += 1
                waiter.granted = True
            elif len(self._waiters) >= self._max_waiting:
                return None
            else:
                self._waiters.append(waiter)
        return waiter

    def _withdraw(self, waiter: _Waiter) -> bool:
        """Leave the queue; False when a slot was granted already."""
        with self._lock:
            if waiter.granted:
                return False
            self._waiters.remove(waiter)
            return True

    def _abandon(self, waiter: _Waiter) -> None:
        """Leave the queue for good, passing on a slot that was granted in the same moment."""
        if not self._withdraw(waiter):
            self.release()

    def _grant(self) -> None:
        while self._waiters and self.in_use < self._limit:
            waiter = self._waiters.popleft()
            try:
                waiter.wake()
            except RuntimeError:
                continue  # its event loop is closed: nobody waits there any more
            waiter.granted = True
            self.in_use += 1


def _shorter(max_wait_s: float | None) -> float | None:
    """The wait that the ambient deadline allows; None means no limit."""
    left_s = remaining_s()
    if left_s is None:
        return max_wait_s
    return left_s if max_wait_s is None else min(max_wait_s, left_s)
