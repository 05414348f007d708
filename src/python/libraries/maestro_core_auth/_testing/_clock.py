"""Time and randomness that a test decides."""

import random
from datetime import UTC, datetime, timedelta

from maestro_core_auth._opaque import RandomBytes


class ManualClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative number puts the clock back."""
        self.now += timedelta(seconds=seconds)


def seeded_bytes(seed: int) -> RandomBytes:
    """Randomness that is the same in every run."""
    return random.Random(seed).randbytes
