"""One call that sets everything up, and one that undoes it."""

import atexit
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, Self, TextIO

import structlog

from maestro_core_logging._errors import InvalidOption
from maestro_core_logging._hooks import Undo, capture_uncaught, capture_warnings
from maestro_core_logging._limits import Limits
from maestro_core_logging._logger import configure_structlog
from maestro_core_logging._pipeline import Pipeline, PipelineHandler
from maestro_core_logging._rate import Dropped, RateLimit, RateLimiter, Sampler
from maestro_core_logging._redact import Redactor
from maestro_core_logging._render import Render, console_renderer, json_line
from maestro_core_logging._schema import EventSchema
from maestro_core_logging._secrets import known_secrets
from maestro_core_logging._writer import Sink, Writer

Level = int | str

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_EXIT_FLUSH_S = 2.0

_active: "LoggingSetup | None" = None


class LoggingSetup:
    """Logging as one call of setup_logging() has set it up; a context manager that undoes it at the end."""

    def __init__(
        self, pipeline: Pipeline, sink: Sink, levels: Mapping[str, int], *, warnings: bool, uncaught: bool
    ) -> None:
        self._pipeline = pipeline
        self._sink = sink
        self._levels = levels
        self._capture_warnings = warnings
        self._capture_uncaught = uncaught
        self._undo: list[Undo] = []

    @property
    def dropped(self) -> dict[str, int]:
        """How many records were not written as they are, by reason: rate, sampled, queue, stream, size, secret, …"""
        return self._pipeline.dropped.counts()

    def flush(self, timeout_s: float = 2.0) -> bool:
        """Wait until all that was logged is written; False when the time is over first."""
        return self._sink.flush(timeout_s)

    def undo(self) -> None:
        """Put everything back as it was before setup_logging(); nothing happens the second time."""
        global _active
        if _active is self:
            self.uninstall()
            _active = None
            self._sink.close(_EXIT_FLUSH_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.undo()

    def install(self) -> None:
        """Take the place of what is set up now."""
        handler = PipelineHandler(self._pipeline)
        root = logging.getLogger()
        for name in ("", *_UVICORN):
            self._take_over(logging.getLogger(name))
        root.addHandler(handler)
        self._undo.append(lambda: root.removeHandler(handler))
        for name, level in self._levels.items():
            self._set_level(logging.getLogger(name), level)
        self._undo.append(_structlog_state())
        configure_structlog()
        if self._capture_warnings:
            self._undo.append(capture_warnings())
        if self._capture_uncaught:
            self._undo.append(capture_uncaught(self.flush))
        atexit.register(self.flush)
        self._undo.append(lambda: atexit.unregister(self.flush))

    def uninstall(self) -> None:
        """Give the place back."""
        while self._undo:
            self._undo.pop()()

    def _take_over(self, logger: logging.Logger) -> None:
        """Take away the handlers that print by themselves, so that no record comes out twice or in another shape."""
        printing = [handler for handler in logger.handlers if isinstance(handler, logging.StreamHandler)]
        printing = [handler for handler in printing if handler.stream in (sys.stdout, sys.stderr)]
        propagate = logger.propagate
        for handler in printing:
            logger.removeHandler(handler)
        logger.propagate = True

        def undo() -> None:
            logger.propagate = propagate
            for handler in printing:
                logger.addHandler(handler)

        self._undo.append(undo)

    def _set_level(self, logger: logging.Logger, level: int) -> None:
        before = logger.level
        logger.setLevel(level)
        self._undo.append(lambda: logger.setLevel(before))


def setup_logging(
    *,
    format: Literal["auto", "json", "console"] = "auto",
    level: Level = "INFO",
    levels: Mapping[str, Level] | None = None,
    stream: TextIO | None = None,
    fields: Mapping[str, Any] | None = None,
    redact_names: Iterable[str] = (),
    rate_limit: RateLimit | None = None,
    sampling: Mapping[str, float] | None = None,
    schema: EventSchema | None = None,
    limits: Limits | None = None,
    warnings: bool = True,
    uncaught: bool = False,
    max_queued_bytes: int = 8 * 1024 * 1024,
) -> LoggingSetup:
    """Send every record of structlog, the standard library and uvicorn through one way to one stream.

    A second call takes the place of the first. "auto" is "console" on a terminal, else "json"; `stream` is sys.stderr
    when None; `levels` are by logger name; `fields` are in every record. Raises InvalidOption.
    """
    global _active
    dropped = Dropped()
    setup = build(
        _renderer(format, stream if stream is not None else sys.stderr),
        Writer(stream, dropped, max_queued_bytes),
        dropped,
        levels={"": level, **(levels or {})},
        fields=fields or {},
        redact_names=redact_names,
        rate_limiter=RateLimiter(rate_limit) if rate_limit else None,
        sampler=Sampler(sampling) if sampling else None,
        schema=schema,
        limits=limits or Limits(),
        warnings=warnings,
        uncaught=uncaught,
    )
    if _active is not None:
        _active.undo()
    setup.install()
    _active = setup
    return setup


def build(
    render: Render,
    sink: Sink,
    dropped: Dropped,
    *,
    levels: Mapping[str, Level],
    fields: Mapping[str, Any],
    redact_names: Iterable[str],
    rate_limiter: RateLimiter | None,
    sampler: Sampler | None,
    schema: EventSchema | None,
    limits: Limits,
    warnings: bool,
    uncaught: bool,
) -> LoggingSetup:
    """A set-up from its parts, not installed yet; the level of the root goes by the name ""."""
    pipeline = Pipeline(
        render,
        sink.put,
        Redactor(redact_names),
        known_secrets,
        limits,
        dropped,
        dict(fields),
        sampler,
        rate_limiter,
        schema,
    )
    numbers = {name: parse_level(name, level) for name, level in levels.items()}
    return LoggingSetup(pipeline, sink, numbers, warnings=warnings, uncaught=uncaught)


@contextmanager
def in_place_of_active(setup: LoggingSetup) -> Iterator[None]:
    """Install a set-up for a while, and afterwards the one that was active before."""
    global _active
    before = _active
    if before is not None:
        before.uninstall()
    setup.install()
    _active = setup
    try:
        yield
    finally:
        setup.undo()
        if before is not None:
            before.install()
            _active = before


def parse_level(logger: str, level: Level) -> int:
    """A level as a number; raises InvalidOption that names the logger."""
    if isinstance(level, int) and not isinstance(level, bool) and 0 < level <= logging.CRITICAL:
        return level
    if isinstance(level, str) and level.upper() in _LEVELS:
        return int(getattr(logging, level.upper()))
    where = f"levels[{logger!r}]" if logger else "level"
    raise InvalidOption(f"{where}: {level!r} is no level; take one of {', '.join(_LEVELS)}")


def _renderer(format: str, stream: TextIO | None) -> Render:
    if format not in ("auto", "json", "console"):
        raise InvalidOption(f"format: {format!r} is none of auto, json, console")
    terminal = stream is not None and not stream.closed and stream.isatty()
    if format == "json" or (format == "auto" and not terminal):
        return json_line
    return console_renderer(colors=terminal and not os.environ.get("NO_COLOR"))


def _structlog_state() -> Undo:
    """What brings structlog back to the configuration that it has now."""
    if not structlog.is_configured():
        return structlog.reset_defaults
    before = structlog.get_config()
    return lambda: structlog.configure(**before)
