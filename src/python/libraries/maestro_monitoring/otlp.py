"""Spans to an OpenTelemetry collector over HTTP, to the console or to a file, without ever holding up the app."""

import json
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
except ImportError as error:
    raise ImportError("maestro_monitoring.otlp needs the extra: pip install 'maestro-monitoring[otlp]'") from error

from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value

from maestro_monitoring._errors import InvalidTracing
from maestro_monitoring._metrics import Counter, Metrics
from maestro_monitoring._reasons import reason_of
from maestro_monitoring._tracing import dropped_spans

_log = logging.getLogger("maestro_monitoring")

_TRACES_PATH = "/v1/traces"
_BATCH = 512
_EVERY_S = 1.0
_TOLD_EVERY_S = 60.0
_STOP_S = 5.0


class Tracing:
    """Tracing as it was set up; `stop` it, or use it as a context manager, to send what is left."""

    def __init__(self, provider: TracerProvider, queue: "_SpanQueue") -> None:
        self.provider = provider
        self._queue = queue

    @property
    def exported(self) -> int:
        """Spans that the exporter has taken."""
        return self._queue.exported

    @property
    def dropped(self) -> int:
        """Spans that were lost: no room in the queue, a failed export, or no time left at the end."""
        return self._queue.dropped

    def flush(self, deadline_s: float = _STOP_S) -> bool:
        """Wait until all spans that have ended are sent or dropped; False when the time is up first."""
        return self._queue.flush(deadline_s)

    def stop(self, deadline_s: float = _STOP_S) -> None:
        """Send what is left within the deadline, drop the rest; afterwards, spans are dropped."""
        self._queue.stop(deadline_s)
        self.provider.shutdown()

    def __enter__(self) -> "Tracing":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def setup_tracing(
    service_name: str,
    *,
    endpoint: str = "http://127.0.0.1:4318",
    headers: Mapping[str, str] | None = None,
    sampling: float = 1.0,
    attributes: Mapping[str, str] | None = None,
    exporter: SpanExporter | None = None,
    max_queue_spans: int = 2_048,
    export_timeout_s: float = 5.0,
    metrics: Metrics | None = None,
    install: bool = True,
) -> Tracing:
    """Trace this process; call it once, after a fork.

    `sampling` is the share of new traces that is kept; traces that come from outside keep their decision. `attributes`
    describe the resource (`service.version`, say). `exporter` takes the place of the collector at `endpoint`. Without
    `install`, the process keeps its provider, and this one is passed to the middlewares by hand.
    """
    if not service_name.strip():
        raise InvalidTracing("the service name is empty")
    if not 0.0 <= sampling <= 1.0:
        raise InvalidTracing(f"sampling is the share of traces to keep, from 0 to 1, got {sampling}")
    if max_queue_spans < 1 or not 0 < export_timeout_s <= 60:
        raise InvalidTracing("max_queue_spans is at least 1, and export_timeout_s from above 0 to 60")
    if install and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        raise InvalidTracing("this process has a tracer provider already; set up once, or pass install=False")
    if exporter is None:
        exporter = OTLPSpanExporter(_traces_url(endpoint), headers=dict(headers or {}), timeout=export_timeout_s)
    queue = _SpanQueue(exporter, max_queue_spans, dropped_spans(metrics or Metrics()))
    resource = Resource.create({**(attributes or {}), "service.name": service_name})
    provider = TracerProvider(ParentBased(TraceIdRatioBased(sampling)), resource)
    provider.add_span_processor(queue)
    if install:
        trace.set_tracer_provider(provider)
    return Tracing(provider, queue)


def _traces_url(endpoint: str) -> str:
    """The URL that spans are posted to: that of a collector gets the path of the protocol, any other path is kept."""
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise InvalidTracing("endpoint is an http(s) URL without user, query and fragment; secrets belong in headers")
    return endpoint if parts.path not in ("", "/") else f"{parts.scheme}://{parts.netloc}{_TRACES_PATH}"


def console_exporter(stream: IO[str] | None = None) -> SpanExporter:
    """For development: each span as indented JSON, by default to standard error."""
    return ConsoleSpanExporter(out=stream or sys.stderr)


class FileExporter(SpanExporter):
    """For development: each span as one line of JSON at the end of a file that only its owner can read.

    A file that has grown to `max_size_bytes` gets no more; spans are then dropped, and counted.
    """

    def __init__(self, path: Path, *, max_size_bytes: int = 100_000_000) -> None:
        self._max_size_bytes = max_size_bytes
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append the spans."""
        lines = b"".join(json.dumps(json.loads(span.to_json())).encode() + b"\n" for span in spans)
        if self._file.closed or self._file.tell() + len(lines) > self._max_size_bytes:
            return SpanExportResult.FAILURE
        self._file.write(lines)
        self._file.flush()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file."""
        self._file.close()


class _SpanQueue(SpanProcessor):
    """Takes ended spans without waiting, and gives them to the exporter from a thread of its own."""

    def __init__(self, exporter: SpanExporter, max_spans: int, drops: Counter) -> None:
        self._exporter = exporter
        self._max_spans = max_spans
        self._drops = drops
        self._spans: deque[ReadableSpan] = deque()
        self._changed = threading.Condition()
        self._exporting = 0
        self._flushing = 0
        self._stopping = self._stopped = False
        self._untold = 0
        self._told_s = -_TOLD_EVERY_S
        self.exported = self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="span queue", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span, or drop it when there is no room: the newest, since it costs the least to say no at once."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with self._changed:
            reason = "stopped" if self._stopping else "queue-full" if len(self._spans) >= self._max_spans else None
            if reason is None:
                self._spans.append(span)
                if len(self._spans) == min(_BATCH, self._max_spans):
                    self._changed.notify_all()
        if reason is not None:
            self._drop(1, reason)

    def flush(self, deadline_s: float) -> bool:
        """Wait until nothing is left; False when the time is up first."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._spans and not self._exporting, max(0.0, deadline_s))
            finally:
                self._flushing -= 1

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """`flush` as OpenTelemetry calls it."""
        return self.flush(timeout_millis / 1_000)

    def stop(self, deadline_s: float) -> None:
        """Send what is left within the deadline and drop the rest."""
        with self._changed:
            if self._stopped:
                return
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(max(0.0, deadline_s))
        with self._changed:
            if self._stopped:
                return
            self._stopped = True
            left = len(self._spans)
            self._spans.clear()
        self._drop(left, "stopped")
        # Ends the waiting of an export that is under way; its spans count as failed when it returns.
        self._exporter.shutdown()

    def shutdown(self) -> None:
        """`stop` as OpenTelemetry calls it, at exit too."""
        self.stop(_STOP_S)

    def _work(self) -> None:
        # Otherwise an app that traces its HTTP client would trace the sending of traces, without end.
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        while batch := self._next_batch():
            if self._export(batch):
                self.exported += len(batch)
            else:
                self._drop(len(batch), "export-failed")
            with self._changed:
                self._exporting = 0
                self._changed.notify_all()

    def _next_batch(self) -> list[ReadableSpan]:
        """The next spans, when they fill a batch, have waited, or are asked for; nothing at the end."""
        with self._changed:
            full = min(_BATCH, self._max_spans)
            while not self._stopping:
                due = self._changed.wait_for(
                    lambda: self._stopping or len(self._spans) >= full or (self._flushing and self._spans), _EVERY_S
                )
                if due or self._spans:
                    break
            batch = [self._spans.popleft() for _ in range(min(_BATCH, len(self._spans)))]
            self._exporting = len(batch)
            return batch

    def _export(self, batch: Sequence[ReadableSpan]) -> bool:
        try:
            return self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception as error:  # whatever an exporter does wrong costs spans, which are counted, and nothing else
            _log.warning("monitoring.export_failed %s", reason_of(error))
            return False

    def _drop(self, count: int, reason: str) -> None:
        """Count lost spans, and tell it at most once a minute: without the lock, since logging may take long."""
        if not count:
            return
        self._drops.labels(reason).inc(count)
        now_s = time.monotonic()
        with self._changed:
            self.dropped += count
            self._untold += count
            untold = self._untold
            if now_s - self._told_s < _TOLD_EVERY_S:
                return
            self._told_s, self._untold = now_s, 0
        _log.warning("monitoring.spans_dropped count=%d reason=%s", untold, reason)


__all__ = ["FileExporter", "Tracing", "console_exporter", "setup_tracing"]
