"""Retry: try again after failures named by the caller, within attempts, time, deadline and budget."""

import random as _random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, NamedTuple

from maestro_resilience._backoff import Backoff
from maestro_resilience._budget import RetryBudget, check_budget
from maestro_resilience._checks import Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._conditions import Condition, compile_condition
from maestro_resilience._deadline import remaining_s
from maestro_resilience._errors import InvalidPolicy, ResultRejected
from maestro_resilience._events import GiveUp, Listener, RetryGaveUp, RetryRecovered, RetryScheduled
from maestro_resilience._policy import P, Policy, T, sync_result


class RetryRules(NamedTuple):
    """The bounds of one Retry, and the pure decision that they make."""

    backoff: Backoff
    max_attempts: int | None
    total_s: float | None

    def decide(
        self, failures: int, elapsed_s: float, asked_s: float | None, left_s: float | None, random: float
    ) -> float | GiveUp:
        """The wait before the next attempt, or why there is none.

        `asked_s` is the wait that the failure asked for: never cut short, so one that does not fit ends the retrying.
        """
        if self.max_attempts is not None and failures >= self.max_attempts:
            return GiveUp.ATTEMPTS
        delay_s = self.backoff.delay_s(failures, random)
        if asked_s is not None and asked_s > delay_s:
            longest_s = self.backoff.max_delay_s if self.total_s is None else self.total_s - elapsed_s
            if asked_s > longest_s:
                return GiveUp.RETRY_AFTER
            delay_s = asked_s
        if self.total_s is not None and elapsed_s + delay_s > self.total_s:
            return GiveUp.TOTAL_TIME
        if left_s is not None and delay_s >= left_s:
            return GiveUp.DEADLINE
        return delay_s


class Retry(Policy):
    """Calls again after failures that `on` names, or results that `on_result` holds for; waits grow and are jittered.

    No wait reaches beyond `total_s` after the first attempt began, and no attempt begins later; a running attempt is
    not cut off (put a Timeout outside for that). When it gives up, the last exception is raised as it is, or
    ResultRejected. An exception's `retry_after_s` is waited for when it fits below `total_s` (below `max_delay_s` when
    `total_s` is None) and else ends the retrying. None as `max_attempts` or `total_s` is no bound; one must stand.
    """

    kind = "retry"

    def __init__(
        self,
        on: Condition,
        *,
        max_attempts: int | None = 5,
        total_s: float | None = 45.0,
        initial_delay_s: float = 0.1,
        multiplier: float = 2.0,
        max_delay_s: float = 10.0,
        jitter: float = 0.5,
        on_result: Callable[[Any], bool] | None = None,
        budget: RetryBudget | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = _random.random,
        listeners: Iterable[Listener] = (),
    ) -> None:
        checks = Checks(self.kind)
        self._on = compile_condition(checks, "on", on)
        self._on_result = checks.function("on_result", on_result)
        attempts = None if max_attempts is None else checks.count("max_attempts", max_attempts)
        total = None if total_s is None else checks.seconds("total_s", total_s)
        if attempts is None and total is None:
            checks.fail("max_attempts", "a number when total_s is None", None)
        backoff = Backoff()
        try:
            backoff = Backoff(initial_delay_s, multiplier, max_delay_s, jitter)
        except InvalidPolicy as bad:
            checks.add(*bad.problems)
        self._budget = check_budget(checks, budget)
        checks.function("random", random)
        checks.done()
        super().__init__(name=name, clock=clock, listeners=listeners)
        self._rules = RetryRules(backoff, attempts, total)
        self._random = random

    @property
    def opens_streams(self) -> bool:
        return self._on_result is None

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        started_s = self._begin()
        attempt = 1
        while True:
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                delay_s = self._after_error(error, attempt, started_s)
                if delay_s is None:
                    raise
            else:
                delay_s = self._after_result(sync_result(result), attempt, started_s)
                if delay_s is None:
                    return result
            self.clock.sleep(delay_s)
            attempt += 1

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        started_s = self._begin()
        attempt = 1
        while True:
            try:
                result = await fn(*args, **kwargs)
            except Exception as error:
                delay_s = self._after_error(error, attempt, started_s)
                if delay_s is None:
                    raise
            else:
                delay_s = self._after_result(result, attempt, started_s)
                if delay_s is None:
                    return result
            await self.clock.asleep(delay_s)
            attempt += 1

    def attempts(self) -> "Attempts":
        """Retry a block: `for attempt in retry.attempts():` (or `async for`), and inside it `with attempt:`."""
        return Attempts(self)

    def _begin(self) -> float:
        if self._budget is not None:
            self._budget.deposit()
        return self.clock.now_s()

    def _after_error(self, error: Exception, attempt: int, started_s: float) -> float | None:
        """The wait before the next attempt, None when the error must reach the caller."""
        return self._next(attempt, started_s, error) if self._on(error) else None

    def _after_result(self, result: object, attempt: int, started_s: float) -> float | None:
        """The wait before the next attempt, None when the result is accepted; raises ResultRejected when giving up."""
        if self._on_result is None or not self._on_result(result):
            if attempt > 1:
                self._recovered(attempt)
            return None
        delay_s = self._next(attempt, started_s, None)
        if delay_s is None:
            raise ResultRejected(f"{self.name}: the result of attempt {attempt} was rejected too", result=result)
        return delay_s

    def _next(self, attempt: int, started_s: float, error: Exception | None) -> float | None:
        now_s = self.clock.now_s()
        decision = self._rules.decide(attempt, now_s - started_s, _asked_s(error), remaining_s(), self._random())
        if not isinstance(decision, GiveUp) and self._budget is not None and not self._budget.withdraw():
            decision = GiveUp.BUDGET
        if isinstance(decision, GiveUp):
            if self.listeners:
                self.emit(RetryGaveUp(self.name, now_s, attempt, decision, error))
            return None
        if self.listeners:
            self.emit(RetryScheduled(self.name, now_s, attempt, decision, error))
        return decision

    def _recovered(self, attempt: int) -> None:
        if self.listeners:
            self.emit(RetryRecovered(self.name, self.clock.now_s(), attempt))


class Attempt:
    """One run of a retried block; `number` is 1 at first. Its `with` swallows the error when another run follows."""

    __slots__ = ("_delay_s", "_retry", "_started_s", "number")

    def __init__(self, retry: Retry, number: int, started_s: float) -> None:
        self.number = number
        self._retry = retry
        self._started_s = started_s
        self._delay_s: float | None = None

    def __enter__(self) -> "Attempt":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self._delay_s = self._retry._after_error(error, self.number, self._started_s)
        elif error is None and self.number > 1:
            self._retry._recovered(self.number)
        return self._delay_s is not None


class Attempts:
    """The runs of one retried block, for `for` and `async for`; `on_result` has no part in it."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry

    def __iter__(self) -> Iterator[Attempt]:
        started_s = self._retry._begin()
        attempt = Attempt(self._retry, 1, started_s)
        yield attempt
        while attempt._delay_s is not None:
            self._retry.clock.sleep(attempt._delay_s)
            attempt = Attempt(self._retry, attempt.number + 1, started_s)
            yield attempt

    async def __aiter__(self) -> AsyncIterator[Attempt]:
        started_s = self._retry._begin()
        attempt = Attempt(self._retry, 1, started_s)
        yield attempt
        while attempt._delay_s is not None:
            await self._retry.clock.asleep(attempt._delay_s)
            attempt = Attempt(self._retry, attempt.number + 1, started_s)
            yield attempt


def _asked_s(error: Exception | None) -> float | None:
    """The `retry_after_s` of an error, None where it has none or something that is no span of time."""
    asked = getattr(error, "retry_after_s", None)
    if isinstance(asked, int | float) and not isinstance(asked, bool) and asked >= 0:
        return asked
    return None
