"""Bulkhead: so many calls at once, so many waiting, the rest refused."""

from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType

from maestro_resilience._checks import Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._errors import BulkheadFull
from maestro_resilience._events import CallShed, Listener
from maestro_resilience._policy import P, Policy, T, sync_result
from maestro_resilience._slots import Slots


class Bulkhead(Policy):
    """At most `max_concurrent` calls at once, counted over threads and tasks together; refuses with BulkheadFull.

    Up to `max_waiting` further calls queue, first come first served, for at most `max_wait_s` (None: as long as the
    ambient deadline allows). A call that calls through the same bulkhead again holds two slots.
    """

    kind = "bulkhead"

    def __init__(
        self,
        max_concurrent: int,
        *,
        max_waiting: int = 0,
        max_wait_s: float | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        listeners: Iterable[Listener] = (),
    ) -> None:
        checks = Checks(self.kind)
        limit = checks.count("max_concurrent", max_concurrent)
        waiting = checks.count("max_waiting", max_waiting, low=0)
        self._max_wait_s = None if max_wait_s is None else checks.seconds("max_wait_s", max_wait_s)
        checks.done()
        super().__init__(name=name, clock=clock, listeners=listeners)
        self._slots = Slots(limit, waiting, clock)

    @property
    def in_use(self) -> int:
        """Calls running now."""
        return self._slots.in_use

    @property
    def waiting(self) -> int:
        """Calls queued now."""
        return self._slots.waiting

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._slots.acquire(self._max_wait_s):
            raise self._refusal()
        try:
            return sync_result(fn(*args, **kwargs))
        finally:
            self._slots.release()

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not await self._slots.aacquire(self._max_wait_s):
            raise self._refusal()
        try:
            return await fn(*args, **kwargs)
        finally:
            self._slots.release()

    def slot(self) -> "Slot":
        """Hold a slot for a block: `with bulkhead.slot():` or `async with bulkhead.slot():`."""
        return Slot(self)

    def _refusal(self) -> BulkheadFull:
        refusal = BulkheadFull(f"{self.name}: {self.in_use} calls are running and {self.waiting} are waiting")
        if self.listeners:
            self.emit(CallShed(self.name, self.clock.now_s(), refusal))
        return refusal


class Slot:
    """One slot of a bulkhead for the length of a block; entering waits, and raises BulkheadFull."""

    __slots__ = ("_bulkhead",)

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead

    def __enter__(self) -> None:
        if not self._bulkhead._slots.acquire(self._bulkhead._max_wait_s):
            raise self._bulkhead._refusal()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bulkhead._slots.release()

    async def __aenter__(self) -> None:
        if not await self._bulkhead._slots.aacquire(self._bulkhead._max_wait_s):
            raise self._bulkhead._refusal()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bulkhead._slots.release()
