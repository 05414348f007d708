"""Stores that fail on purpose."""

from collections.abc import Sequence

from maestro_cache._errors import StoreRefused, StoreUnavailable
from maestro_cache._memory import MemoryStore
from maestro_cache._store import AsyncStore, Claim, Draft, Immediate, Reading, Store

OPERATIONS = frozenset({"read", "claim", "write", "release", "invalidate"})


class _Faults:
    """`unavailable` and `refused` name the operations that fail now; `calls` lists all that were asked for."""

    def __init__(self) -> None:
        self.unavailable: set[str] = set()
        self.refused: set[str] = set()
        self.calls: list[str] = []

    def go_down(self) -> None:
        """Answer nothing from now on."""
        self.unavailable = set(OPERATIONS)

    def come_back(self) -> None:
        """Do everything from now on."""
        self.unavailable, self.refused = set(), set()

    def _do(self, operation: str) -> None:
        self.calls.append(operation)
        if operation in self.unavailable:
            raise StoreUnavailable("a failure on purpose")
        if operation in self.refused:
            raise StoreRefused("a refusal on purpose")


class FlakyStore(_Faults):
    """A store for threads that fails on purpose, in front of one that works."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self.now_s = store.now_s

    def read(self, key: str, tags: Sequence[str]) -> Reading:
        self._do("read")
        return self._store.read(key, tags)

    def claim(self, key: str, tags: Sequence[str], lease_s: float | None) -> Claim:
        self._do("claim")
        return self._store.claim(key, tags, lease_s)

    def write(self, key: str, draft: Draft, claim: Claim) -> bool:
        self._do("write")
        return self._store.write(key, draft, claim)

    def release(self, key: str, claim: Claim) -> None:
        self._do("release")
        self._store.release(key, claim)

    def invalidate(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        self._do("invalidate")
        self._store.invalidate(keys, tags)

    def close(self) -> None:
        self._store.close()


class AsyncFlakyStore(_Faults):
    """The same for tasks."""

    def __init__(self, store: AsyncStore | MemoryStore) -> None:
        super().__init__()
        self._store = Immediate(store) if isinstance(store, MemoryStore) else store
        self.now_s = store.now_s

    async def read(self, key: str, tags: Sequence[str]) -> Reading:
        self._do("read")
        return await self._store.read(key, tags)

    async def claim(self, key: str, tags: Sequence[str], lease_s: float | None) -> Claim:
        self._do("claim")
        return await self._store.claim(key, tags, lease_s)

    async def write(self, key: str, draft: Draft, claim: Claim) -> bool:
        self._do("write")
        return await self._store.write(key, draft, claim)

    async def release(self, key: str, claim: Claim) -> None:
        self._do("release")
        await self._store.release(key, claim)

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        self._do("invalidate")
        await self._store.invalidate(keys, tags)

    async def aclose(self) -> None:
        await self._store.aclose()
