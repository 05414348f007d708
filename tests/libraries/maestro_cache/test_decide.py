"""The laws of the decision and of the policy: pure, so for all times and chances."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_cache import EarlyRefresh, Entry, Fresh, InvalidPolicy, Miss, Policy, Raised, StaleRefresh, Value, decide

TIMES = st.floats(min_value=0, max_value=1e6)
CHANCES = st.floats(min_value=0, max_value=1, exclude_max=True)


def entry(fresh_until_s: float, stale_s: float = 0.0, compute_s: float = 0.0) -> Entry:
    return Entry("id", Value(1), fresh_until_s, fresh_until_s + stale_s, compute_s)


@given(TIMES, TIMES, st.floats(0, 1e4), st.floats(0, 100), st.floats(0, 10), CHANCES)
def test_what_is_served_depends_on_time_alone(
    now_s: float, fresh_until_s: float, stale_s: float, compute_s: float, beta: float, chance: float
) -> None:
    """Chance moves refreshes, and never whether there is something to serve."""
    held = entry(fresh_until_s, stale_s, compute_s)
    decision = decide(held, now_s, Policy(ttl_s=60, early_beta=beta), lambda: chance)
    assert isinstance(decision, Miss) == (now_s >= held.served_until_s)
    assert isinstance(decision, StaleRefresh) == (held.fresh_until_s <= now_s < held.served_until_s)


@given(st.floats(0.001, 1e4), st.floats(0.001, 100), st.floats(0.01, 10), CHANCES)
def test_an_early_refresh_has_the_probability_of_xfetch(
    left_s: float, compute_s: float, beta: float, chance: float
) -> None:
    """P(refresh) = exp(-left / (beta * compute)): a uniform chance u refreshes exactly when u >= 1 - P."""
    decision = decide(entry(left_s, 0.0, compute_s), 0.0, Policy(ttl_s=60, early_beta=beta), lambda: chance)
    probability = math.exp(-left_s / (beta * compute_s))
    if abs(chance - (1.0 - probability)) > 1e-9:
        assert isinstance(decision, EarlyRefresh) == (chance > 1.0 - probability)


@pytest.mark.parametrize("left_s", [0.5, 1.0, 2.0, 4.0])
def test_early_refreshes_are_as_frequent_as_the_law_says(left_s: float) -> None:
    """20,000 readers with a real generator: within five standard deviations of exp(-left)."""
    rng, readers = random.Random(7), 20_000
    held, policy = entry(left_s, 0.0, compute_s=1.0), Policy(ttl_s=60)
    early = sum(isinstance(decide(held, 0.0, policy, rng.random), EarlyRefresh) for _ in range(readers))
    expected = math.exp(-left_s)
    assert abs(early / readers - expected) < 5 * math.sqrt(expected * (1 - expected) / readers)


@given(st.floats(0.001, 1e4), CHANCES)
def test_without_beta_or_cost_there_is_no_early_refresh(left_s: float, chance: float) -> None:
    costly, free = entry(left_s, 0.0, compute_s=100.0), entry(left_s, 0.0, compute_s=0.0)
    assert decide(costly, 0.0, Policy(ttl_s=60, early_beta=0.0), lambda: chance) == Fresh(costly)
    assert decide(free, 0.0, Policy(ttl_s=60), lambda: chance) == Fresh(free)


@given(st.floats(0.001, 1e6), st.floats(0, 1, exclude_max=True), CHANCES)
def test_jitter_only_shortens_and_by_no_more_than_its_fraction(ttl_s: float, jitter: float, chance: float) -> None:
    drawn_s = Policy(ttl_s=ttl_s, jitter=jitter).lifetime_s(negative=False, random=lambda: chance)
    assert ttl_s * (1 - jitter) <= drawn_s * (1 + 1e-12)
    assert drawn_s <= ttl_s


def test_what_was_stored_together_does_not_expire_together() -> None:
    """The drawn ttls fill their range evenly: each tenth of it gets its share."""
    rng, policy = random.Random(3), Policy(ttl_s=100, jitter=0.2)
    drawn = [policy.lifetime_s(negative=False, random=rng.random) for _ in range(10_000)]
    tenths = [sum(80 + 2 * i < ttl <= 82 + 2 * i for ttl in drawn) for i in range(10)]
    assert min(tenths) > 850
    assert max(tenths) < 1150


def test_a_kept_error_is_served_only_to_a_policy_that_names_it() -> None:
    held = Entry("id", Raised("builtins.KeyError", ("x",)), 10.0, 10.0, 0.0)
    names_it = Policy(ttl_s=60, negative_ttl_s=5, negative_errors=(KeyError,))
    names_another = Policy(ttl_s=60, negative_ttl_s=5, negative_errors=(LookupError,))
    assert decide(held, 0.0, names_it, lambda: 0.0) == Fresh(held)
    assert decide(held, 0.0, names_another, lambda: 0.0) == Miss()
    assert decide(None, 0.0, names_it, lambda: 0.0) == Miss()


@pytest.mark.parametrize(
    "words",
    [
        {"ttl_s": 0},
        {"ttl_s": -1},
        {"ttl_s": math.nan},
        {"ttl_s": math.inf},
        {"ttl_s": "60"},
        {"ttl_s": True},
        {"ttl_s": 1, "stale_s": -1},
        {"ttl_s": 1, "jitter": 1.0},
        {"ttl_s": 1, "jitter": -0.1},
        {"ttl_s": 1, "early_beta": -1},
        {"ttl_s": 1, "negative_ttl_s": 0},
        {"ttl_s": 1, "lease_s": 0},
        {"ttl_s": 1, "negative_errors": (KeyError,)},
        {"ttl_s": 1, "negative_ttl_s": 1, "negative_errors": (KeyboardInterrupt,)},
        {"ttl_s": 1, "negative_ttl_s": 1, "negative_errors": ("KeyError",)},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(words: dict[str, object]) -> None:
    with pytest.raises(InvalidPolicy, match="|".join(words)):
        Policy(**words)  # type: ignore[arg-type]  # wrong on purpose
