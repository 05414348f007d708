"""Timeout: a limit for each call, which everything inside can see."""

from collections.abc import Awaitable, Callable, Iterable

from maestro_resilience._checks import Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._deadline import DeadlineScope
from maestro_resilience._errors import TimedOut
from maestro_resilience._events import CallTimedOut, Listener
from maestro_resilience._policy import P, Policy, T, sync_result


class Timeout(Policy):
    """Gives each call `limit_s` seconds, or what the ambient deadline leaves of them.

    `acall` cancels the call and raises TimedOut. Python cannot stop a thread, so `call` is cooperative: code inside
    reads `remaining_s()` or calls `check_deadline()`; a late result is returned all the same, and listeners hear of it.
    """

    kind = "timeout"

    def __init__(
        self,
        limit_s: float,
        *,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        listeners: Iterable[Listener] = (),
    ) -> None:
        checks = Checks(self.kind)
        self._limit_s = checks.seconds("limit_s", limit_s)
        checks.done()
        super().__init__(name=name, clock=clock, listeners=listeners)

    @property
    def opens_streams(self) -> bool:
        return True

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        with DeadlineScope(self._limit_s, self.clock, self.name) as scope:
            try:
                return sync_result(fn(*args, **kwargs))
            finally:
                if self.listeners and scope.is_past():
                    self.emit(CallTimedOut(self.name, self.clock.now_s(), self._limit_s, cancelled=False))

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        scope = DeadlineScope(self._limit_s, self.clock, self.name)
        try:
            async with scope:
                return await fn(*args, **kwargs)
        except TimedOut:
            if scope.expired and self.listeners:
                self.emit(CallTimedOut(self.name, self.clock.now_s(), self._limit_s, cancelled=True))
            raise
