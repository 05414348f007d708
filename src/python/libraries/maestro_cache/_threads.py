"""The runtime of threads: a leader computes in its own thread, followers block."""

import contextvars
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from maestro_cache._decide import Outcome
from maestro_cache._flight import Landing

R = TypeVar("R")


def run_now(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine that blocks where others would suspend."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: R = end.value
        return result
    coroutine.close()
    raise AssertionError("it suspended, and nobody is there to resume it")


class Threads:
    """Background work has threads of its own, made when first needed."""

    def __init__(self, max_refreshes: int) -> None:
        self._max_refreshes = max_refreshes
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False
        self._lock = threading.Lock()

    def landing(self) -> Landing:
        return Future[Outcome]()

    async def fly(self, flight: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[], None]) -> None:
        try:
            await flight()
        finally:
            ended()

    def fly_in_background(self, flight: Callable[[], Coroutine[Any, Any, None]]) -> None:
        context = contextvars.copy_context()
        with self._lock:
            if self._closed:
                return
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._max_refreshes, thread_name_prefix="maestro-cache")
            self._pool.submit(context.run, lambda: run_now(flight()))

    async def wait(self, landing: Landing) -> Outcome:
        return landing.result()

    async def sleep(self, delay_s: float) -> None:
        time.sleep(delay_s)  # noqa: ASYNC251 - blocking is what threads do

    def close(self) -> None:
        """Wait for the refreshes that run, and drop those that have not begun."""
        with self._lock:
            pool, self._pool, self._closed = self._pool, None, True
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
