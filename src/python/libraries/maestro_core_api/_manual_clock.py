"""A clock for tests that stands still until it is told."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """Time that moves only by `advance`; wall time and monotonic time go together, to the microsecond."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._now = start

    def now(self) -> datetime:
        """The wall time in UTC."""
        return self._now

    def monotonic_ns(self) -> int:
        """Nanoseconds since the clock was made."""
        return (self._now - self._start) // timedelta(microseconds=1) * 1000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
