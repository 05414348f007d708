"""Between a cache and its store: what the cache does when the store does not."""

import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from maestro_cache._errors import NotStorable, StoreError, StoreUnavailable
from maestro_cache._events import Event, ForeignValue, Listener, NotStored, StoreFailed, StoreRecovered, tell
from maestro_cache._key import Space
from maestro_cache._owed import Owed
from maestro_cache._stats import Counts
from maestro_cache._store import AsyncStore, Claim, Draft, Reading

R = TypeVar("R")

_MAX_KEPT_LEASES: Final = 1_000
"""Leases to give back after an outage; beyond that they end by their own time."""


class Guard:
    """Turns failures of the store into "there is nothing" and, with `raise_errors`, into errors after all.

    After a failure to answer the store is left alone for `retry_s`; then one caller tries it, and the others go on
    without. An invalidation that the store did not confirm is owed: until it is delivered nothing is read from the
    store, so this cache never serves what it invalidated.
    """

    def __init__(
        self, store: AsyncStore, space: Space, counts: Counts, listener: Listener, *, retry_s: float, raise_errors: bool
    ) -> None:
        self._store = store
        self._namespace = space.prefix
        self._counts = counts
        self._listener = listener
        self._retry_s = retry_s
        self._raise_errors = raise_errors
        self._owed = Owed(space.tag)
        self._kept_leases: dict[str, Claim] = {}
        self._retry_at_s: float | None = None
        self._lock = threading.Lock()

    async def read(self, key: str, tags: Sequence[str]) -> Reading:
        """What the key holds; nothing when the store cannot say."""
        found: Reading | None = None
        if self._retry_at_s is None:
            # The way of nearly every call, so it is short.
            try:
                found = await self._store.read(key, tags)
            except StoreError as error:
                self._failed("read", error)
        else:
            found = await self._reach("read", lambda: self._store.read(key, tags))
        if found is None:
            return self._without(key, tags)
        if found.problem is not None:
            self.tell(ForeignValue(self._namespace, key, found.problem))
        return found

    async def claim(self, key: str, tags: Sequence[str], lease_s: float | None) -> Claim:
        """Leave to compute; granted without a lease when the store cannot say."""
        claim = await self._reach("claim", lambda: self._store.claim(key, tags, lease_s))
        if claim is None:
            return Claim(None, self._without(key, tags).stamps, granted=True, token="")
        if claim.problem is not None:
            self.tell(ForeignValue(self._namespace, key, claim.problem))
        return claim

    async def write(self, key: str, draft: Draft, claim: Claim) -> bool:
        """Whether the draft was stored; not when the claim came from no store, or was overtaken by an invalidation."""
        if not claim.token:
            return False
        try:
            stored = await self._reach("write", lambda: self._store.write(key, draft, claim))
        except NotStorable as error:
            self._counts.add("not_stored")
            self.tell(NotStored(self._namespace, key, error))
            await self.release(key, claim)
            if self._raise_errors:
                raise
            return False
        except StoreError:
            await self.release(key, claim)
            raise
        if stored is None:
            await self.release(key, claim)
        elif not stored:
            self._counts.add("outdated_writes")
        return bool(stored)

    async def release(self, key: str, claim: Claim) -> None:
        """Give the lease back without a value; now, or before anything else is asked of the store."""
        if not claim.token:
            return
        if len(self._kept_leases) < _MAX_KEPT_LEASES:
            self._kept_leases[key] = claim
        # A failure was told, and must not hide why there is no value.
        with suppress(StoreError):
            await self._reach("release", self._nothing_more)

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str]) -> bool:
        """Whether the store confirmed it; what it did not confirm is owed."""
        with self._lock:
            owing = self._retry_at_s is not None
            if owing:
                self._owed.add(keys, tags)
        if owing:
            return await self._reach("invalidate", self._nothing_more) is not None
        try:
            await self._store.invalidate(keys, tags)
        except StoreError as error:
            self._owe(keys, tags, pause_s=self._retry_s)
            self._failed("invalidate", error)
            return False
        except BaseException:
            # Cancelled on the way: nobody knows whether it arrived.
            self._owe(keys, tags, pause_s=0.0)
            raise
        return True

    def tell(self, event: Event) -> None:
        """Tell the listener."""
        tell(self._listener, event)

    async def _reach(self, operation: str, call: Callable[[], Awaitable[R]]) -> R | None:
        """Do it, after delivering what is owed; None when the store is left alone, or fails."""
        if not self._may_try():
            if self._raise_errors:
                raise StoreUnavailable("the store failed a moment ago and is left alone", retry_after_s=self._retry_s)
            return None
        try:
            await self._deliver()
            result = await call()
        except StoreError as error:
            self._failed(operation, error)
            return None
        self._recovered()
        return result

    def _may_try(self) -> bool:
        if self._retry_at_s is None:
            return True
        with self._lock:
            now_s = self._store.now_s()
            if self._retry_at_s is not None and now_s < self._retry_at_s:
                return False
            # This caller tries; for the others the pause begins anew.
            self._retry_at_s = now_s + self._retry_s
            return True

    async def _deliver(self) -> None:
        while self._owed:
            with self._lock:
                keys, tags = self._owed.due()
            await self._store.invalidate(tuple(keys), tuple(tags))
            with self._lock:
                self._owed.delivered(keys, tags)
        for key, claim in tuple(self._kept_leases.items()):
            await self._store.release(key, claim)
            self._kept_leases.pop(key, None)

    async def _nothing_more(self) -> bool:
        return True

    def _owe(self, keys: Sequence[str], tags: Sequence[str], *, pause_s: float) -> None:
        with self._lock:
            self._owed.add(keys, tags)
            self._retry_at_s = self._store.now_s() + pause_s

    def _failed(self, operation: str, error: StoreError) -> None:
        with self._lock:
            # A store that answers "no" costs little to ask; one that is owed something is asked no more than one that
            # does not answer, because nothing can be read from it.
            if isinstance(error, StoreUnavailable) or self._owed:
                self._retry_at_s = self._store.now_s() + self._retry_s
        self._counts.add("store_failures")
        self.tell(StoreFailed(self._namespace, operation, error))
        if self._raise_errors:
            raise error

    def _recovered(self) -> None:
        if self._retry_at_s is None:
            return
        with self._lock:
            recovered = not self._owed and self._retry_at_s is not None
            if recovered:
                self._retry_at_s = None
        if recovered:
            self.tell(StoreRecovered(self._namespace))

    def _without(self, key: str, tags: Sequence[str]) -> Reading:
        with self._lock:
            return Reading(None, self._owed.stamps(key, tags))
