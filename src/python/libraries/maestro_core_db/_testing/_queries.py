"""Counts the queries of a block of a test, and finds those that a loop sends one by one."""

import ast
import asyncio
import contextlib
import linecache
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import greenlet  # type: ignore[import-untyped] # it has no types
import sqlalchemy
from sqlalchemy import event

from maestro_core_db._database import Database

# Whose frames are not the user's: what sends the query for him, and what runs his code.
_NOT_HIS = (
    *(str(Path(file).parent) for file in (sqlalchemy.__file__, greenlet.__file__, asyncio.__file__)),
    str(Path(__file__).parents[1]),
    contextlib.__file__,
    "<",
)
_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SHOWN = 120
# Here the task begins: what is beyond runs all tasks.
_LOOP_OF_ASYNCIO = ("asyncio/events.py", "asyncio/base_events.py", "asyncio/runners.py")


class TooManyQueries(AssertionError):
    """More statements were sent than the test allows."""


class NPlusOne(AssertionError):
    """The same query was sent again and again from one place."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the user's code, and the line of the loop around it or around its callers, if there is one."""

    line: str
    loop: str | None

    def __str__(self) -> str:
        return f"{self.line} (in the loop at {self.loop})" if self.loop else self.line


@dataclass(slots=True)
class SeenQueries:
    """What was sent: statements with everything variable taken out, by the place that sent them."""

    counts: Counter[tuple[str, Place]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """How many statements."""
        return self.counts.total()

    def __str__(self) -> str:
        return "\n".join(f"{count} x {sql[:_SHOWN]}\n    {at}" for (sql, at), count in self.counts.most_common())


@asynccontextmanager
async def expect_queries(database: Database, *, at_most: int) -> AsyncIterator[SeenQueries]:
    """Raise TooManyQueries when the block sends more statements, listing them with the lines that sent them."""
    with _watching(database) as seen:
        yield seen
    if seen.total > at_most:
        raise TooManyQueries(f"{seen.total} statements, and at most {at_most} were expected:\n{seen}")


@asynccontextmanager
async def detect_n_plus_one(database: Database, *, threshold: int = 3) -> AsyncIterator[SeenQueries]:
    """Raise NPlusOne when the block sends one SELECT from one place more than `threshold` times."""
    with _watching(database) as seen:
        yield seen
    again = Counter({key: count for key, count in seen.counts.items() if count > threshold and _reads(key[0])})
    if again:
        raise NPlusOne(f"the same query more than {threshold} times; load these rows in one:\n{SeenQueries(again)}")


def normalised(sql: str) -> str:
    """A statement without what varies between its calls: numbers, texts, the length of a list, white space."""
    text = re.sub(r"'(?:[^']|'')*'", "?", sql)
    text = re.sub(r"\$\d+(?:::[A-Za-z ]+)?|:\w+|(?<![\w\"])\d+(?:\.\d+)?", "?", text)
    text = re.sub(r"\(\s*\?(?:\s*,\s*\?)*\s*\)", "(?)", text)
    return " ".join(text.split())


def _reads(sql: str) -> bool:
    return sql.upper().startswith(("SELECT", "WITH"))


@contextmanager
def _watching(database: Database) -> Iterator[SeenQueries]:
    seen = SeenQueries()

    def before(_connection: Any, _cursor: Any, statement: str, *_: object) -> None:
        if not statement.upper().startswith(("BEGIN", "PRAGMA", "SAVEPOINT", "RELEASE", "ROLLBACK")):
            seen.counts[normalised(statement), _place()] += 1

    # On PostgreSQL the one that reads is a view of the other, and shares its events.
    engines = [database.engine.sync_engine]
    if database.kind == "sqlite":
        engines.append(database.reading_engine.sync_engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", before)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", before)


def _place() -> Place:
    frames = [frame for frame in _frames() if _is_users(frame)]
    if not frames:
        return Place("somewhere that no Python code is seen", None)
    loops = (loop for frame in frames for loop in [_loop_around(frame)] if loop)
    return Place(f"{frames[0].f_code.co_filename}:{frames[0].f_lineno}", next(loops, None))


def _frames() -> Iterator[FrameType]:
    """The caller's frames, the innermost first; SQLAlchemy runs in a greenlet, whose stack ends at its own root."""
    frame: FrameType | None = sys._getframe(1)
    current = greenlet.getcurrent()
    while frame is not None and not frame.f_code.co_filename.endswith(_LOOP_OF_ASYNCIO):
        yield frame
        frame = frame.f_back
        if frame is None and current.parent is not None:
            current = current.parent
            frame = current.gr_frame


def _is_users(frame: FrameType) -> bool:
    return not frame.f_code.co_filename.startswith(_NOT_HIS)


def _loop_around(frame: FrameType) -> str | None:
    """The innermost loop of the frame's own function that holds its line."""
    name, line = frame.f_code.co_filename, frame.f_lineno
    try:
        tree = ast.parse("".join(linecache.getlines(name)))
    except SyntaxError:
        return None
    around = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, _LOOPS)
        and frame.f_code.co_firstlineno <= node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return f"{name}:{max(around)}" if around else None
