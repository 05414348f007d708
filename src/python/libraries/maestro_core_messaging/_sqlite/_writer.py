"""Writer: one thread with one connection; what is asked at the same time shares a transaction, and so one fsync."""

import asyncio
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from maestro_core_messaging._errors import BrokerClosed, BrokerError, BrokerUnavailable, StoreUnreadable
from maestro_core_messaging._sqlite._bell import Bell

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], Any]

MEMORY: Final = Path(":memory:")
_MOST_AT_ONCE: Final = 512
_SWITCH_AGAIN_S: Final = 0.01


class _Asked(NamedTuple):
    operation: Operation
    news: bool
    answer: asyncio.Future[Any]


class Writer:
    """Runs operations on the connection that `connect` opens, in the order in which they came; for one event loop.

    Each operation is whole or undone by itself, and its caller hears of it after the commit. Then the bell rings, if
    one of them was news to those who wait.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], bell: Bell) -> None:
        self._connect = connect
        self._bell = bell
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="maestro-messaging")
        self._asked: deque[_Asked] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    async def run(self, operation: Callable[[sqlite3.Connection], T], *, news: bool = False) -> T:
        """What the operation returns, once it is committed; its own errors come as they are."""
        if self._closed:
            raise BrokerClosed("the broker is closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._asked.append(_Asked(operation, news, answer))
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return await answer

    async def close(self) -> None:
        """Finish what was asked, and close the connection."""
        if self._closed:
            return
        self._closed = True
        if self._worker is not None:
            await self._worker
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._asked:
            batch = [self._asked.popleft() for _ in range(min(len(self._asked), _MOST_AT_ONCE))]
            try:
                outcomes = await loop.run_in_executor(self._thread, self._transaction, batch)
            except Exception as error:  # told to everyone whose operation was in it
                outcomes = [error] * len(batch)
            for asked, outcome in zip(batch, outcomes, strict=True):
                if asked.answer.cancelled():
                    continue
                if isinstance(outcome, Exception):
                    asked.answer.set_exception(outcome)
                else:
                    asked.answer.set_result(outcome)
            if any(asked.news for asked in batch):
                self._bell.ring()

    def _transaction(self, batch: list[_Asked]) -> list[Any]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                outcomes = [_alone(connection, asked.operation) for asked in batch]
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise translated(error) from error
        if any(asked.news for asked in batch):
            self._bell.ring_others()
        return outcomes

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _alone(connection: sqlite3.Connection, operation: Operation) -> Any:
    """Run one operation in a savepoint of its own; its exception is its outcome."""
    connection.execute("SAVEPOINT operation")
    try:
        outcome = operation(connection)
    except Exception as error:
        if not connection.in_transaction:  # SQLite undid everything: a full disk, for example
            raise
        connection.execute("ROLLBACK TO operation")
        outcome = translated(error) if isinstance(error, sqlite3.OperationalError) else error
    connection.execute("RELEASE operation")
    return outcome


def translated(error: sqlite3.Error) -> BrokerError:
    """Our error for one of SQLite's that is not about a row."""
    if isinstance(error, sqlite3.OperationalError):
        return BrokerUnavailable(f"SQLite: {error}")
    return StoreUnreadable(f"SQLite: {error}")


def connect(path: Path, *, synchronous: str, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection in WAL mode to a file that only its owner may read; it is made when there is none."""
    if path != MEMORY:
        try:
            # Only ever to make the file: closing one that is there ends the locks that this process holds on it.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            _check_readable(path)
        except OSError as error:
            raise StoreUnreadable(f"{path} cannot be opened: {error.strerror}") from error
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    try:
        if path != MEMORY:
            _switch_to_wal(connection, busy_timeout_s)
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_readable(path: Path) -> None:
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
        raise StoreUnreadable(f"{path} cannot be opened: it is no file that can be read and written")


def _switch_to_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Who switches a new file while another is about to is told so at once: the busy timeout does not hold here."""
    until_s = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
        time.sleep(_SWITCH_AGAIN_S)
