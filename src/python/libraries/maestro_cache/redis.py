"""Stores in Redis 6.2 or newer, for processes on one or many machines."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

try:
    import redis
    import redis.asyncio
except ImportError as error:
    raise ImportError("maestro_cache.redis needs the extra: pip install 'maestro-cache[redis]'") from error
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from maestro_cache._errors import InvalidPolicy, StoreRefused, StoreUnavailable
from maestro_cache._redis_operations import Argument, Operations
from maestro_cache._serialise import JsonSerialiser, Serialiser
from maestro_cache._store import Claim, Draft, Reading
from maestro_cache._threads import run_now

DEFAULT_TIMEOUT_S: Final = 0.5
DEFAULT_MAX_VALUE_BYTES: Final = 1024 * 1024
DEFAULT_MAX_COMPUTE_S: Final = 600.0


class RedisStore:
    """Entries in Redis, for `Cache`; share one between threads, and close it.

    url: redis://, rediss:// or unix://, as redis-py reads it; never shown. serialiser: JSON unless given; there is no
    pickle. timeout_s: for connecting, for each answer, and for a free connection. max_value_bytes: larger values are
    not stored. max_compute_s: the value of a function that ran longer is not stored. clock: seconds that never go back.
    """

    def __init__(
        self,
        url: str,
        *,
        serialiser: Serialiser | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_connections: int = 32,
        max_value_bytes: int = DEFAULT_MAX_VALUE_BYTES,
        max_compute_s: float = DEFAULT_MAX_COMPUTE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check(timeout_s, max_connections, max_value_bytes, max_compute_s)
        pool = redis.BlockingConnectionPool.from_url(
            url, max_connections=max_connections, timeout=timeout_s, **_tight(timeout_s), retry=Retry(NoBackoff(), 0)
        )
        self._client = redis.Redis.from_pool(pool)
        link = _BlockingLink(self._client)
        self._operations = Operations(link, clock, serialiser or JsonSerialiser(), max_value_bytes, max_compute_s)
        self.now_s = clock

    def read(self, key: str, tags: Sequence[str]) -> Reading:
        return run_now(self._operations.read(key, tags))

    def claim(self, key: str, tags: Sequence[str], lease_s: float | None) -> Claim:
        return run_now(self._operations.claim(key, tags, lease_s))

    def write(self, key: str, draft: Draft, claim: Claim) -> bool:
        return run_now(self._operations.write(key, draft, claim))

    def release(self, key: str, claim: Claim) -> None:
        run_now(self._operations.release(key, claim))

    def invalidate(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        run_now(self._operations.invalidate(keys, tags))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class AsyncRedisStore:
    """Entries in Redis, for the `AsyncCache`s of one event loop; parameters as for `RedisStore`; close it."""

    def __init__(
        self,
        url: str,
        *,
        serialiser: Serialiser | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_connections: int = 32,
        max_value_bytes: int = DEFAULT_MAX_VALUE_BYTES,
        max_compute_s: float = DEFAULT_MAX_COMPUTE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check(timeout_s, max_connections, max_value_bytes, max_compute_s)
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=timeout_s,
            **_tight(timeout_s),
            retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
        )
        self._client = redis.asyncio.Redis.from_pool(pool)
        link = _AsyncLink(self._client)
        operations = Operations(link, clock, serialiser or JsonSerialiser(), max_value_bytes, max_compute_s)
        self.read = operations.read
        self.claim = operations.claim
        self.write = operations.write
        self.release = operations.release
        self.invalidate = operations.invalidate
        self.now_s = clock

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class _BlockingLink:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    async def script(self, text: str, keys: Sequence[str], arguments: Sequence[Argument]) -> object:
        with _told_as_ours():
            try:
                reply: object = self._client.evalsha(_sha(text), len(keys), *keys, *arguments)
            except NoScriptError:
                reply = self._client.eval(text, len(keys), *keys, *arguments)
        return reply


class _AsyncLink:
    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def script(self, text: str, keys: Sequence[str], arguments: Sequence[Argument]) -> object:
        with _told_as_ours():
            try:
                reply: object = await self._client.evalsha(_sha(text), len(keys), *keys, *arguments)
            except NoScriptError:
                reply = await self._client.eval(text, len(keys), *keys, *arguments)
        return reply


@cache
def _sha(text: str) -> str:
    """The name by which Redis knows a script; SHA-1 is its choice, and protects nothing."""
    return hashlib.sha1(text.encode("ascii"), usedforsecurity=False).hexdigest()


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Errors of the client as ours, without their texts, which may hold an address or a key."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        raise StoreUnavailable(f"redis gave no answer: {type(error).__name__}") from error
    except RedisError as error:
        raise StoreRefused(f"redis refused: {type(error).__name__}") from error


def _tight(timeout_s: float) -> dict[str, Any]:
    """Settings of every connection; protocol 2, because nothing is pushed to a cache."""
    return {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "protocol": 2}


def _check(timeout_s: float, max_connections: int, max_value_bytes: int, max_compute_s: float) -> None:
    bounds = {"timeout_s": timeout_s, "max_connections": max_connections, "max_value_bytes": max_value_bytes}
    for name, value in {**bounds, "max_compute_s": max_compute_s}.items():
        if not value > 0:
            raise InvalidPolicy(f"{name} is {value!r}; give a number over 0")


__all__ = ["DEFAULT_MAX_COMPUTE_S", "DEFAULT_MAX_VALUE_BYTES", "DEFAULT_TIMEOUT_S", "AsyncRedisStore", "RedisStore"]
