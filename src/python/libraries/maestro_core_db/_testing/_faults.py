"""Faults on purpose, the same on both databases."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from maestro_core_db._database import Database

Fault = Literal["deadlock", "serialization failure", "lock timeout", "connection lost"]

_SQLSTATES: dict[Fault, str] = {
    "deadlock": "40P01",
    "serialization failure": "40001",
    "lock timeout": "55P03",
    "connection lost": "08006",
}


class _Injected(Exception):
    """Stands for a driver's error."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault}, injected by a test")
        self.sqlstate = _SQLSTATES[fault]


@contextmanager
def inject_fault(database: Database, fault: Fault, *, statement: str = "", times: int = 1) -> Iterator[None]:
    """While inside, the first `times` statements that match the regular expression fail in this way, unsent.

    COMMIT is a statement too: there a lost connection leaves open what was done, and nothing is committed. A
    connection that is lost is really closed, in the middle of its transaction.
    """
    left = times
    pattern = re.compile(statement, re.IGNORECASE)
    engine = database.engine.sync_engine

    def fail(connection: Connection, text: str) -> None:
        nonlocal left
        if not left or not pattern.search(text):
            return
        left -= 1
        lost = fault == "connection lost"
        if lost:
            connection.invalidate()
        raise DBAPIError(text, None, _Injected(fault), connection_invalidated=lost)

    def before(connection: Connection, _cursor: Any, text: str, *_: object) -> None:
        fail(connection, text)

    def committing(connection: Connection) -> None:
        fail(connection, "COMMIT")

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", committing)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "commit", committing)
