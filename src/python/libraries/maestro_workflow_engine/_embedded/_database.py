"""The SQLite file beneath the journal: its schema, how it is opened, and what its errors mean."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

from maestro_workflow_engine._embedded._facets import register_functions
from maestro_workflow_engine._embedded._schema import APPLICATION_ID, SCHEMA_VERSION, create, migrate
from maestro_workflow_engine._errors import EngineError, JournalCorrupt, JournalTooNew, JournalUnavailable

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]

_WAL_BYTES: Final = 64 << 20
"""What the log beside the file shrinks to once a burst of writing is over."""
INSERT_EVENT: Final = "INSERT INTO events (position, workflow, seq, type, at, data) VALUES (?, ?, ?, ?, ?, ?)"


def open_for_writing(path: Path, synchronous: Synchronous, busy_timeout_s: float) -> sqlite3.Connection:
    """The one connection that writes; makes the file, for its owner alone, when there is none. Raises EngineError."""
    try:
        # Only ever to make it: closing a file that is there ends the locks that this process holds on it.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path, synchronous)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise journal_error(path, error) from error
    return connection


def open_for_reading(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = 1")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application_id = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if tables and application_id != APPLICATION_ID:
        raise JournalCorrupt(path, "it is a database of another program")
    if tables and version < 1:
        raise JournalCorrupt(path, f"it says that its schema has version {version}")
    if version > SCHEMA_VERSION:
        raise JournalTooNew(path, version, SCHEMA_VERSION)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    register_functions(connection)
    if not tables:
        with transaction(connection):
            create(connection)
    elif version < SCHEMA_VERSION:
        with transaction(connection):
            migrate(connection, version)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def journal_error(path: Path, error: Exception) -> EngineError:
    """What an error of SQLite or of the operating system means for the journal."""
    name = getattr(error, "sqlite_errorname", None) or ""
    # What Python says of a text in the file that is not UTF-8: in a column, and in a name of the schema.
    is_no_text = "Could not decode to UTF-8" in str(error) or isinstance(error, UnicodeDecodeError)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or is_no_text:
        return JournalCorrupt(path, str(error))
    if name.startswith("SQLITE_FULL"):
        return JournalUnavailable(path, "the disk is full")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return JournalUnavailable(path, "another program has locked it")
    return JournalUnavailable(path, str(error) or type(error).__name__)
