"""What a cache counts."""

import threading
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Counts since the cache was made, of calls of `get_or_compute` unless said otherwise.

    hits, stale_hits: served from the store, fresh or stale. negative_hits: those of them that raised a kept error.
    computed: functions run while somebody waited. shared: results of a function that another caller, or another
    process, ran. refreshes, refresh_failures: functions run in the background, and failed there. not_stored: values
    that the store cannot hold. outdated_writes: values not stored because of an invalidation meanwhile.
    store_failures: operations that the store did not do.
    """

    hits: int = 0
    stale_hits: int = 0
    negative_hits: int = 0
    computed: int = 0
    shared: int = 0
    refreshes: int = 0
    refresh_failures: int = 0
    not_stored: int = 0
    outdated_writes: int = 0
    store_failures: int = 0


class Counts:
    """The counts of one cache, for threads."""

    __slots__ = ("_lock", "_numbers")

    def __init__(self) -> None:
        self._numbers = {field.name: 0 for field in fields(CacheStats)}
        self._lock = threading.Lock()

    def add(self, name: str) -> None:
        """One more of `name`."""
        with self._lock:
            self._numbers[name] += 1

    def snapshot(self) -> CacheStats:
        """The counts at this moment."""
        with self._lock:
            return CacheStats(**self._numbers)
