"""The guard on label cardinality: bounded series, bounded values, and not one observation lost."""

import string
import threading
from collections import Counter as Tally

from hypothesis import given
from hypothesis import strategies as st

from maestro_monitoring import MAX_LABEL_VALUE_CHARS, OTHER, Label, Metrics, render
from maestro_monitoring.testing import MetricsRecorder

DROPPED = "maestro_monitoring_dropped_label_sets_total"
_VALUES = st.text(max_size=6) | st.sampled_from(["a", "b", OTHER, "x" * 500, "\ud800", "a\nb", "\x00"])


@given(st.lists(st.tuples(_VALUES, _VALUES, st.integers(0, 5)), max_size=60), st.integers(1, 8))
def test_nothing_is_lost_and_the_bound_holds(observed: list[tuple[str, str, int]], bound: int) -> None:
    """Whatever the labels: the sum over all series is the sum of what was counted, and series stay within the bound."""
    metrics = Metrics()
    counter = metrics.counter("shop_orders_total", "Orders.", labels=("kind", "shop"), max_label_sets=bound)
    seen = MetricsRecorder(metrics)
    for kind, shop, amount in observed:
        counter.labels(kind, shop).inc(amount)
    assert seen.delta("shop_orders_total") == sum(amount for _, _, amount in observed)
    exposed = [sample for family in metrics.registry.collect() for sample in family.samples]
    series = [sample.labels for sample in exposed if sample.name == "shop_orders_total"]
    assert len(series) <= bound + 1
    assert all(len(value) <= MAX_LABEL_VALUE_CHARS and value.isprintable() for one in series for value in one.values())
    render(metrics).decode("utf-8")


@given(st.lists(st.sampled_from(string.ascii_lowercase), max_size=80), st.integers(1, 5))
def test_the_first_sets_keep_their_series_and_all_others_are_told(values: list[str], bound: int) -> None:
    """As a model of five lines has it: known sets count for themselves, the rest under `__other__`, and as dropped."""
    metrics = Metrics(max_label_sets=bound)
    counter = metrics.counter("shop_orders_total", "Orders.", labels=("kind",))
    seen = MetricsRecorder(metrics)
    expected: Tally[str] = Tally()
    for value in values:
        counter.labels(value).inc()
        has_room = value in expected or len(expected.keys() - {OTHER}) < bound
        expected[value if has_room else OTHER] += 1
    assert seen.changed("shop_orders_total") == {(value,): float(count) for value, count in expected.items()}
    assert seen.delta(DROPPED, metric="shop_orders_total") == expected[OTHER]


def test_a_histogram_and_a_gauge_overflow_without_loss() -> None:
    """Counts and sums of a histogram and the moves of a gauge add up across the bound."""
    metrics = Metrics(max_label_sets=2)
    took = metrics.histogram("shop_packing_seconds", "Packing.", labels=("shop",))
    busy = metrics.gauge("shop_busy_hands", "Busy.", labels=("shop",))
    seen = MetricsRecorder(metrics)
    for number in range(10):
        took.labels(f"shop-{number}").observe(1.5)
        busy.labels(f"shop-{number}").inc()
    busy.labels("shop-9").dec()
    assert seen.delta("shop_packing_seconds_count") == 10
    assert seen.delta("shop_packing_seconds_sum") == 15.0
    assert seen.delta("shop_packing_seconds_count", shop=OTHER) == 8
    assert seen.delta("shop_busy_hands") == 9
    assert seen.delta("shop_busy_hands", shop=OTHER) == 7


def test_a_list_of_allowed_values_maps_all_others_to_one() -> None:
    """It is a decision of the author and no overflow, so nothing is told as dropped."""
    metrics = Metrics()
    method = Label("method", frozenset({"GET", "PUT"}), other="OTHER")
    counter = metrics.counter("shop_calls_total", "Calls.", labels=(method,))
    seen = MetricsRecorder(metrics)
    for value in ("GET", "PUT", "BREW", "get", "X" * 10_000):
        counter.labels(value).inc()
    assert seen.changed("shop_calls_total") == {("GET",): 1.0, ("PUT",): 1.0, ("OTHER",): 3.0}
    assert seen.delta(DROPPED) == 0


def test_hostile_values_do_not_fill_the_memory() -> None:
    """Ten thousand values that are cleaned to one are one series, and one key."""
    metrics = Metrics()
    counter = metrics.counter("shop_orders_total", "Orders.", labels=("kind",))
    for number in range(10_000):
        counter.labels("x" * 127 + "tail" + str(number)).inc()
    assert len(counter._guard._series) == 1
    assert MetricsRecorder(metrics).changed("shop_orders_total") == {}
    assert render(metrics).count(b"\nshop_orders_total{") == 1


def test_threads_that_race_for_the_last_series_lose_nothing() -> None:
    """Eight threads, a bound of fifty, four hundred sets: the sum is right, the bound holds."""
    metrics = Metrics(max_label_sets=50)
    counter = metrics.counter("shop_orders_total", "Orders.", labels=("kind",))
    barrier = threading.Barrier(8)

    def work(offset: int) -> None:
        barrier.wait(10)
        for number in range(2_000):
            counter.labels(f"kind-{(number * 7 + offset) % 400}").inc()

    seen = MetricsRecorder(metrics)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    changed = seen.changed("shop_orders_total")
    assert sum(changed.values()) == 16_000
    assert len(changed) == 51
    assert changed[(OTHER,)] == seen.delta(DROPPED)
