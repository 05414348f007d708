"""The circuit breaker against a naive model that remembers everything and computes from scratch."""

import contextlib
from typing import TypedDict

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from maestro_resilience import BreakerState, CircuitBreaker, CircuitOpen
from maestro_resilience._breaker import BreakerGuard
from maestro_resilience._window import TimeWindow
from maestro_resilience.testing import ManualClock


class Options(TypedDict):
    """Parameters of one breaker."""

    failure_rate: float
    slow_rate: float
    minimum_calls: int
    window_calls: int
    window_s: float | None
    open_s: float
    probes: int


class Model:
    """The documented rules, written down once more without any cleverness."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.state = BreakerState.CLOSED
        self.changed_s = 0.0
        self.period = 0
        self.outcomes: list[tuple[float, bool, bool]] = []
        self.probes_out = 0

    def move(self, state: BreakerState, now_s: float) -> None:
        self.state, self.changed_s, self.outcomes, self.probes_out = state, now_s, [], 0
        self.period += 1

    def permit(self, now_s: float) -> bool:
        if self.state in (BreakerState.CLOSED, BreakerState.DISABLED, BreakerState.METRICS_ONLY):
            return True
        if self.state is BreakerState.FORCED_OPEN:
            return False
        rested = now_s - self.changed_s >= self.options["open_s"]
        stuck = self.state is BreakerState.HALF_OPEN and self.probes_out == self.options["probes"]
        if rested and (self.state is BreakerState.OPEN or stuck):
            self.move(BreakerState.HALF_OPEN, now_s)
        if self.state is BreakerState.HALF_OPEN and self.probes_out < self.options["probes"]:
            self.probes_out += 1
            return True
        return False

    def finish(self, period: int, now_s: float, failed: bool, slow: bool) -> None:
        if period != self.period or self.state is BreakerState.DISABLED:
            return
        self.outcomes.append((now_s, failed, slow))
        calls, failures, slows = self.totals(now_s)
        if self.state is BreakerState.CLOSED and calls >= self.options["minimum_calls"]:
            if self._reached(calls, failures, slows):
                self.move(BreakerState.OPEN, now_s)
        elif self.state is BreakerState.HALF_OPEN:
            if self._reached(self.options["probes"], failures, slows):
                self.move(BreakerState.OPEN, now_s)
            elif calls == self.options["probes"]:
                self.move(BreakerState.CLOSED, now_s)

    def cancel(self, period: int) -> None:
        if period == self.period and self.state is BreakerState.HALF_OPEN:
            self.probes_out -= 1

    def totals(self, now_s: float) -> tuple[int, int, int]:
        kept = self.outcomes
        if self.state is not BreakerState.HALF_OPEN:
            window_s = self.options["window_s"]
            if window_s is None:
                kept = kept[-self.options["window_calls"] :]
            else:
                tenth = window_s / 10
                kept = [outcome for outcome in kept if int(outcome[0] / tenth) > int(now_s / tenth) - 10]
        return len(kept), sum(failed for _, failed, _ in kept), sum(slow for _, _, slow in kept)

    def _reached(self, calls: int, failures: int, slows: int) -> bool:
        return failures / calls >= self.options["failure_rate"] or slows / calls >= self.options["slow_rate"]


class BreakerAgainstModel(RuleBasedStateMachine):
    """Any order of calls begun, ended and cancelled, of time passing and of operators interfering."""

    @initialize(
        failure_rate=st.sampled_from([0.1, 0.5, 1.0]),
        slow_rate=st.sampled_from([0.3, 1.0]),
        minimum_calls=st.integers(1, 5),
        more_calls=st.integers(0, 5),
        window_s=st.none() | st.sampled_from([1.0, 7.0, 60.0]),
        open_s=st.sampled_from([1.0, 5.0]),
        probes=st.integers(1, 4),
    )
    def make(
        self,
        failure_rate: float,
        slow_rate: float,
        minimum_calls: int,
        more_calls: int,
        window_s: float | None,
        open_s: float,
        probes: int,
    ) -> None:
        options = Options(
            failure_rate=failure_rate,
            slow_rate=slow_rate,
            minimum_calls=minimum_calls,
            window_calls=minimum_calls + more_calls,
            window_s=window_s,
            open_s=open_s,
            probes=probes,
        )
        self.clock = ManualClock(0.0)
        self.breaker = CircuitBreaker(on=OSError, slow_call_s=2.0, clock=self.clock, **options)
        self.model = Model(options)
        self.running: list[tuple[BreakerGuard, int, float]] = []

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 2.0, 2.5, 5.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def begin(self) -> None:
        guard, permitted = self.breaker.guard(), False
        with contextlib.suppress(CircuitOpen):
            guard.__enter__()
            permitted = True
        assert permitted is self.model.permit(self.clock.now_s())
        if permitted:
            self.running.append((guard, self.model.period, self.clock.now_s()))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), error=st.sampled_from([None, OSError(), KeyError(), KeyboardInterrupt()]))
    def end(self, data: st.DataObject, error: BaseException | None) -> None:
        guard, period, started_s = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        guard.__exit__(None if error is None else type(error), error, None)
        now_s = self.clock.now_s()
        slow = now_s - started_s > 2.0
        if isinstance(error, KeyboardInterrupt) and not slow:
            self.model.cancel(period)
        else:
            self.model.finish(period, now_s, isinstance(error, OSError), slow)

    @rule(count=st.integers(1, 12), fails=st.booleans())
    def quick_calls(self, count: int, fails: bool) -> None:
        for _ in range(count):
            self.begin()
            if self.running:
                guard, period, started_s = self.running.pop()
                guard.__exit__(OSError if fails else None, OSError() if fails else None, None)
                now_s = self.clock.now_s()
                self.model.finish(period, now_s, fails, now_s - started_s > 2.0)

    @rule(failures=st.integers(1, 6), rest=st.sampled_from([1.0, 5.0]))
    def trip_and_rest(self, failures: int, rest: float) -> None:
        self.quick_calls(failures, True)
        self.time_passes(rest)
        self.begin()

    @rule(state=st.sampled_from(["FORCED_OPEN", "DISABLED", "METRICS_ONLY", "CLOSED", "CLOSED", "CLOSED"]))
    def operate(self, state: str) -> None:
        wanted = BreakerState[state]
        act = {
            BreakerState.FORCED_OPEN: self.breaker.force_open,
            BreakerState.DISABLED: self.breaker.disable,
            BreakerState.METRICS_ONLY: self.breaker.metrics_only,
            BreakerState.CLOSED: self.breaker.reset,
        }
        act[wanted]()
        self.model.move(wanted, self.clock.now_s())

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "breaker"):
            metrics = self.breaker.metrics
            assert metrics.state is self.model.state
            assert (metrics.calls, metrics.failures, metrics.slow) == self.model.totals(self.clock.now_s())


@given(
    st.sampled_from([1.0, 7.0, 60.0]),
    st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.booleans()), max_size=40),
    st.floats(0, 3),
)
def test_a_time_window_remembers_ten_tenths(span_s: float, calls: list[tuple[float, bool, bool]], rest: float) -> None:
    """With any pauses, in spans, between calls, the totals are those of the calls in the last ten tenths."""
    window, now_s, outcomes = TimeWindow(span_s), 0.0, list[tuple[int, bool, bool]]()
    for pause, failed, slow in calls:
        now_s += pause * span_s
        window.add(now_s, failed, slow)
        outcomes.append((int(now_s / (span_s / 10)), failed, slow))
    now_s += rest * span_s
    window.forget(now_s)
    kept = [outcome for outcome in outcomes if outcome[0] > int(now_s / (span_s / 10)) - 10]
    expected = (len(kept), sum(failed for _, failed, _ in kept), sum(slow for _, _, slow in kept))
    assert (window.calls, window.failures, window.slow) == expected


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
TestBreakerAgainstModel.settings = settings(max_examples=200, stateful_step_count=40, deadline=None, database=None)
