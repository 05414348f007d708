"""Spans to a collector: over the real wire format on loopback, and without harm when nobody listens there."""

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from libraries.maestro_monitoring.collector import collecting
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from kit.processes import import_path
from kit.servers import free_port
from maestro_monitoring import InvalidTracing, Metrics, span
from maestro_monitoring._tracing import remote_context, using_provider
from maestro_monitoring.otlp import FileExporter, Tracing, _traces_url, console_exporter, setup_tracing
from maestro_monitoring.testing import MetricsRecorder

DROPS = "maestro_traces_dropped_spans_total"


class HeldExporter(SpanExporter):
    """An exporter that tells when it begins and waits until it may end."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.names: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.begun.release()
        self.may_end.wait(30.0)
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.may_end.set()


def _spans(tracing: Tracing, count: int) -> None:
    with using_provider(tracing.provider):
        for number in range(count):
            with span(f"span-{number}"):
                pass


def test_spans_arrive_at_a_collector_as_they_were() -> None:
    """Decoded with the classes of the protocol: resource, names, attributes, parents, headers and path."""
    with collecting() as collector:
        with setup_tracing(
            "shop",
            endpoint=collector.url,
            headers={"x-api-key": "hunter2"},
            attributes={"service.version": "1.2.3"},
            install=False,
        ) as tracing:
            with using_provider(tracing.provider), span("outer", shop="north", count=3), span("inner"):
                pass
            assert tracing.flush(10.0)
        assert (tracing.exported, tracing.dropped) == (2, 0)
        inner, outer = collector.spans
        resource = {a.key: a.value.string_value for a in collector.requests[0].resource_spans[0].resource.attributes}
        attributes = {a.key: a.value.string_value or a.value.int_value for a in outer.attributes}
    assert (inner.name, outer.name) == ("inner", "outer")
    assert inner.parent_span_id == outer.span_id
    assert inner.trace_id == outer.trace_id
    assert attributes == {"shop": "north", "count": 3}
    assert (resource["service.name"], resource["service.version"]) == ("shop", "1.2.3")
    assert collector.paths == ["/v1/traces"]
    assert collector.headers[0]["x-api-key"] == "hunter2"


def test_stopping_sends_what_is_left() -> None:
    """Without any flush, and more than one batch."""
    with collecting() as collector:
        tracing = setup_tracing("shop", endpoint=collector.url, install=False)
        _spans(tracing, 1_300)
        tracing.stop(20.0)
        assert len(collector.spans) == 1_300
    assert (tracing.exported, tracing.dropped) == (1_300, 0)


def test_a_collector_that_is_down_costs_spans_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """Neither an exception nor a wait; the loss is counted, by reason, and told in the log once."""
    metrics = Metrics()
    seen = MetricsRecorder(metrics)
    tracing = setup_tracing(
        "shop", endpoint=f"http://127.0.0.1:{free_port()}", export_timeout_s=0.2, metrics=metrics, install=False
    )
    for _ in range(2):
        _spans(tracing, 5)
        assert tracing.flush(20.0)
    tracing.stop(5.0)
    assert (tracing.exported, tracing.dropped) == (0, 10)
    assert seen.delta(DROPS, reason="export-failed") == 10
    told = [record for record in caplog.records if "monitoring.spans_dropped" in record.message]
    assert len(told) == 1
    assert told[0].levelno == logging.WARNING


def test_a_collector_that_refuses_costs_its_batch() -> None:
    """A 400 is final; the next batch is sent as if nothing had been."""
    with collecting() as collector:
        collector.status = 400
        tracing = setup_tracing("shop", endpoint=collector.url, install=False)
        _spans(tracing, 3)
        assert tracing.flush(10.0)
        collector.status = 200
        _spans(tracing, 2)
        tracing.stop(10.0)
        assert len(collector.spans) == 2
    assert (tracing.exported, tracing.dropped) == (2, 3)


def test_a_full_queue_drops_the_newest_and_never_waits() -> None:
    """While the exporter hangs, at most the queue and the batch on its way are kept; the rest is counted at once."""
    metrics, exporter = Metrics(), HeldExporter()
    seen = MetricsRecorder(metrics)
    tracing = setup_tracing("shop", exporter=exporter, max_queue_spans=10, metrics=metrics, install=False)
    _spans(tracing, 10)
    assert exporter.begun.acquire(timeout=10.0)
    _spans(tracing, 25)  # returns while the exporter hangs
    assert tracing.dropped == seen.delta(DROPS, reason="queue-full") == 15
    assert tracing.flush(0.01) is False
    exporter.may_end.set()
    assert tracing.flush(10.0)
    tracing.stop()
    assert exporter.names == [f"span-{number}" for number in [*range(10), *range(10)]]
    assert tracing.exported == 20


def test_stopping_ends_at_its_deadline_whatever_the_collector_does() -> None:
    """What could not be sent is dropped and counted; what comes later too."""
    with collecting() as collector:
        collector.hold()
        tracing = setup_tracing(
            "shop", endpoint=collector.url, max_queue_spans=10, export_timeout_s=30.0, install=False
        )
        _spans(tracing, 10)
        assert collector.arrived.acquire(timeout=10.0)
        _spans(tracing, 4)
        tracing.stop(0.05)
        assert tracing.dropped == 4
        _spans(tracing, 3)
        assert tracing.dropped == 7
        tracing.stop()


def test_an_exporter_that_raises_is_told_and_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    """Its error costs the batch; its text is cleaned."""

    class Broken(HeldExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            if spans[0].name == "span-0":
                raise OSError("https://user:hunter2secret@collector refused")
            return super().export(spans)

    exporter = Broken()
    exporter.may_end.set()
    tracing = setup_tracing("shop", exporter=exporter, install=False)
    _spans(tracing, 1)
    assert tracing.flush(10.0)
    with using_provider(tracing.provider), span("later"):
        pass
    tracing.stop()
    assert exporter.names == ["later"]
    assert (tracing.exported, tracing.dropped) == (1, 1)
    assert "monitoring.export_failed OSError" in caplog.text
    assert "hunter2secret" not in caplog.text


def test_sampling_keeps_a_share_of_new_traces_and_the_decision_of_others() -> None:
    """At 0, none of ours; a trace that was sampled elsewhere goes on, and one that was not does not."""
    for sampling, flags, kept in ((0.0, None, 0), (1.0, None, 1), (0.0, "01", 1), (1.0, "00", 0)):
        exporter = HeldExporter()
        exporter.may_end.set()
        tracing = setup_tracing("shop", sampling=sampling, exporter=exporter, install=False)
        header = [f"00-{'a' * 32}-{'b' * 16}-{flags}"] if flags else []
        tracer = tracing.provider.get_tracer("test")
        with tracer.start_as_current_span("work", remote_context({"traceparent": header})):
            pass
        tracing.stop()
        assert len(exporter.names) == kept


def test_a_file_takes_one_line_for_each_span_up_to_its_bound(tmp_path: Path) -> None:
    """For development: JSON that only its owner can read; beyond the bound, spans are dropped and counted."""
    path = tmp_path / "spans.jsonl"
    with setup_tracing("shop", exporter=FileExporter(path), install=False) as tracing:
        _spans(tracing, 3)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["name"] for line in lines] == ["span-0", "span-1", "span-2"]
    assert path.stat().st_mode & 0o777 == 0o600
    with setup_tracing("shop", exporter=FileExporter(path, max_size_bytes=10), install=False) as tracing:
        _spans(tracing, 2)
    assert tracing.dropped == 2
    assert len(path.read_text().splitlines()) == 3


def test_the_console_shows_spans() -> None:
    """For development."""
    stream = io.StringIO()
    with setup_tracing("shop", exporter=console_exporter(stream), install=False) as tracing:
        _spans(tracing, 1)
    assert json.loads(stream.getvalue())["name"] == "span-0"


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "collector:4318",
        "ftp://collector",
        "http://",
        "http://user:hunter2@c",
        "http://c?x=1",
        "http://c:99999",
        "http://[",
    ],
)
def test_an_endpoint_that_is_none_is_refused_without_being_repeated(endpoint: str) -> None:
    """It may hold a secret, so the message does not show it."""
    with pytest.raises(InvalidTracing, match=r"http\(s\) URL") as told:
        setup_tracing("shop", endpoint=endpoint)
    assert "hunter2" not in str(told.value)


def test_the_path_of_the_protocol_is_added_to_a_collector_only() -> None:
    """Another path is someone's own."""
    assert _traces_url("http://c:4318") == _traces_url("http://c:4318/") == "http://c:4318/v1/traces"
    assert _traces_url("https://c/otlp/traces") == "https://c/otlp/traces"


def test_bad_parameters_are_refused_and_change_nothing() -> None:
    """Before anything is started."""
    before = threading.active_count()
    bad: list[dict[str, float]] = [{"sampling": 1.1}, {"max_queue_spans": 0}, {"export_timeout_s": 0}]
    for parameters in bad:
        with pytest.raises(InvalidTracing):
            setup_tracing("shop", **parameters)  # type: ignore[arg-type]  # numbers only
    with pytest.raises(InvalidTracing, match="empty"):
        setup_tracing(" ")
    assert threading.active_count() == before
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_a_process_is_set_up_once_and_sends_what_is_left_at_its_end() -> None:
    """The provider of the process; a second call is refused; at exit the rest is sent, without a call to stop."""
    program = """
import sys
from maestro_monitoring import InvalidTracing, span
from maestro_monitoring.otlp import setup_tracing
setup_tracing("shop", endpoint=sys.argv[1])
try:
    setup_tracing("shop", endpoint=sys.argv[1])
except InvalidTracing as error:
    assert "already" in str(error)
else:
    raise SystemExit("the second call was taken")
with span("at the end"):
    pass
"""
    with collecting() as collector:
        done = subprocess.run(
            [sys.executable, "-c", program, collector.url],
            env={"PYTHONPATH": import_path()},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert [found.name for found in collector.spans] == ["at the end"]
