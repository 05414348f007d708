"""What the interpreter reports by itself: warnings, and exceptions that nobody caught."""

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from maestro_core_logging._record import FIELDS

_warnings_logger = logging.getLogger("py.warnings")
_uncaught_logger = logging.getLogger("uncaught")

Undo = Callable[[], None]


def capture_warnings() -> Undo:
    """Log warnings in place of printing them; returns what undoes it."""
    original = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None:
            original(message, category, filename, lineno, file, line)
            return
        fields = {"category": category.__name__, "filename": filename, "lineno": lineno}
        _warnings_logger.warning("%s", message, extra={FIELDS: fields})

    warnings.showwarning = show

    def undo() -> None:
        if warnings.showwarning is show:
            warnings.showwarning = original

    return undo


def capture_uncaught(flush: Callable[[], object]) -> Undo:
    """Log exceptions that end the program or a thread, or that could not be raised; returns what undoes it."""
    excepthook, threading_hook, unraisable_hook = sys.excepthook, threading.excepthook, sys.unraisablehook

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            excepthook(kind, error, trace)
            return
        _report("uncaught exception", error)
        flush()

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            name = args.thread.name if args.thread is not None else None
            _report("uncaught exception in a thread", args.exc_value, thread=name)

    def unraisable(args: Any) -> None:
        _report("exception that could not be raised", args.exc_value, during=args.err_msg, object=args.object)

    sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, in_thread, unraisable

    def undo() -> None:
        sys.excepthook, threading.excepthook, sys.unraisablehook = excepthook, threading_hook, unraisable_hook

    return undo


def _report(event: str, error: BaseException | None, **fields: Any) -> None:
    _uncaught_logger.critical(event, exc_info=error, extra={FIELDS: fields})
