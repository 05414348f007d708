"""Everything in one SQLite file that several processes share."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from maestro_core_auth import _sqlite_rows as rows
from maestro_core_auth._errors import StoreUnreadable
from maestro_core_auth._records import Family, KeyRecord, SigningKeyRecord, User
from maestro_core_auth._rotation import Exchange, Outcome, decide_exchange

ResultT = TypeVar("ResultT")

_KEY = "id, tag, subject, roles, scopes, label, digest, created_at, expires_at, revoked_at, last_used_at"
_INSERT_KEY = f"INSERT OR IGNORE INTO keys ({_KEY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class SqliteAuthStore:
    """An AuthStore in one file: WAL, synchronous=FULL, a thread of its own, the file readable by its owner alone.

    Raises StoreUnreadable for a file that is something else, or of a newer version.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy_timeout_s: float = 10.0) -> None:
        self._path = Path(path)
        self._busy_timeout_s = busy_timeout_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="maestro-auth-store")
        self._closed = False
        try:
            self._db = self._thread.submit(self._open).result()
        except BaseException:
            self._thread.shutdown()
            raise

    async def __aenter__(self) -> "SqliteAuthStore":
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._in_thread(self._db.close)
            self._thread.shutdown()

    async def add_user(self, user: User) -> bool:
        return await self._changes("INSERT OR IGNORE INTO users VALUES (?, ?, ?, ?, ?)", rows.user_row(user)) == 1

    async def user(self, subject: str) -> User | None:
        found = await self._rows("SELECT * FROM users WHERE subject = ?", (subject,))
        return rows.user_of(found[0]) if found else None

    async def users(self) -> list[User]:
        return [rows.user_of(row) for row in await self._rows("SELECT * FROM users ORDER BY subject")]

    async def replace_user(self, before: User, after: User) -> bool:
        subject, *values = rows.user_row(after)
        if before.subject != subject:
            return False
        sql = (
            "UPDATE users SET roles = ?, created_at = ?, password_hash = ?, disabled = ?"
            " WHERE (subject, roles, created_at, disabled) = (?, ?, ?, ?) AND password_hash IS ?"
        )
        *key, password_hash, disabled = rows.user_row(before)
        return await self._changes(sql, (*values, *key, disabled, password_hash)) == 1

    async def add_key(self, key: KeyRecord) -> bool:
        return await self._changes(_INSERT_KEY, rows.key_row(key)) == 1

    async def key(self, key_id: str) -> KeyRecord | None:
        found = await self._rows(f"SELECT {_KEY} FROM keys WHERE id = ?", (key_id,))
        return rows.key_of(found[0]) if found else None

    async def keys(self, tag: str, subject: str | None = None) -> list[KeyRecord]:
        found = await self._rows(
            f"SELECT {_KEY} FROM keys WHERE tag = ? AND (? IS NULL OR subject = ?) ORDER BY created_at, id",
            (tag, subject, subject),
        )
        return [rows.key_of(row) for row in found]

    async def revoke_key(self, key_id: str, at: datetime) -> bool:
        sql = "UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"
        return await self._changes(sql, (rows.micros(at), key_id)) == 1

    async def revoke_keys(self, tag: str, subject: str, at: datetime) -> int:
        sql = "UPDATE keys SET revoked_at = ? WHERE tag = ? AND subject = ? AND revoked_at IS NULL"
        return await self._changes(sql, (rows.micros(at), tag, subject))

    async def replace_key(self, key_id: str, successor: KeyRecord, old_expires_at: datetime) -> bool:
        def work(db: sqlite3.Connection) -> bool:
            live = db.execute("SELECT 1 FROM keys WHERE id = ? AND revoked_at IS NULL", (key_id,)).fetchone()
            if not live or db.execute(_INSERT_KEY, rows.key_row(successor)).rowcount != 1:
                return False
            shorten = "UPDATE keys SET expires_at = min(expires_at, ?) WHERE id = ?"
            return db.execute(shorten, (rows.micros(old_expires_at), key_id)).rowcount == 1

        return await self._transaction(work)

    async def touch_key(self, key_id: str, at: datetime) -> None:
        sql = "UPDATE keys SET last_used_at = max(ifnull(last_used_at, 0), ?) WHERE id = ?"
        await self._changes(sql, (rows.micros(at), key_id))

    async def add_family(self, family: Family) -> bool:
        sql = "INSERT OR IGNORE INTO families VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        return await self._changes(sql, rows.family_row(family)) == 1

    async def family(self, family_id: str) -> Family | None:
        found = await self._rows("SELECT * FROM families WHERE id = ?", (family_id,))
        return rows.family_of(found[0]) if found else None

    async def exchange(self, exchange: Exchange) -> tuple[Outcome, Family | None]:
        def work(db: sqlite3.Connection) -> tuple[Outcome, Family | None]:
            found = db.execute("SELECT * FROM families WHERE id = ?", (exchange.family_id,)).fetchone()
            if found is None:
                return Outcome.UNKNOWN, None
            token = (exchange.family_id, exchange.presented)
            spent = db.execute("SELECT 1 FROM spent WHERE (family_id, digest) = (?, ?)", token).fetchone()
            before = rows.family_of(found)
            outcome, after = decide_exchange(before, exchange, spent=spent is not None)
            if outcome is Outcome.ROTATED:
                db.execute("INSERT INTO spent VALUES (?, ?)", token)
            if after != before:
                _, _, _, _, digest, _, token_expires_at, _, *changes = rows.family_row(after)
                db.execute(
                    "UPDATE families SET digest = ?, token_expires_at = ?, previous_digest = ?, rotated_at = ?,"
                    " revoked_at = ?, revoked_because = ? WHERE id = ?",
                    (digest, token_expires_at, *changes, after.id),
                )
            return outcome, after

        return await self._transaction(work)

    async def revoke_family(self, family_id: str, at: datetime, because: str) -> bool:
        sql = "UPDATE families SET revoked_at = ?, revoked_because = ? WHERE id = ? AND revoked_at IS NULL"
        return await self._changes(sql, (rows.micros(at), because, family_id)) == 1

    async def revoke_families(self, subject: str, at: datetime, because: str) -> int:
        sql = "UPDATE families SET revoked_at = ?, revoked_because = ? WHERE subject = ? AND revoked_at IS NULL"
        return await self._changes(sql, (rows.micros(at), because, subject))

    async def add_signing_key(self, key: SigningKeyRecord, after: str | None) -> bool:
        newest = "(SELECT kid FROM signing_keys ORDER BY number DESC LIMIT 1)"
        sql = f"""INSERT OR IGNORE INTO signing_keys (kid, private_pem, created_at, activates_at)
            SELECT ?, ?, ?, ? WHERE {newest} IS ?"""
        return await self._changes(sql, (*rows.signing_key_row(key), after)) == 1

    async def signing_keys(self) -> list[SigningKeyRecord]:
        sql = "SELECT kid, private_pem, created_at, activates_at FROM signing_keys ORDER BY number"
        return [rows.signing_key_of(row) for row in await self._rows(sql)]

    async def remove_signing_key(self, kid: str) -> bool:
        return await self._changes("DELETE FROM signing_keys WHERE kid = ?", (kid,)) == 1

    async def keep_once(self, digest: bytes, value: str, expires_at: datetime) -> None:
        await self._changes("INSERT OR REPLACE INTO once VALUES (?, ?, ?)", (digest, value, rows.micros(expires_at)))

    async def take_once(self, digest: bytes, now: datetime) -> str | None:
        def work(db: sqlite3.Connection) -> str | None:
            sql = "DELETE FROM once WHERE digest = ? RETURNING value, expires_at"
            found = db.execute(sql, (digest,)).fetchone()
            return str(found[0]) if found and rows.micros(now) < found[1] else None

        return await self._transaction(work)

    async def prune(self, before: datetime) -> int:
        def work(db: sqlite3.Connection) -> int:
            deletes = [f"DELETE FROM {table} WHERE expires_at < ?" for table in ("keys", "families", "once")]
            return sum(db.execute(sql, (rows.micros(before),)).rowcount for sql in deletes)

        return await self._transaction(work)

    async def _rows(self, sql: str, values: rows.Row = ()) -> list[rows.Row]:
        return await self._in_thread(lambda: self._db.execute(sql, values).fetchall())

    async def _changes(self, sql: str, values: rows.Row) -> int:
        return await self._transaction(lambda db: db.execute(sql, values).rowcount)

    async def _transaction(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def done() -> ResultT:
            with _writing(self._db):
                return work(self._db)

        return await self._in_thread(done)

    async def _in_thread(self, work: Callable[[], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made before SQLite does, so that it is never readable by others; the WAL files take its mode. One that is
        # there is not opened: closing it would end the locks (POSIX) of every other store of this process on it, and
        # the next process to close it would throw away a WAL that is still written to.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            db = sqlite3.connect(self._path, isolation_level=None, timeout=self._busy_timeout_s)
        except sqlite3.Error as error:
            raise StoreUnreadable(f"{self._path} cannot be opened: {error}") from error
        try:
            self._prepare(db)
        except sqlite3.DatabaseError as error:
            db.close()
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise StoreUnreadable(f"{self._path} is no store of maestro-core-auth: {error}") from error
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA foreign_keys = ON")
        with _writing(db):
            application, version = _pragma(db, "application_id"), _pragma(db, "user_version")
            empty = not db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
            if empty and not application:
                for statement in rows.SCHEMA:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {rows.APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {rows.SCHEMA_VERSION}")
            elif application != rows.APPLICATION_ID:
                raise StoreUnreadable(f"{self._path} is a database of something else")
            elif version != rows.SCHEMA_VERSION:
                raise StoreUnreadable(
                    f"{self._path} is a store of version {version}; this program reads {rows.SCHEMA_VERSION}"
                )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")


@contextlib.contextmanager
def _writing(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction, with the write lock from its beginning: what it has read is still true when it writes."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    value: int = db.execute(f"PRAGMA {name}").fetchone()[0]
    return value
