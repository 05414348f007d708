"""The runtime of tasks: every computation is a task that the cache owns, so no caller's cancellation ends it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from maestro_cache._decide import Outcome
from maestro_cache._errors import WrongLoop
from maestro_cache._flight import Landing


class Tasks:
    """Belongs to the event loop on which it first computes."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._owned: set[asyncio.Task[None]] = set()

    def landing(self) -> Landing:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise WrongLoop("an AsyncCache belongs to one event loop, and this is another; make a cache for each loop")
        future: asyncio.Future[Outcome] = loop.create_future()
        future.add_done_callback(_seen)
        return future

    async def fly(self, flight: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[], None]) -> None:
        # A task that is cancelled before its first step runs nothing of its coroutine, not even a `finally`.
        self._start(flight).add_done_callback(lambda _: ended())

    def fly_in_background(self, flight: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._start(flight)

    def _start(self, flight: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(flight())
        self._owned.add(task)
        task.add_done_callback(self._owned.discard)
        return task

    async def wait(self, landing: Landing) -> Outcome:
        assert isinstance(landing, asyncio.Future), "made by `landing`"
        # Unlike awaiting the future, this leaves it alone when the waiting task is cancelled.
        await asyncio.wait((landing,))
        outcome: Outcome = landing.result()
        return outcome

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)

    async def aclose(self) -> None:
        """Cancel what runs, and wait until it has ended."""
        owned = tuple(self._owned)
        for task in owned:
            task.cancel()
        if owned:
            await asyncio.wait(owned)


def _seen(future: "asyncio.Future[Outcome]") -> None:
    """Count the error as seen: when all who waited were cancelled, the listener was told."""
    if not future.cancelled():
        future.exception()
