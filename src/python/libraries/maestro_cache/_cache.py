"""The cache for threads."""

import random as _random
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeVar, cast

from maestro_cache._decide import Value
from maestro_cache._decorate import CachedFunction, KeyOf, TagsOf, key_maker
from maestro_cache._engine import Engine, Job
from maestro_cache._errors import InvalidPolicy
from maestro_cache._events import Listener, log_event
from maestro_cache._key import Key, Space
from maestro_cache._memory import MemoryStore
from maestro_cache._policy import Policy
from maestro_cache._stats import CacheStats
from maestro_cache._store import Immediate, Store
from maestro_cache._threads import Threads, run_now

V = TypeVar("V")
D = TypeVar("D")
P = ParamSpec("P")


class Cache:
    """get-or-compute for threads; any number of them share one.

    policy: for calls that bring none of their own. store: a MemoryStore of its own unless given; not closed by the
    cache when given. namespace, version: caches with different ones never see each other's values; count `version` up
    when what is stored changes its shape. listener: told of failures; logs them unless given. raise_errors: failures of
    the store are raised as StoreError, and values that it cannot hold as NotStorable, instead of only told.
    retry_s: how long a store that does not answer is left alone. max_refreshes: background refreshes at one time.
    random: gives numbers in [0, 1), for jitter and early refresh.
    """

    def __init__(
        self,
        policy: Policy,
        store: Store | None = None,
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
        self._policy = policy
        self._space = Space(namespace, version)
        self._threads = Threads(max_refreshes)
        self._engine = Engine(
            Immediate(store if store is not None else MemoryStore()),
            self._space,
            self._threads,
            listener=listener,
            random=random,
            max_refreshes=max_refreshes,
            retry_s=retry_s,
            raise_errors=raise_errors,
        )

    def get_or_compute(
        self, key: Key[V], function: Callable[[], V], *, policy: Policy | None = None, tags: tuple[str, ...] = ()
    ) -> V:
        """The value of the key; calls `function`, in one thread at a time, when there is none to serve.

        Those who wait for the function get what it returns or raises. Errors other than the policy's negative ones
        are not kept: the next call tries again. Tags have to be the same in every call for a key.
        """

        async def call() -> object:
            return function()

        job = Job(self._space.key(key), call, policy or self._policy, self._space.tags(tags))
        return cast(V, run_now(self._engine.get_or_compute(job)))

    def get(self, key: Key[V], default: D = None) -> V | D:  # type: ignore[assignment]  # None is the D of no default
        """The value that is stored, fresh or stale; `default` when there is none, or an error is kept in its place."""
        outcome = run_now(self._engine.get(self._space.key(key), self._space.tags(())))
        return cast(V, outcome.value) if isinstance(outcome, Value) else default

    def set(self, key: Key[V], value: V, *, policy: Policy | None = None, tags: tuple[str, ...] = ()) -> bool:
        """Store a value; whether it is stored. What is being computed for the key meanwhile will not replace it."""
        return run_now(self._engine.set(self._space.key(key), value, policy or self._policy, self._space.tags(tags)))

    def delete(self, *keys: Key[V]) -> bool:
        """Forget values, also those that are being computed; False when the store has not confirmed it yet."""
        return run_now(self._engine.guard.invalidate(tuple(self._space.key(key) for key in keys), ()))

    def invalidate_tags(self, *tags: str) -> bool:
        """Forget every value with one of these tags, at once; False when the store has not confirmed it yet."""
        return run_now(self._engine.guard.invalidate((), tuple(self._space.name_of(tag) for tag in tags)))

    def clear(self) -> bool:
        """Forget every value of this namespace and version; False when the store has not confirmed it yet."""
        return run_now(self._engine.guard.invalidate((), (self._space.tag,)))

    def cached(
        self, *, key: KeyOf | None = None, policy: Policy | None = None, tags: TagsOf = ()
    ) -> Callable[[Callable[P, V]], CachedFunction[P, V]]:
        """Decorate a function: its calls go through the cache, with a key from `key(*arguments)` or the signature."""

        def decorate(function: Callable[P, V]) -> CachedFunction[P, V]:
            return CachedFunction(self, function, key_maker(function, key), policy, tags)

        return decorate

    def stats(self) -> CacheStats:
        """The counts since the cache was made."""
        return self._engine.counts.snapshot()

    def close(self) -> None:
        """End the cache: refreshes that run are waited for; later calls of get_or_compute raise CacheClosed."""
        self._engine.closed = True
        self._threads.close()

    def __enter__(self) -> "Cache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_bounds(retry_s: float, max_refreshes: int) -> None:
    """Raise InvalidPolicy for what makes no sense."""
    if not retry_s > 0:
        raise InvalidPolicy(f"retry_s is {retry_s!r}; give a number over 0")
    if type(max_refreshes) is not int or max_refreshes < 1:
        raise InvalidPolicy(f"max_refreshes is {max_refreshes!r}; give a whole number, 1 or more")
