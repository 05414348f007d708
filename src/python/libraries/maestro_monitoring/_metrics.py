"""Metrics: typed declarations in a registry of their own, each behind the guard on label cardinality."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import prometheus_client
from opentelemetry import trace

from maestro_monitoring._contract import LATENCY_S, Buckets, Contract, MetricSpec, unit_of
from maestro_monitoring._errors import InvalidMetric, InvalidObservation, MetricConflict, WrongLabels
from maestro_monitoring._labels import DEFAULT_MAX_LABEL_SETS, Label, LabelGuard

DROPPED = MetricSpec(
    "maestro_monitoring_dropped_label_sets_total",
    "counter",
    "Observations whose labels exceeded the bound of their metric and were counted under __other__.",
    labels=(Label("metric"),),
)
# What the collectors of prometheus-client expose on Linux, as the contract tells it.
PROCESS_METRICS: tuple[Contract, ...] = (
    {"name": "process_cpu_seconds_total", "type": "counter", "labels": [], "unit": "seconds"},
    {"name": "process_max_fds", "type": "gauge", "labels": []},
    {"name": "process_open_fds", "type": "gauge", "labels": []},
    {"name": "process_resident_memory_bytes", "type": "gauge", "labels": [], "unit": "bytes"},
    {"name": "process_start_time_seconds", "type": "gauge", "labels": [], "unit": "seconds"},
    {"name": "process_virtual_memory_bytes", "type": "gauge", "labels": [], "unit": "bytes"},
    {"name": "python_gc_collections_total", "type": "counter", "labels": ["generation"]},
    {"name": "python_gc_objects_collected_total", "type": "counter", "labels": ["generation"]},
    {"name": "python_gc_objects_uncollectable_total", "type": "counter", "labels": ["generation"]},
)
_INFINITY = float("inf")

SeriesT = TypeVar("SeriesT")
ParentT = TypeVar("ParentT", prometheus_client.Counter, prometheus_client.Gauge, prometheus_client.Histogram)


class CounterSeries:
    """One series of a counter."""

    __slots__ = ("_child",)

    def __init__(self, child: prometheus_client.Counter) -> None:
        self._child = child

    def inc(self, amount: float = 1.0) -> None:
        """Count `amount` more."""
        if not 0 <= amount < _INFINITY:
            raise InvalidObservation(f"a counter rises by a finite amount that is not negative, got {amount}")
        self._child.inc(amount)


class GaugeSeries:
    """One series of a gauge."""

    __slots__ = ("_child",)

    def __init__(self, child: prometheus_client.Gauge) -> None:
        self._child = child

    def set(self, value: float) -> None:
        """The value from now on."""
        self._child.set(_finite(value))

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`."""
        self._child.inc(_finite(amount))

    def dec(self, amount: float = 1.0) -> None:
        """Take `amount` away."""
        self._child.dec(_finite(amount))


class HistogramSeries:
    """One series of a histogram; inside a sampled span, the observation keeps its ids as an exemplar."""

    __slots__ = ("_child",)

    def __init__(self, child: prometheus_client.Histogram) -> None:
        self._child = child

    def observe(self, value: float) -> None:
        """Count `value` into its bucket."""
        self._child.observe(_finite(value), exemplar=_exemplar())

    @contextmanager
    def time(self, monotonic: Callable[[], float] = time.perf_counter) -> Iterator[None]:
        """Observe how many seconds the block takes, also when it raises."""
        begun_s = monotonic()
        try:
            yield
        finally:
            self.observe(monotonic() - begun_s)


def _finite(value: float) -> float:
    if not -_INFINITY < value < _INFINITY:
        raise InvalidObservation(f"an observation is a finite number, got {value}")
    return value


def _exemplar() -> dict[str, str] | None:
    context = trace.get_current_span().get_span_context()
    if not context.trace_flags.sampled:
        return None
    return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}


class _Metric(Generic[SeriesT]):
    """A declared metric; `labels(…)` gives the series for values in declared order, or by name."""

    def __init__(self, spec: MetricSpec, guard: LabelGuard[SeriesT]) -> None:
        self.spec = spec
        self._guard = guard
        if not spec.labels:
            guard.series(())  # a metric without labels is exposed from the start, as zero

    def labels(self, *values: str, **named: str) -> SeriesT:
        """The series for these label values, or the shared one when the metric has no room left."""
        if not named:
            return self._guard.series(values)
        names = self.spec.label_names
        if values or sorted(named) != sorted(names):
            raise WrongLabels(f"{self.spec.name!r} takes the labels ({', '.join(names)}), by name or in this order")
        return self._guard.series(tuple(named[name] for name in names))


class Counter(_Metric[CounterSeries]):
    """Counts what only ever rises."""

    def inc(self, amount: float = 1.0) -> None:
        """Count `amount` more, when the metric has no labels."""
        self._guard.series(()).inc(amount)


class Gauge(_Metric[GaugeSeries]):
    """A value that goes up and down."""

    def set(self, value: float) -> None:
        """The value from now on, when the metric has no labels."""
        self._guard.series(()).set(value)


class Histogram(_Metric[HistogramSeries]):
    """Counts observations into buckets."""

    def observe(self, value: float) -> None:
        """Count `value` into its bucket, when the metric has no labels."""
        self._guard.series(()).observe(value)


MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)


class Metrics:
    """Declares metrics in one registry, by default a new one: two of them in one process never meet.

    To declare a metric again in the same way gives the same metric; in another way, it raises MetricConflict.
    """

    def __init__(
        self,
        *,
        registry: prometheus_client.CollectorRegistry | None = None,
        max_label_sets: int = DEFAULT_MAX_LABEL_SETS,
    ) -> None:
        self.registry = prometheus_client.CollectorRegistry() if registry is None else registry
        self._max_label_sets = max_label_sets
        self._declared: dict[str, Counter | Gauge | Histogram] = {}
        self._lock = threading.Lock()
        self._process = False
        try:
            self._dropped = prometheus_client.Counter(DROPPED.name, DROPPED.help, ["metric"], registry=self.registry)
        except ValueError as error:
            raise MetricConflict("the registry has a Metrics already: pass that one on") from error

    def counter(
        self, name: str, help: str, *, labels: Sequence[str | Label] = (), max_label_sets: int | None = None
    ) -> Counter:
        """Declare a counter; its name ends in `_total`."""
        spec = MetricSpec(name, "counter", help, _labels(labels), unit_of(name), None, self._bound(max_label_sets))

        def make() -> Counter:
            parent = prometheus_client.Counter(
                name, help, spec.label_names, registry=self.registry, unit=spec.unit or ""
            )
            return Counter(spec, self._guard(spec, lambda values: CounterSeries(_child(parent, values))))

        return self._declare(Counter, spec, make)

    def gauge(
        self, name: str, help: str, *, labels: Sequence[str | Label] = (), max_label_sets: int | None = None
    ) -> Gauge:
        """Declare a gauge."""
        spec = MetricSpec(name, "gauge", help, _labels(labels), unit_of(name), None, self._bound(max_label_sets))

        def make() -> Gauge:
            parent = prometheus_client.Gauge(name, help, spec.label_names, registry=self.registry, unit=spec.unit or "")
            return Gauge(spec, self._guard(spec, lambda values: GaugeSeries(_child(parent, values))))

        return self._declare(Gauge, spec, make)

    def histogram(
        self,
        name: str,
        help: str,
        *,
        labels: Sequence[str | Label] = (),
        buckets: Buckets = LATENCY_S,
        unit: str | None = None,
        max_label_sets: int | None = None,
    ) -> Histogram:
        """Declare a histogram; its name ends in its unit: `_seconds`, `_bytes`, `_ratio`, or what `unit` says."""
        bound = self._bound(max_label_sets)
        spec = MetricSpec(name, "histogram", help, _labels(labels), unit or unit_of(name), buckets, bound)

        def make() -> Histogram:
            parent = prometheus_client.Histogram(
                name, help, spec.label_names, registry=self.registry, unit=spec.unit or "", buckets=buckets.bounds
            )
            return Histogram(spec, self._guard(spec, lambda values: HistogramSeries(_child(parent, values))))

        return self._declare(Histogram, spec, make)

    def add_process_metrics(self) -> None:
        """Expose memory, CPU and files of this process, and its garbage collector; once."""
        with self._lock:
            if not self._process:
                prometheus_client.ProcessCollector(registry=self.registry)
                prometheus_client.GCCollector(registry=self.registry)
                self._process = True

    def contract(self) -> Contract:
        """Names, types, labels, units and buckets of all that is declared here, as data for JSON, sorted by name."""
        with self._lock:
            declared = [DROPPED.as_json(), *(metric.spec.as_json() for metric in self._declared.values())]
            process = PROCESS_METRICS if self._process else ()
        return {"metrics": sorted([*declared, *process], key=lambda metric: metric["name"])}

    def _bound(self, max_label_sets: int | None) -> int:
        return self._max_label_sets if max_label_sets is None else max_label_sets

    def _guard(self, spec: MetricSpec, make: Callable[[tuple[str, ...]], SeriesT]) -> LabelGuard[SeriesT]:
        dropped = self._dropped.labels(spec.name) if spec.labels else self._dropped
        return LabelGuard(spec.labels, spec.max_label_sets, make, dropped.inc)

    def _declare(self, kind: type[MetricT], spec: MetricSpec, make: Callable[[], MetricT]) -> MetricT:
        with self._lock:
            known = self._declared.get(spec.name)
            if known is None:
                try:
                    made = make()
                except ValueError as error:  # another collector of a registry that was passed in has the name
                    raise MetricConflict(f"{spec.name!r} cannot be registered: {error}") from error
                self._declared[spec.name] = made
                return made
        if known.spec != spec or not isinstance(known, kind):
            raise MetricConflict(f"{spec.name!r} is declared already, in another way: {known.spec} and {spec}")
        return known


def _labels(labels: Sequence[str | Label]) -> tuple[Label, ...]:
    if isinstance(labels, str):
        raise InvalidMetric(f"labels are a sequence of names, as ({labels!r},)")
    return tuple(Label(label) if isinstance(label, str) else label for label in labels)


def _child(parent: ParentT, values: tuple[str, ...]) -> ParentT:
    return parent.labels(*values) if values else parent
