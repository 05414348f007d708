"""Pipelines as data: every policy can be written, and every mistake is told with its path, all at once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_resilience import (
    CircuitOpen,
    InvalidPolicy,
    Pipeline,
    RetryBudget,
    RetryScheduled,
    TimedOut,
    build_pipeline,
)
from maestro_resilience.testing import ManualClock, Recorder

WHOLE: list[dict[str, dict[str, object]]] = [
    {"fallback": {"on": "CallRefused", "value": None}},
    {"rate_limit": {"rate_per_s": 100, "burst": 10, "max_wait_s": 1}},
    {"bulkhead": {"max_concurrent": 10, "max_waiting": 5}},
    {"adaptive_bulkhead": {"initial": 10}},
    {
        "retry": {
            "on": ["retryable", "ConnectionError"],
            "max_attempts": 3,
            "total_s": 30,
            "jitter": 0,
            "budget": "ours",
        }
    },
    {"circuit_breaker": {"failure_rate": 0.5, "window_s": 60, "minimum_calls": 20}},
    {"hedge": {"delay_s": 0.5, "on": ["OSError"], "quantile": 0.95}},
    {"timeout": {"limit_s": 2}},
    {"chaos": {"rate": 0.1, "fault": "InjectedFault"}},
]


def _problems(spec: object, **options: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidPolicy) as caught:
        build_pipeline("p", spec, **options)  # type: ignore[arg-type]  # options are given by name in each test
    return [(problem.path, problem.message) for problem in caught.value.problems]


async def test_every_policy_can_be_written_as_data() -> None:
    """A list with one of each, straight from JSON, makes a pipeline in that order that works."""

    async def work() -> str:
        return "done"

    clock = ManualClock()
    pipeline = build_pipeline("all", json.loads(json.dumps(WHOLE)), names={"ours": RetryBudget()}, clock=clock)
    assert [policy.kind for policy in pipeline.policies] == [kind for entry in WHOLE for kind in entry]
    assert [policy.name for policy in pipeline.policies[:2]] == ["all/fallback", "all/rate_limit"]
    assert all(policy.clock is clock for policy in pipeline.policies)
    assert await pipeline.acall(work) == "done"


def test_clock_randomness_and_listeners_reach_the_policies() -> None:
    """What is passed beside the data is used by every policy made from it."""
    clock, recorder, errors = ManualClock(0.0), Recorder(), [ConnectionError(), CircuitOpen("open"), TimedOut("slow")]
    spec = [{"retry": {"on": ["ConnectionError", "retryable"], "initial_delay_s": 1, "jitter": 1}}]
    pipeline = build_pipeline("p", spec, clock=clock, random=lambda: 0.5, listeners=[recorder])

    def work() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert pipeline.call(work) == "done"
    assert clock.sleeps == [0.5, 1.0, 2.0]
    assert [event.policy for event in recorder.of(RetryScheduled)] == ["p/retry"] * 3


def test_names_are_the_only_way_to_code() -> None:
    """Strings are looked up among given names and a few built-in ones; nothing is imported, nothing is evaluated."""

    class Busy(Exception):
        pass

    def answer(error: Exception) -> str:
        return f"instead of {error}"

    pipeline = build_pipeline(
        "p", [{"fallback": {"on": ["Busy"], "use": "answer"}}], names={"Busy": Busy, "answer": answer}
    )

    def fail() -> str:
        raise Busy("this")

    assert pipeline.call(fail) == "instead of this"
    for hostile in ("os.system", "__import__('os')", "KeyboardInterrupt", "builtins.Exception"):
        assert [path for path, _ in _problems([{"retry": {"on": hostile}}])] == ["/0/retry/on"]


def test_code_may_stand_where_names_may() -> None:
    """A dict written in Python may hold the exception class itself."""
    pipeline = build_pipeline("p", [{"fallback": {"on": (OSError, KeyError), "value": 1}}])

    def fail() -> int:
        raise KeyError

    assert pipeline.call(fail) == 1


def test_all_problems_come_at_once_in_order() -> None:
    """Six mistakes in four policies are six problems, each with its path and what to do."""
    spec = [
        {"retry": {"max_attempts": True, "jitter": 2}},
        {"timout": {"limit_s": 1}},
        {"timeout": {"limit": 1}},
        {"fallback": {"on": ["OSErorr"], "value": 1}},
    ]
    problems = _problems(spec)
    assert [path for path, _ in problems] == [
        "/0/retry/on",
        "/0/retry/max_attempts",
        "/0/retry/jitter",
        "/1",
        "/2/timeout/limit",
        "/2/timeout/limit_s",
        "/3/fallback/on",
    ]
    messages = [message for _, message in problems]
    assert messages[0] == "is required"
    assert "not True" in messages[1]
    assert "did you mean 'timeout'?" in messages[3]
    assert "did you mean 'limit_s'?" in messages[4]
    assert "did you mean 'OSError'?" in messages[6]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (None, ""),
        ({"retry": {}}, ""),
        ("retry", ""),
        ([[]], "/0"),
        ([{}], "/0"),
        ([{"timeout": {"limit_s": 1}, "retry": {"on": "OSError"}}], "/0"),
        ([{"timeout": 5}], "/0/timeout"),
        ([{"timeout": None}], "/0/timeout"),
        ([{3: {}}], "/0"),
        ([{None: {}}], "/0"),
        ([{"pipeline": {}}], "/0"),
        ([{"__class__": {}}], "/0"),
        ([{"timeout": {"limit_s": 1, "name": "x"}}], "/0/timeout/name"),
        ([{"timeout": {"limit_s": 1, "clock": None}}], "/0/timeout/clock"),
        ([{"timeout": {"limit_s": 1, 3: 4}}], "/0/timeout/3"),
        ([{"timeout": {"limit_s": 1, "a/b~": 4}}], "/0/timeout/a~1b~0"),
        ([{"timeout": {"limit_s": 1}}] * 33, ""),
        ([{"retry": {"on": "OSError", "budget": "none such"}}], "/0/retry/budget"),
        ([{"retry": {"on": []}}], "/0/retry/on"),
        ([{"fallback": {"on": "OSError"}}], "/0/fallback/value"),
        ([{"x" * 1_000_000: {}}], "/0"),
    ],
)
def test_hostile_data_is_told_where_it_is_wrong(spec: object, path: str) -> None:
    """Wrong shapes, unknown kinds, parameters that only code may set, too much of it: one problem, with its path."""
    problems = _problems(spec)
    assert [where for where, _ in problems] == [path]
    assert len(problems[0][1]) < 2_000


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
keys = st.sampled_from(["retry", "timeout", "bulkhead", "hedge", "on", "limit_s", "value", "max_attempts"]) | st.text(
    max_size=4
)
data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3), max_leaves=15
)


@given(
    data | st.lists(st.dictionaries(keys, st.dictionaries(keys, data, max_size=4), min_size=1, max_size=1), max_size=4)
)
def test_any_data_makes_a_pipeline_or_a_clear_error(spec: object) -> None:
    """No data, however strange, ends in anything but a pipeline or an InvalidPolicy with paths."""
    try:
        pipeline = build_pipeline("p", spec)
    except InvalidPolicy as bad:
        paths = [problem.path for problem in bad.problems]
    else:
        assert isinstance(pipeline, Pipeline)
        return
    assert paths
    assert all(path == "" or path[0] == "/" for path in paths)
