"""The SQLite file beneath the journal: its schema, how it is opened, and what its errors mean."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

from maestro_workflow_engine._errors import EngineError, JournalCorrupt, JournalTooNew, JournalUnavailable

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]

SCHEMA_VERSION: Final = 1
_APPLICATION_ID: Final = 0x4D535452  # "MSTR": tells our files from those of others

# Rows are small on purpose: an event names its workflow and its type by a number, and its time in microseconds.
_SCHEMA: Final = """
CREATE TABLE definitions (
    key INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL
);
CREATE TABLE workflows (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    template TEXT,
    labels TEXT NOT NULL,
    definition INTEGER NOT NULL REFERENCES definitions (key),
    base_dir TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    error TEXT
);
CREATE INDEX workflows_by_status ON workflows (status, key);
CREATE INDEX workflows_by_name ON workflows (name, key);
CREATE INDEX workflows_by_template ON workflows (template, key) WHERE template IS NOT NULL;
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    workflow INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    type INTEGER NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL
);
CREATE UNIQUE INDEX events_by_workflow ON events (workflow, seq);
"""

INSERT_EVENT: Final = "INSERT INTO events (position, workflow, seq, type, at, data) VALUES (?, ?, ?, ?, ?, ?)"
INSERT_DEFINITION: Final = "INSERT OR IGNORE INTO definitions (digest, document) VALUES (?, ?)"
INSERT_WORKFLOW: Final = (
    "INSERT INTO workflows (key, id, name, template, labels, definition, base_dir, status, started_at) "
    "VALUES (?, ?, ?, ?, ?, (SELECT key FROM definitions WHERE digest = ?), ?, ?, ?)"
)
UPDATE_WORKFLOW: Final = "UPDATE workflows SET status = ?, finished_at = ?, error = ? WHERE key = ?"


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
    if tables and application_id != _APPLICATION_ID:
        raise JournalCorrupt(path, "it is a database of another program")
    if version > SCHEMA_VERSION:
        raise JournalTooNew(path, version, SCHEMA_VERSION)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    if not tables:
        with transaction(connection):
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


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
