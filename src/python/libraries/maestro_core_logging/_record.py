"""From a LogRecord of the standard library to event and fields, still unclean except for the message's arguments."""

import logging
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from maestro_core_logging._clean import Cleaner

FIELDS = "maestro_fields"
"""The attribute by which our Logger hands fields to the handler."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", FIELDS, "color_message"}
_LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
_ACCESS_FIELDS = ("client", "method", "path", "http_version", "status")
_TEMPLATE_CHARS = 200
_CHUNK_CHARS = 2048
_FIRST_CHUNKS, _LAST_CHUNKS = 10, 50


def timestamp(record: logging.LogRecord) -> str:
    """When it was logged: RFC 3339, UTC, microseconds."""
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def level_name(record: logging.LogRecord) -> str:
    """The level in lower case."""
    return _LEVELS.get(record.levelno) or str(record.levelname).lower()


def template(record: logging.LogRecord) -> str:
    """What records of one kind have in common: the message before its arguments are put in."""
    return record.msg[:_TEMPLATE_CHARS] if isinstance(record.msg, str) else type(record.msg).__name__


def event_and_fields(record: logging.LogRecord, cleaner: Cleaner) -> tuple[str, dict[str, Any]]:
    """The event and the fields of a record, whoever made it."""
    if record.name == "uvicorn.access" and isinstance(record.args, tuple) and len(record.args) == len(_ACCESS_FIELDS):
        return "uvicorn.access", dict(zip(_ACCESS_FIELDS, record.args, strict=True))
    fields = getattr(record, FIELDS, None)
    if not isinstance(fields, dict):
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    message = record.msg if type(record.msg) is str else _text(record.msg, cleaner)
    if not record.args:
        return message, fields
    try:
        return message % _clean_args(record.args, cleaner), fields
    except Exception as error:  # a wrong number or type of arguments: the record is still worth having
        return message, {**fields, "args": record.args, "format_error": type(error).__name__}


def exception_field(exc_info: Any, cleaner: Cleaner) -> dict[str, Any] | None:
    """An exception as type, message, stable code if it has one, and traceback; None when there is none."""
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if not isinstance(error, BaseException):
        return None
    kind = type(error)
    field: dict[str, Any] = {
        "type": cleaner.text(f"{kind.__module__}.{kind.__qualname__}"),
        "message": _text(error, cleaner, clean=True),
    }
    code = getattr(error, "code", None)
    if isinstance(code, str):
        field["code"] = cleaner.text(code)
    field["traceback"] = _traceback(error, cleaner)
    return field


def _clean_args(args: Any, cleaner: Cleaner) -> Any:
    """The arguments with tables and lists cleaned by name; texts and objects are cleaned in the whole message."""
    if isinstance(args, Mapping):
        return cleaner.fields(args)
    return tuple(
        cleaner.value(arg) if isinstance(arg, Mapping | list | tuple | set | frozenset) else arg for arg in args
    )


def _text(value: object, cleaner: Cleaner, *, clean: bool = False) -> str:
    try:
        text = str(value)
    except Exception as error:  # a hostile object: its conversion must not reach the caller
        text = f"<{type(value).__name__} that fails with {type(error).__name__}>"
    return cleaner.text(text) if clean else text


def _traceback(error: BaseException, cleaner: Cleaner) -> str:
    """The traceback without local variables, each part of it cleaned and cut; the middle of a long one is left out."""
    formatted = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    chunks = list(formatted.format())
    if len(chunks) > _FIRST_CHUNKS + _LAST_CHUNKS:
        left_out = f"  ...[{len(chunks) - _FIRST_CHUNKS - _LAST_CHUNKS} parts left out]\n"
        chunks = [*chunks[:_FIRST_CHUNKS], left_out, *chunks[-_LAST_CHUNKS:]]
    return "".join(f"{cleaner.text(chunk.rstrip(), _CHUNK_CHARS)}\n" for chunk in chunks).rstrip()
