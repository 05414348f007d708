"""A SQLite file that belongs to one room, on a thread of its own.

DatabaseError
├── DatabaseUnusable        the file is something else, or of a newer version
└── DatabaseUnavailable     the disk does not take or give data at the moment
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

_T = TypeVar("_T")


class DatabaseError(Exception):
    """Root of what a file of data raises."""

    code: ClassVar[str] = "engine.database"
    retryable: ClassVar[bool] = False


class DatabaseUnusable(DatabaseError):
    """The file belongs to something else, or to a newer version of this program."""

    code = "engine.database-unusable"


class DatabaseUnavailable(DatabaseError):
    """The disk does not take or give data at the moment."""

    code = "engine.database-unavailable"
    retryable = True


class Database:
    """The file at `path`, mode 0600, in WAL; `schema` has one script for each version that there was.

    `synchronous` FULL survives a power cut, NORMAL a crash of the process only. Work runs one after the other, each in
    a transaction of its own, and goes on to its end even when whoever waits for it is cancelled.
    """

    def __init__(
        self,
        path: Path,
        *,
        application_id: int,
        schema: Sequence[str],
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
    ) -> None:
        self._path = path
        self._application_id = application_id
        self._schema = schema
        self._synchronous = synchronous
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, made where there is none; raises DatabaseUnusable, DatabaseUnavailable."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self._path.stem)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        except BaseException:
            self._thread.shutdown()
            raise

    async def close(self) -> None:
        """Let go of the file once all that was begun is written."""
        if self._thread is not None and self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
            self._thread.shutdown()
            self._connection = None

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do something in one transaction and give its result; raises DatabaseUnavailable, and what `work` raises."""
        assert self._thread is not None, "the database was not opened"
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)

    def _transaction(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._connection is None:
            raise DatabaseUnavailable(f"{self._path.name} is closed")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise DatabaseUnavailable(f"{self._path.name}: {error}") from error
        return result

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite would make it readable for others; -wal and -shm get the mode of the file.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise DatabaseUnavailable(f"{self._path.name} cannot be opened: {error}") from error
        try:
            self._prepare(connection)
        except sqlite3.OperationalError as error:
            connection.close()
            raise DatabaseUnavailable(f"{self._path.name} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            connection.close()
            raise DatabaseUnusable(f"{self._path.name} cannot be used: {error}") from error
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        application_id, version = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
        )
        is_new = version == 0 and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not is_new and application_id != self._application_id:
            raise DatabaseUnusable(f"{self._path.name} belongs to something else: move it away")
        if version > len(self._schema):
            raise DatabaseUnusable(
                f"{self._path.name} has schema {version}, and this version knows {len(self._schema)}: upgrade"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        for number, script in enumerate(self._schema[version:], version + 1):
            marks = f"PRAGMA application_id = {self._application_id}; PRAGMA user_version = {number};"
            connection.executescript(f"BEGIN; {script} {marks} COMMIT;")


def text_of(at: datetime) -> str:
    """A time as it is kept: in UTC, so that texts sort as times do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def time_of(text: str) -> datetime:
    """The time that `text_of` has written."""
    return datetime.fromisoformat(text)
