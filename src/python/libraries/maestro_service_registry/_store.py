"""Registrations on disk: SQLite, so that tokens never go back and a registry that restarts knows whom it had."""

import contextlib
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from maestro_service_registry._errors import StoreError
from maestro_service_registry._model import Instance, Probe

SCHEMA_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), token INTEGER NOT NULL, revision INTEGER NOT NULL);
CREATE TABLE instances (
    service TEXT NOT NULL, instance TEXT NOT NULL, key_hash BLOB NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (service, instance)
) WITHOUT ROWID;
"""


class Store:
    """One database for one registry in one process; what a call wrote is durable (`synchronous=FULL`) when it returns.

    Raises StoreError for a file that is no registry, is newer than this version, or is in use by another process.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        where = ":memory:" if path is None else str(path)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Made before SQLite does, so that nobody else can read it at any moment. One that is there is not even
            # opened: closing it would end the locks (POSIX) that another registry of this process has on it.
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with self._told():
            self._connection = sqlite3.connect(where, isolation_level=None, check_same_thread=False, timeout=2.0)
        try:
            with self._told():
                self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        # One registry for one file: the lock is held until close, or until the process ends.
        self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if tables and not {"meta", "instances"} <= tables:
            raise StoreError(f"{self._path} is the database of something else; name another file")
        if version > SCHEMA_VERSION:
            raise StoreError(f"{self._path} was written by a newer version of this package; upgrade it here as well")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        if version == 0:
            # Revisions begin anywhere, so that one of another database is known for what it is.
            begin = f"INSERT INTO meta VALUES (1, 0, {secrets.randbits(48)});"
            self._connection.executescript(f"BEGIN;{_SCHEMA}{begin}PRAGMA user_version={SCHEMA_VERSION};COMMIT")
        # Takes the lock for good.
        with self._transaction():
            self._connection.execute("UPDATE meta SET token = token")

    @property
    def counters(self) -> tuple[int, int]:
        """The last token and the last revision that were given out."""
        with self._told():
            token, revision = self._connection.execute("SELECT token, revision FROM meta").fetchone()
        return token, revision

    def instances(self) -> list[tuple[Instance, bytes]]:
        """Every registration, with the hash of its holder's key."""
        with self._told():
            rows = self._connection.execute("SELECT key_hash, record FROM instances").fetchall()
            return [(_instance(json.loads(record)), key_hash) for key_hash, record in rows]

    def put(self, instance: Instance, key_hash: bytes, token: int, revision: int) -> None:
        """Keep a registration, and the counters as they are after it."""
        record = json.dumps(instance.as_json(), separators=(",", ":"))
        row = (instance.service, instance.instance, key_hash, record)
        with self._told(), self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO instances VALUES (?, ?, ?, ?)", row)
            self._count(token, revision)

    def remove(self, instance: Instance, token: int, revision: int) -> None:
        """Forget a registration."""
        with self._told(), self._transaction():
            named = (instance.service, instance.instance)
            self._connection.execute("DELETE FROM instances WHERE service = ? AND instance = ?", named)
            self._count(token, revision)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _count(self, token: int, revision: int) -> None:
        self._connection.execute("UPDATE meta SET token = ?, revision = ?", (token, revision))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            locked = "locked" in str(error)
            what = (
                "is in use by another registry; one process has it at a time" if locked else f"cannot be used: {error}"
            )
            raise StoreError(f"the registry's database {self._path or '(in memory)'} {what}") from error


def _instance(record: dict[str, Any]) -> Instance:
    probe = record["probe"]
    return Instance(
        **{
            **record,
            "probe": Probe(**probe) if probe else None,
            "registered_at": datetime.fromisoformat(record["registered_at"]),
            "renewed_at": datetime.fromisoformat(record["renewed_at"]),
        }
    )
