"""Follows every stored event on behalf of those inside who want to know: the audit log, metrics and traces."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final, Self

from maestro_engine.feed.hub import FeedError
from maestro_workflow_engine import EngineClosed, Event, ExecutionBackend, SlowReader

Listener = Callable[[Event], Awaitable[None]]

_BUFFER_EVENTS: Final = 10_000
_LONGEST_PAUSE_S: Final = 30.0
_LAST_EVENTS_S: Final = 5.0

_log: Final = logging.getLogger("maestro_engine")


class NotFollowing(FeedError):
    """A listener does not hear what happens; the message says why."""

    code: ClassVar[str] = "feed.not-following"


class Follower:
    """Gives each event to one listener, in order, until the backend closes; a task of its own inside `async with`.

    A burst that is faster than the listener is read from the journal. What a listener raises with `retryable` is
    tried again with the same event; anything else ends the following. Either way `probe` says so: an engine that
    cannot keep account of what it does must not look as if it could. Leave after the backend has closed, and the last
    events are heard too.
    """

    def __init__(
        self,
        name: str,
        backend: ExecutionBackend,
        listener: Listener,
        *,
        from_position: int,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._backend = backend
        self._listener = listener
        self._position = from_position
        self._pause = pause
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    async def probe(self) -> None:
        """Raise NotFollowing while something keeps the listener from hearing."""
        if self._failure is not None:
            raise NotFollowing(f"{self._name}: {type(self._failure).__name__}: {self._failure}")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=f"follower {self._name}")
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_LAST_EVENTS_S if self._failure is None else 0)
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        pause_s = 1.0
        while True:
            try:
                async for event in self._backend.watch(from_position=self._position, buffer=_BUFFER_EVENTS):
                    await self._listener(event)
                    self._position, self._failure, pause_s = event.position + 1, None, 1.0
            except EngineClosed:
                return
            except SlowReader as slow:
                _log.info("%s falls behind, reading on from %d", self._name, slow.resume_from)
            except Exception as error:
                if await self._is_at_the_end():
                    return
                self._failure = error
                if not getattr(error, "retryable", False):
                    _log.exception("follower.ended name=%s position=%d", self._name, self._position)
                    return
                _log.error("follower.waits name=%s position=%d: %s", self._name, self._position, error)
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _is_at_the_end(self) -> bool:
        """Whether the backend has closed, so that reading broke off for no other reason."""
        try:
            await self._backend.list(limit=1)
        except EngineClosed:
            return True
        except Exception as error:
            _log.error("follower.cannot_ask name=%s: %s", self._name, error)
        return False
