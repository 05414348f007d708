"""The way of every record: from the standard library's LogRecord to a line that may be shown."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from structlog.contextvars import get_contextvars

from maestro_core_logging._clean import Cleaner
from maestro_core_logging._limits import Limits
from maestro_core_logging._rate import Dropped, RateLimiter, Sampler
from maestro_core_logging._record import FIELDS, event_and_fields, exception_field, level_name, template, timestamp
from maestro_core_logging._redact import Redactor
from maestro_core_logging._render import Render
from maestro_core_logging._schema import EventSchema
from maestro_core_logging._secrets import KnownSecrets

FRAME = ("timestamp", "level", "logger", "event", "exception", "stack")
"""Names that the library gives; a field of a caller with such a name gets an underscore at its end."""

_IDS = ("request_id", "trace_id", "span_id")
_NAME_CHARS = 200
_busy = threading.local()


@dataclass(frozen=True)
class Pipeline:
    """The parts that a record passes, and where its line goes."""

    render: Render
    put: Callable[[str], None]
    redactor: Redactor
    secrets: KnownSecrets
    limits: Limits
    dropped: Dropped
    fields: Mapping[str, Any] = field(default_factory=dict)
    sampler: Sampler | None = None
    rate_limiter: RateLimiter | None = None
    schema: EventSchema | None = None

    def process(self, record: logging.LogRecord) -> None:
        """Write a record, or drop and count it; never raises."""
        if getattr(_busy, "now", False):  # something logs while it is being logged: that would have no end
            self.dropped.add("nested")
            return
        _busy.now = True
        try:
            line = self._line(record)
            if line is not None:
                self.put(line)
        except Exception as error:  # a fault of ours must not become one of the application
            self.dropped.add("failed")
            self._tell_of_failure(record, error)
        finally:
            _busy.now = False

    def _tell_of_failure(self, record: logging.LogRecord, failure: Exception) -> None:
        try:
            self.put(self._notice(record, "logging.record_failed", error=type(failure).__name__))
        except Exception:  # even the notice cannot be written: the counter is what is left to tell of it
            self.dropped.add("unnoticed")

    def _line(self, record: logging.LogRecord) -> str | None:
        context = get_contextvars()
        if self.sampler is not None and not self.sampler.keeps(
            template(record), record.levelno, context.get("trace_id")
        ):
            self.dropped.add("sampled")
            return None
        suppressed = 0
        if self.rate_limiter is not None:
            admitted = self.rate_limiter.admit(record.name, template(record))
            if admitted is None:
                self.dropped.add("rate")
                return None
            suppressed = admitted
        for factor in (1, 8, 64):
            limits = self.limits if factor == 1 else self.limits.tighter(factor)
            line = self.render(self._clean(record, context, suppressed, limits))
            if len(line.encode("utf-8", "backslashreplace")) <= self.limits.line_bytes:
                return self._guarded(line, record)
        self.dropped.add("size")
        return self._guarded(self._notice(record, "logging.record_too_large"), record)

    def _clean(
        self, record: logging.LogRecord, context: Mapping[str, Any], suppressed: int, limits: Limits
    ) -> dict[str, Any]:
        cleaner = Cleaner(self.redactor, self.secrets, limits)
        event, own = event_and_fields(record, cleaner)
        clean = self._frame(record, cleaner.text(event))
        ids = {name: context[name] for name in _IDS if name in context}  # the context itself has no stable order
        fields: dict[Any, Any] = {**self.fields, **ids, **context, **own}
        for name in FRAME:
            if name in fields:
                fields[f"{name}_"] = fields.pop(name)
        if suppressed:
            fields["suppressed"] = suppressed
        if self.schema is not None and hasattr(record, FIELDS):
            problem = self.schema.problem(record.name, event, own)
            if problem is not None:
                fields["schema_problem"] = problem
        clean.update(cleaner.fields(fields))
        exception = exception_field(record.exc_info, cleaner)
        if exception is not None:
            clean["exception"] = exception
        if record.stack_info:
            clean["stack"] = cleaner.text(str(record.stack_info))
        return clean

    def _frame(self, record: logging.LogRecord, event: str) -> dict[str, Any]:
        name = Cleaner(self.redactor, self.secrets, self.limits).text(str(record.name), _NAME_CHARS)
        return {"timestamp": timestamp(record), "level": level_name(record), "logger": name, "event": event}

    def _guarded(self, line: str, record: logging.LogRecord) -> str | None:
        """The line, unless it still shows a known secret: then a notice, or nothing when even that would show it."""
        if not self.secrets.found_in(line):
            return line
        self.dropped.add("secret")
        notice = self._notice(record, "logging.record_withheld")
        return None if self.secrets.found_in(notice) else notice

    def _notice(self, record: logging.LogRecord, event: str, **fields: str) -> str:
        return self.render({**self._frame(record, event), **fields})


class PipelineHandler(logging.Handler):
    """The one handler at the root of the standard library's loggers."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass a record on without the lock of logging.Handler, since the pipeline needs none."""
        kept = bool(self.filter(record))
        if kept:
            self._pipeline.process(record)
        return kept

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on a record that comes past handle()."""
        self._pipeline.process(record)
