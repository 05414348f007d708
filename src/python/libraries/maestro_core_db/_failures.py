"""What a driver's error means, on either database."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from maestro_core_db._errors import (
    CommitUnknown,
    ConnectionLost,
    DatabaseError,
    Deadlock,
    LockTimeout,
    ReadOnly,
    SerializationFailed,
    StatementTimeout,
    Unreachable,
)

_BY_SQLSTATE: dict[str, tuple[type[DatabaseError], str]] = {
    "40001": (SerializationFailed, "another transaction came between: run it again from its start"),
    "40P01": (Deadlock, "two transactions waited for each other: run it again from its start"),
    "55P03": (LockTimeout, "another transaction held a lock for longer than lock_timeout_s"),
    "57014": (StatementTimeout, "a statement took longer than statement_timeout_s, or was cancelled on the server"),
    "25006": (ReadOnly, "this session only reads: write in a unit of work"),
}
# Connection failures, shutdowns, a server that is full, and a transaction that was silent for too long.
_LOST = ("08", "57P", "53300", "25P03")


def translate(error: BaseException, *, committing: bool = False) -> DatabaseError | None:
    """The error of this package that one of SQLAlchemy's means, None when it has none of its own."""
    if isinstance(error, PoolTimeout):
        return LockTimeout("every connection of the pool was in use for longer than the timeout")
    if isinstance(error, DBAPIError):
        return _of_driver(error, committing)
    return None


@contextmanager
def translated(*, committing: bool = False) -> Iterator[None]:
    """Turns what SQLAlchemy raises inside into what it means, and leaves the rest as it is."""
    try:
        yield
    except SQLAlchemyError as error:
        meaning = translate(error, committing=committing)
        if meaning is None:
            raise
        raise meaning from error


@contextmanager
def connecting() -> Iterator[None]:
    """Turns any failure to get a connection into Unreachable, or into what it means more exactly."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        meaning = translate(error)
        if isinstance(meaning, LockTimeout):
            raise meaning from error
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise Unreachable(f"the database cannot be reached: {reason or type(error).__name__}") from error


def _of_driver(error: DBAPIError, committing: bool) -> DatabaseError | None:
    code = getattr(error.orig, "sqlstate", None) or ""
    if code in _BY_SQLSTATE:
        kind, message = _BY_SQLSTATE[code]
        return kind(message)
    if error.connection_invalidated or code.startswith(_LOST):
        if committing:
            return CommitUnknown("the connection was lost during the commit: look whether it was done")
        return ConnectionLost("the connection was lost before the commit: nothing was done")
    return _of_sqlite(error.orig)


def _of_sqlite(error: BaseException | None) -> DatabaseError | None:
    while error is not None and not isinstance(error, sqlite3.Error):
        error = error.__cause__
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LockTimeout("another process was writing for longer than lock_timeout_s")
    if code == sqlite3.SQLITE_READONLY:
        return ReadOnly("this session only reads (or the file does): write in a unit of work")
    return None
