"""Exposition: both formats by Accept, read back with the parsers of prometheus-client, and no way to break it."""

import gzip
import string
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_monitoring.connections import Connection, openmetrics_families
from prometheus_client import CollectorRegistry, openmetrics, parser
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from maestro_monitoring import OPENMETRICS, TEXT, Metrics, MetricsApp, render, span
from maestro_monitoring._exposition import accepts_gzip, negotiate
from maestro_monitoring.testing import SpanRecorder

# As a Prometheus server of version 3 sends it.
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


def _metrics() -> Metrics:
    metrics = Metrics()
    metrics.counter("shop_orders_total", "Orders, and \\ what not.", labels=("kind",)).labels('a"\\b').inc(3)
    metrics.histogram("shop_packing_seconds", "Packing.").observe(0.3)
    return metrics


def _samples(families: Iterable[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        (PROMETHEUS_3, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1, text/plain;q=0.5", OPENMETRICS),
        ("Application/OpenMetrics-Text;version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("image/png", TEXT),
        ("text/html,application/xhtml+xml;q=0.9", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
        ("application/openmetrics-text;q=1e9", TEXT),
        (";;;=,,=;q=,application/openmetrics-text;q=0.3", OPENMETRICS),
        ("a" * 100_000 + ",application/openmetrics-text", TEXT),
    ],
)
def test_the_format_follows_the_accept_header(accept: str, content_type: str) -> None:
    """OpenMetrics to those who ask for it in a version that is spoken here, Prometheus text to all others."""
    assert negotiate(accept) == content_type


class Cached(Collector):
    """A collector that is not ours: it gives the same objects again, and one of its gauges is about a creation."""

    def __init__(self) -> None:
        counted = CounterMetricFamily("old_orders", "Orders.", 5.0, created=7.0)
        self._families = [counted, GaugeMetricFamily("file_created", "When.", 9.0)]

    def collect(self) -> Iterable[Metric]:
        return self._families


def test_collectors_of_others_are_exposed_as_they_are() -> None:
    """The text format leaves out creation times, and changes nothing of what the collector keeps."""
    registry = CollectorRegistry()
    registry.register(Cached())
    metrics = Metrics(registry=registry)
    for _ in range(2):
        assert b"old_orders_created" in render(metrics, OPENMETRICS)
        assert b"old_orders_created" not in render(metrics)
        assert b"file_created 9.0" in render(metrics)


@given(st.text(alphabet=string.printable, max_size=200))
def test_no_accept_header_is_an_error(accept: str) -> None:
    """Whatever is written there, there is an answer in one of the two formats."""
    assert negotiate(accept) in (TEXT, OPENMETRICS)
    assert accepts_gzip(accept) in (True, False)


async def test_the_text_format_is_read_back_as_it_was_counted() -> None:
    """The parser of prometheus-client finds the same numbers and labels, and no `_created` series."""
    answer = await Connection("/metrics").run(MetricsApp(_metrics()))
    assert (answer.status, answer.header("content-type")) == (200, TEXT)
    samples = _samples(parser.text_string_to_metric_families(answer.body.decode()))
    assert samples[("shop_orders_total", frozenset({("kind", 'a"\\b')}))] == 3.0
    assert samples[("shop_packing_seconds_bucket", frozenset({("le", "0.5")}))] == 1.0
    assert not [name for name, _ in samples if name.endswith("_created")]


async def test_openmetrics_is_read_back_with_units() -> None:
    """The strict parser of OpenMetrics takes it, unit included, with its `# EOF`."""
    answer = await Connection("/metrics", headers=[("Accept", PROMETHEUS_3)]).run(MetricsApp(_metrics()))
    assert answer.header("content-type") == OPENMETRICS
    assert answer.body.endswith(b"# EOF\n")
    families = {f.name: f for f in openmetrics_families(answer.body.decode())}
    assert families["shop_packing_seconds"].unit == "seconds"
    assert _samples(families.values())[("shop_orders_total", frozenset({("kind", 'a"\\b')}))] == 3.0


async def test_an_observation_in_a_sampled_span_leaves_its_trace_id() -> None:
    """As an exemplar of its bucket, in OpenMetrics only; without a span there is none."""
    metrics = Metrics()
    took = metrics.histogram("shop_packing_seconds", "Packing.")
    took.observe(0.001)
    with SpanRecorder() as recorder, span("packing"):
        took.observe(0.3)
    context = recorder.named("packing").context
    assert context is not None
    families = openmetrics_families(render(metrics, OPENMETRICS).decode())
    found = [s.exemplar.labels for family in families for s in family.samples if s.exemplar]
    assert found == [{"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}]
    assert b"trace_id" not in render(metrics)


async def test_a_large_answer_is_zipped_for_those_who_take_it() -> None:
    """The same bytes once unzipped; a refusal by name goes before the star; a small answer is not worth it."""
    metrics = _metrics()
    zipped = await Connection("/metrics", headers=[("Accept-Encoding", "gzip;q=1.0")]).run(MetricsApp(metrics))
    assert zipped.header("content-encoding") == "gzip"
    assert gzip.decompress(zipped.body) == render(metrics)
    for refusal in ("", "gzip;q=0", "*, gzip;q=0", "br", "gzip;q=oops"):
        plain = await Connection("/metrics", headers=[("Accept-Encoding", refusal)]).run(MetricsApp(metrics))
        assert plain.header("content-encoding") == ""
    small = await Connection("/metrics", headers=[("Accept-Encoding", "gzip")]).run(MetricsApp(Metrics()))
    assert small.header("content-encoding") == ""


async def test_head_answers_without_a_body_and_other_methods_are_refused() -> None:
    """HEAD has the length that GET has; whatever would change something gets 405 and is told what is allowed."""
    app = MetricsApp(_metrics())
    get, head = await Connection("/metrics").run(app), await Connection("/metrics", method="HEAD").run(app)
    assert head.body == b""
    assert head.header("content-length") == get.header("content-length") == str(len(get.body))
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        refused = await Connection("/metrics", method=method).run(app)
        assert (refused.status, refused.header("allow")) == (405, "GET, HEAD")


async def test_a_websocket_is_refused() -> None:
    """There is nothing to talk about."""
    refused = await Connection("/metrics", type="websocket").run(MetricsApp(Metrics()))
    assert [message["type"] for message in refused.heard] == ["websocket.close"]


def test_the_content_types_are_those_of_prometheus_client() -> None:
    """What is claimed in the header is what the encoder writes."""
    assert openmetrics.exposition.CONTENT_TYPE_LATEST == OPENMETRICS
