"""Sliding windows over the outcomes of calls: the last n calls, or the last n seconds; pure."""

from typing import Protocol


class Window(Protocol):
    """Running totals of what it still remembers."""

    calls: int
    failures: int
    slow: int

    def add(self, now_s: float, failed: bool, slow: bool) -> None:
        """Remember one call."""

    def forget(self, now_s: float) -> None:
        """Drop what has become too old."""


class CountWindow:
    """The last `size` calls, in one byte each."""

    __slots__ = ("_at", "_ring", "_size", "calls", "failures", "slow")

    def __init__(self, size: int) -> None:
        self._size = size
        self._ring = bytearray()
        self._at = 0
        self.calls = self.failures = self.slow = 0

    def add(self, now_s: float, failed: bool, slow: bool) -> None:
        outcome = failed | slow << 1
        if self.calls < self._size:
            self._ring.append(outcome)
            self.calls += 1
        else:
            oldest = self._ring[self._at]
            self._ring[self._at] = outcome
            self._at = (self._at + 1) % self._size
            self.failures -= oldest & 1
            self.slow -= oldest >> 1
        self.failures += failed
        self.slow += slow

    def forget(self, now_s: float) -> None:
        """Calls do not age."""


class TimeWindow:
    """The calls of the last `span_s` seconds, forgotten a tenth of the span at a time."""

    BUCKETS = 10
    __slots__ = ("_buckets", "_newest", "_width_s", "calls", "failures", "slow")

    def __init__(self, span_s: float) -> None:
        self._width_s = span_s / self.BUCKETS
        self._buckets = [[0, 0, 0] for _ in range(self.BUCKETS)]
        self._newest = -1
        self.calls = self.failures = self.slow = 0

    def add(self, now_s: float, failed: bool, slow: bool) -> None:
        self.forget(now_s)
        bucket = self._buckets[self._newest % self.BUCKETS]
        bucket[0] += 1
        bucket[1] += failed
        bucket[2] += slow
        self.calls += 1
        self.failures += failed
        self.slow += slow

    def forget(self, now_s: float) -> None:
        current = int(now_s / self._width_s)
        for index in range(max(self._newest + 1, current - self.BUCKETS + 1), current + 1):
            bucket = self._buckets[index % self.BUCKETS]
            self.calls -= bucket[0]
            self.failures -= bucket[1]
            self.slow -= bucket[2]
            bucket[:] = (0, 0, 0)
        self._newest = max(self._newest, current)
