"""A clock for tests: time stands still until something sleeps, waits or advances it."""

import asyncio
import heapq
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from maestro_resilience._clock import wake

_IDLE_TURNS: Final = 50
"""Turns of the event loop without use of the clock after which it counts as idle; chains of tasks settle in fewer."""


class _Timer:
    __slots__ = ("at_s", "callback", "cancelled", "clock", "handle", "loop", "order")

    def __init__(
        self,
        clock: "ManualClock",
        at_s: float,
        order: int,
        loop: asyncio.AbstractEventLoop,
        callback: Callable[[], object],
    ) -> None:
        self.clock = clock
        self.at_s = at_s
        self.order = order
        self.loop = loop
        self.callback = callback
        self.cancelled = False
        self.handle: asyncio.Handle | None = None

    def __lt__(self, other: "_Timer") -> bool:
        return (self.at_s, self.order) < (other.at_s, other.order)

    def cancel(self) -> None:
        self.cancelled = True
        self.clock._touched = True
        if self.handle is not None:
            self.handle.cancel()

    def fire(self) -> None:
        if not self.cancelled and not self.loop.is_closed():
            self.handle = self.loop.call_soon_threadsafe(self.callback)


class ManualClock:
    """Virtual time. A sync sleep moves it at once; async sleeps and timeouts of all tasks come in virtual order.

    While tasks wait for the clock, it watches the event loop, and when nothing else happens there it jumps to the
    moment of the next timer. So a test of an hour takes milliseconds and always runs the same way. `sleeps` lists what
    was slept. Limits: one event loop at a time; the sleeps of several threads add up; a task that waits for a real
    socket or thread looks idle.
    """

    def __init__(self, start_s: float = 1000.0) -> None:
        self.sleeps: list[float] = []
        self._now_s = start_s
        self._timers: list[_Timer] = []
        self._order = 0
        self._touched = False
        self._watched: asyncio.AbstractEventLoop | None = None
        self._lock = threading.RLock()

    def now_s(self) -> float:
        return self._now_s

    def advance(self, delay_s: float) -> None:
        """Let that much time pass, firing on the way what is due."""
        with self._lock:
            self._advance_to(self._now_s + delay_s)

    def sleep(self, delay_s: float) -> None:
        self.sleeps.append(delay_s)
        self.advance(delay_s)

    async def asleep(self, delay_s: float) -> None:
        self.sleeps.append(delay_s)
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(delay_s, partial(wake, future))
        try:
            await future
        finally:
            timer.cancel()

    def wait(self, event: threading.Event, limit_s: float | None) -> bool:
        """Without a limit, a real wait; with one, virtual time passes up to it unless the event is set already."""
        if limit_s is None:
            return event.wait()
        if not event.is_set():
            self.advance(limit_s)
        return event.is_set()

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> _Timer:
        loop = asyncio.get_running_loop()
        with self._lock:
            self._order += 1
            timer = _Timer(self, self._now_s + max(0.0, delay_s), self._order, loop, callback)
            if self._watched is not loop:
                self._watched = loop
                self._timers = [timer for timer in self._timers if not timer.loop.is_closed()]
                heapq.heapify(self._timers)
                loop.call_soon(self._watch, loop, 0)
            heapq.heappush(self._timers, timer)
            self._touched = True
            return timer

    def _watch(self, loop: asyncio.AbstractEventLoop, idle_turns: int) -> None:
        with self._lock:
            while self._timers and self._timers[0].cancelled:
                heapq.heappop(self._timers)
            if not self._timers:
                self._watched = None
                return
            idle_turns = 0 if self._touched else idle_turns + 1
            self._touched = False
            if idle_turns >= _IDLE_TURNS:
                self._advance_to(self._timers[0].at_s)
                idle_turns = 0
        loop.call_soon(self._watch, loop, idle_turns)

    def _advance_to(self, at_s: float) -> None:
        while self._timers and self._timers[0].at_s <= at_s:
            timer = heapq.heappop(self._timers)
            self._now_s = max(self._now_s, timer.at_s)
            timer.fire()
        self._now_s = max(self._now_s, at_s)
