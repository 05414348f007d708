"""Logging into a text, in either format, for all tests of this folder."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from maestro_core_logging import LoggingSetup, setup_logging

Rendered = Callable[..., str]


@contextmanager
def quiet_root() -> Iterator[None]:
    """Without pytest's own handlers, which fail a test that logs wrong arguments on purpose."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = handlers


def render(work: Callable[[], Any], **options: Any) -> str:
    """What is written while `work` logs; nothing may fail inside the library."""
    stream = io.StringIO()
    with quiet_root(), setup_logging(**{"stream": stream, "format": "json", "level": "DEBUG", **options}) as setup:
        work()
        assert setup.flush(10)
        assert "failed" not in setup.dropped
    return stream.getvalue()


def read(work: Callable[[], Any], **options: Any) -> list[dict[str, Any]]:
    """The records in what is written while `work` logs."""
    return [json.loads(line) for line in render(work, **options).splitlines()]


@pytest.fixture(scope="session")
def rendered() -> Rendered:
    return render


@pytest.fixture(scope="session")
def records() -> Callable[..., list[dict[str, Any]]]:
    return read


@pytest.fixture
def quiet() -> Callable[[], AbstractContextManager[None]]:
    return quiet_root


@pytest.fixture
def setup_to() -> Iterator[Callable[..., tuple[LoggingSetup, io.StringIO]]]:
    """Sets logging up into a text, and undoes it after the test."""
    made: list[LoggingSetup] = []

    def make(**options: Any) -> tuple[LoggingSetup, io.StringIO]:
        stream = io.StringIO()
        made.append(setup_logging(**{"stream": stream, "format": "json", **options}))
        return made[-1], stream

    yield make
    for setup in made:
        setup.undo()
