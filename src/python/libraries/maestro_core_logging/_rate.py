"""Which records are worth writing: sampling by event, a rate limit by event, and a count of all that is dropped."""

import logging
import random as stdlib_random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from maestro_core_logging._errors import InvalidOption

_MAX_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `records` of one event of one logger in any `period_s` seconds."""

    records: int
    period_s: float = 1.0

    def __post_init__(self) -> None:
        if self.records < 1 or self.period_s <= 0:
            raise InvalidOption("rate_limit: it needs at least 1 record and a period above 0 seconds")


class Dropped:
    """Counts records that were not written, by reason; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def add(self, reason: str, records: int = 1) -> None:
        with self._lock:
            self._counts[reason] = self._counts.get(reason, 0) + records

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)


class Sampler:
    """Keeps a share of the records of some events; records of WARNING and above are all kept."""

    def __init__(self, shares: Mapping[str, float], random: Callable[[], float] = stdlib_random.random) -> None:
        for event, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise InvalidOption(f"sampling[{event!r}]: the share to keep is between 0 and 1")
        self._shares = dict(shares)
        self._random = random

    def keeps(self, event: str, level: int, trace_id: object) -> bool:
        """Whether to write it; all records of one trace are judged alike, in every process."""
        share = self._shares.get(event, 1.0)
        if share >= 1.0 or level >= logging.WARNING:
            return True
        if isinstance(trace_id, str) and len(trace_id) == 32:
            return int(trace_id[-14:], 16) / 2**56 < share
        return self._random() < share


class RateLimiter:
    """A sliding window for each event; remembers the events seen last, so that its memory is bounded."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: OrderedDict[tuple[str, str], _Window] = OrderedDict()

    def admit(self, logger: str, event: str) -> int | None:
        """How many like it were dropped since the last one that was written; None when this one is dropped too."""
        now = self._clock()
        with self._lock:
            window = self._windows.pop((logger, event), None) or _Window(deque())
            self._windows[logger, event] = window
            if len(self._windows) > _MAX_EVENTS:
                self._windows.popitem(last=False)
            written = window.written
            while written and written[0] <= now - self._limit.period_s:
                written.popleft()
            if len(written) >= self._limit.records:
                window.dropped += 1
                return None
            written.append(now)
            dropped, window.dropped = window.dropped, 0
            return dropped


@dataclass(slots=True)
class _Window:
    written: deque[float]
    dropped: int = 0
