"""A clock that stands still until it is told."""

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class ManualClock:
    """Time that moves only by `advance`; what becomes due is called back in order."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._numbers = itertools.count()
        self._timers: list[tuple[datetime, int, Callable[[], None]]] = []
        self._called_off: set[int] = set()

    def now(self) -> datetime:
        """The time in UTC."""
        return self._now

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when the clock has been moved that far; the returned function calls it off."""
        number = next(self._numbers)
        heapq.heappush(self._timers, (self._now + timedelta(seconds=delay_s), number, callback))
        return lambda: self._called_off.add(number)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        until = self._now + timedelta(seconds=seconds)
        while self._timers and self._timers[0][0] <= until:
            due_at, number, callback = heapq.heappop(self._timers)
            self._now = max(self._now, due_at)
            if number not in self._called_off:
                callback()
        self._now = until

    @property
    def next_due_at(self) -> datetime | None:
        """When the next timer is due, None when there is none."""
        while self._timers and self._timers[0][1] in self._called_off:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None
