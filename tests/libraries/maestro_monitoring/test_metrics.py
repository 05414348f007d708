"""Declarations: names, units and labels under rules, a contract as data, and no state that two apps would share."""

import json
import math

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_monitoring import (
    SIZE_BYTES,
    Buckets,
    InvalidMetric,
    InvalidObservation,
    Label,
    MetricConflict,
    Metrics,
    WrongLabels,
    render,
    series_of,
    service_contract,
)
from maestro_monitoring.testing import MetricsRecorder, assert_contract_kept


def test_the_three_kinds_count_what_they_are_told() -> None:
    """Counters add, gauges move, histograms bucket; each under its labels, in order or by name."""
    metrics = Metrics()
    orders = metrics.counter("shop_orders_total", "Orders.", labels=("kind", "shop"))
    depth = metrics.gauge("shop_queue_depth", "Waiting orders.")
    took = metrics.histogram("shop_packing_seconds", "Packing.", buckets=Buckets("two", (0.1, 1.0)))
    seen = MetricsRecorder(metrics)
    orders.labels("new", "north").inc()
    orders.labels(shop="north", kind="new").inc(2)
    depth.set(7)
    took.observe(0.5)
    took.observe(5.0)
    assert seen.changed("shop_orders_total") == {("new", "north"): 3.0}
    assert seen.delta("shop_queue_depth") == 7.0
    assert seen.delta("shop_packing_seconds_bucket", le="1.0") == 1.0
    assert seen.delta("shop_packing_seconds_count") == 2.0
    assert seen.delta("shop_packing_seconds_sum") == 5.5


def test_a_timed_block_is_observed_also_when_it_raises() -> None:
    """The duration comes from the clock that is passed in."""
    metrics = Metrics()
    took = metrics.histogram("shop_packing_seconds", "Packing.", labels=("shop",))
    seen, ticks = MetricsRecorder(metrics), iter([10.0, 12.5])
    with pytest.raises(KeyError), took.labels("north").time(lambda: next(ticks)):
        raise KeyError
    assert seen.delta("shop_packing_seconds_sum", shop="north") == 2.5


def test_two_apps_in_one_process_do_not_meet() -> None:
    """Each Metrics has a registry of its own, and the global one of prometheus-client stays as it was."""
    one, two = Metrics(), Metrics()
    before = list(prometheus_client.REGISTRY.collect())
    one.counter("shop_orders_total", "Orders.").inc()
    two.counter("shop_orders_total", "Orders of the other.").inc(5)
    assert b"shop_orders_total 1.0" in render(one)
    assert b"shop_orders_total 5.0" in render(two)
    assert len(list(prometheus_client.REGISTRY.collect())) == len(before)


def test_the_global_registry_is_used_when_it_is_asked_for() -> None:
    """A registry that is passed in is shared with whatever else is in it, and a taken name is told."""
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("shop_orders", "From elsewhere.", registry=registry).inc()
    metrics = Metrics(registry=registry)
    assert b"shop_orders_total 1.0" in render(metrics)
    with pytest.raises(MetricConflict, match="shop_orders_total"):
        metrics.counter("shop_orders_total", "Orders.")
    with pytest.raises(MetricConflict, match="pass that one on"):
        Metrics(registry=registry)


def test_the_same_declaration_gives_the_same_metric_and_another_one_is_refused() -> None:
    """Two middlewares may declare one metric; two meanings of one name are a mistake."""
    metrics = Metrics()
    first = metrics.counter("shop_orders_total", "Orders.", labels=("kind",))
    assert metrics.counter("shop_orders_total", "Orders.", labels=("kind",)) is first
    with pytest.raises(MetricConflict, match="another way"):
        metrics.counter("shop_orders_total", "Orders.", labels=("shop",))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("shop_orders", "ends in _total"),
        ("Shop_total", "lower_snake_case"),
        ("shop__orders_total", "lower_snake_case"),
        ("1shop_total", "lower_snake_case"),
        ("shop_bucket_total", "exposition format"),
        ("shop_busy_milliseconds_total", "base unit"),
        ("shop_\nevil_total", "lower_snake_case"),
        (f"shop_{'x' * 120}_total", "120 characters"),
    ],
)
def test_a_bad_name_is_refused_with_the_rule(name: str, reason: str) -> None:
    """Nothing is registered, and the message says what a name looks like."""
    metrics = Metrics()
    with pytest.raises(InvalidMetric, match=reason):
        metrics.counter(name, "Orders.")
    assert len(metrics.contract()["metrics"]) == 1


@pytest.mark.parametrize("label", ["le", "job", "instance", "quantile", "Kind", "__name__", "a-b", ""])
def test_a_reserved_or_malformed_label_is_refused(label: str) -> None:
    """Labels that Prometheus gives by itself, or cannot read, are no labels of ours."""
    with pytest.raises(InvalidMetric, match="label"):
        Metrics().gauge("shop_queue_depth", "Waiting.", labels=(label,))


def test_other_rules_of_declarations() -> None:
    """Units, buckets, help, bounds and label lists are checked where they are written."""
    metrics = Metrics()
    with pytest.raises(InvalidMetric, match="says its unit"):
        metrics.histogram("shop_packing", "Packing.")
    with pytest.raises(InvalidMetric, match="ends in _items"):
        metrics.histogram("shop_basket", "Basket.", unit="items")
    with pytest.raises(InvalidMetric, match="_total"):
        metrics.gauge("shop_queue_total", "Waiting.")
    with pytest.raises(InvalidMetric, match="rise"):
        Buckets("bad", (1.0, 1.0))
    with pytest.raises(InvalidMetric, match="finite"):
        Buckets("bad", (1.0, math.inf))
    with pytest.raises(InvalidMetric, match="one line"):
        metrics.gauge("shop_queue_depth", " ")
    with pytest.raises(InvalidMetric, match="at least 1"):
        metrics.gauge("shop_queue_depth", "Waiting.", max_label_sets=0)
    with pytest.raises(InvalidMetric, match="twice"):
        metrics.gauge("shop_queue_depth", "Waiting.", labels=("shop", "shop"))
    with pytest.raises(InvalidMetric, match="sequence"):
        metrics.gauge("shop_queue_depth", "Waiting.", labels="shop")
    assert metrics.histogram("shop_basket_items", "Basket.", unit="items").spec.unit == "items"


@pytest.mark.parametrize("amount", [-1.0, math.nan, math.inf])
def test_a_number_that_would_spoil_a_counter_is_refused(amount: float) -> None:
    """A counter neither falls nor becomes NaN, and stays as it was."""
    metrics = Metrics()
    orders = metrics.counter("shop_orders_total", "Orders.")
    with pytest.raises(InvalidObservation):
        orders.inc(amount)
    assert b"shop_orders_total 0.0" in render(metrics)


@given(st.sampled_from([math.nan, math.inf, -math.inf]))
def test_gauges_and_histograms_take_finite_numbers_only(value: float) -> None:
    """NaN in a sum would stay there for good."""
    metrics = Metrics()
    with pytest.raises(InvalidObservation):
        metrics.histogram("shop_packing_seconds", "Packing.").observe(value)
    depth = metrics.gauge("shop_queue_depth", "Waiting.", labels=("shop",)).labels("north")
    for change in (depth.set, depth.inc, depth.dec):
        with pytest.raises(InvalidObservation):
            change(value)


def test_labels_that_do_not_fit_are_refused() -> None:
    """Too few, too many, unknown, mixed, or no text: each is a mistake of the caller, told with the names."""
    metrics = Metrics()
    orders = metrics.counter("shop_orders_total", "Orders.", labels=("kind", "shop"))
    with pytest.raises(WrongLabels, match="kind, shop"):
        orders.labels("new")
    with pytest.raises(WrongLabels, match="kind, shop"):
        orders.labels(kind="new")
    with pytest.raises(WrongLabels, match="kind, shop"):
        orders.labels("new", shop="north")
    with pytest.raises(WrongLabels, match="none"):
        metrics.counter("shop_visits_total", "Visits.").labels("new")
    for value in (7, None, ["unhashable"]):
        with pytest.raises(WrongLabels, match="takes text"):
            orders.labels(value, "north")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(WrongLabels):
        orders.inc()


def test_the_contract_is_data_that_a_test_can_pin() -> None:
    """Sorted, JSON, with type, labels, unit and buckets; the series that a query may name follow from it."""
    metrics = Metrics()
    metrics.histogram("shop_parcel_bytes", "Parcels.", labels=("shop",), buckets=SIZE_BYTES)
    metrics.counter("shop_orders_total", "Orders.", labels=(Label("kind", frozenset({"new"})),))
    contract = metrics.contract()
    assert json.loads(json.dumps(contract)) == contract
    assert [metric["name"] for metric in contract["metrics"]] == [
        "maestro_monitoring_dropped_label_sets_total",
        "shop_orders_total",
        "shop_parcel_bytes",
    ]
    assert contract["metrics"][1] == {"name": "shop_orders_total", "type": "counter", "labels": ["kind"]}
    assert contract["metrics"][2]["unit"] == "bytes"
    assert contract["metrics"][2]["buckets"] == list(SIZE_BYTES.bounds)
    assert series_of(contract)["shop_parcel_bytes_bucket"] == {"shop", "le"}


def test_a_broken_contract_fails_the_test_that_pins_it() -> None:
    """A lost label is told with the metric; a new metric breaks nothing."""
    before, after, more = Metrics(), Metrics(), Metrics()
    before.counter("shop_orders_total", "Orders.", labels=("kind",))
    after.counter("shop_orders_total", "Orders.")
    more.counter("shop_orders_total", "Orders.", labels=("kind",))
    more.gauge("shop_queue_depth", "Waiting.")
    assert_contract_kept(before.contract(), more.contract())
    with pytest.raises(AssertionError, match="shop_orders_total"):
        assert_contract_kept(before.contract(), after.contract())


def test_the_recorder_refuses_a_series_that_is_not_in_the_contract() -> None:
    """A misspelt name would otherwise be a test that is always green."""
    seen = MetricsRecorder(Metrics())
    with pytest.raises(AssertionError, match="not in the contract"):
        seen.delta("shop_order_total")
    with pytest.raises(AssertionError, match="not in the contract"):
        seen.delta("maestro_monitoring_dropped_label_sets_total", shop="north")


def test_the_contract_of_the_process_is_what_its_collectors_expose() -> None:
    """Names, types and labels of the process and its garbage collector, compared with a real exposition."""
    metrics = Metrics()
    metrics.add_process_metrics()
    metrics.add_process_metrics()
    promised = {m["name"]: m for m in metrics.contract()["metrics"] if m["name"].startswith(("process_", "python_gc"))}
    exposed = {
        sample.name: (family.type, sorted(sample.labels))
        for family in metrics.registry.collect()
        for sample in family.samples
        if family.name.startswith(("process_", "python_gc"))
    }
    assert {name: (m["type"], m["labels"]) for name, m in promised.items()} == exposed


def test_what_this_package_measures_is_pinned() -> None:
    """The names and labels on which dashboards and rules of users stand; a change here is a breaking change."""
    where = ["messaging_consumer_group_name", "messaging_destination_name"]
    answered = ["http_request_method", "http_response_status_code", "http_route"]
    ours = {name: sorted(labels) for name, labels in series_of(service_contract()).items()}
    assert {name: labels for name, labels in ours.items() if not name.startswith(("process_", "python_gc_"))} == {
        "http_server_active_requests": ["http_request_method"],
        **_histogram("http_server_request_body_size_bytes", *answered),
        **_histogram("http_server_request_duration_seconds", *answered),
        **_histogram("http_server_response_body_size_bytes", *answered),
        **_histogram("maestro_event_loop_lag_seconds"),
        "maestro_event_loop_stalls_total": [],
        "maestro_health_check_passing": ["check"],
        "maestro_http_disconnects_total": ["http_route"],
        "maestro_http_exceptions_total": ["error_type", "http_route"],
        "maestro_http_open_streams": ["http_route", "kind"],
        **_histogram("maestro_message_age_seconds", *where),
        "maestro_message_dead_total": where,
        "maestro_message_retries_total": where,
        "maestro_monitoring_dropped_label_sets_total": ["metric"],
        "maestro_traces_dropped_spans_total": ["reason"],
        **_histogram("messaging_process_duration_seconds", *where, "outcome"),
    }


def _histogram(name: str, *labels: str) -> dict[str, list[str]]:
    ordered = sorted(labels)
    return {f"{name}_bucket": sorted([*labels, "le"]), f"{name}_count": ordered, f"{name}_sum": ordered}
