"""The logger that programs call: structlog's binding of fields on the standard library's loggers."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict

from maestro_core_logging._record import FIELDS

_OUR_FRAMES = 2
_STRUCTLOG_FRAMES = 3
"""Frames between a caller and logging.Logger, so that a record names the caller's line."""


class Logger(structlog.BoundLoggerBase):
    """Logs an event by name with fields; `bind(**fields)` gives a logger that adds them to each record.

    `exc_info` and `stack_info` mean what they mean for the standard library.
    """

    _logger: logging.Logger

    def debug(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log for those who look for a fault."""
        self._log(logging.DEBUG, event, args, fields)

    def info(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log what happens as intended."""
        self._log(logging.INFO, event, args, fields)

    def warning(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log what is not as it should be and does no harm yet."""
        self._log(logging.WARNING, event, args, fields)

    def error(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log what failed."""
        self._log(logging.ERROR, event, args, fields)

    def exception(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log what failed, with the exception that is being handled."""
        self._log(logging.ERROR, event, args, {"exc_info": True, **fields})

    def critical(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log what stops the program."""
        self._log(logging.CRITICAL, event, args, fields)

    def log(self, level: int, event: object, /, *args: object, **fields: Any) -> None:
        """Log at a level given as a number."""
        self._log(level, event, args, fields)

    def is_enabled_for(self, level: int) -> bool:
        """Whether a record of this level would be written: worth asking before costly fields are made."""
        return self._logger.isEnabledFor(level)

    def _log(self, level: int, event: object, args: tuple[object, ...], fields: dict[str, Any]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        handed = _handed_over({**self._context, **fields})
        self._logger.log(level, event, *args, stacklevel=_OUR_FRAMES + 1, **handed)


def get_logger(name: str, **fields: Any) -> Logger:
    """The logger of this name with these fields bound; before setup_logging() it behaves as the standard library's."""
    return Logger(logging.getLogger(name), [], fields)


def configure_structlog() -> None:
    """Send the records of structlog's own loggers, with everything that those can do, to the standard library."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, _to_stdlib],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        logger_factory=_stdlib_logger,
        cache_logger_on_first_use=False,
    )


def _to_stdlib(_logger: Any, _method: str, event_dict: EventDict) -> Any:
    """The last of structlog's processors: arguments for a method of logging.Logger."""
    fields = dict(event_dict)
    message = (fields.pop("event", None), *fields.pop("positional_args", ()))
    return message, {"stacklevel": _STRUCTLOG_FRAMES + 1, **_handed_over(fields)}


def _handed_over(fields: dict[str, Any]) -> dict[str, Any]:
    """What logging.Logger takes by name, with the fields in the place where the handler looks for them."""
    return {
        "exc_info": fields.pop("exc_info", None),
        "stack_info": bool(fields.pop("stack_info", False)),
        "extra": {FIELDS: fields},
    }


def _stdlib_logger(*names: str) -> logging.Logger:
    """What structlog.get_logger() wraps: the named logger, or the one named after the calling module."""
    if names:
        return logging.getLogger(names[0])
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("structlog", __package__):
        frame = frame.f_back
    return logging.getLogger(frame.f_globals.get("__name__", "root"))
