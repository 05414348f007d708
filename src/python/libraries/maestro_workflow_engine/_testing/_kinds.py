"""Step kinds that do what a test tells them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from maestro_workflow_engine._ports import StepCall


class ScriptedKind:
    """Runs a function of the call, and remembers every call; without a function it gives its arguments back."""

    def __init__(self, run: Callable[[StepCall], object] | None = None) -> None:
        self._run = run
        self.calls: list[StepCall] = []
        self.closed = 0

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterable[tuple[str, str]]:
        """Nothing is wrong with any arguments."""
        return ()

    async def run(self, call: StepCall) -> object:
        """What the function gives; it may be a coroutine function."""
        self.calls.append(call)
        if self._run is None:
            return dict(call.arguments)
        result = self._run(call)
        return await result if isinstance(result, Awaitable) else result

    async def close(self) -> None:
        """Counts, for tests that want it called once."""
        self.closed += 1

    def count(self, step_id: str) -> int:
        """How often a step was called."""
        return sum(1 for call in self.calls if call.step_id == step_id)


class Flaky(Exception):
    """What `fails` raises; its attributes say what the engine shall think of it."""

    def __init__(self, message: str = "no luck", *, retryable: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


def fails(times: int, *, retryable: bool = True, retry_after_s: float | None = None) -> Callable[[StepCall], object]:
    """Fails the first attempts of each run of a step, then gives its arguments back."""

    def run(call: StepCall) -> object:
        if call.attempt <= times:
            raise Flaky(retryable=retryable, retry_after_s=retry_after_s)
        return dict(call.arguments)

    return run


class Gate:
    """Holds every call until it is opened, and tells who has come."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._arrived: asyncio.Queue[StepCall] = asyncio.Queue()
        self.cancelled: list[StepCall] = []

    async def __call__(self, call: StepCall) -> object:
        """Wait, then give the arguments back."""
        self._arrived.put_nowait(call)
        try:
            await self._opened.wait()
        except asyncio.CancelledError:
            self.cancelled.append(call)
            raise
        return dict(call.arguments)

    async def arrival(self, timeout_s: float = 10.0) -> StepCall:
        """The next call that came to the gate."""
        return await asyncio.wait_for(self._arrived.get(), timeout_s)

    def open(self) -> None:
        """Let everybody through from now on."""
        self._opened.set()


class Turnstile:
    """Holds each call until it is let through by name (`workflow/step` or `workflow/step[item]`); tells who comes."""

    def __init__(self) -> None:
        self._is_open = False
        self._held: dict[str, asyncio.Event] = {}
        self._arrived: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, call: StepCall) -> object:
        """Wait, then give the arguments back."""
        name = call.idempotency_key.rpartition("/")[0]
        event = self._held[name] = asyncio.Event()
        self._arrived.put_nowait(name)
        if not self._is_open:
            await event.wait()
        return dict(call.arguments)

    async def arrivals(self, count: int, timeout_s: float = 10.0) -> list[str]:
        """The names of the next calls."""
        return [await asyncio.wait_for(self._arrived.get(), timeout_s) for _ in range(count)]

    def let_through(self, name: str) -> None:
        """Let one of those that have come go on."""
        self._held[name].set()

    def open(self) -> None:
        """Let everybody through from now on."""
        self._is_open = True
        for event in self._held.values():
            event.set()


class Stubborn:
    """Ignores being cancelled until it is released."""

    def __init__(self) -> None:
        self._released = asyncio.Event()
        self.started = asyncio.Event()
        self.ended = asyncio.Event()
        self.ignored = 0

    async def __call__(self, call: StepCall) -> object:
        """Hold on, whatever comes."""
        self.started.set()
        while not self._released.is_set():
            try:
                await self._released.wait()
            except asyncio.CancelledError:
                self.ignored += 1
        self.ended.set()
        return "too late"

    def release(self) -> None:
        """Let it end."""
        self._released.set()


def large_output(size_bytes: int) -> Callable[[StepCall], object]:
    """Gives a text of that size."""
    return lambda call: "x" * size_bytes
