"""The token bucket: exact, never more than it says, and in bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_api import (
    InvalidApi,
    MemoryRateLimitStore,
    RateLimitDecision,
    RateLimitPolicy,
)
from maestro_core_api._rate_limit import rate_limit_headers, retry_after_s, take

NS = 1_000_000_000
POLICIES = st.builds(
    RateLimitPolicy,
    st.just("p"),
    quota=st.integers(1, 50),
    window_s=st.integers(1, 20),
    burst=st.none() | st.integers(1, 20),
)
GAPS = st.lists(st.integers(0, 2 * NS) | st.just(0), max_size=60)


def available(policy: RateLimitPolicy, full_at: int | None, now_ns: int) -> int:
    decision, _ = take(policy, full_at, now_ns)
    return decision.remaining + 1 if decision.allowed else 0


@given(POLICIES, GAPS)
def test_no_window_of_any_length_has_more_than_the_rate_and_the_burst(policy: RateLimitPolicy, gaps: list[int]) -> None:
    """For every two requests that were let through, those between them fit."""
    now_ns, full_at = 5 * NS, None
    passed: list[int] = []
    for gap in gaps:
        now_ns += gap
        decision, state = take(policy, full_at, now_ns)
        if decision.allowed:
            full_at = state
            passed.append(now_ns)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            count, length_ns = last - first + 1, passed[last] - passed[first]
            assert (count - policy.depth) * policy.window_s * NS <= length_ns * policy.quota


@given(POLICIES, st.integers(0, 10**18))
def test_a_request_comes_back_exactly_when_it_should_and_not_a_nanosecond_before(
    policy: RateLimitPolicy, now_ns: int
) -> None:
    full_at = None
    for left in reversed(range(policy.depth)):
        decision, full_at = take(policy, full_at, now_ns)
        assert (decision.allowed, decision.remaining) == (True, left)
    for number in range(1, policy.depth + 1):
        back_ns = now_ns + -(-number * policy.window_s * NS // policy.quota)
        assert available(policy, full_at, back_ns - 1) == number - 1
        assert available(policy, full_at, back_ns) == number


@given(POLICIES, GAPS)
def test_what_is_said_to_remain_is_there_and_what_is_said_to_come_comes(
    policy: RateLimitPolicy, gaps: list[int]
) -> None:
    now_ns, full_at = 0, None
    for gap in gaps:
        now_ns += gap
        decision, state = take(policy, full_at, now_ns)
        if decision.allowed:
            full_at = state
        probe = full_at
        for _ in range(decision.remaining):
            more, probe = take(policy, probe, now_ns)
            assert more.allowed
        assert not take(policy, probe, now_ns)[0].allowed
        # One more at the end of the effective window; the float is rounded, by less than a microsecond here.
        assert take(policy, probe, now_ns + int(decision.next_s * NS) + 1000)[0].allowed


@given(POLICIES, st.integers(0, NS), st.integers(-NS, 0))
def test_a_clock_that_goes_back_gives_nothing_away(policy: RateLimitPolicy, now_ns: int, back_ns: int) -> None:
    full_at = None
    for _ in range(policy.depth):
        _, full_at = take(policy, full_at, now_ns)
    assert not take(policy, full_at, now_ns + back_ns)[0].allowed


async def test_a_refusal_takes_nothing_from_the_other_policies() -> None:
    """All or none: the store keeps what is left of the one that had room."""
    now_ns = [0]
    store = MemoryRateLimitStore(now_ns=lambda: now_ns[0])
    tight, wide = RateLimitPolicy("tight", 1, 10), RateLimitPolicy("wide", 5, 100)
    assert [each.remaining for each in await store.take("k", (tight, wide))] == [0, 4]
    for _ in range(20):
        refused = await store.take("k", (tight, wide))
        assert [(each.allowed, each.remaining) for each in refused] == [(False, 0), (True, 4)]
    assert retry_after_s(refused) == 10
    now_ns[0] = 10 * NS
    assert [each.remaining for each in await store.take("k", (tight, wide))] == [0, 3]


async def test_callers_do_not_share_and_policies_of_one_name_do() -> None:
    store = MemoryRateLimitStore(now_ns=lambda: 0)
    policy = RateLimitPolicy("one", 1, 60)
    assert (await store.take("a", (policy,)))[0].allowed
    assert (await store.take("b", (policy,)))[0].allowed
    assert not (await store.take("a", (RateLimitPolicy("one", 1, 60),)))[0].allowed
    assert (await store.take("a", (RateLimitPolicy("two", 1, 60),)))[0].allowed


async def test_a_flood_of_made_up_callers_costs_no_memory_and_frees_nobody_who_keeps_asking() -> None:
    """Long names too: a key is kept as 16 bytes."""
    store = MemoryRateLimitStore(max_keys=100, now_ns=lambda: 0)
    policy = RateLimitPolicy("p", 1, 3600)
    await store.take("greedy", (policy,))
    for number in range(5_000):
        await store.take(f"{number}" + "x" * 2_000, (policy,))
        if number % 50 == 0:
            assert not (await store.take("greedy", (policy,)))[0].allowed
    assert len(store) == 100


async def test_names_that_run_together_are_two_callers() -> None:
    store = MemoryRateLimitStore(now_ns=lambda: 0)
    await store.take("bc", (RateLimitPolicy("a", 1, 60),))
    assert (await store.take("c", (RateLimitPolicy("ab", 1, 60),)))[0].allowed
    assert (await store.take("\udc80", (RateLimitPolicy("a", 1, 60),)))[0].allowed


def test_the_headers_are_those_of_the_draft() -> None:
    """Names are strings, numbers whole: rounded up, so that who waits as told is not refused."""
    burst, daily = RateLimitPolicy("burst", 100, 60, burst=20), RateLimitPolicy("daily", 1000, 86_400)
    decisions = (RateLimitDecision(burst, True, 19, 0.6), RateLimitDecision(daily, False, 0, 86.4))
    assert rate_limit_headers(decisions) == {
        "RateLimit-Policy": '"burst";q=100;w=60;maestro-burst=20, "daily";q=1000;w=86400',
        "RateLimit": '"burst";r=19;t=1, "daily";r=0;t=87',
    }
    assert retry_after_s(decisions) == 87


@pytest.mark.parametrize("name", ["", "a b", 'a"', "a;b", "ä", "x" * 65, "a\n"])
def test_a_name_that_would_break_the_header_is_refused(name: str) -> None:
    with pytest.raises(InvalidApi):
        RateLimitPolicy(name, 1, 1)


@pytest.mark.parametrize(("quota", "window_s", "burst"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, 1, 1), (1.5, 1, 1)])
def test_numbers_that_make_no_limit_are_refused(quota: int, window_s: int, burst: int) -> None:
    with pytest.raises(InvalidApi):
        RateLimitPolicy("p", quota, window_s, burst)
    with pytest.raises(InvalidApi):
        MemoryRateLimitStore(max_keys=0)
