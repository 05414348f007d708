"""The law of retries."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_messaging import InvalidSetting, RetryPolicy
from maestro_core_messaging._policy import LONGEST_ASKED_S, Bury, RetryAgain

policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 50),
    initial_delay_s=st.floats(0, 100),
    multiplier=st.floats(1, 1000),
    max_delay_s=st.floats(0, 1000),
    jitter=st.floats(0, 1),
)
chances = st.floats(0, 1, exclude_max=True)


class Failed(Exception):
    def __init__(self, **attributes: object) -> None:
        super().__init__("failed")
        self.__dict__.update(attributes)


@given(policies, st.integers(1, 10_000), chances)
def test_a_wait_lies_between_its_bounds(policy: RetryPolicy, attempt: int, chance: float) -> None:
    ceiling = policy.delay_s(attempt, 0.0)
    assert ceiling <= policy.max_delay_s
    assert ceiling * (1 - policy.jitter) - 1e-9 <= policy.delay_s(attempt, chance) <= ceiling
    assert ceiling <= policy.delay_s(attempt + 1, 0.0)


@given(policies, chances)
def test_attempts_never_exceed_their_bound(policy: RetryPolicy, chance: float) -> None:
    """Followed from the first on, it ends with the burial of the last."""
    attempt = 1
    while isinstance(decision := policy.decide(attempt, Failed(), chance), RetryAgain):
        attempt += 1
    assert decision == Bury("attempts-exhausted")
    assert attempt == policy.max_attempts


@given(policies, st.integers(1, 60), chances)
def test_an_error_that_no_retry_can_help_ends_it(policy: RetryPolicy, attempt: int, chance: float) -> None:
    assert policy.decide(attempt, Failed(retryable=False), chance) == Bury("not-retryable")


@given(policies, chances, st.floats() | st.integers() | st.text() | st.none() | st.booleans())
def test_what_an_error_asks_for_is_waited_for_if_it_is_a_span_of_time(
    policy: RetryPolicy, chance: float, asked: Any
) -> None:
    decision = policy.decide(1, Failed(retryable=True, retry_after_s=asked), chance)
    if policy.max_attempts == 1:
        assert decision == Bury("attempts-exhausted")
        return
    assert isinstance(decision, RetryAgain)
    own = policy.delay_s(1, chance)
    assert own <= decision.delay_s <= max(own, LONGEST_ASKED_S)
    if isinstance(asked, int | float) and not isinstance(asked, bool) and 0 <= asked <= LONGEST_ASKED_S:
        assert decision.delay_s == max(own, asked)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": True},
        {"max_attempts": 1.5},
        {"initial_delay_s": -1},
        {"initial_delay_s": float("nan")},
        {"max_delay_s": float("inf")},
        {"multiplier": 0.5},
        {"multiplier": float("nan")},
        {"jitter": 1.1},
        {"jitter": float("nan")},
    ],
)
def test_numbers_that_cannot_be_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(wrong))):
        RetryPolicy(**wrong)
