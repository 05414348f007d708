"""Circuit breaker: stop calling what is failing or slow, and find out gently when it is well again."""

import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from maestro_resilience._breaker_machine import BreakerMachine, BreakerRules
from maestro_resilience._checks import MAX_SECONDS, Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._conditions import Condition, compile_condition
from maestro_resilience._errors import CircuitOpen
from maestro_resilience._events import BreakerState, BreakerStateChanged, CallShed, Listener
from maestro_resilience._policy import P, Policy, T, sync_result


@dataclass(frozen=True, slots=True)
class BreakerMetrics:
    """What the window of a breaker remembers; the rates are 0 when it remembers nothing."""

    state: BreakerState
    calls: int
    failures: int
    slow: int

    @property
    def failure_rate(self) -> float:
        """Share of calls that failed."""
        return self.failures / self.calls if self.calls else 0.0

    @property
    def slow_rate(self) -> float:
        """Share of calls that took longer than `slow_call_s`."""
        return self.slow / self.calls if self.calls else 0.0


class CircuitBreaker(Policy):
    """Refuses calls with CircuitOpen while too many of the recent ones failed or were slow.

    It opens when, among at least `minimum_calls` remembered calls, the share of failures (exceptions that `on` names,
    results that `on_result` holds for) reaches `failure_rate`, or the share of calls longer than `slow_call_s` reaches
    `slow_rate`. It remembers the last `window_calls` calls, or with `window_s` those of the last seconds, to a tenth.
    After `open_s` it lets `probes` calls through and judges by those. A cancelled call counts only when it was slow.
    """

    kind = "circuit_breaker"

    def __init__(
        self,
        on: Condition = Exception,
        *,
        failure_rate: float = 0.5,
        slow_call_s: float | None = None,
        slow_rate: float = 1.0,
        minimum_calls: int = 10,
        window_calls: int = 100,
        window_s: float | None = None,
        open_s: float = 30.0,
        probes: int = 3,
        on_result: Callable[[Any], bool] | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        listeners: Iterable[Listener] = (),
    ) -> None:
        checks = Checks(self.kind)
        self._on = compile_condition(checks, "on", on)
        self._on_result = checks.function("on_result", on_result)
        self._slow_call_s = None if slow_call_s is None else checks.seconds("slow_call_s", slow_call_s)
        rules = BreakerRules(
            failure_rate=checks.ratio("failure_rate", failure_rate),
            slow_rate=checks.ratio("slow_rate", slow_rate),
            minimum_calls=checks.count("minimum_calls", minimum_calls),
            window_calls=checks.count("window_calls", window_calls),
            window_s=None if window_s is None else checks.number("window_s", window_s, 0.001, MAX_SECONDS),
            open_s=checks.seconds("open_s", open_s),
            probes=checks.count("probes", probes),
        )
        checks.done()
        if window_s is None and rules.minimum_calls > rules.window_calls:
            checks.fail(
                "minimum_calls", f"at most window_calls ({rules.window_calls}), or it never opens", minimum_calls
            )
        checks.done()
        super().__init__(name=name, clock=clock, listeners=listeners)
        self._machine = BreakerMachine(rules)
        self._lock = threading.Lock()

    @property
    def opens_streams(self) -> bool:
        return self._on_result is None

    @property
    def state(self) -> BreakerState:
        """Its present state; OPEN becomes HALF_OPEN with the first call after `open_s`."""
        return self._machine.state

    @property
    def metrics(self) -> BreakerMetrics:
        """What its window remembers now."""
        with self._lock:
            window = self._machine.window
            window.forget(self.clock.now_s())
            return BreakerMetrics(self._machine.state, window.calls, window.failures, window.slow)

    def reset(self) -> None:
        """Close it, with nothing counted; also the way out of the three states below."""
        self._force(BreakerState.CLOSED)

    def force_open(self) -> None:
        """Refuse every call until `reset`."""
        self._force(BreakerState.FORCED_OPEN)

    def disable(self) -> None:
        """Let every call pass and count nothing until `reset`."""
        self._force(BreakerState.DISABLED)

    def metrics_only(self) -> None:
        """Let every call pass and count them, without ever opening, until `reset`."""
        self._force(BreakerState.METRICS_ONLY)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        permit = self._enter()
        started_s = self.clock.now_s()
        try:
            result = sync_result(fn(*args, **kwargs))
        except BaseException as error:
            self._failed(permit, started_s, error)
            raise
        self._leave(permit, started_s, self._on_result is not None and self._on_result(result))
        return result

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        permit = self._enter()
        started_s = self.clock.now_s()
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            self._failed(permit, started_s, error)
            raise
        self._leave(permit, started_s, self._on_result is not None and self._on_result(result))
        return result

    def guard(self) -> "BreakerGuard":
        """Guard a block: `with breaker.guard():`, in sync and async code alike (it never waits)."""
        return BreakerGuard(self)

    def _enter(self) -> int:
        """A permit; raises CircuitOpen when there is none."""
        permit = self._machine.passing
        if permit is not None:
            return permit
        with self._lock:
            before = self._machine.state
            now_s = self.clock.now_s()
            permit = self._machine.permit(now_s)
            after, retry_after_s = self._machine.state, self._machine.retry_after_s(now_s)
        self._announce(before, after)
        if permit is not None:
            return permit
        refusal = CircuitOpen(f"{self.name}: the circuit is {after}", retry_after_s=retry_after_s)
        if self.listeners:
            self.emit(CallShed(self.name, now_s, refusal))
        raise refusal

    def _leave(self, permit: int, started_s: float, failed: bool) -> None:
        now_s = self.clock.now_s()
        slow = self._slow_call_s is not None and now_s - started_s > self._slow_call_s
        with self._lock:
            before = self._machine.state
            self._machine.record(permit, now_s, failed, slow)
            after = self._machine.state
        if after is not before:
            self._announce(before, after)

    def _failed(self, permit: int, started_s: float, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._leave(permit, started_s, self._on(error))
        elif self._slow_call_s is not None and self.clock.now_s() - started_s > self._slow_call_s:
            self._leave(permit, started_s, False)
        else:
            with self._lock:
                self._machine.release(permit)

    def _force(self, state: BreakerState) -> None:
        with self._lock:
            before = self._machine.state
            self._machine.move(state, self.clock.now_s())
        self._announce(before, state)

    def _announce(self, before: BreakerState, after: BreakerState) -> None:
        if self.listeners and before is not after:
            self.emit(BreakerStateChanged(self.name, self.clock.now_s(), before, after))


class BreakerGuard:
    """One guarded block; entering raises CircuitOpen when the circuit is open."""

    __slots__ = ("_breaker", "_permit", "_started_s")

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker

    def __enter__(self) -> None:
        self._permit = self._breaker._enter()
        self._started_s = self._breaker.clock.now_s()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._breaker._leave(self._permit, self._started_s, failed=False)
        else:
            self._breaker._failed(self._permit, self._started_s, error)
