"""Logins that fail slow down, and no number of them at once gets more tries than one after the other."""

import contextlib
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_auth import Attempts, LoginThrottle, LoginThrottled, ThrottleRule

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULE = ThrottleRule(free_attempts=3, first_wait_s=1.0, max_wait_s=8.0, forget_s=100.0)


def test_the_wait_doubles_up_to_its_bound() -> None:
    waits = [RULE.wait_s(Attempts(count, NOW), NOW) for count in range(9)]
    assert waits == [0, 0, 0, 1, 2, 4, 8, 8, 8]
    assert RULE.wait_s(Attempts(10**9, NOW), NOW) == 8


@given(st.integers(0, 10**6), st.floats(-100, 1000))
def test_a_wait_is_never_negative_nor_longer_than_its_bound(count: int, passed_s: float) -> None:
    """On a clock that stands still or goes on; one that went back waits for it to come back."""
    wait_s = RULE.wait_s(Attempts(count, NOW), NOW + timedelta(seconds=passed_s))
    assert 0 <= wait_s <= RULE.max_wait_s + max(0.0, -passed_s) + 1e-6


@given(st.lists(st.floats(0.0, 3.0), max_size=60))
def test_nobody_gets_more_tries_than_the_rule(gaps: list[float]) -> None:
    """However they are spread: the free ones, and then one for each wait that has passed."""
    throttle = LoginThrottle(per_account=RULE, per_address=ThrottleRule(10**9))
    now, admitted = NOW, []
    for gap in gaps:
        now += timedelta(seconds=gap)
        with contextlib.suppress(LoginThrottled):
            throttle.admit("ada", "10.0.0.1", now)
            admitted.append(now)
    for count, (before, after) in enumerate(itertools.pairwise(admitted[2:])):
        assert (after - before).total_seconds() >= min(2.0**count, 8.0) - 1e-6


def test_waiting_as_told_is_enough() -> None:
    throttle = LoginThrottle(per_account=RULE, per_address=ThrottleRule(10**9))
    now = NOW
    for _ in range(3):
        throttle.admit("ada", "a", now)
    for _ in range(6):
        with pytest.raises(LoginThrottled) as caught:
            throttle.admit("ada", "a", now)
        assert caught.value.retry_after_s is not None
        now += timedelta(seconds=caught.value.retry_after_s)
        throttle.admit("ada", "a", now)


def test_an_address_that_tries_many_accounts_is_slowed_down() -> None:
    throttle = LoginThrottle(per_account=RULE, per_address=ThrottleRule(5))
    for number in range(5):
        throttle.admit(f"user{number}", "10.0.0.1", NOW)
    with pytest.raises(LoginThrottled):
        throttle.admit("user9", "10.0.0.1", NOW)
    throttle.admit("user9", "10.0.0.2", NOW)


def test_ones_own_success_does_not_wash_an_address_clean() -> None:
    """Else an attacker with an account would try others' passwords without end."""
    throttle = LoginThrottle(per_account=RULE, per_address=ThrottleRule(5))
    for number in range(4):
        throttle.admit(f"victim{number}", "10.0.0.1", NOW)
        throttle.admit("mallory", "10.0.0.1", NOW)
        throttle.succeeded("mallory", "10.0.0.1")
    throttle.admit("victim5", "10.0.0.1", NOW)
    with pytest.raises(LoginThrottled):
        throttle.admit("mallory", "10.0.0.1", NOW)


def test_success_forgives_the_account() -> None:
    throttle = LoginThrottle(per_account=RULE)
    for _ in range(30):
        throttle.admit("ada", "10.0.0.1", NOW)
        throttle.succeeded("ada", "10.0.0.1")


def test_old_failures_are_forgotten() -> None:
    throttle = LoginThrottle(per_account=RULE)
    for _ in range(3):
        throttle.admit("ada", "a", NOW)
    for seconds in range(3):
        throttle.admit("ada", "a", NOW + timedelta(seconds=100 + seconds))


def test_the_memory_is_bounded() -> None:
    """A million names cost no more than the limit, and a name no more than its first characters."""
    throttle = LoginThrottle(max_remembered=10)
    for number in range(1000):
        throttle.admit(f"{number}" + "x" * 10_000, f"address{number}", NOW)
    assert len(throttle._attempts) == 10
    assert max(len(name) for _, name in throttle._attempts) == 255
