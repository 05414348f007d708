"""Traces over the OpenTelemetry API: without an SDK all of it does nothing, except to pass trace context on."""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from maestro_monitoring._labels import Label
from maestro_monitoring._metrics import Counter, Metrics
from maestro_monitoring._reasons import reason_of

TRACE_HEADERS = ("traceparent", "tracestate")
# The W3C headers alone: baggage is whatever a stranger wrote, and is neither read nor passed on.
_PROPAGATOR = TraceContextTextMapPropagator()

_PROVIDER = otel_context.create_key("maestro_monitoring.provider")


class _Headers(Getter[Mapping[str, Sequence[str]]]):
    """Reads headers given as lists of values; of a header that may come once only, two are none."""

    def get(self, carrier: Mapping[str, Sequence[str]], key: str) -> list[str] | None:
        values = list(carrier.get(key, ()))
        return None if not values or (key == "traceparent" and len(values) > 1) else values

    def keys(self, carrier: Mapping[str, Sequence[str]]) -> list[str]:
        return list(carrier)


_GETTER = _Headers()


def remote_context(headers: Mapping[str, Sequence[str]]) -> otel_context.Context:
    """The context that `traceparent` and `tracestate` name; an empty one when they are missing or malformed."""
    return _PROPAGATOR.extract(headers, otel_context.Context(), _GETTER)


@contextmanager
def using_provider(provider: TracerProvider) -> Iterator[None]:
    """Inside the block, and in what is started there, `span` and the middlewares use this provider."""
    token = otel_context.attach(otel_context.set_value(_PROVIDER, provider))
    try:
        yield
    finally:
        otel_context.detach(token)


@contextmanager
def span(name: str, /, **attributes: AttributeValue) -> Iterator[Span]:
    """Time a block as a span with these attributes; an exception marks it as failed, with its cleaned text.

    Names with dots are passed as `**{"db.system.name": "sqlite"}`.
    """
    with open_span(name, attributes) as opened:
        yield opened


@contextmanager
def open_span(
    name: str,
    attributes: Mapping[str, AttributeValue],
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    links: Sequence[Link] = (),
    context: otel_context.Context | None = None,
    provider: TracerProvider | None = None,
) -> Iterator[Span]:
    """`span`, with all that the middlewares say about theirs.

    `context` None stands for the current one; a `provider` holds for all spans within, too.
    """
    if provider is not None:
        with using_provider(provider), open_span(name, attributes, kind=kind, links=links, context=context) as opened:
            yield opened
        return
    tracer = trace.get_tracer("maestro_monitoring", tracer_provider=current_provider())
    with tracer.start_as_current_span(
        name, context, kind, attributes, links, record_exception=False, set_status_on_exception=False
    ) as opened:
        try:
            yield opened
        except Exception as error:
            record_error(opened, error)
            raise


def current_provider() -> TracerProvider | None:
    """That of the context, or None for that of the process."""
    provider = otel_context.get_value(_PROVIDER)
    return provider if isinstance(provider, TracerProvider) else None


def record_error(failed: Span, error: BaseException) -> None:
    """Mark a span as failed. The traceback is left out: its lines show values that nobody has cleaned."""
    reason = reason_of(error)
    failed.set_attribute("error.type", type(error).__qualname__)
    failed.add_event("exception", {"exception.type": type(error).__qualname__, "exception.message": reason})
    failed.set_status(Status(StatusCode.ERROR, reason))


def trace_headers() -> dict[str, str]:
    """`traceparent` (and `tracestate`, if any) of the current span, for a request or a message; empty without one."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


def inject_headers(headers: MutableMapping[str, str]) -> None:
    """Put the trace context of the current span into the headers of an outgoing request, in place of any other."""
    current = trace_headers()
    if not current:
        return
    for name in [name for name in headers if name.lower() in TRACE_HEADERS]:
        del headers[name]
    headers.update(current)


def dropped_spans(metrics: Metrics) -> Counter:
    """The counter of spans that never reached the collector."""
    return metrics.counter(
        "maestro_traces_dropped_spans_total",
        "Spans that were lost on their way to the collector.",
        labels=(Label("reason", frozenset({"queue-full", "export-failed", "stopped"})),),
    )
