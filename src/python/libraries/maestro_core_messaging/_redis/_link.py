"""Link: the connections to one Redis server, with bounds, and its errors in our words."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    MaxConnectionsError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    WatchError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from maestro_core_messaging._errors import (
    BrokerClosed,
    BrokerError,
    BrokerUnavailable,
    BrokerUnsupported,
    InvalidSetting,
)

T = TypeVar("T")

_NEEDED: Final = ("XAUTOCLAIM", "XREADGROUP", "XINFO", "XTRIM", "EVALSHA", "SCRIPT", "ZRANGEBYLEX")
"""XAUTOCLAIM came with 6.2, and with it XTRIM's MINID, which no command tells of."""

_PASSING: Final = ("OOM", "MISCONF", "LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "TRYAGAIN")
_REFUSED: Final = (AuthenticationError, AuthorizationError, NoPermissionError)


class Link:
    """Runs commands on at most `max_connections`, and waits on others, so that waiting never holds up work."""

    def __init__(
        self, url: str, *, username: str | None, password: str | None, timeout_s: float, max_connections: int
    ) -> None:
        secret = {"username": username, "password": password}
        options: dict[str, Any] = {
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "protocol": 2,
            # Whoever calls decides whether to try again: what was not answered may have been done.
            "retry": Retry(NoBackoff(), 0),
            **{name: value for name, value in secret.items() if value is not None},
        }
        try:
            commands = redis.asyncio.ConnectionPool.from_url(url, max_connections=max_connections, **options)
            waiting = redis.asyncio.ConnectionPool.from_url(url, **options)
        except ValueError:  # its text may hold a part of the URL, and so of a password
            raise InvalidSetting("url must be redis://HOST:PORT/DB, rediss://… or unix://PATH") from None
        # Any: half of redis-py's methods have no types.
        self._commands: Any = redis.asyncio.Redis.from_pool(commands)
        self._waiting: Any = redis.asyncio.Redis.from_pool(waiting)
        # First come, first served, which redis-py's own blocking pool is not: there the unlucky starve.
        self._free = asyncio.Semaphore(max_connections)
        self._timeout_s = timeout_s
        self._block_ms = int(timeout_s * 400)
        self._scripts: dict[str, Any] = {}
        self._checked = False
        self._closed = False

    async def script(self, text: str, keys: Sequence[str], *arguments: str | bytes | float) -> Any:
        """What the script returns; the server is told its text once."""
        if text not in self._scripts:
            self._scripts[text] = self._commands.register_script(text)
        return await self._run(partial(self._scripts[text], keys=keys, args=arguments))

    async def command(self, *words: str | bytes | float) -> Any:
        """The answer to one command, unparsed."""
        return await self._run(partial(self._commands.execute_command, *words))

    async def transaction(self, watched: str, body: Callable[["redis.asyncio.client.Pipeline"], Awaitable[T]]) -> T:
        """Run `body` on a pipeline that watches a key, again when the key changed meanwhile."""

        async def run() -> T:
            while True:
                async with self._commands.pipeline(transaction=True) as pipeline:
                    try:
                        await pipeline.watch(watched)
                        return await body(pipeline)
                    except WatchError:
                        continue

        return await self._run(run)

    async def _run(self, ask: Callable[[], Awaitable[T]]) -> T:
        self._refuse_when_closed()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free.acquire()
        except TimeoutError:
            raise BrokerUnavailable(f"Redis: every connection is busy, for {self._timeout_s:g} s") from None
        try:
            if not self._checked:
                await self._check_features()
            return await ask()
        except RedisError as error:
            raise _translated(error) from error
        finally:
            self._free.release()

    async def wait(self, streams: dict[str, bytes], timeout_s: float) -> None:
        """Return when one of the streams has an entry after its id, at the latest after `timeout_s`."""
        self._refuse_when_closed()
        block_ms = max(1, min(int(timeout_s * 1000), self._block_ms))
        try:
            await self._waiting.execute_command(
                "XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", *streams.keys(), *streams.values()
            )
        except RedisError as error:
            raise _translated(error) from error

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        await self._commands.aclose()
        await self._commands.connection_pool.disconnect()
        await self._waiting.aclose()
        await self._waiting.connection_pool.disconnect()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise BrokerClosed("the broker is closed")

    async def _check_features(self) -> None:
        known = await self._commands.execute_command("COMMAND INFO", *_NEEDED)
        missing = [name for name, about in zip(_NEEDED, known, strict=True) if not about]
        if missing:
            raise BrokerUnsupported(
                f"the server has no {', '.join(missing)}: Redis 6.2 or newer is needed, or a Valkey"
            )
        self._checked = True


class NoGroup(Exception):
    """The consumer group is gone: someone flushed the server, deleted the stream, or removed the group."""


def _translated(error: RedisError) -> BrokerError | NoGroup:
    text = str(error)
    if isinstance(error, _REFUSED):
        return BrokerUnsupported(f"Redis refuses this user: {text}")
    if isinstance(error, RedisConnectionError | RedisTimeoutError | ReadOnlyError | MaxConnectionsError):
        return BrokerUnavailable(f"Redis: {text}")
    if isinstance(error, ResponseError) and "NOGROUP" in text:
        return NoGroup(text)
    if any(word in text[:200] for word in _PASSING):
        return BrokerUnavailable(f"Redis: {text}")
    return BrokerUnsupported(f"Redis: {text}")
