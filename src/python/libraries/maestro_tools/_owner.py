"""One task owns one connection for its whole life: it opens it, runs every request over it, and closes it.

Cancel scopes of a connection therefore never cross tasks, whoever calls and whoever is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from maestro_tools._errors import ServerUnavailable, ToolsError, ToolTimedOut
from maestro_tools._process import within

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
_CLOSE_S = 10.0
_UNWIND_S = 6.0


class Link(Protocol):
    """An open connection, as its owner sees it."""

    @property
    def lost(self) -> asyncio.Event:
        """Set when the connection can carry nothing any more."""
        ...

    @property
    def answered(self) -> bool:
        """Whether the other side ever answered a request."""
        ...

    def loss(self) -> ToolsError:
        """Why it was lost."""
        ...


LinkT = TypeVar("LinkT", bound=Link)
T = TypeVar("T")


def reconnect_delay_s(failures: int) -> float:
    """How long to wait before the next attempt, after so many failures in a row: doubling, bounded."""
    if failures < 1:
        return 0.0
    return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures - 1, 30))


class _Job:
    """One request on its way: what to do, and who waits for the answer."""

    def __init__(self, work: Callable[[Any], Awaitable[Any]], *, opens: bool) -> None:
        self.work = work
        self.opens = opens
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.runner: asyncio.Task[None] | None = None

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            # Nobody may be waiting any more; that is no reason for asyncio to complain.
            self.answer.exception()

    def abandon(self) -> None:
        """End the request; once, so that what it does to end is not cut short."""
        self.answer.cancel()
        if self.runner is not None and not self.runner.cancelling():
            self.runner.cancel()

    async def run(self, link: Any) -> None:
        try:
            result = await self.work(link)
        except asyncio.CancelledError:
            self.fail(ServerUnavailable("the connection was closed"))
            raise
        except Exception as error:  # whatever it is, it belongs to the one who asked
            self.fail(error)
        else:
            if not self.answer.done():
                self.answer.set_result(result)


class Owner(Generic[LinkT]):
    """Opens a link on the first request, again after a loss, and closes it when idle for `idle_s` (None: never)."""

    def __init__(
        self,
        open_link: Callable[[], AbstractAsyncContextManager[LinkT]],
        *,
        name: str,
        idle_s: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._open_link = open_link
        self._name = name
        self._idle_s = idle_s
        self._sleep = sleep
        # None wakes the owner up to look around.
        self._queue: asyncio.Queue[_Job | None] = asyncio.Queue()
        self._running: set[_Job] = set()
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._closed = False

    async def run(self, work: Callable[[LinkT], Awaitable[T]]) -> T:
        """Run one request on the link, beside others; being cancelled cancels the request too.

        Raises ServerUnavailable when the link cannot be opened, or is lost before the answer.
        """
        if self._closed:
            raise ServerUnavailable("the connection was closed", retryable=False)
        job = _Job(work, opens=True)
        self._put(job)
        try:
            result: T = await job.answer
            return result
        finally:
            job.abandon()

    def check(self, work: Callable[[LinkT], Awaitable[None]]) -> None:
        """Run something on the link if it is open, and wait for nothing."""
        if not self._closed and self._task is not None and not self._task.done():
            self._queue.put_nowait(_Job(work, opens=False))

    async def close(self) -> None:
        """Close the link and end the task; what was in flight fails. Bounded by ten seconds."""
        self._closed = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CLOSE_S)
        # A task that was cancelled before its first step has failed nobody.
        self._fail_queued(ServerUnavailable("the connection was closed", retryable=False))

    def _put(self, job: _Job) -> None:
        self._queue.put_nowait(job)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._own(), name=f"maestro-tools {self._name}")

    async def _own(self) -> None:
        try:
            while (job := await self._first()) is not None or not self._queue.empty():
                if job is not None:
                    await self._hold(job)
        finally:
            self._fail_queued(ServerUnavailable("the connection was closed", retryable=False))

    async def _first(self) -> _Job | None:
        """The next job that somebody waits for; None after an idle time with none."""
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    job = await self._queue.get()
            except TimeoutError:
                return None
            if job is not None and job.opens and not job.answer.done():
                return job

    async def _hold(self, first: _Job) -> None:
        """Open one link, serve over it until it is lost or idle, close it."""
        lost: ToolsError | None = None
        try:
            await self._sleep_off()
            async with self._open_link() as link, _waking(link.lost, self._queue):
                lost = await self._serve(link, first)
        except Exception as error:  # a connection may fail in any way; its owner outlives that
            self._failures += 1
            lost = error if isinstance(error, ToolsError) else _unforeseen(self._name, error)
            first.fail(lost)
            self._fail_queued(lost)
        except BaseException:
            first.fail(ServerUnavailable("the connection was closed", retryable=False))
            raise
        finally:
            await self._end_running(lost)

    async def _sleep_off(self) -> None:
        if (delay_s := reconnect_delay_s(self._failures)) > 0:
            await self._sleep(delay_s)

    async def _serve(self, link: LinkT, job: _Job | None) -> ToolsError | None:
        """Start every job as it comes; returns why the link was lost, or None when it was idle for long enough."""
        while True:
            if job is not None and not job.answer.done():
                self._start(job, link)
            if link.lost.is_set():
                self._failures = 0 if link.answered else self._failures + 1
                return link.loss()
            try:
                async with asyncio.timeout(None if self._running else self._idle_s):
                    job = await self._queue.get()
            except TimeoutError:
                return None

    def _start(self, job: _Job, link: LinkT) -> None:
        job.runner = asyncio.create_task(job.run(link), name=f"maestro-tools {self._name} request")
        self._running.add(job)
        job.runner.add_done_callback(lambda _task: self._done(job))

    def _done(self, job: _Job) -> None:
        self._running.discard(job)
        if not self._running:
            self._queue.put_nowait(None)

    async def _end_running(self, why: ToolsError | None) -> None:
        ending = tuple(self._running)
        for job in ending:
            job.fail(why or ServerUnavailable("the connection was closed", retryable=False))
            job.abandon()
        if runners := [job.runner for job in ending if job.runner is not None]:
            await asyncio.wait(runners, timeout=_UNWIND_S)

    def _fail_queued(self, error: ToolsError) -> None:
        while not self._queue.empty():
            if (job := self._queue.get_nowait()) is not None:
                job.fail(error)


def _unforeseen(name: str, error: Exception) -> ServerUnavailable:
    """The error of a connection that failed in a way nobody thought of; its words may hold anything."""
    lost = ServerUnavailable(f"{name}: the connection failed: {type(error).__name__}")
    lost.__cause__ = error
    return lost


class Limit:
    """A time limit that stands still while a person is asked."""

    def __init__(self, seconds: float | None) -> None:
        self.clock = asyncio.timeout(seconds)
        self._seconds = seconds
        self._is_running = False

    def stop(self) -> None:
        """Let no time pass."""
        self._set(None)

    def start(self) -> None:
        """Give the whole time again."""
        if self._seconds is not None:
            self._set(asyncio.get_running_loop().time() + self._seconds)

    def _set(self, when: float | None) -> None:
        if self._is_running and not self.clock.expired():
            self.clock.reschedule(when)

    async def __aenter__(self) -> Self:
        await self.clock.__aenter__()
        self._is_running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_running = False
        await self.clock.__aexit__(kind, error, trace)


@asynccontextmanager
async def limit(seconds: float | None, what: str) -> AsyncIterator[Limit]:
    """Raises ToolTimedOut when the time is over; None means no limit."""
    bound = Limit(seconds)
    try:
        async with bound:
            yield bound
    except TimeoutError:
        if not bound.clock.expired():
            raise
        raise ToolTimedOut(f"{what} did not end within {seconds:g} s") from None


@asynccontextmanager
async def _waking(lost: asyncio.Event, queue: asyncio.Queue[_Job | None]) -> AsyncIterator[None]:
    """Wakes the reader of the queue when the link is lost."""

    async def watch() -> None:
        await lost.wait()
        queue.put_nowait(None)

    watcher = asyncio.create_task(watch(), name="maestro-tools watch")
    try:
        yield
    finally:
        watcher.cancel()
        await within(1.0, asyncio.wait([watcher]))
