"""The circuit breaker: when it opens, how it closes, and the states that an operator sets."""

import asyncio

import pytest

from maestro_resilience import (
    BreakerMetrics,
    BreakerState,
    BreakerStateChanged,
    CallShed,
    CircuitBreaker,
    CircuitOpen,
    PerKey,
    Timeout,
)
from maestro_resilience.testing import ManualClock, Recorder


def _breaker(clock: ManualClock, **options: object) -> CircuitBreaker:
    return CircuitBreaker(**{"clock": clock, "minimum_calls": 4, "window_calls": 8, "open_s": 30.0, **options})  # type: ignore[arg-type]  # options are given by name in each test


def _state(breaker: CircuitBreaker) -> BreakerState:
    return breaker.state  # read anew: a type checker takes a property for a constant


def _fail(breaker: CircuitBreaker, error: Exception | None = None) -> None:
    def fail() -> None:
        raise error or OSError("down")

    with pytest.raises(type(error or OSError())):
        breaker.call(fail)


def _open(breaker: CircuitBreaker) -> CircuitBreaker:
    for _ in range(4):
        _fail(breaker)
    assert _state(breaker) is BreakerState.OPEN
    return breaker


def test_it_opens_at_the_failure_rate_and_not_before_enough_calls() -> None:
    """Three failures of three are too few calls; at four, half of them failed is enough."""
    breaker = _breaker(ManualClock())
    for _ in range(2):
        _fail(breaker)
    assert breaker.call(len, "ok") == 2
    assert _state(breaker) is BreakerState.CLOSED
    _fail(breaker)
    assert _state(breaker) is BreakerState.OPEN


def test_an_open_circuit_refuses_without_calling() -> None:
    """Refused calls never reach the function, and say after which time to try again."""
    clock, recorder, calls = ManualClock(), Recorder(), list[int]()
    breaker = _open(_breaker(clock, name="db", listeners=[recorder]))
    clock.advance(10.0)
    with pytest.raises(CircuitOpen, match="db: the circuit is open") as caught:
        breaker.call(calls.append, 1)
    assert (caught.value.retry_after_s, caught.value.retryable, calls) == (20.0, True, [])
    assert recorder.of(CallShed)[0].error is caught.value


def test_probes_close_it_again() -> None:
    """After open_s, a few calls are let through; when they succeed, it closes with nothing counted."""
    clock, recorder = ManualClock(), Recorder()
    breaker = _open(_breaker(clock, listeners=[recorder]))
    clock.advance(30.0)
    for _ in range(3):
        assert breaker.call(len, "ok") == 2
    assert _state(breaker) is BreakerState.CLOSED
    assert breaker.metrics == BreakerMetrics(BreakerState.CLOSED, 0, 0, 0)
    moves = [(event.before, event.after) for event in recorder.of(BreakerStateChanged)]
    assert moves == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]


def test_failing_probes_open_it_again_as_soon_as_it_is_certain() -> None:
    """With three probes and a rate of a half, the second failure decides, and open_s starts anew."""
    clock = ManualClock()
    breaker = _open(_breaker(clock))
    clock.advance(30.0)
    _fail(breaker)
    assert _state(breaker) is BreakerState.HALF_OPEN
    _fail(breaker)
    assert _state(breaker) is BreakerState.OPEN
    clock.advance(29.9)
    with pytest.raises(CircuitOpen):
        breaker.call(len, "ok")


def test_half_open_lets_only_its_quota_through() -> None:
    """While the probes are out, further calls are refused; probes that never return are replaced after open_s."""
    clock = ManualClock()
    breaker = _open(_breaker(clock, probes=2))
    clock.advance(30.0)
    lost = [breaker.guard(), breaker.guard()]
    for guard in lost:
        guard.__enter__()
    with pytest.raises(CircuitOpen, match="half-open") as caught:
        breaker.call(len, "ok")
    assert caught.value.retry_after_s is None
    clock.advance(30.0)
    assert breaker.call(len, "ok") == 2
    lost[0].__exit__(OSError, OSError(), None)
    lost[1].__exit__(OSError, OSError(), None)
    assert _state(breaker) is BreakerState.HALF_OPEN
    assert breaker.call(len, "ok") == 2
    assert _state(breaker) is BreakerState.CLOSED


def test_a_cancelled_probe_gives_its_place_back() -> None:
    """A probe that ends without an outcome is replaced at once."""
    clock = ManualClock()
    breaker = _open(_breaker(clock, probes=1))
    clock.advance(30.0)
    with pytest.raises(KeyboardInterrupt), breaker.guard():
        raise KeyboardInterrupt
    assert _state(breaker) is BreakerState.HALF_OPEN
    assert breaker.call(len, "ok") == 2
    assert _state(breaker) is BreakerState.CLOSED


def test_calls_from_before_a_change_do_not_count_after_it() -> None:
    """A call that began before the circuit opened is no probe, whatever comes of it."""
    clock = ManualClock()
    breaker = _breaker(clock, probes=1)
    early = breaker.guard()
    early.__enter__()
    _open(breaker)
    clock.advance(30.0)
    with breaker.guard():
        early.__exit__(OSError, OSError(), None)
        assert _state(breaker) is BreakerState.HALF_OPEN
    assert _state(breaker) is BreakerState.CLOSED


def test_slow_calls_open_it() -> None:
    """Calls longer than slow_call_s count towards slow_rate, though they succeed; exactly slow_call_s is not slow."""
    clock = ManualClock()
    breaker = _breaker(clock, slow_call_s=1.0, slow_rate=0.5)
    for takes_s in (1.0, 1.0, 1.1):
        breaker.call(clock.advance, takes_s)
    assert breaker.metrics.slow_rate == pytest.approx(1 / 3)
    breaker.call(clock.advance, 5.0)
    assert _state(breaker) is BreakerState.OPEN


async def test_cancelled_calls_count_only_when_slow() -> None:
    """A timeout around the breaker cancels slow calls, which count as slow; a quick cancellation counts as nothing."""
    clock = ManualClock()
    breaker = _breaker(clock, slow_call_s=1.0, minimum_calls=8)

    async def hang() -> None:
        await asyncio.Event().wait()

    for limit_s in (0.5, 2.0):
        with pytest.raises(TimeoutError):
            await Timeout(limit_s, clock=clock).acall(breaker.acall, hang)
    assert breaker.metrics == BreakerMetrics(BreakerState.CLOSED, calls=1, failures=0, slow=1)


def test_only_named_exceptions_are_failures() -> None:
    """What `on` does not name counts as an answered call."""
    breaker = _breaker(ManualClock(), on=ConnectionError)
    for _ in range(8):
        _fail(breaker, KeyError("not there"))
    assert breaker.metrics == BreakerMetrics(BreakerState.CLOSED, 8, 0, 0)


def test_results_can_be_failures() -> None:
    """`on_result` counts results as failures, and returns them."""
    breaker = _breaker(ManualClock(), on_result=lambda status: status >= 500)
    assert [breaker.call(int, "503") for _ in range(4)] == [503] * 4
    assert _state(breaker) is BreakerState.OPEN


def test_a_count_window_forgets_the_oldest_call() -> None:
    """With window_calls, each call pushes out the one that is that many calls old."""
    breaker = _breaker(ManualClock(), failure_rate=1.0)
    for _ in range(3):
        _fail(breaker)
    for _ in range(5):
        breaker.call(len, "ok")
    assert breaker.metrics.failures == 3
    for left in (2, 1, 0, 0):
        breaker.call(len, "ok")
        assert (breaker.metrics.calls, breaker.metrics.failures) == (8, left)


def test_a_time_window_forgets_old_calls() -> None:
    """With window_s, calls count for that time, to a tenth of it."""
    clock = ManualClock(0.0)
    breaker = _breaker(clock, window_s=10.0, failure_rate=1.0)
    _fail(breaker)
    clock.advance(9.5)
    breaker.call(len, "ok")
    assert (breaker.metrics.calls, breaker.metrics.failures) == (2, 1)
    clock.advance(1.0)
    assert (breaker.metrics.calls, breaker.metrics.failures) == (1, 0)
    clock.advance(1e6)
    assert breaker.metrics == BreakerMetrics(BreakerState.CLOSED, 0, 0, 0)


def test_an_operator_can_force_it() -> None:
    """Forced open refuses for ever; disabled counts nothing; metrics-only counts and never opens; reset closes."""
    clock, recorder = ManualClock(), Recorder()
    breaker = _breaker(clock, listeners=[recorder])
    breaker.force_open()
    clock.advance(1e6)
    with pytest.raises(CircuitOpen) as caught:
        breaker.call(len, "ok")
    assert caught.value.retry_after_s is None
    breaker.disable()
    for _ in range(20):
        _fail(breaker)
    assert breaker.metrics == BreakerMetrics(BreakerState.DISABLED, 0, 0, 0)
    breaker.metrics_only()
    for _ in range(20):
        _fail(breaker)
    assert breaker.metrics == BreakerMetrics(BreakerState.METRICS_ONLY, 8, 8, 0)
    breaker.reset()
    assert (breaker.state, breaker.metrics.failure_rate) == (BreakerState.CLOSED, 0.0)
    after = [event.after for event in recorder.of(BreakerStateChanged)]
    assert after == ["forced-open", "disabled", "metrics-only", "closed"]


async def test_async_and_guarded_blocks_count_alike() -> None:
    """`acall`, and `with breaker.guard()` in async code, fill the same window as `call`."""
    breaker = _breaker(ManualClock())

    async def fail() -> None:
        raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            await breaker.acall(fail)
        with pytest.raises(ConnectionError), breaker.guard():
            await fail()
    assert _state(breaker) is BreakerState.OPEN
    with pytest.raises(CircuitOpen):
        await breaker.acall(fail)
    with pytest.raises(CircuitOpen), breaker.guard():
        pass


def test_breakers_per_key_are_apart_and_bounded() -> None:
    """Each key has a breaker of its own; beyond max_keys the least recently used is dropped and starts afresh."""
    clock = ManualClock()
    hosts: PerKey[str, CircuitBreaker] = PerKey(lambda host: _breaker(clock, name=f"host {host}"), max_keys=2)
    _open(hosts.get("a"))
    assert hosts.get("b").call(len, "ok") == 2
    assert hosts.get("a") is hosts.get("a")
    assert hosts.get("c").name == "host c"
    assert list(hosts.snapshot()) == ["a", "c"]
    assert _state(hosts.get("a")) is BreakerState.OPEN
    hosts.get("b")
    hosts.get("c")
    assert len(hosts) == 2
    assert _state(hosts.get("a")) is BreakerState.CLOSED


def test_many_keys_take_the_memory_of_a_few() -> None:
    """Hostile keys cannot grow it without bound."""
    made: list[int] = []

    def make(key: int) -> CircuitBreaker:
        made.append(key)
        return _breaker(ManualClock())

    hosts = PerKey(make, max_keys=10)
    for key in range(2_000):
        hosts.get(key)
    assert (len(hosts), len(made)) == (10, 2_000)
    assert list(hosts.snapshot()) == list(range(1_990, 2_000))
