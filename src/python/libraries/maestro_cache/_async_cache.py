"""The cache for tasks."""

import random as _random
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import ParamSpec, TypeVar, cast

from maestro_cache._cache import check_bounds
from maestro_cache._decide import Value
from maestro_cache._decorate import AsyncCachedFunction, KeyOf, TagsOf, key_maker
from maestro_cache._engine import Engine, Job
from maestro_cache._events import Listener, log_event
from maestro_cache._key import Key, Space
from maestro_cache._memory import MemoryStore
from maestro_cache._policy import Policy
from maestro_cache._stats import CacheStats
from maestro_cache._store import AsyncStore, Immediate
from maestro_cache._tasks import Tasks

V = TypeVar("V")
D = TypeVar("D")
P = ParamSpec("P")


class AsyncCache:
    """get-or-compute for the tasks of one event loop; parameters as for `Cache`.

    A MemoryStore may be shared with a `Cache` and with other loops. Functions run in tasks that the cache owns: a
    caller that is cancelled leaves the computation to those who wait, and to the store.
    """

    def __init__(
        self,
        policy: Policy,
        store: AsyncStore | MemoryStore | None = None,
        *,
        namespace: str = "cache",
        version: int = 1,
        listener: Listener = log_event,
        raise_errors: bool = False,
        retry_s: float = 1.0,
        max_refreshes: int = 8,
        random: Callable[[], float] = _random.random,
    ) -> None:
        check_bounds(retry_s, max_refreshes)
        store = MemoryStore() if store is None else store
        self._policy = policy
        self._space = Space(namespace, version)
        self._tasks = Tasks()
        self._engine = Engine(
            Immediate(store) if isinstance(store, MemoryStore) else store,
            self._space,
            self._tasks,
            listener=listener,
            random=random,
            max_refreshes=max_refreshes,
            retry_s=retry_s,
            raise_errors=raise_errors,
        )

    async def get_or_compute(
        self,
        key: Key[V],
        function: Callable[[], Awaitable[V]],
        *,
        policy: Policy | None = None,
        tags: tuple[str, ...] = (),
    ) -> V:
        """The value of the key; runs `function`, in one task at a time, when there is none to serve.

        Those who wait for the function get what it returns or raises. Errors other than the policy's negative ones
        are not kept: the next call tries again. Tags have to be the same in every call for a key.
        """
        job = Job(self._space.key(key), function, policy or self._policy, self._space.tags(tags))
        return cast(V, await self._engine.get_or_compute(job))

    async def get(self, key: Key[V], default: D = None) -> V | D:  # type: ignore[assignment]  # None is the D of no default
        """The value that is stored, fresh or stale; `default` when there is none, or an error is kept in its place."""
        outcome = await self._engine.get(self._space.key(key), self._space.tags(()))
        return cast(V, outcome.value) if isinstance(outcome, Value) else default

    async def set(self, key: Key[V], value: V, *, policy: Policy | None = None, tags: tuple[str, ...] = ()) -> bool:
        """Store a value; whether it is stored. What is being computed for the key meanwhile will not replace it."""
        return await self._engine.set(self._space.key(key), value, policy or self._policy, self._space.tags(tags))

    async def delete(self, *keys: Key[V]) -> bool:
        """Forget values, also those that are being computed; False when the store has not confirmed it yet."""
        return await self._engine.guard.invalidate(tuple(self._space.key(key) for key in keys), ())

    async def invalidate_tags(self, *tags: str) -> bool:
        """Forget every value with one of these tags, at once; False when the store has not confirmed it yet."""
        return await self._engine.guard.invalidate((), tuple(self._space.name_of(tag) for tag in tags))

    async def clear(self) -> bool:
        """Forget every value of this namespace and version; False when the store has not confirmed it yet."""
        return await self._engine.guard.invalidate((), (self._space.tag,))

    def cached(
        self, *, key: KeyOf | None = None, policy: Policy | None = None, tags: TagsOf = ()
    ) -> Callable[[Callable[P, Awaitable[V]]], AsyncCachedFunction[P, V]]:
        """Decorate a function: its calls go through the cache, with a key from `key(*arguments)` or the signature."""

        def decorate(function: Callable[P, Awaitable[V]]) -> AsyncCachedFunction[P, V]:
            return AsyncCachedFunction(self, function, key_maker(function, key), policy, tags)

        return decorate

    def stats(self) -> CacheStats:
        """The counts since the cache was made."""
        return self._engine.counts.snapshot()

    async def aclose(self) -> None:
        """End the cache: what runs is cancelled, and its callers get CacheClosed, as do later calls."""
        self._engine.closed = True
        await self._tasks.aclose()

    async def __aenter__(self) -> "AsyncCache":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
