"""The law of the circuit breaker: states, windows and probes; pure, with every time passed in."""

from dataclasses import dataclass

from maestro_resilience._events import BreakerState
from maestro_resilience._window import CountWindow, TimeWindow, Window

_PASSING = (BreakerState.CLOSED, BreakerState.DISABLED, BreakerState.METRICS_ONLY)


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker opens and how it closes again; `window_s` None means that calls are counted, not seconds."""

    failure_rate: float
    slow_rate: float
    minimum_calls: int
    window_calls: int
    window_s: float | None
    open_s: float
    probes: int

    def trips(self, calls: int, failures: int, slow: int) -> bool:
        """Whether these outcomes reach one of the two rates."""
        return failures / calls >= self.failure_rate or slow / calls >= self.slow_rate


class BreakerMachine:
    """One breaker's state. A permit is the number of the period that gave it; brought back in a later one, it is void.

    `passing` is the current permit while every call may pass, else None: all that a usual call has to read.
    """

    __slots__ = ("_moved_s", "_period", "_probes_left", "_rules", "passing", "state", "window")

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self._period = -1
        self.move(BreakerState.CLOSED, 0.0)

    def permit(self, now_s: float) -> int | None:
        """A permit for one call, None when it is refused."""
        if self.passing is not None:
            return self.passing
        waited = now_s - self._moved_s >= self._rules.open_s
        # Probes that never come back must not shut the door for ever: after open_s, half-open begins anew.
        if waited and (self.state is BreakerState.OPEN or (self._half_open() and not self._probes_left)):
            self.move(BreakerState.HALF_OPEN, now_s)
        if self._half_open() and self._probes_left:
            self._probes_left -= 1
            return self._period
        return None

    def retry_after_s(self, now_s: float) -> float | None:
        """Time until an open breaker lets probes through, None when time alone does not decide."""
        if self.state is not BreakerState.OPEN:
            return None
        return max(0.0, self._moved_s + self._rules.open_s - now_s)

    def record(self, permit: int, now_s: float, failed: bool, slow: bool) -> None:
        """Count the outcome of a permitted call, and move when that decides something."""
        if permit != self._period or self.state is BreakerState.DISABLED:
            return
        window, rules = self.window, self._rules
        window.add(now_s, failed, slow)
        if self.state is BreakerState.CLOSED:
            if window.calls >= rules.minimum_calls and rules.trips(window.calls, window.failures, window.slow):
                self.move(BreakerState.OPEN, now_s)
        elif self._half_open():
            # Measured against all probes, so it opens as soon as the remaining ones cannot help.
            if rules.trips(rules.probes, window.failures, window.slow):
                self.move(BreakerState.OPEN, now_s)
            elif window.calls == rules.probes:
                self.move(BreakerState.CLOSED, now_s)

    def release(self, permit: int) -> None:
        """Give back the permit of a call that ended without an outcome (it was cancelled)."""
        if permit == self._period and self._half_open():
            self._probes_left += 1

    def move(self, state: BreakerState, now_s: float) -> None:
        """Begin a new period in the given state, with nothing counted yet."""
        self.state = state
        self._moved_s = now_s
        self._period += 1
        self.passing: int | None = self._period if state in _PASSING else None
        self._probes_left = self._rules.probes
        self.window: Window = self._new_window(state)

    def _half_open(self) -> bool:
        return self.state is BreakerState.HALF_OPEN

    def _new_window(self, state: BreakerState) -> Window:
        if state is BreakerState.HALF_OPEN:
            return CountWindow(self._rules.probes)
        if self._rules.window_s is not None:
            return TimeWindow(self._rules.window_s)
        return CountWindow(self._rules.window_calls)
