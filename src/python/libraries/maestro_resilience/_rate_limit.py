"""Rate limit: a token bucket that refuses, or makes wait for, what comes too fast."""

import threading
from collections.abc import Awaitable, Callable, Iterable

from maestro_resilience._checks import MAX_SECONDS, Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._deadline import remaining_s
from maestro_resilience._errors import RateLimited
from maestro_resilience._events import CallShed, Listener
from maestro_resilience._policy import P, Policy, T, sync_result

_NS = 1_000_000_000


class TokenBucket:
    """A bucket of `burst` tokens that gains one every `interval_ns`; pure, and exact: it counts whole nanoseconds.

    It keeps one number, the moment at which the bucket will be full again.
    """

    __slots__ = ("_depth_ns", "_full_ns", "_interval_ns")

    def __init__(self, interval_ns: int, burst: int) -> None:
        self._interval_ns = interval_ns
        self._depth_ns = interval_ns * burst
        self._full_ns: int | None = None

    def take(self, now_ns: int, max_wait_ns: int) -> tuple[bool, int]:
        """Whether a token was taken, and how long until it may be used (or, when refused, until one would be there)."""
        full_ns = (now_ns if self._full_ns is None else max(self._full_ns, now_ns)) + self._interval_ns
        wait_ns = max(0, full_ns - self._depth_ns - now_ns)
        if wait_ns > max_wait_ns:
            return False, wait_ns
        self._full_ns = full_ns
        return True, wait_ns


class RateLimit(Policy):
    """Starts at most `rate_per_s * t + burst` calls in any t seconds.

    A call that comes too early waits for its turn if that is within `max_wait_s` and the ambient deadline, in order of
    arrival; otherwise RateLimited says after how many seconds to try again. A waiter that is cancelled loses its turn
    to nobody: giving it away could break the rate.
    """

    kind = "rate_limit"

    def __init__(
        self,
        rate_per_s: float,
        *,
        burst: int = 1,
        max_wait_s: float = 0.0,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        listeners: Iterable[Listener] = (),
    ) -> None:
        checks = Checks(self.kind)
        rate = checks.number("rate_per_s", rate_per_s, 1 / MAX_SECONDS, _NS)
        tokens = checks.count("burst", burst)
        self._max_wait_s = checks.seconds("max_wait_s", max_wait_s, zero=True)
        checks.done()
        super().__init__(name=name, clock=clock, listeners=listeners)
        self._bucket = TokenBucket(-int(-_NS // rate), tokens)
        self._lock = threading.Lock()

    @property
    def opens_streams(self) -> bool:
        return True

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.acquire()
        return sync_result(fn(*args, **kwargs))

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        await self.aacquire()
        return await fn(*args, **kwargs)

    def acquire(self) -> None:
        """Take one permit, waiting for it as allowed; raises RateLimited."""
        wait_s = self._reserve()
        if wait_s:
            self.clock.sleep(wait_s)

    async def aacquire(self) -> None:
        """`acquire` for a task."""
        wait_s = self._reserve()
        if wait_s:
            await self.clock.asleep(wait_s)

    def _reserve(self) -> float:
        left_s = remaining_s()
        max_wait_s = self._max_wait_s if left_s is None else min(self._max_wait_s, left_s)
        with self._lock:
            taken, wait_ns = self._bucket.take(int(self.clock.now_s() * _NS), int(max_wait_s * _NS))
        if taken:
            return wait_ns / _NS
        refusal = RateLimited(f"{self.name}: next permit in {wait_ns / _NS:.3g} s", retry_after_s=wait_ns / _NS)
        if self.listeners:
            self.emit(CallShed(self.name, self.clock.now_s(), refusal))
        raise refusal
