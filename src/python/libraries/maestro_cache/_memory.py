"""The store in the memory of this process."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from maestro_cache._decide import Entry, Value
from maestro_cache._errors import InvalidPolicy, NotStorable
from maestro_cache._s3fifo import S3Fifo
from maestro_cache._store import Claim, Draft, Reading, Stamps

DEFAULT_MAX_ENTRIES: Final = 10_000


class _Mark:
    """The version of one tag or key; it lives as long as an entry or a computation refers to it, and no longer."""

    __slots__ = ("__weakref__", "version")

    def __init__(self) -> None:
        self.version = 0


_Token = tuple[_Mark, int]


@dataclass(frozen=True, slots=True)
class _Held:
    entry: Entry
    tags: tuple[_Token, ...]


@dataclass(frozen=True, slots=True)
class _Lease:
    token: str
    until_s: float


class MemoryStore:
    """Entries in this process, for any number of threads, bounded by count and, with a `weigher`, by weight.

    Values are handed out as they are: every reader gets the same object, so do not change it. `weigher` gives the size
    of a value in bytes, or in any unit of `max_bytes`. Expired entries go when they are read or pushed out; there is
    no sweeping thread. What has to go is chosen by S3-FIFO.
    """

    def __init__(
        self,
        max_entries: int = DEFAULT_MAX_ENTRIES,
        *,
        max_bytes: int | None = None,
        weigher: Callable[[object], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if type(max_entries) is not int or max_entries < 1:
            raise InvalidPolicy(f"max_entries is {max_entries!r}; give a whole number, 1 or more")
        if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 1):
            raise InvalidPolicy(f"max_bytes is {max_bytes!r}; give None or a whole number, 1 or more")
        if (max_bytes is None) != (weigher is None):
            raise InvalidPolicy("max_bytes and weigher go together: a bound in bytes needs to know what a value weighs")
        self.now_s = clock
        self._max_bytes = max_bytes
        self._weigher = weigher
        self._held: S3Fifo[_Held] = S3Fifo(max_entries, max_bytes)
        self._marks: WeakValueDictionary[str, _Mark] = WeakValueDictionary()
        self._leases: dict[str, _Lease] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Entries held, those included that have expired or were invalidated and are not gone yet."""
        return len(self._held)

    @property
    def size_bytes(self) -> int:
        """What the held entries weigh together; 0 without a weigher."""
        return self._held.weight

    def read(self, key: str, tags: Sequence[str]) -> Reading:
        """A hit takes no lock: it reads references that are replaced whole."""
        entry = self._entry(key)
        if entry is not None:
            return Reading(entry, {})
        with self._lock:
            entry = self._entry(key)
            if entry is None:
                self._held.remove(key)
            return Reading(entry, self._seen((key, *tags)))

    def claim(self, key: str, tags: Sequence[str], lease_s: float | None) -> Claim:
        token = f"{random.getrandbits(64):016x}"
        with self._lock:
            stamps: Stamps = {name: self._token(name) for name in (key, *tags)}
            lease, now_s = self._leases.get(key), self.now_s()
            granted = lease_s is None or lease is None or lease.until_s <= now_s
            if granted and lease_s is not None:
                self._leases[key] = _Lease(token, now_s + lease_s)
            return Claim(self._entry(key), stamps, granted, token)

    def write(self, key: str, draft: Draft, claim: Claim) -> bool:
        weight = self._weigh(draft)
        with self._lock:
            self._end_lease(key, claim)
            if self._seen(tuple(claim.stamps)) != claim.stamps:
                return False
            fresh_until_s = self.now_s() + draft.fresh_s
            entry = Entry(claim.token, draft.outcome, fresh_until_s, fresh_until_s + draft.stale_s, draft.compute_s)
            tags = tuple(self._token(name) for name in claim.stamps if name != key)
            self._held.put(key, _Held(entry, tags), weight)
            return True

    def release(self, key: str, claim: Claim) -> None:
        with self._lock:
            self._end_lease(key, claim)

    def invalidate(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        with self._lock:
            for name in (*keys, *tags):
                mark = self._marks.get(name)
                if mark is not None:
                    mark.version += 1
            for key in keys:
                self._held.remove(key)
                self._leases.pop(key, None)

    def close(self) -> None:
        """Nothing to close: the entries go with the object."""

    def _entry(self, key: str) -> Entry | None:
        held = self._held.get(key)
        if held is None or held.entry.served_until_s <= self.now_s():
            return None
        for mark, version in held.tags:
            if mark.version != version:
                return None
        return held.entry

    def _seen(self, names: tuple[str, ...]) -> Stamps:
        marks = {name: self._marks.get(name) for name in names}
        return {name: None if mark is None else (mark, mark.version) for name, mark in marks.items()}

    def _token(self, name: str) -> _Token:
        mark = self._marks.get(name)
        if mark is None:
            mark = self._marks[name] = _Mark()
        return mark, mark.version

    def _end_lease(self, key: str, claim: Claim) -> None:
        lease = self._leases.get(key)
        if lease is not None and lease.token == claim.token:
            del self._leases[key]

    def _weigh(self, draft: Draft) -> int:
        if self._weigher is None or self._max_bytes is None or not isinstance(draft.outcome, Value):
            return 0
        try:
            weight = self._weigher(draft.outcome.value)
        except Exception as error:
            raise NotStorable(f"the weigher failed with {type(error).__name__}") from error
        if type(weight) is not int or weight < 0:
            raise NotStorable(f"the weigher gave {weight!r}; it has to give a whole number, 0 or more")
        if weight > self._max_bytes:
            raise NotStorable(f"the value weighs {weight}, and the whole store holds {self._max_bytes}")
        return weight
