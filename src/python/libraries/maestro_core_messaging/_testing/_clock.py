"""A wall clock that a test moves."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """Tells the same time until it is moved on."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._now += timedelta(seconds=seconds)
