"""Sealed secrets in one SQLite file; it never sees a value or a key."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from maestro_engine.secrets.errors import SecretChanged, SecretsUnavailable, TooManySecrets, UnknownSecret

MAX_SECRETS: Final = 1000

_APPLICATION_ID: Final = 0x4D534543  # "MSEC"
_SCHEMA_VERSION: Final = 1
_BUSY_TIMEOUT_S: Final = 10.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SCHEMA: Final = """CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID"""
_COLUMNS: Final = "name, version, sealed, description, created_at, changed_at, expires_at, last_used_at"
_PUT: Final = f"INSERT OR REPLACE INTO secrets ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_TOUCH: Final = "UPDATE secrets SET last_used_at = max(ifnull(last_used_at, 0), ?) WHERE name = ?"

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Kept:
    """One secret as it is kept."""

    name: str
    version: int
    """Counts from 1, with each change."""
    sealed: bytes
    description: str
    created_at: datetime
    changed_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None

    @property
    def revision(self) -> str:
        """Another one after each change, also when it was deleted and made anew."""
        return f"{self.version}-{_micros(self.changed_at):x}"


class SecretStore:
    """WAL, synchronous=FULL, a thread of its own, the file readable by its owner alone; what is overwritten is wiped.

    Opening and every question raise SecretsUnavailable when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="maestro-secrets")
        self._opened: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        """Open the file, made where there is none."""
        try:
            self._opened = await self._in_thread(self._open)
        except BaseException:
            self._thread.shutdown()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close the file."""
        await self._in_thread(self._db.close)
        self._thread.shutdown()

    @property
    def _db(self) -> sqlite3.Connection:
        assert self._opened is not None, "the store of the secrets was not opened"
        return self._opened

    async def all(self) -> list[Kept]:
        """Every secret, by name."""
        return await self._in_thread(lambda: [_kept(row) for row in self._rows("ORDER BY name")])

    async def one(self, name: str) -> Kept:
        """One secret; raises UnknownSecret."""
        return await self._in_thread(lambda: self._one(name))

    async def put(
        self,
        name: str,
        seal: Callable[[int], bytes],
        *,
        description: str,
        expires_at: datetime | None,
        now: datetime,
        expected: str | None,
    ) -> Kept:
        """Keep a new version, which `seal` gets the number of; `expected` is the revision that is there, None for none.

        Raises SecretChanged, TooManySecrets.
        """

        def work() -> Kept:
            before = next(map(_kept, self._rows("WHERE name = ?", name)), None)
            if (before.revision if before else None) != expected:
                raise SecretChanged(name)
            if before is None and self._db.execute("SELECT count(*) FROM secrets").fetchone()[0] >= MAX_SECRETS:
                raise TooManySecrets(MAX_SECRETS)
            version, since, used_at = (1, now, None)
            if before is not None:
                version, since, used_at = before.version + 1, before.created_at, before.last_used_at
            after = Kept(name, version, seal(version), description, since, now, expires_at, used_at)
            self._db.execute(_PUT, _row(after))
            return after

        return await self._transaction(work)

    async def delete(self, name: str, *, expected: str | None) -> None:
        """Forget a secret; raises UnknownSecret or SecretChanged."""

        def work() -> None:
            if self._one(name).revision != expected:
                raise SecretChanged(name)
            self._db.execute("DELETE FROM secrets WHERE name = ?", (name,))

        await self._transaction(work)

    async def touch(self, name: str, at: datetime) -> None:
        """Note when it was used last."""
        await self._transaction(lambda: self._db.execute(_TOUCH, (_micros(at), name)))

    async def reseal(self, anew: Callable[[Kept], bytes | None]) -> int:
        """Replace the sealed value of each secret, all or none; None leaves one. Gives how many were replaced."""

        def work() -> int:
            found = [(anew(kept), kept.name) for kept in map(_kept, self._rows())]
            changes = [(sealed, name) for sealed, name in found if sealed is not None]
            self._db.executemany("UPDATE secrets SET sealed = ? WHERE name = ?", changes)
            return len(changes)

        count = await self._transaction(work)
        # What was there before goes from the log beside the file, too.
        await self._in_thread(lambda: self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        return count

    def _rows(self, condition: str = "", *values: Any) -> list[Any]:
        return self._db.execute(f"SELECT {_COLUMNS} FROM secrets {condition}", values).fetchall()

    def _one(self, name: str) -> Kept:
        for row in self._rows("WHERE name = ?", name):
            return _kept(row)
        raise UnknownSecret(name)

    async def _transaction(self, work: Callable[[], ResultT]) -> ResultT:
        def done() -> ResultT:
            with _writing(self._db):
                return work()

        return await self._in_thread(done)

    async def _in_thread(self, work: Callable[[], ResultT]) -> ResultT:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OverflowError) as error:
            raise SecretsUnavailable(self._path, str(error)) from error

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Made before SQLite does, so that it is never readable by others; the files beside it take its mode.
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            db = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise SecretsUnavailable(self._path, str(error)) from error
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        with _writing(db):
            application, version = (_pragma(db, name) for name in ("application_id", "user_version"))
            if not application and not db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
                db.execute(_SCHEMA)
                db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            elif application != _APPLICATION_ID:
                raise SecretsUnavailable(self._path, "it is a database of something else")
            elif version != _SCHEMA_VERSION:
                raise SecretsUnavailable(
                    self._path, f"it has schema version {version}, and this program knows {_SCHEMA_VERSION}"
                )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = ON")


@contextlib.contextmanager
def _writing(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction, with the write lock from its beginning: what it has read is still true when it writes."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _pragma(db: sqlite3.Connection, name: str) -> int:
    value: int = db.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _row(kept: Kept) -> tuple[Any, ...]:
    times = [None if at is None else _micros(at) for at in (kept.expires_at, kept.last_used_at)]
    since = _micros(kept.created_at), _micros(kept.changed_at)
    return kept.name, kept.version, kept.sealed, kept.description, *since, *times


def _kept(row: tuple[Any, ...]) -> Kept:
    return Kept(*row[:4], *(None if at is None else _EPOCH + at * _MICROSECOND for at in row[4:]))
