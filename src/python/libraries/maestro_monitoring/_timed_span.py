"""Spans whose times are known otherwise: of work that was begun and ended elsewhere, and told as events."""

from collections.abc import Mapping
from datetime import datetime

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from maestro_monitoring._tracing import current_provider, remote_context

_NANOSECONDS = 1_000_000_000


class TimedSpan:
    """A span from `at` until `end(at)`, below another one, or below the remote span that a `traceparent` names.

    It is current nowhere, so any number of them may be open in one task. One that is never ended is never exported.
    """

    def __init__(
        self,
        name: str,
        at: datetime,
        *,
        parent: "TimedSpan | str | None" = None,
        attributes: Mapping[str, AttributeValue] | None = None,
    ) -> None:
        if isinstance(parent, TimedSpan):
            context = trace.set_span_in_context(parent._span)
        else:
            context = remote_context({"traceparent": [parent]} if parent else {})
        tracer = trace.get_tracer("maestro_monitoring", tracer_provider=current_provider())
        self._span: Span = tracer.start_span(name, context, attributes=attributes, start_time=_nanoseconds(at))

    def end(self, at: datetime, *, error: str | None = None) -> None:
        """End it; `error`, a short and stable name of what went wrong, marks it as failed."""
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end(_nanoseconds(at))


def _nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * (_NANOSECONDS // 1_000_000)
