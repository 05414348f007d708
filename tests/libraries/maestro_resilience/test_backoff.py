"""The laws of backoff and of the retry budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_resilience import Backoff, RetryBudget

backoffs = st.builds(
    Backoff,
    initial_delay_s=st.floats(0, 1e6),
    multiplier=st.floats(1, 1000),
    max_delay_s=st.floats(0, 1e9),
    jitter=st.floats(0, 1),
)
randoms = st.floats(0, 1, exclude_max=True)


@given(backoffs, st.integers(1, 10_000), randoms)
def test_a_delay_lies_within_its_bounds(backoff: Backoff, failures: int, random: float) -> None:
    """Every delay is between (1 - jitter) of its ceiling and its ceiling, and never above max_delay_s."""
    ceiling_s = backoff.ceiling_s(failures)
    delay_s = backoff.delay_s(failures, random)
    assert 0 <= delay_s <= ceiling_s <= backoff.max_delay_s
    assert delay_s >= ceiling_s * (1 - backoff.jitter) * (1 - 1e-9)


@given(backoffs, st.integers(1, 9_999))
def test_ceilings_never_fall(backoff: Backoff, failures: int) -> None:
    """One more failure never shortens the longest wait."""
    assert backoff.ceiling_s(failures) <= backoff.ceiling_s(failures + 1)


@given(backoffs, st.integers(1, 50), randoms, randoms)
def test_more_randomness_means_a_shorter_wait(backoff: Backoff, failures: int, one: float, other: float) -> None:
    """The delay falls as the random number rises, so jitter never adds to the ceiling."""
    low, high = sorted((one, other))
    assert backoff.delay_s(failures, high) <= backoff.delay_s(failures, low)


def test_the_formula_is_the_documented_one() -> None:
    """initial * multiplier ** (n - 1), capped, times 1 - jitter * random."""
    backoff = Backoff(initial_delay_s=0.5, multiplier=3.0, max_delay_s=10.0, jitter=0.4)
    assert [backoff.ceiling_s(n) for n in (1, 2, 3, 4, 5_000)] == [0.5, 1.5, 4.5, 10.0, 10.0]
    assert backoff.delay_s(2, 0.5) == pytest.approx(1.5 * 0.8)
    assert Backoff(initial_delay_s=0.0).ceiling_s(5_000) == 0.0


@given(st.floats(0, 1), st.integers(1, 20), st.lists(st.booleans(), max_size=300))
def test_a_budget_bounds_extra_calls(ratio: float, burst: int, history: list[bool]) -> None:
    """In every stretch of any history, extra calls are at most burst + ratio * calls; none is refused early."""
    budget = RetryBudget(ratio=ratio, burst=burst)
    slack = [0.0]  # calls * ratio - extra calls, after each step
    for is_call in history:
        if is_call:
            budget.deposit()
            slack.append(slack[-1] + ratio)
        else:
            had = budget.tokens
            paid = budget.withdraw()
            assert paid is (had >= 1)
            slack.append(slack[-1] - paid)
        assert 0 <= budget.tokens <= burst
    lowest_after = slack[-1]
    for value in reversed(slack):
        lowest_after = min(lowest_after, value)
        assert value - lowest_after <= burst + 1e-3


def test_a_budget_counts_without_drift() -> None:
    """Ten calls at a ratio of a tenth pay for exactly one retry."""
    budget = RetryBudget(ratio=0.1, burst=1)
    assert budget.withdraw()
    for _ in range(9):
        budget.deposit()
    assert not budget.withdraw()
    budget.deposit()
    assert budget.withdraw()
