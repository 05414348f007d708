"""Hedging: when the first call is slow, start another, and take whichever succeeds first."""

import asyncio
import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Generic, NoReturn

from maestro_resilience._budget import RetryBudget, check_budget
from maestro_resilience._checks import Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock, wake
from maestro_resilience._conditions import Condition, compile_condition
from maestro_resilience._errors import WrongCall
from maestro_resilience._events import HedgeFailed, HedgeStarted, HedgeWon, Listener
from maestro_resilience._policy import P, Policy, T


class Latencies:
    """The last `size` latencies, kept sorted for quantiles."""

    def __init__(self, size: int) -> None:
        self._recent: deque[float] = deque(maxlen=size)
        self._sorted: list[float] = []

    def add(self, latency_s: float) -> None:
        """Remember one, in place of the oldest when full."""
        if len(self._recent) == self._recent.maxlen:
            del self._sorted[bisect_left(self._sorted, self._recent[0])]
        self._recent.append(latency_s)
        insort(self._sorted, latency_s)

    def quantile_s(self, share: float, *, minimum: int) -> float | None:
        """The latency that this share of the calls did not exceed, None before `minimum` calls are known."""
        count = len(self._sorted)
        return None if count < minimum else self._sorted[min(count - 1, int(share * count))]


class Hedge(Policy):
    """Starts another attempt when none succeeded within `delay_s`, or when all running ones failed; first success wins.

    For idempotent calls only: one call may run `max_attempts` times. Losers are cancelled and awaited before the call
    returns, so no task is left behind. With `quantile`, the delay is that quantile of the last 100 latencies once 10
    are known. An exception that `on` does not name ends the race; if all attempts fail, the last one is raised. Async
    only: a thread cannot be cancelled, so a sync hedge would leave its losers running.
    """

    kind = "hedge"

    def __init__(
        self,
        delay_s: float,
        *,
        on: Condition = Exception,
        max_attempts: int = 2,
        quantile: float | None = None,
        budget: RetryBudget | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        listeners: Iterable[Listener] = (),
    ) -> None:
        checks = Checks(self.kind)
        self._delay_s = checks.seconds("delay_s", delay_s, zero=True)
        self._on = compile_condition(checks, "on", on)
        self._max_attempts = checks.count("max_attempts", max_attempts, low=2)
        self._quantile = None if quantile is None else checks.ratio("quantile", quantile)
        self._budget = check_budget(checks, budget)
        checks.done()
        super().__init__(name=name, clock=clock, listeners=listeners)
        self._latencies = Latencies(100)
        self._lock = threading.Lock()

    @property
    def async_only(self) -> bool:
        return True

    @property
    def delay_s(self) -> float:
        """How long the next call waits before its second attempt."""
        with self._lock:
            known_s = None if self._quantile is None else self._latencies.quantile_s(self._quantile, minimum=10)
        return self._delay_s if known_s is None else known_s

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> NoReturn:
        """Raises WrongCall: hedging is async only."""
        raise WrongCall(f"{self.name} is async only: use `await policy.acall(fn, …)`")

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._budget is not None:
            self._budget.deposit()
        race = _Race(self, partial(fn, *args, **kwargs))
        try:
            return await race.run()
        finally:
            await _cancel(race.running)

    def _may_add(self, started: int) -> bool:
        """Whether one more attempt may start; pays for it."""
        return started < self._max_attempts and (self._budget is None or self._budget.withdraw())

    def _won(self, attempt: int, started: int, elapsed_s: float) -> None:
        if self._quantile is not None:
            with self._lock:
                self._latencies.add(elapsed_s)
        if started > 1 and self.listeners:
            self.emit(HedgeWon(self.name, self.clock.now_s(), attempt, elapsed_s))


class _Race(Generic[T]):
    """The attempts of one call, by number."""

    def __init__(self, hedge: Hedge, begin: Callable[[], Awaitable[T]]) -> None:
        self.running: dict[asyncio.Future[T], int] = {}
        self._hedge = hedge
        self._begin = begin
        self._started = 0
        self._latest_s = 0.0

    async def run(self) -> T:
        """The first success; raises the last exception, or at once one that `on` does not name."""
        hedge = self._hedge
        started_s = hedge.clock.now_s()
        delay_s: float | None = hedge.delay_s
        self._start()
        while True:
            await self._next_end(None if delay_s is None else self._latest_s + delay_s - hedge.clock.now_s())
            ended = [attempt for attempt in self.running if attempt.done()]
            failure: BaseException | None = None
            for attempt in ended:
                number = self.running.pop(attempt)
                failure = attempt.exception()
                if failure is None:
                    hedge._won(number, self._started, hedge.clock.now_s() - started_s)
                    return attempt.result()
                if not isinstance(failure, Exception) or not hedge._on(failure):
                    raise failure
                if hedge.listeners:
                    hedge.emit(HedgeFailed(hedge.name, hedge.clock.now_s(), number, failure))
            if ended and self.running:
                continue
            if hedge._may_add(self._started):
                self._start()
            elif failure is not None:
                raise failure
            else:
                delay_s = None  # nothing more to start: wait for what runs

    def _start(self) -> None:
        self._started += 1
        self._latest_s = self._hedge.clock.now_s()
        self.running[asyncio.ensure_future(self._begin())] = self._started
        if self._started > 1 and self._hedge.listeners:
            self._hedge.emit(HedgeStarted(self._hedge.name, self._latest_s, self._started))

    async def _next_end(self, delay_s: float | None) -> None:
        """Wait until an attempt ended or the delay passed; None waits for an attempt only."""
        if delay_s is None:
            await asyncio.wait(list(self.running), return_when=asyncio.FIRST_COMPLETED)
            return
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._hedge.clock.call_later(max(0.0, delay_s), partial(wake, alarm))
        ends: list[asyncio.Future[Any]] = [*self.running, alarm]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            alarm.cancel()


async def _cancel(attempts: Iterable["asyncio.Future[T]"]) -> None:
    """Cancel what still runs and wait for its end, even while being cancelled oneself."""
    losers = list(attempts)
    for loser in losers:
        loser.cancel()
    interrupted: asyncio.CancelledError | None = None
    while pending := [loser for loser in losers if not loser.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            interrupted = error
    for loser in losers:
        if not loser.cancelled():
            loser.exception()  # looked at, so that asyncio does not report it: the race was decided without it
    if interrupted is not None:
        raise interrupted
