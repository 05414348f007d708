"""So many per time: a bucket that fills evenly."""

from typing import Final

_EARLY_S: Final = 1e-5
"""Timers and clocks round: what is due within this is due."""


class Rate:
    """At most `count` at once, and `count` per `per_s` seconds in the long run; times are those of one steady clock.

    Kept as one number: when the bucket would be full again, were nothing more taken out.
    """

    __slots__ = ("_full_at", "_gap_s", "count", "per_s")

    def __init__(self, count: int, per_s: float, *, empty_at: float) -> None:
        self.count = count
        self.per_s = per_s
        self._gap_s = per_s / count
        self._full_at = empty_at + per_s

    def wait_s(self, now: float) -> float:
        """Seconds until one more may be taken; 0 when it may be now."""
        left = self._full_at - (self.per_s - self._gap_s) - now
        return left if left > _EARLY_S else 0.0

    def take(self, now: float) -> None:
        """Count one that begins."""
        self._full_at = max(now, self._full_at) + self._gap_s

    def is_full(self, now: float) -> bool:
        """Whether nothing is missing, so that a new bucket would be the same."""
        return self._full_at <= now

    def change(self, count: int, per_s: float, now: float) -> None:
        """Go on with other figures and with what is in the bucket, as far as it holds that."""
        missing = max(0.0, self._full_at - now) / self._gap_s
        held = max(0.0, self.count - missing)
        self.count, self.per_s, self._gap_s = count, per_s, per_s / count
        self._full_at = now + (count - min(held, count)) * self._gap_s
