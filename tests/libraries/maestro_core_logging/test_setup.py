"""One call sets everything up; a second one takes its place; undo leaves nothing behind."""

import io
import logging
import os
import pty
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import structlog

from maestro_core_logging import InvalidOption, Limits, LoggingSetup, RateLimit, get_logger, setup_logging
from maestro_core_logging.testing import captured

SetupTo = Callable[..., tuple[LoggingSetup, io.StringIO]]
log = get_logger("maestro.setup")


def world() -> dict[str, Any]:
    """Everything that a set-up touches."""
    names = ("", "uvicorn", "uvicorn.access", "noisy")
    loggers = [logging.getLogger(name) for name in names]
    return {
        "loggers": [(logger.level, list(logger.handlers), logger.propagate) for logger in loggers],
        "structlog": structlog.get_config() if structlog.is_configured() else None,
        "hooks": (sys.excepthook, sys.unraisablehook, warnings.showwarning),
        "class": logging.getLoggerClass(),
    }


def test_undo_leaves_everything_as_it_was() -> None:
    """Levels, handlers, hooks and structlog's configuration are back after undo, and undoing twice does no harm."""
    before = world()

    setup = setup_logging(stream=io.StringIO(), levels={"noisy": "ERROR"}, uncaught=True)
    assert world() != before
    setup.undo()
    setup.undo()

    assert world() == before


def test_a_second_call_takes_the_place_of_the_first() -> None:
    """Every record comes out once, at the newest set-up; undoing it leads back to the beginning."""
    before = world()
    first, second = io.StringIO(), io.StringIO()
    one = setup_logging(stream=first)
    two = setup_logging(stream=second)
    same = setup_logging(stream=second)

    log.info("once")
    one.undo()
    two.undo()
    log.info("twice")
    assert same.flush(10)
    same.undo()

    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1
    assert second.getvalue().count("twice") == 1
    assert world() == before


def test_captured_gives_the_place_back(setup_to: SetupTo) -> None:
    """What is captured is not written, and afterwards the former set-up writes again."""
    setup, stream = setup_to()

    with captured() as logged:
        log.info("inside")
        with captured() as deeper:
            log.info("deeper")
    log.info("after")
    assert setup.flush(10)

    assert [record["event"] for record in logged] == ["inside"]
    assert [record["event"] for record in deeper] == ["deeper"]
    assert [line.count("after") for line in stream.getvalue().splitlines()] == [1]


def test_levels_are_by_logger(setup_to: SetupTo) -> None:
    """A level holds for a logger and those below it, given as a name in any case or as a number."""
    setup, stream = setup_to(level="warning", levels={"noisy": logging.ERROR, "noisy.but": "DEBUG"})

    for name in ("other", "noisy", "noisy.but"):
        logger = logging.getLogger(name)
        logger.debug("debug of %s", name)
        logger.warning("warning of %s", name)
    assert setup.flush(10)

    lines = stream.getvalue()
    assert [text in lines for text in ("debug of other", "warning of other", "debug of noisy,")] == [False, True, False]
    assert '"warning of noisy"' not in lines
    assert '"debug of noisy.but"' in lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "LOUD"}, "level: 'LOUD' is no level"),
        ({"level": True}, "level: True is no level"),
        ({"level": 0}, "level: 0 is no level"),
        ({"levels": {"x": "loud"}}, r"levels\['x'\]: 'loud' is no level; take one of DEBUG, INFO"),
        ({"format": "xml"}, "format: 'xml' is none of auto, json, console"),
        ({"sampling": {"x": 1.5}}, r"sampling\['x'\]: the share to keep is between 0 and 1"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_changes(options: dict[str, Any], message: str) -> None:
    """The error names the option and what is allowed; what was set up before stays."""
    with captured() as logged:
        before = world()
        with pytest.raises(InvalidOption, match=message):
            setup_logging(**options)
        assert world() == before
        log.info("still here")

    assert len(logged) == 1


def test_wrong_limits_are_refused() -> None:
    """Limits are checked where they are made."""
    with pytest.raises(InvalidOption, match=r"limits\.depth"):
        Limits(depth=0)
    with pytest.raises(InvalidOption, match=r"limits\.line_bytes: it must be at least 1024"):
        Limits(line_bytes=100)
    with pytest.raises(InvalidOption, match="rate_limit"):
        RateLimit(0)
    with pytest.raises(InvalidOption, match="rate_limit"):
        RateLimit(1, period_s=0)


def test_handlers_that_print_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """basicConfig's and uvicorn's own handlers would print a second time, so they pause; other handlers stay."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    printing, other = logging.StreamHandler(), logging.StreamHandler(io.StringIO())
    root.handlers = [printing, other]
    uvicorn.handlers, uvicorn.propagate = [printing], False
    try:
        with captured() as logged:
            uvicorn.warning("started")
            assert root.handlers[0] is other
            assert len(root.handlers) == 2
        assert [record["event"] for record in logged] == ["started"]
        assert set(root.handlers) == {printing, other}
        assert (uvicorn.handlers, uvicorn.propagate) == ([printing], False)
    finally:
        uvicorn.handlers, uvicorn.propagate = [], True


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_a_terminal_gets_lines_for_people(monkeypatch: pytest.MonkeyPatch, no_color: str, colored: bool) -> None:
    """On a terminal the format is console, with colours unless NO_COLOR is set."""
    monkeypatch.setenv("NO_COLOR", no_color)
    parent, child = pty.openpty()
    with os.fdopen(child, "w") as terminal, setup_logging(stream=terminal) as setup:
        log.info("hello", n=1)
        assert setup.flush(10)
        shown = os.read(parent, 4096).decode()
    os.close(parent)

    assert "hello" in shown
    assert not shown.startswith("{")
    assert ("\x1b[" in shown) is colored


def test_anything_else_gets_json(setup_to: SetupTo) -> None:
    """On a pipe or a file the format is JSON lines."""
    setup, stream = setup_to(format="auto")
    log.info("hello")
    assert setup.flush(10)

    assert stream.getvalue().startswith('{"timestamp":"')


def test_stderr_is_looked_up_when_it_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that replaces sys.stderr later gets its logs there."""
    with setup_logging() as setup:
        later = io.StringIO()
        monkeypatch.setattr(sys, "stderr", later)
        log.info("hello")
        assert setup.flush(10)

    assert '"event":"hello"' in later.getvalue()


def test_warnings_are_records() -> None:
    """A warning is logged with its category and place, and not printed."""
    with captured() as logged, warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful with password=hunter2", UserWarning, stacklevel=1)

    assert (logged[0]["logger"], logged[0]["level"], logged[0]["category"]) == ("py.warnings", "warning", "UserWarning")
    assert logged[0]["event"] == "careful with password=[redacted]"
    assert logged[0]["filename"].endswith("test_setup.py")


def test_a_logger_works_before_any_set_up(
    quiet: Callable[[], AbstractContextManager[None]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a set-up, warnings go where the standard library sends them, and nothing fails."""
    with quiet():
        log.info("not shown", a=1)
        log.warning("shown", a=1)

    assert capsys.readouterr().err == "shown\n"


def test_loggers_made_before_a_set_up_follow_it() -> None:
    """Module-level loggers, ours and structlog's, write where the set-up says that is active."""
    ours, theirs = get_logger("early"), structlog.get_logger("early")

    with captured() as logged:
        ours.info("a")
        theirs.info("b")

    assert [record["event"] for record in logged] == ["a", "b"]
