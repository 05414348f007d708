"""What a cache asks of a store; `testing.CacheStoreConformance` says the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from maestro_cache._decide import Entry, Outcome

Stamps: TypeAlias = Mapping[str, object]
"""The token of a key and of each of its tags at one moment; None where the store has none.

A token changes with every deletion of its key or invalidation of its tag, and never comes back: equal tokens mean that
nothing was invalidated in between, even where the store forgot tokens.
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a cache wants to have stored; times are durations from the moment of the write."""

    outcome: Outcome
    fresh_s: float
    stale_s: float
    compute_s: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What a key holds; `stamps` are of the same moment, and may be empty when there is an entry.

    `problem` says what is wrong with bytes under the key that are no entry of ours.
    """

    entry: Entry | None
    stamps: Stamps
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Leave to compute: `stamps` from before the function runs, and whether nobody else has the lease."""

    entry: Entry | None
    stamps: Stamps
    granted: bool
    token: str
    problem: str | None = None


class Store(Protocol):
    """A place for entries, for threads; every method raises StoreError when it cannot do its work.

    `read` gives an entry only if none of its tags was invalidated after the `claim` that led to it. `claim` gives every
    key and tag a token, and grants one lease for each key until `lease_s` passes or `write` or `release` ends it;
    without `lease_s` it always grants. `write` stores only if every token in `stamps` still holds, and answers whether
    it did. `invalidate` changes tokens, removes the entries of keys, and ends their leases, because what is computed
    under them will not be stored.
    """

    def now_s(self) -> float:
        """The clock by which its entries live; never goes back."""

    def read(self, key: str, tags: Sequence[str]) -> Reading: ...

    def claim(self, key: str, tags: Sequence[str], lease_s: float | None) -> Claim: ...

    def write(self, key: str, draft: Draft, claim: Claim) -> bool: ...

    def release(self, key: str, claim: Claim) -> None: ...

    def invalidate(self, keys: Sequence[str], tags: Sequence[str]) -> None: ...

    def close(self) -> None: ...


class AsyncStore(Protocol):
    """The same for tasks."""

    def now_s(self) -> float:
        """The clock by which its entries live; never goes back."""

    async def read(self, key: str, tags: Sequence[str]) -> Reading: ...

    async def claim(self, key: str, tags: Sequence[str], lease_s: float | None) -> Claim: ...

    async def write(self, key: str, draft: Draft, claim: Claim) -> bool: ...

    async def release(self, key: str, claim: Claim) -> None: ...

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str]) -> None: ...

    async def aclose(self) -> None: ...


class Immediate:
    """A store for threads as one for tasks: its calls never suspend, so they block while they last."""

    __slots__ = ("now_s", "store")

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now_s = store.now_s

    async def read(self, key: str, tags: Sequence[str]) -> Reading:
        return self.store.read(key, tags)

    async def claim(self, key: str, tags: Sequence[str], lease_s: float | None) -> Claim:
        return self.store.claim(key, tags, lease_s)

    async def write(self, key: str, draft: Draft, claim: Claim) -> bool:
        return self.store.write(key, draft, claim)

    async def release(self, key: str, claim: Claim) -> None:
        self.store.release(key, claim)

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        self.store.invalidate(keys, tags)

    async def aclose(self) -> None:
        self.store.close()
