"""Retry: what is tried again, when, and when not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_resilience import (
    Condition,
    GiveUp,
    RateLimited,
    ResultRejected,
    Retry,
    RetryBudget,
    RetryGaveUp,
    RetryRecovered,
    RetryScheduled,
    deadline,
    retryable,
)
from maestro_resilience.testing import ManualClock, Recorder, seeded


class Flaky:
    """Fails with the given errors, one per call, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def acall(self) -> str:
        return self()


def _retry(clock: ManualClock, on: Condition = OSError, **options: object) -> Retry:
    return Retry(on, **{"initial_delay_s": 1.0, "multiplier": 2.0, "jitter": 0.0, "clock": clock, **options})  # type: ignore[arg-type]  # options are given by name in each test


def test_it_tries_again_with_growing_waits() -> None:
    """Two failures cost the first two waits, and then the result is there."""
    clock, recorder = ManualClock(0.0), Recorder()
    flaky = Flaky(OSError("a"), OSError("b"))
    assert _retry(clock, listeners=[recorder]).call(flaky) == "done"
    assert clock.sleeps == [1.0, 2.0]
    scheduled = recorder.of(RetryScheduled)
    assert [(event.attempt, event.delay_s, str(event.error), event.at_s) for event in scheduled] == [
        (1, 1.0, "a", 0.0),
        (2, 2.0, "b", 1.0),
    ]
    assert [event.attempt for event in recorder.of(RetryRecovered)] == [3]


async def test_async_is_the_same() -> None:
    """`acall` waits the same waits."""
    clock = ManualClock(0.0)
    flaky = Flaky(OSError(), OSError())
    assert await _retry(clock).acall(flaky.acall) == "done"
    assert clock.sleeps == [1.0, 2.0]


@pytest.mark.parametrize(
    ("on", "error", "handled"),
    [
        (OSError, ConnectionError(), True),
        (OSError, ValueError(), False),
        ((OSError, ValueError), ValueError(), True),
        ([OSError], OSError(), True),
        (lambda error: "busy" in str(error), ValueError("busy"), True),
        (lambda error: "busy" in str(error), ValueError("gone"), False),
        ((KeyError, lambda error: "busy" in str(error)), ValueError("busy"), True),
        ((KeyError, lambda error: "busy" in str(error)), KeyError("gone"), True),
        ((KeyError, lambda error: "busy" in str(error)), ValueError("gone"), False),
        (retryable, RateLimited("later"), True),
        (retryable, ResultRejected("no"), True),
        (retryable, OSError(), False),
    ],
)
def test_only_named_exceptions_are_retried(on: Condition, error: Exception, handled: bool) -> None:
    """Types, predicates and sequences of both name what is retried; everything else is raised at the first failure."""
    flaky = Flaky(error)
    if handled:
        assert _retry(ManualClock(), on).call(flaky) == "done"
    else:
        with pytest.raises(type(error)):
            _retry(ManualClock(), on).call(flaky)
    assert flaky.calls == 1 + handled


def test_the_last_error_is_raised_as_it_is() -> None:
    """After the last attempt the caller gets the exception itself, not a wrapper."""
    clock, recorder = ManualClock(), Recorder()
    errors = [OSError(n) for n in range(3)]
    with pytest.raises(OSError, match="2") as caught:
        _retry(clock, max_attempts=3, listeners=[recorder]).call(Flaky(*errors, OSError("never")))
    assert caught.value is errors[2]
    assert len(clock.sleeps) == 2
    assert [(event.attempt, event.reason) for event in recorder.of(RetryGaveUp)] == [(3, GiveUp.ATTEMPTS)]


def test_results_are_retried_too() -> None:
    """A result for which `on_result` holds counts as a failure; the last such one is told in the error."""
    clock = ManualClock()
    results = iter([None, None, "found"])
    retry = _retry(clock, on_result=lambda result: result is None, max_attempts=3)
    assert retry.call(lambda: next(results)) == "found"
    assert clock.sleeps == [1.0, 2.0]
    with pytest.raises(ResultRejected, match="attempt 3") as caught:
        retry.call(lambda: None)
    assert caught.value.result is None


def test_total_time_ends_it_before_a_wait_that_would_not_fit() -> None:
    """It does not sleep towards an attempt that could not start in time."""
    clock, recorder = ManualClock(0.0), Recorder()
    with pytest.raises(ConnectionError):
        _retry(clock, max_attempts=None, total_s=7.5, listeners=[recorder]).call(Flaky(*[ConnectionError()] * 99))
    assert clock.sleeps == [1.0, 2.0, 4.0]
    assert recorder.of(RetryGaveUp)[0].reason is GiveUp.TOTAL_TIME


class Asks(OSError):
    """An error that asks to be left alone for a while, as Retry-After does."""

    def __init__(self, retry_after_s: object) -> None:
        super().__init__("later")
        self.retry_after_s = retry_after_s


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (5, 5.0),
        (12.5, 12.5),
        (0.25, 1.0),
        (0, 1.0),
        (None, 1.0),
        (-3, 1.0),
        (float("nan"), 1.0),
        (True, 1.0),
        ("9", 1.0),
    ],
)
def test_the_wait_that_the_error_asks_for_is_kept(asked: object, waited: float) -> None:
    """A longer `retry_after_s` replaces the backoff, beyond max_delay_s too; what is no span of time is ignored."""
    clock = ManualClock()
    assert _retry(clock, max_delay_s=2.0).call(Flaky(Asks(asked))) == "done"
    assert clock.sleeps == [waited]


@pytest.mark.parametrize("asked", [46, 3600.0, float("inf"), 10**400])
def test_an_asked_wait_beyond_the_cap_ends_it(asked: object) -> None:
    """A server cannot make us sleep beyond total_s, and we do not knock before the time that it asked for."""
    clock, recorder = ManualClock(), Recorder()
    with pytest.raises(Asks):
        _retry(clock, listeners=[recorder]).call(Flaky(Asks(asked)))
    assert clock.sleeps == []
    assert recorder.of(RetryGaveUp)[0].reason is GiveUp.RETRY_AFTER


def test_without_total_time_the_longest_delay_is_the_cap() -> None:
    """Without total_s, an asked wait is bounded by max_delay_s."""
    clock = ManualClock()
    retry = _retry(clock, total_s=None, max_delay_s=8.0)
    assert retry.call(Flaky(Asks(8))) == "done"
    with pytest.raises(Asks):
        retry.call(Flaky(Asks(9)))
    assert clock.sleeps == [8.0]


def test_it_does_not_sleep_past_the_ambient_deadline() -> None:
    """A wait that would end at or after the deadline is not begun."""
    clock, recorder = ManualClock(0.0), Recorder()
    with deadline(3.0, clock=clock), pytest.raises(ConnectionError):
        _retry(clock, listeners=[recorder]).call(Flaky(*[ConnectionError()] * 9))
    assert clock.sleeps == [1.0]
    assert recorder.of(RetryGaveUp)[0].reason is GiveUp.DEADLINE


def test_policies_share_a_budget() -> None:
    """When everything fails, two policies together retry only as often as their budget pays for."""
    clock, recorder = ManualClock(), Recorder()
    budget = RetryBudget(ratio=0.1, burst=3)
    policies = [_retry(clock, budget=budget, listeners=[recorder]) for _ in range(2)]
    calls = 0
    for number in range(40):
        flaky = Flaky(*[ConnectionError()] * 9)
        with pytest.raises(ConnectionError):
            policies[number % 2].call(flaky)
        calls += flaky.calls
    assert calls - 40 == 3 + 40 // 10 - 1  # the first deposits find the purse full
    assert {event.reason for event in recorder.of(RetryGaveUp)} == {GiveUp.BUDGET}


def test_a_block_can_be_retried() -> None:
    """`for attempt in retry.attempts(): with attempt:` runs the block again after named errors."""
    clock, recorder = ManualClock(), Recorder()
    flaky, numbers = Flaky(OSError(), OSError()), []
    for attempt in _retry(clock, listeners=[recorder]).attempts():
        with attempt:
            numbers.append(attempt.number)
            result = flaky()
    assert (result, numbers, clock.sleeps) == ("done", [1, 2, 3], [1.0, 2.0])
    assert [event.attempt for event in recorder.of(RetryRecovered)] == [3]


@pytest.mark.parametrize(
    ("error", "runs"), [(ValueError("not named"), 1), (ConnectionError("last"), 2), (KeyboardInterrupt(), 1)]
)
def test_a_retried_block_raises_what_is_not_named_or_last(error: BaseException, runs: int) -> None:
    """Errors that are not named, the error of the last attempt, and interrupts leave the block."""
    begun: list[int] = []

    def block() -> None:
        for attempt in _retry(ManualClock(), max_attempts=2).attempts():
            with attempt:
                begun.append(attempt.number)
                raise error

    with pytest.raises(type(error)) as caught:
        block()
    assert caught.value is error
    assert len(begun) == runs


async def test_an_async_block_can_be_retried() -> None:
    """`async for attempt in retry.attempts():` is the same with async waits."""
    clock = ManualClock()
    flaky, numbers = Flaky(OSError()), []
    async for attempt in _retry(clock).attempts():
        with attempt:
            numbers.append(attempt.number)
            result = await flaky.acall()
    assert (result, numbers, clock.sleeps) == ("done", [1, 2], [1.0])


async def test_cancelling_ends_the_wait() -> None:
    """A task that is cancelled while it waits for its next attempt ends at once."""
    clock = ManualClock()
    flaky = Flaky(*[OSError()] * 9)
    waiting = asyncio.Event()
    task = asyncio.ensure_future(_retry(clock, listeners=[lambda event: waiting.set()]).acall(flaky.acall))
    await asyncio.wait_for(waiting.wait(), 10.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert flaky.calls == 1


def _stream_of(script: list[object]) -> Callable[[], Iterator[object]]:
    """A generator function that goes on in the script at each run: it yields items, and raises exceptions."""

    def stream() -> Iterator[object]:
        while script:
            item = script.pop(0)
            if isinstance(item, Exception):
                raise item
            yield item

    return stream


def test_a_generator_is_retried_until_its_first_item() -> None:
    """Failures before the first item are retried; later ones reach the consumer, so that no item comes twice."""
    clock = ManualClock()
    assert list(_retry(clock)(_stream_of([OSError(), OSError(), 1, 2]))()) == [1, 2]
    assert clock.sleeps == [1.0, 2.0]
    items = _retry(ManualClock())(_stream_of([OSError(), 1, OSError("late"), 2]))()
    assert next(items) == 1
    with pytest.raises(OSError, match="late"):
        next(items)


async def test_an_async_generator_is_retried_until_its_first_item() -> None:
    """The same for async generators."""
    clock = ManualClock()
    script: list[object] = [OSError(), 1, 2, OSError("late")]

    @_retry(clock)
    async def stream() -> AsyncIterator[object]:
        while script:
            item = script.pop(0)
            if isinstance(item, Exception):
                raise item
            yield item

    seen = []
    with pytest.raises(OSError, match="late"):  # noqa: PT012 - the iteration is what is tested
        async for item in stream():
            seen.append(item)
    assert (seen, clock.sleeps) == ([1, 2], [1.0])


@dataclass(frozen=True)
class Run:
    """What one attempt does: take time, then fail (perhaps asking for a wait) or succeed."""

    takes_s: float
    fails: bool
    asks_s: float | None


runs = st.builds(
    Run,
    takes_s=st.floats(0, 20),
    fails=st.booleans() | st.just(True),
    asks_s=st.none() | st.floats(0, 60),
)


@given(
    st.lists(runs, max_size=12),
    st.integers(1, 8),
    st.floats(0.1, 60),
    st.floats(0, 5),
    st.floats(0, 1),
    st.integers(0, 9),
)
def test_no_bound_is_ever_exceeded(
    script: list[Run], max_attempts: int, total_s: float, initial_delay_s: float, jitter: float, seed: int
) -> None:
    """Whatever happens: attempts and total time hold, asked waits are kept in full, and sync and async do the same."""

    def retry(clock: ManualClock) -> Retry:
        return Retry(
            OSError,
            max_attempts=max_attempts,
            total_s=total_s,
            initial_delay_s=initial_delay_s,
            max_delay_s=10.0,
            jitter=jitter,
            clock=clock,
            random=seeded(seed),
        )

    def run(clock: ManualClock, starts: list[float]) -> str:
        step = script[len(starts)] if len(starts) < len(script) else Run(0.0, False, None)
        starts.append(clock.now_s())
        clock.advance(step.takes_s)
        if step.fails:
            raise Asks(step.asks_s)
        return "done"

    clock, starts = ManualClock(0.0), list[float]()
    outcome = _outcome(lambda: retry(clock).call(run, clock, starts))
    assert len(starts) <= max_attempts
    assert all(start <= total_s + 1e-9 for start in starts)
    for number, waited in enumerate(clock.sleeps):
        asked = script[number].asks_s or 0.0
        assert waited >= asked
        assert waited <= max(asked, min(10.0, initial_delay_s * 2.0**number))

    async def arun(clock: ManualClock, starts: list[float]) -> str:
        return run(clock, starts)

    aclock, astarts = ManualClock(0.0), list[float]()
    aoutcome = _outcome(lambda: asyncio.run(retry(aclock).acall(arun, aclock, astarts)))
    assert (aoutcome, astarts, aclock.sleeps) == (outcome, starts, clock.sleeps)


def _outcome(call: Callable[[], str]) -> str:
    try:
        return call()
    except Asks:
        return "failed"
