"""Adaptive bulkhead: finds the right number of concurrent calls by itself, as TCP does (AIMD)."""

import threading
from collections.abc import Awaitable, Callable, Iterable

from maestro_resilience._checks import Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._conditions import Condition, compile_condition
from maestro_resilience._errors import BulkheadFull
from maestro_resilience._events import CallShed, LimitChanged, Listener
from maestro_resilience._policy import P, Policy, T, sync_result
from maestro_resilience._slots import Slots


class Aimd:
    """The moving limit; pure. Grows by about one per `limit` good calls, shrinks at most once per round of calls."""

    __slots__ = ("_decrease", "_high", "_low", "_shrunk_s", "_value")

    def __init__(self, initial: int, low: int, high: int, decrease: float) -> None:
        self._value = float(initial)
        self._low = low
        self._high = high
        self._decrease = decrease
        self._shrunk_s = float("-inf")

    @property
    def limit(self) -> int:
        """Calls that may run at once."""
        return int(self._value)

    def succeeded(self, in_use: int) -> None:
        """A good call ended while `in_use` calls ran. Only a limit that is nearly used can be known to be too low."""
        if in_use * 2 >= self._value:
            self._value = min(self._high, self._value + 1 / self._value)

    def overloaded(self, started_s: float, now_s: float) -> None:
        """A call begun at `started_s` met overload. Calls from before the last cut say nothing about the new limit."""
        if started_s >= self._shrunk_s:
            self._value = max(self._low, self._value * self._decrease)
            self._shrunk_s = now_s


class AdaptiveBulkhead(Policy):
    """A bulkhead whose limit moves from `min_concurrent` to `max_concurrent`; refuses with BulkheadFull, never waits.

    A call that raises what `on` names, or takes longer than `slow_call_s`, means overload and multiplies the limit by
    `decrease`; good calls raise it slowly while at least half of it is in use. Other exceptions change nothing.
    """

    kind = "adaptive_bulkhead"

    def __init__(
        self,
        on: Condition = TimeoutError,
        *,
        slow_call_s: float | None = None,
        initial: int = 10,
        min_concurrent: int = 1,
        max_concurrent: int = 200,
        decrease: float = 0.7,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        listeners: Iterable[Listener] = (),
    ) -> None:
        checks = Checks(self.kind)
        self._on = compile_condition(checks, "on", on)
        self._slow_call_s = None if slow_call_s is None else checks.seconds("slow_call_s", slow_call_s)
        low = checks.count("min_concurrent", min_concurrent)
        high = checks.count("max_concurrent", max_concurrent)
        start = checks.count("initial", initial)
        factor = checks.number("decrease", decrease, 0.1, 0.99)
        checks.done()
        if not low <= start <= high:
            checks.fail("initial", f"between min_concurrent ({low}) and max_concurrent ({high})", initial)
        checks.done()
        super().__init__(name=name, clock=clock, listeners=listeners)
        self._aimd = Aimd(start, low, high, factor)
        self._slots = Slots(start, 0, clock)
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Calls that may run at once, at this moment."""
        return self._aimd.limit

    @property
    def in_use(self) -> int:
        """Calls running now."""
        return self._slots.in_use

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        started_s = self._enter()
        try:
            result = sync_result(fn(*args, **kwargs))
        except BaseException as error:
            self._leave(started_s, error)
            raise
        self._leave(started_s, None)
        return result

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        started_s = self._enter()
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            self._leave(started_s, error)
            raise
        self._leave(started_s, None)
        return result

    def _enter(self) -> float:
        if self._slots.try_acquire():
            return self.clock.now_s()
        refusal = BulkheadFull(f"{self.name}: {self.in_use} calls are running and the limit is {self.limit}")
        if self.listeners:
            self.emit(CallShed(self.name, self.clock.now_s(), refusal))
        raise refusal

    def _leave(self, started_s: float, error: BaseException | None) -> None:
        now_s = self.clock.now_s()
        slow = self._slow_call_s is not None and now_s - started_s > self._slow_call_s
        try:
            overloaded = slow or (isinstance(error, Exception) and self._on(error))
            with self._lock:
                before = self._aimd.limit
                if overloaded:
                    self._aimd.overloaded(started_s, now_s)
                elif error is None:
                    self._aimd.succeeded(self._slots.in_use)
                after = self._aimd.limit
                if after != before:
                    self._slots.resize(after)
        finally:
            self._slots.release()
        if after != before and self.listeners:
            self.emit(LimitChanged(self.name, now_s, before, after))
