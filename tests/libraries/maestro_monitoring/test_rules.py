"""Burn-rate alerts: parsed by a PromQL parser that is not ours, and shown to fire, or not, on made-up traffic."""

import json
import re
from collections.abc import Callable
from itertools import pairwise

import promql_parser
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from libraries.maestro_monitoring.promql import Evaluator, Labels, queried

from maestro_monitoring import SLO, InvalidSLO, Latency, Metrics, Ratio, rules, rules_text, series_of, service_contract
from maestro_monitoring._rules import BURNS, RECORDED, burns_of

HOUR_S = 3_600.0
DAY_S = 24 * HOUR_S
NOW_S = 100 * DAY_S
WIDTH_S = {"5m": 300.0, "30m": 1_800.0, "1h": HOUR_S, "2h": 2 * HOUR_S, "6h": 6 * HOUR_S, "1d": DAY_S, "3d": 3 * DAY_S}
GOOD: Labels = frozenset({("code", "200")})
BAD: Labels = frozenset({("code", "503")})
AVAILABLE = SLO(
    "checkout-available", 0.999, Ratio(good='orders_total{code!~"5.."}', total="orders_total"), labels={"team": "shop"}
)

Phases = list[tuple[float, float]]


def _errors_before(phases: Phases) -> Callable[[float], float]:
    """How many errors there were by a moment, at one request a second; phases are (seconds, ratio), up to now."""
    edges = [NOW_S]
    for seconds, _ in reversed(phases):
        edges.append(edges[-1] - seconds)
    edges.reverse()
    ratios = [ratio for _, ratio in phases]

    def errors(at_s: float) -> float:
        parts = zip(pairwise(edges), ratios, strict=True)
        inside = sum(ratio * (min(end, at_s) - start) for (start, end), ratio in parts if at_s > start)
        return inside + ratios[-1] * max(0.0, at_s - NOW_S)

    return errors


def _evaluator(phases: Phases, slo: SLO = AVAILABLE) -> Evaluator:
    errors = _errors_before(phases)
    counters = {
        ("orders_total", GOOD): lambda at_s: at_s - errors(at_s),
        ("orders_total", BAD): lambda at_s: errors(at_s),
    }
    return Evaluator(counters, rules([slo]))


def test_the_file_is_yaml_and_has_the_shape_of_a_rule_file() -> None:
    """A YAML parser reads what JSON does; every key is one that Prometheus knows, and names of groups are unique."""
    latency = Latency(histogram="http_server_request_duration_seconds", threshold_s=0.25, where='http_route="/"')
    text = rules_text([AVAILABLE, SLO("fast", 0.99, latency, description="No {{ template }}.")])
    content = yaml.safe_load(text)
    assert content == json.loads(text)
    names = [group["name"] for group in content["groups"]]
    assert len(set(names)) == len(names) == 6
    for group in content["groups"]:
        assert set(group) - {"interval"} == {"name", "rules"}
        for rule in group["rules"]:
            assert set(rule) in ({"record", "expr", "labels"}, {"alert", "expr", "labels", "annotations"})
            assert re.fullmatch(r"[a-zA-Z_:][\w:]*", rule.get("record", "x"))
            promql_parser.parse(rule["expr"])
            assert "{{" not in json.dumps(rule.get("annotations", {}))


def test_the_windows_and_factors_are_those_of_the_workbook() -> None:
    """Google's SRE Workbook, chapter 5: 14.4 over 1h and 5m, 6 over 6h and 30m, 3 over 1d and 2h, 1 over 3d and 6h."""
    assert [(float(burn.factor), burn.long, burn.short, burn.severity) for burn in BURNS] == [
        (14.4, "1h", "5m", "page"),
        (6.0, "6h", "30m", "page"),
        (3.0, "1d", "2h", "ticket"),
        (1.0, "3d", "6h", "ticket"),
    ]
    alerts = [rule for group in rules([AVAILABLE])["groups"] for rule in group["rules"] if "alert" in rule]
    assert alerts[0]["expr"] == (
        '(slo:sli_error:ratio_rate1h{slo="checkout-available"} > (14.4 * 0.001)'
        ' and slo:sli_error:ratio_rate5m{slo="checkout-available"} > (14.4 * 0.001))'
        ' or (slo:sli_error:ratio_rate6h{slo="checkout-available"} > (6 * 0.001)'
        ' and slo:sli_error:ratio_rate30m{slo="checkout-available"} > (6 * 0.001))'
    )
    assert [alert["labels"] for alert in alerts] == [
        {"team": "shop", "slo": "checkout-available", "severity": "page"},
        {"team": "shop", "slo": "checkout-available", "severity": "ticket"},
    ]


@given(
    st.lists(st.tuples(st.floats(30.0, 2 * DAY_S), st.sampled_from([0.0, 0.0005, 0.002, 0.01, 0.05, 1.0])), min_size=1),
    st.sampled_from([0.99, 0.999, 0.9995]),
)
def test_alerts_fire_exactly_when_the_budget_burns_too_fast_in_both_windows(phases: Phases, objective: float) -> None:
    """For any history of error ratios: an alert fires if and only if one of its pairs of means says so."""
    slo = SLO("checkout-available", objective, AVAILABLE.indicator)
    errors = _errors_before(phases)

    def burn(window: str) -> float:
        return (errors(NOW_S) - errors(NOW_S - WIDTH_S[window])) / WIDTH_S[window] / float(slo.budget)

    expected = set()
    for one in BURNS:
        burning = [burn(one.long), burn(one.short)]
        assume(all(abs(rate - float(one.factor)) > 1e-6 for rate in burning))
        if all(rate > float(one.factor) for rate in burning):
            expected.add(one.severity)
    assert _evaluator(phases, slo).firing(NOW_S) == expected


@pytest.mark.parametrize(
    ("ratio", "severities"),
    [(0.0, set()), (0.0009, set()), (0.0011, {"ticket"}), (0.005, {"ticket"}), (0.007, {"page", "ticket"})],
)
def test_a_steady_error_ratio_is_judged_by_the_budget(ratio: float, severities: set[str]) -> None:
    """Below the budget there is silence; above it a ticket; above six times of it a page."""
    assert _evaluator([(90 * DAY_S, ratio)]).firing(NOW_S) == severities


def test_an_outage_pages_within_a_minute_and_is_silent_soon_after_its_end() -> None:
    """All requests fail at 99.9 %: 14.4 x 0.001 of an hour are 52 s; ten minutes after the end, no page is left."""
    assert _evaluator([(30 * DAY_S, 0.0), (50.0, 1.0)]).firing(NOW_S) == set()
    assert "page" in _evaluator([(30 * DAY_S, 0.0), (55.0, 1.0)]).firing(NOW_S)
    assert "page" in _evaluator([(30 * DAY_S, 0.0), (55.0, 1.0), (60.0, 0.0)]).firing(NOW_S)
    assert "page" not in _evaluator([(30 * DAY_S, 0.0), (55.0, 1.0), (600.0, 0.0)]).firing(NOW_S)


def test_an_outage_from_the_first_request_on_is_seen() -> None:
    """The counter of good events has no series then; that must not silence the alert."""
    file = rules([AVAILABLE])
    assert Evaluator({("orders_total", BAD): lambda at_s: at_s}, file).firing(NOW_S) == {"page", "ticket"}
    by_bad = SLO("checkout-available", 0.999, Ratio(bad='orders_total{code=~"5.."}', total="orders_total"))
    healthy = Evaluator({("orders_total", GOOD): lambda at_s: at_s}, rules([by_bad]))
    assert healthy.firing(NOW_S) == set()
    assert healthy.value("slo:sli_error:ratio_rate5m", NOW_S) == 0.0
    assert Evaluator({("orders_total", BAD): lambda at_s: at_s}, rules([by_bad])).firing(NOW_S) == {"page", "ticket"}


def test_without_traffic_there_is_neither_a_value_nor_an_alert() -> None:
    """A ratio of nothing is nothing."""
    still = {("orders_total", GOOD): lambda at_s: 5.0, ("orders_total", BAD): lambda at_s: 5.0}
    assert Evaluator(still, rules([AVAILABLE])).firing(NOW_S) == set()
    assert Evaluator({}, rules([AVAILABLE])).value("slo:sli_error:ratio_rate5m", NOW_S) is None


def test_the_budget_of_the_period_is_told() -> None:
    """Half of the errors that 30 days allow leave half of the budget; the burn rate is that of five minutes."""
    spent = _evaluator([(29 * DAY_S, 0.0), (0.5 * DAY_S, 0.03), (0.5 * DAY_S, 0.0)])
    assert spent.value("slo:period_error_budget_remaining:ratio", NOW_S) == pytest.approx(0.5)
    assert spent.value("slo:objective:ratio", NOW_S) == 0.999
    assert _evaluator([(DAY_S, 0.002)]).value("slo:current_burn_rate:ratio", NOW_S) == pytest.approx(2.0)


@given(st.floats(0.0, 1.0))
def test_a_latency_objective_counts_what_is_over_the_threshold(slow: float) -> None:
    """By the bucket of the threshold and the count of the histogram, for the selected labels only."""
    home, other = ("http_route", "/"), ("http_route", "/slow")
    counters = {
        ("took_seconds_bucket", frozenset({home, ("le", "0.25")})): lambda at_s: at_s * (1 - slow),
        ("took_seconds_bucket", frozenset({home, ("le", "0.5")})): lambda at_s: at_s,
        ("took_seconds_count", frozenset({home})): lambda at_s: at_s,
        ("took_seconds_bucket", frozenset({other, ("le", "0.25")})): lambda at_s: 0.0,
        ("took_seconds_count", frozenset({other})): lambda at_s: at_s,
    }
    slo = SLO("fast", 0.99, Latency(histogram="took_seconds", threshold_s=0.25, where='http_route="/"'))
    found = Evaluator(counters, rules([slo])).value("slo:sli_error:ratio_rate1h", NOW_S)
    assert found == pytest.approx(slow, abs=1e-9)


def test_alerts_that_could_never_fire_are_left_out() -> None:
    """At 90 %, 14.4 times the budget is more than every request; at 50 %, one window is left."""
    low = SLO("low", 0.9, AVAILABLE.indicator)
    assert [float(burn.factor) for burn in burns_of(low)] == [6.0, 3.0, 1.0]
    assert [float(burn.factor) for burn in burns_of(SLO("half", 0.5, AVAILABLE.indicator))] == [1.0]
    assert len([r for g in rules([low])["groups"] for r in g["rules"] if "alert" in r]) == 2


def test_rules_name_only_what_is_in_the_contract_or_recorded() -> None:
    """Every series that the file asks for exists, with its labels."""
    contract = service_contract()
    known = {**series_of(contract), **RECORDED}
    latency = Latency(histogram="http_server_request_duration_seconds", threshold_s=0.25)
    total = "http_server_request_duration_seconds_count"
    ratio = Ratio(good=f'{total}{{http_response_status_code!~"5..",job="shop"}}', total=f'{total}{{job="shop"}}')
    content = rules([SLO("fast", 0.99, latency), SLO("up", 0.999, ratio)], contract=contract)
    for rule in (rule for group in content["groups"] for rule in group["rules"]):
        for name, labels in queried(rule["expr"]):
            assert labels <= known[name] | {"job"}, (name, labels)
        assert rule.get("record", "slo:objective:ratio") in RECORDED


def test_an_objective_on_what_the_contract_has_not_is_refused() -> None:
    """Metric, label and bucket are checked, and each is told with its place."""
    metrics = Metrics()
    metrics.counter("shop_orders_total", "Orders.", labels=("kind",))
    metrics.histogram("shop_packing_seconds", "Packing.")
    bad: list[tuple[Ratio | Latency, str]] = [
        (Ratio(good='shop_orders_total{code="200"}', total="shop_orders_total"), "has no label 'code'"),
        (Ratio(good="shop_order_total", total="shop_orders_total"), "no series of the contract"),
        (Latency(histogram="shop_wrapping_seconds", threshold_s=0.25), "no series of the contract"),
        (Latency(histogram="shop_packing_seconds", threshold_s=0.3), "none of the buckets"),
        (Latency(histogram="shop_packing_seconds", threshold_s=0.25, where='shop="north"'), "has no label 'shop'"),
    ]
    for indicator, reason in bad:
        with pytest.raises(InvalidSLO, match=reason) as told:
            rules([SLO("orders", 0.99, indicator)], contract=metrics.contract())
        assert all(problem.path.startswith("/orders/") for problem in told.value.problems)
