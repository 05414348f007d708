"""Idempotency keys in a SQLite file: they outlive the process, and several processes share them."""

import asyncio
import contextlib
import json
import os
import secrets
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from maestro_core_api._errors import BadStore, IdempotencyUnavailable
from maestro_core_api._idempotency_law import Claim, KeptAnswer, KeyRecord, KeyState, judged

_APPLICATION_ID: Final = 0x4D_49_44_4B  # "MIDK"
_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = (
    """CREATE TABLE keys (
        key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, token TEXT NOT NULL,
        lease_until REAL NOT NULL, expires_at REAL NOT NULL,
        status INTEGER, headers TEXT, body BLOB
    ) STRICT""",
    "CREATE INDEX keys_by_expiry ON keys (expires_at)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)
_FORGET_AT_ONCE: Final = 100
_OF_TOKEN: Final = "key = ? AND token = ? AND status IS NULL"
T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


class SqliteIdempotencyStore:
    """Keeps keys in the file at `path`, which is made with mode 0600; WAL with synchronous=FULL.

    One connection on a thread of its own, so the event loop never waits for the disk. Raises BadStore for a file that
    is something else, or of a newer version. `busy_timeout_s` is how long it waits for other processes that write.
    Times are those of the wall clock: processes of one machine agree on it.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, busy_timeout_s: float = 5.0, now: Callable[[], datetime] = _now
    ) -> None:
        self._path = Path(path)
        self._busy_timeout_s = busy_timeout_s
        self._now = now
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="idempotency")
        try:
            self._connection = self._thread.submit(self._opened).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def close(self) -> None:
        """Write what is under way and let go of the file."""
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()

    async def begin(self, key: str, fingerprint: str, token: str, *, lease: timedelta, retention: timedelta) -> Claim:
        """See IdempotencyStore."""
        return await self._run(lambda: self._begin(key, fingerprint, token, lease, retention))

    async def finish(self, key: str, token: str, answer: KeptAnswer, *, retention: timedelta) -> bool:
        """See IdempotencyStore."""
        expires_at = self._now().timestamp() + retention.total_seconds()
        values = (answer.status, json.dumps(answer.headers), answer.body, expires_at, key, token)
        statement = f"UPDATE keys SET status = ?, headers = ?, body = ?, expires_at = ? WHERE {_OF_TOKEN}"
        return await self._run(lambda: self._connection.execute(statement, values).rowcount == 1)

    async def abandon(self, key: str, token: str) -> bool:
        """See IdempotencyStore."""
        statement = f"DELETE FROM keys WHERE {_OF_TOKEN}"
        return await self._run(lambda: self._connection.execute(statement, (key, token)).rowcount == 1)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)

    def _transaction(self, work: Callable[[], T]) -> T:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work()
                self._connection.execute("COMMIT")
            except BaseException:
                # A disk that is full has rolled back already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise IdempotencyUnavailable(f"the keys cannot be written: {error}", retry_after_s=1.0) from error
        return result

    def _begin(self, key: str, fingerprint: str, token: str, lease: timedelta, retention: timedelta) -> Claim:
        # After the lock is held: whoever waited for it long must not judge by an old time.
        now_s = self._now().timestamp()
        expired = "SELECT rowid FROM keys WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
        self._connection.execute(f"DELETE FROM keys WHERE rowid IN ({expired})", (now_s, _FORGET_AT_ONCE))
        claim = judged(self._record(key), fingerprint, now_s)
        if claim.state is KeyState.BEGUN:
            times = (now_s + lease.total_seconds(), now_s + retention.total_seconds())
            self._connection.execute(
                "INSERT OR REPLACE INTO keys (key, fingerprint, token, lease_until, expires_at) VALUES (?, ?, ?, ?, ?)",
                (key, fingerprint, token, *times),
            )
        return claim

    def _record(self, key: str) -> KeyRecord | None:
        columns = "fingerprint, token, lease_until, expires_at, status, headers, body"
        row = self._connection.execute(f"SELECT {columns} FROM keys WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        fingerprint, token, lease_until, expires_at, status, headers, body = row
        answer = None
        if status is not None:
            answer = KeptAnswer(status, tuple((name, value) for name, value in json.loads(headers)), body)
        return KeyRecord(fingerprint, token, lease_until, expires_at, answer)

    def _opened(self) -> sqlite3.Connection:
        if not self._path.exists():
            _create(self._path)
        connection = sqlite3.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)
        try:
            self._check(connection)
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.DatabaseError as error:
            connection.close()
            raise BadStore(f"{self._path.name} cannot be used as a store of idempotency keys: {error}") from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        marks = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if marks[0] != _APPLICATION_ID:
            raise BadStore(f"{self._path.name} is another program's file; give the keys one of their own")
        if marks[1] != _SCHEMA_VERSION:
            raise BadStore(f"{self._path.name} has schema {marks[1]} and this version knows {_SCHEMA_VERSION}; upgrade")


def _create(path: Path) -> None:
    """Make the whole store beside its place and put it there at once, if nobody else has: who opens it, finds it whole.

    SQLite would make it readable for others, and waits for nobody when two switch one file to WAL; -wal and -shm get
    the mode of the file.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            for statement in ("PRAGMA journal_mode = WAL", *_SCHEMA):
                connection.execute(statement)
        finally:
            connection.close()
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
