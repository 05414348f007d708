"""Bad parameters are refused when a policy is made, by the name of the parameter."""

import math
import random
from collections.abc import Callable
from decimal import Decimal

import pytest

from maestro_resilience import (
    AdaptiveBulkhead,
    Backoff,
    Bulkhead,
    Chaos,
    CircuitBreaker,
    Fallback,
    Hedge,
    InvalidPolicy,
    PerKey,
    Pipeline,
    Pipelines,
    RateLimit,
    Retry,
    RetryBudget,
    Timeout,
    deadline,
)
from maestro_resilience.testing import ManualClock

NO_NUMBERS: list[object] = [math.nan, math.inf, -math.inf, -1, True, "3", None, [], 1j, Decimal(1), 10**400, 1e10]
MADE: dict[str, tuple[Callable[..., object], dict[str, object]]] = {
    "retry": (Retry, {"on": OSError}),
    "timeout": (Timeout, {"limit_s": 1.0}),
    "circuit_breaker": (CircuitBreaker, {}),
    "bulkhead": (Bulkhead, {"max_concurrent": 1}),
    "adaptive_bulkhead": (AdaptiveBulkhead, {}),
    "rate_limit": (RateLimit, {"rate_per_s": 1.0}),
    "fallback": (Fallback, {"on": OSError, "value": 1}),
    "hedge": (Hedge, {"delay_s": 1.0}),
    "chaos": (Chaos, {"rate": 0.5, "fault": OSError}),
    "backoff": (Backoff, {}),
    "budget": (RetryBudget, {}),
    "deadline": (deadline, {"limit_s": 1.0}),
    "per_key": (PerKey, {"make": Bulkhead}),
}
NUMBERS: list[tuple[str, str, bool]] = [  # made, parameter, None is allowed
    ("retry", "max_attempts", True),
    ("retry", "total_s", True),
    ("retry", "initial_delay_s", False),
    ("retry", "multiplier", False),
    ("retry", "max_delay_s", False),
    ("retry", "jitter", False),
    ("timeout", "limit_s", False),
    ("circuit_breaker", "failure_rate", False),
    ("circuit_breaker", "slow_call_s", True),
    ("circuit_breaker", "slow_rate", False),
    ("circuit_breaker", "minimum_calls", False),
    ("circuit_breaker", "window_calls", False),
    ("circuit_breaker", "window_s", True),
    ("circuit_breaker", "open_s", False),
    ("circuit_breaker", "probes", False),
    ("bulkhead", "max_concurrent", False),
    ("bulkhead", "max_waiting", False),
    ("bulkhead", "max_wait_s", True),
    ("adaptive_bulkhead", "slow_call_s", True),
    ("adaptive_bulkhead", "initial", False),
    ("adaptive_bulkhead", "min_concurrent", False),
    ("adaptive_bulkhead", "max_concurrent", False),
    ("adaptive_bulkhead", "decrease", False),
    ("rate_limit", "rate_per_s", False),
    ("rate_limit", "burst", False),
    ("rate_limit", "max_wait_s", False),
    ("hedge", "delay_s", False),
    ("hedge", "max_attempts", False),
    ("hedge", "quantile", True),
    ("chaos", "rate", False),
    ("chaos", "latency_s", True),
    ("backoff", "initial_delay_s", False),
    ("backoff", "multiplier", False),
    ("backoff", "max_delay_s", False),
    ("backoff", "jitter", False),
    ("budget", "ratio", False),
    ("budget", "burst", False),
    ("deadline", "limit_s", False),
    ("per_key", "max_keys", False),
]


def _problems(make: Callable[..., object], /, **parameters: object) -> list[str]:
    with pytest.raises(InvalidPolicy) as caught:
        make(**parameters)
    return [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize("bad", NO_NUMBERS, ids=lambda bad: str(bad)[:12])
@pytest.mark.parametrize(
    ("made", "parameter", "optional"), NUMBERS, ids=[f"{made}.{name}" for made, name, _ in NUMBERS]
)
def test_what_is_no_sensible_number_is_refused(made: str, parameter: str, optional: bool, bad: object) -> None:
    """NaN, infinities, negatives, booleans, strings and sizes beyond sense are refused for every number there is."""
    make, good = MADE[made]
    if bad is None and optional:
        assert make(**{**good, parameter: bad}) is not None
    else:
        assert _problems(make, **{**good, parameter: bad}) == [parameter]


@pytest.mark.parametrize(("made", "parameter"), [(made, name) for made, name, _ in NUMBERS])
def test_zero_is_refused_where_it_makes_no_sense(made: str, parameter: str) -> None:
    """Zero means "none" for waits, jitter and shares that may be off; elsewhere it is an error."""
    allowed = {
        ("retry", "initial_delay_s"),
        ("retry", "max_delay_s"),
        ("retry", "jitter"),
        ("backoff", "initial_delay_s"),
        ("backoff", "max_delay_s"),
        ("backoff", "jitter"),
        ("budget", "ratio"),
        ("bulkhead", "max_waiting"),
        ("rate_limit", "max_wait_s"),
        ("hedge", "delay_s"),
        ("chaos", "rate"),
    }
    make, good = MADE[made]
    if (made, parameter) in allowed:
        assert make(**{**good, parameter: 0}) is not None
    else:
        assert parameter in _problems(make, **{**good, parameter: 0})


@pytest.mark.parametrize(
    "bad", [BaseException, KeyboardInterrupt, int, "OSError", None, (), [], (OSError, int), 3, {OSError}]
)
@pytest.mark.parametrize("made", ["retry", "circuit_breaker", "adaptive_bulkhead", "fallback", "hedge"])
def test_what_names_no_exception_is_refused(made: str, bad: object) -> None:
    """`on` takes classes below Exception and predicates, nothing else."""
    make, good = MADE[made]
    assert set(_problems(make, **{**good, "on": bad})) == {"on"}


@pytest.mark.parametrize("made", [name for name in MADE if name not in ("backoff", "budget", "deadline", "per_key")])
@pytest.mark.parametrize(
    ("parameter", "bad"),
    [
        ("name", ""),
        ("name", 3),
        ("clock", None),
        ("clock", "now"),
        ("listeners", [3]),
        ("listeners", "ab"),
        ("listeners", 3),
    ],
)
def test_what_all_policies_take_is_checked(made: str, parameter: str, bad: object) -> None:
    """Name, clock and listeners are checked by every policy."""
    make, good = MADE[made]
    assert _problems(make, **{**good, parameter: bad}) == [parameter]


@pytest.mark.parametrize(
    ("made", "parameters", "wrong"),
    [
        ("retry", {"max_attempts": None, "total_s": None}, ["max_attempts"]),
        ("retry", {"budget": 0.2}, ["budget"]),
        ("retry", {"on_result": "none"}, ["on_result"]),
        ("retry", {"random": 0.5}, ["random"]),
        ("circuit_breaker", {"minimum_calls": 11, "window_calls": 10}, ["minimum_calls"]),
        ("circuit_breaker", {"failure_rate": 1.1}, ["failure_rate"]),
        ("circuit_breaker", {"on_result": 3}, ["on_result"]),
        ("adaptive_bulkhead", {"initial": 300}, ["initial"]),
        ("adaptive_bulkhead", {"min_concurrent": 20}, ["initial"]),
        ("fallback", {"use": len}, ["value"]),
        ("hedge", {"max_attempts": 1}, ["max_attempts"]),
        ("hedge", {"budget": object()}, ["budget"]),
        ("chaos", {"fault": None}, ["fault"]),
        ("chaos", {"outcome": 1}, ["outcome"]),
        ("chaos", {"enabled": 1}, ["enabled"]),
        ("chaos", {"random": random}, ["random"]),
        ("chaos", {"fault": "OSError"}, ["fault"]),
        ("per_key", {"make": None}, ["make"]),
        ("rate_limit", {"burst": 2.0}, ["burst"]),
        ("bulkhead", {"max_concurrent": 1.0}, ["max_concurrent"]),
    ],
)
def test_what_does_not_fit_together_is_refused(made: str, parameters: dict[str, object], wrong: list[str]) -> None:
    """Parameters that exclude or need each other are told by name."""
    make, good = MADE[made]
    assert _problems(make, **{**good, **parameters}) == wrong


def test_a_fallback_needs_an_answer() -> None:
    """Neither value nor function is an error."""
    assert _problems(Fallback, on=OSError) == ["value"]


def test_none_is_a_value_to_fall_back_to() -> None:
    """None as fallback value is an answer, not "not given"."""

    def fail() -> str:
        raise OSError

    assert Fallback(on=OSError, value=None).call(fail) is None


def test_only_policies_make_a_pipeline() -> None:
    """A function in place of a policy is told by its position."""
    clock = ManualClock()
    with pytest.raises(InvalidPolicy) as caught:
        Pipeline(Timeout(1.0, clock=clock), len, None)  # type: ignore[arg-type]  # the bad input under test
    assert [problem.path for problem in caught.value.problems] == ["1", "2"]
    with pytest.raises(InvalidPolicy):
        Pipelines().define("name", len)  # type: ignore[arg-type]  # the bad input under test
    with pytest.raises(InvalidPolicy):
        Pipelines().define("", Timeout(1.0))


def test_the_dangerous_choice_has_no_default() -> None:
    """Retry and Fallback do not guess which exceptions to act on."""
    with pytest.raises(TypeError, match="on"):
        Retry()  # type: ignore[call-arg]  # the bad input under test
    with pytest.raises(TypeError, match="on"):
        Fallback(value=1)  # type: ignore[call-arg]  # the bad input under test


def test_a_huge_value_does_not_flood_the_message() -> None:
    """The message shows bad values shortened."""
    with pytest.raises(InvalidPolicy) as caught:
        Timeout("9" * 100_000)  # type: ignore[arg-type]  # the bad input under test
    assert len(str(caught.value)) < 300
