"""SLOs as data: what is wrong is told all at once, with paths, and nothing can be smuggled into a query."""

from typing import Any

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_monitoring import SLO, InvalidSLO, Latency, Problem, Ratio, rules, slos_from_data

GOOD = {"name": "up", "objective": 0.999, "indicator": {"ratio": {"good": 'a_total{c="1"}', "total": "a_total"}}}


def test_data_and_code_say_the_same() -> None:
    """Both kinds of indicators, with the defaults of the code."""
    data = {
        "slos": [
            {**GOOD, "window_days": 28, "description": "Up.", "labels": {"team": "shop"}},
            {"name": "fast", "objective": 0.9, "indicator": {"latency": {"histogram": "t_seconds", "threshold_s": 1}}},
        ]
    }
    assert slos_from_data(data) == [
        SLO("up", 0.999, Ratio(good='a_total{c="1"}', total="a_total"), 28, "Up.", {"team": "shop"}),
        SLO("fast", 0.9, Latency(histogram="t_seconds", threshold_s=1)),
    ]


def test_all_mistakes_are_told_at_once_with_their_paths() -> None:
    """Across SLOs, down to the parameter."""
    data = {
        "slos": [
            {"name": "Bad Name", "objective": 1.0, "window_days": 3, "indicator": {"ratio": {"total": "a b"}}},
            {"name": "up", "objektive": 0.9, "indicator": {"ratio": {}}},
            {"name": "up", "objective": 0.9, "indicator": {"latency": {"histogram": "x{", "threshold_s": -1}}},
            {"name": "up", "objective": True, "indicator": {"magic": {}}},
            "no object",
            {**GOOD, "labels": {"severity": "x", "Team": "y", "z": 7}},
        ]
    }
    with pytest.raises(InvalidSLO) as told:
        slos_from_data(data)
    assert [problem.path for problem in told.value.problems] == [
        "/slos/0/name",
        "/slos/0/objective",
        "/slos/0/window_days",
        "/slos/0/indicator/ratio/total",
        "/slos/0/indicator/ratio",
        "/slos/1/objective",
        "/slos/1/objektive",
        "/slos/2/indicator/latency/histogram",
        "/slos/2/indicator/latency/threshold_s",
        "/slos/3/indicator",
        "/slos/4",
        "/slos/5/labels/severity",
        "/slos/5/labels/Team",
        "/slos/5/labels/z",
    ]


def test_a_latency_leaves_its_bucket_to_the_threshold() -> None:
    """Two matchers of `le` would select nothing."""
    with pytest.raises(InvalidSLO, match="leaves le to threshold_s"):
        SLO("fast", 0.99, Latency(histogram="t_seconds", threshold_s=1, where='a="b",le="0.5"'))


def test_two_of_one_name_are_refused() -> None:
    """Their recorded series would be one."""
    with pytest.raises(InvalidSLO, match="two are named 'up'"):
        slos_from_data({"slos": [GOOD, GOOD]})


@pytest.mark.parametrize("data", [None, [], {}, {"slos": []}, {"slos": {}}, {"slos": [GOOD], "more": 1}, "slos", 7])
def test_what_is_no_list_of_slos_is_refused(data: object) -> None:
    """With the shape that it should have."""
    with pytest.raises(InvalidSLO, match="at least one SLO"):
        slos_from_data(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from(["name", "objective", "indicator", "window_days", "description", "labels"])


@given(st.dictionaries(_FIELDS, _JSON, max_size=6))
def test_any_other_data_is_refused_with_problems_and_nothing_else(item: dict[str, Any]) -> None:
    """A valid SLO with some fields replaced by anything: it stays valid, or its problems are told."""
    try:
        made, problems = slos_from_data({"slos": [{**GOOD, **item}]}), tuple[Problem, ...]()
    except InvalidSLO as error:
        made, problems = [], error.problems
    assert bool(made) != bool(problems)
    for group in rules(made)["groups"]:
        for rule in group["rules"]:
            promql_parser.parse(rule["expr"])


@pytest.mark.parametrize(
    "selector",
    [
        "",
        "a b",
        "a{",
        'a{b="c"',
        'a{b="c"} or vector(1)',
        "a) or (b",
        'a{b="c\\"}',
        "a[5m]",
        "{a='b'}",
        'a{b=="c"}',
        "a" * 1_001,
        'a{b="\n"}',
    ],
)
def test_a_selector_is_a_selector_and_no_query(selector: str) -> None:
    """Nothing that ends the selector early, or that PromQL could not read."""
    with pytest.raises(InvalidSLO, match="is a selector"):
        SLO("up", 0.99, Ratio(good=selector, total="a_total"))


@given(st.text(alphabet='a1_:{}=~!",\\ \n()[]', max_size=40))
def test_what_is_taken_for_a_selector_is_one_for_prometheus_too(selector: str) -> None:
    """Judged by a parser that is not ours: one vector selector, with a name."""
    try:
        SLO("up", 0.99, Ratio(good=selector, total="a_total"))
    except InvalidSLO:
        return
    parsed = promql_parser.parse(selector)
    assert isinstance(parsed, promql_parser.VectorSelector)
    assert parsed.name
