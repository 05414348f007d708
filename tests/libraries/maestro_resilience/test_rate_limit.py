"""Rate limit: never more than the rate allows over any stretch of time, and never less than it could."""

import asyncio
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_resilience import CallShed, RateLimit, RateLimited, deadline
from maestro_resilience._rate_limit import TokenBucket
from maestro_resilience.testing import ManualClock, Recorder

gaps = st.lists(st.integers(0, 3_000_000_000), min_size=1, max_size=60)


@given(st.integers(1, 2_000_000_000), st.integers(1, 5), gaps, st.integers(0, 5_000_000_000))
def test_no_window_holds_more_than_rate_and_burst(
    interval_ns: int, burst: int, gaps: list[int], max_wait_ns: int
) -> None:
    """Between any two permits, at most burst + t / interval lie, ends included; and they come in order."""
    bucket = TokenBucket(interval_ns, burst)
    now_ns, permits = 10**15, []
    for gap in gaps:
        now_ns += gap
        taken, wait_ns = bucket.take(now_ns, max_wait_ns)
        assert taken is (wait_ns <= max_wait_ns)
        if taken:
            permits.append(now_ns + wait_ns)
    assert permits == sorted(permits)
    for first in range(len(permits)):
        for last in range(first, len(permits)):
            assert last - first + 1 <= burst + (permits[last] - permits[first]) // interval_ns


@given(st.integers(1, 2_000_000_000), st.integers(1, 5), gaps)
def test_it_is_the_classic_token_bucket(interval_ns: int, burst: int, gaps: list[int]) -> None:
    """It takes and refuses exactly as a bucket does that is refilled with exact fractions of tokens."""
    bucket, tokens = TokenBucket(interval_ns, burst), Fraction(burst)
    now_ns = 0
    for gap in gaps:
        now_ns += gap
        tokens = min(Fraction(burst), tokens + Fraction(gap, interval_ns))
        taken, wait_ns = bucket.take(now_ns, 0)
        assert taken is (tokens >= 1)
        if taken:
            tokens -= 1
        else:
            assert wait_ns == -(-((1 - tokens) * interval_ns) // 1)


@given(st.floats(0.01, 1000), st.integers(1, 5), st.lists(st.floats(0, 5), min_size=1, max_size=25), st.floats(0, 10))
def test_calls_start_within_the_rate(rate_per_s: float, burst: int, gaps: list[float], max_wait_s: float) -> None:
    """Concurrent async calls that may wait start within the rate in virtual time; those that may not are refused."""
    clock, starts, refusals = ManualClock(0.0), list[float](), list[float | None]()
    limit = RateLimit(rate_per_s, burst=burst, max_wait_s=max_wait_s, clock=clock)

    async def work() -> None:
        starts.append(clock.now_s())

    async def call(at_s: float) -> None:
        await clock.asleep(at_s)
        try:
            await limit.acall(work)
        except RateLimited as refused:
            refusals.append(refused.retry_after_s)

    async def main() -> None:
        await asyncio.gather(*(call(sum(gaps[: index + 1])) for index in range(len(gaps))))

    asyncio.run(main())
    assert len(starts) + len(refusals) == len(gaps)
    assert all(retry_after_s is not None and retry_after_s > max_wait_s - 1e-6 for retry_after_s in refusals)
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            assert last - first + 1 <= burst + rate_per_s * (starts[last] - starts[first]) + 1e-3


def test_a_refusal_says_when_to_come_back() -> None:
    """After the burst, calls are refused without being made; coming back when told succeeds."""
    clock, recorder, calls = ManualClock(0.0), Recorder(), list[int]()
    limit = RateLimit(2.0, burst=2, name="api", clock=clock, listeners=[recorder])
    for number in range(2):
        limit.call(calls.append, number)
    with pytest.raises(RateLimited, match=r"api: next permit in 0\.5 s") as caught:
        limit.call(calls.append, 9)
    assert (caught.value.retry_after_s, caught.value.retryable) == (0.5, True)
    assert recorder.of(CallShed)[0].error is caught.value
    clock.advance(0.5)
    limit.call(calls.append, 2)
    assert calls == [0, 1, 2]


def test_waiting_calls_are_spread_over_time() -> None:
    """With max_wait_s, sync calls sleep until their permit."""
    clock = ManualClock(0.0)
    limit = RateLimit(10.0, max_wait_s=1.0, clock=clock)
    starts = [limit.call(clock.now_s) for _ in range(4)]
    assert starts == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert clock.sleeps == pytest.approx([0.1, 0.1, 0.1])


def test_nobody_waits_beyond_the_deadline() -> None:
    """A permit that would come after the ambient deadline is refused at once."""
    clock = ManualClock(0.0)
    limit = RateLimit(1.0, max_wait_s=60.0, clock=clock)
    limit.acquire()
    with deadline(0.5, clock=clock), pytest.raises(RateLimited):
        limit.acquire()
    assert clock.sleeps == []


async def test_permits_can_be_taken_alone() -> None:
    """`acquire` and `aacquire` take a permit for work that is no single call."""
    clock = ManualClock(0.0)
    limit = RateLimit(1.0, max_wait_s=1.0, clock=clock)
    await limit.aacquire()
    await limit.aacquire()
    assert clock.now_s() == 1.0
    limit.acquire()
    assert clock.now_s() == 2.0


@pytest.mark.parametrize("rate_per_s", [1e-9, 0.3, 1.0, 3.0, 1e9])
def test_every_allowed_rate_works(rate_per_s: float) -> None:
    """From once in thirty years to once a nanosecond, the second call is due after one interval."""
    clock = ManualClock(0.0)
    limit = RateLimit(rate_per_s, clock=clock)
    limit.acquire()
    with pytest.raises(RateLimited) as caught:
        limit.acquire()
    assert caught.value.retry_after_s == pytest.approx(1 / rate_per_s, rel=1e-6, abs=1.1e-9)
