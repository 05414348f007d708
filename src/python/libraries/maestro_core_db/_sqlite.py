"""Engines on a SQLite file: one connection that writes, several that read, and no deadlock between them.

Python's driver opens transactions by itself, deferred and not around DDL. Such a transaction that reads and then
writes fails at once, whatever the busy timeout, when another has written in between. Here the driver is told to
leave transactions alone: those that may write begin with BEGIN IMMEDIATE, and so have their turn before they read.
"""

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, NullPool, event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from maestro_core_db._errors import Unreachable
from maestro_core_db._settings import DatabaseSettings
from maestro_core_db._types import json_text

_WAIT_S = 0.01


def sqlite_path(url: URL) -> Path:
    """The file that a SQLite URL names."""
    return Path(url.database or "").absolute()


def prepare_file(path: Path, timeout_s: float) -> None:
    """Create the file if it is missing, for its owner only, and see that it is in WAL mode; blocks."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its side files the rights of the database.
        # Only ever to make it: closing one that is there ends the locks that this process holds on it.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        until = time.monotonic() + timeout_s
        while not _in_wal_mode(path, timeout_s):
            if time.monotonic() > until:
                raise Unreachable(f"{path} could not be put into WAL mode: others kept it busy")
            time.sleep(_WAIT_S)
    except (OSError, sqlite3.Error) as error:
        raise Unreachable(f"{path} cannot be opened as a SQLite database: {error}") from error


def _in_wal_mode(path: Path, timeout_s: float) -> bool:
    connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
    try:
        mode: str = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        return mode == "wal"
    except sqlite3.OperationalError as error:
        # Processes that switch a new file at the same moment are told so at once; the busy timeout does not hold here.
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return False
        raise
    finally:
        connection.close()


def writing_engine(url: URL, settings: DatabaseSettings) -> AsyncEngine:
    """One connection, so that writers of this process queue in order and leave no thread waiting for the file."""
    return _engine(
        url, settings, begin="BEGIN IMMEDIATE", pool_size=1, max_overflow=0, pool_timeout=settings.lock_timeout_s
    )


def reading_engine(url: URL, settings: DatabaseSettings) -> AsyncEngine:
    """Connections that can only read, each transaction a snapshot that no writer disturbs or waits for."""
    return _engine(
        url,
        settings,
        "PRAGMA query_only=ON",
        begin="BEGIN",
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout_s,
    )


def migrating_engine(url: URL, settings: DatabaseSettings) -> AsyncEngine:
    """Foreign keys are off, as SQLite asks of whoever rebuilds tables; who uses it checks them before the commit."""
    return _engine(
        url,
        settings,
        "PRAGMA foreign_keys=OFF",
        begin="BEGIN IMMEDIATE",
        poolclass=NullPool,
        connect_args={"timeout": settings.migration_wait_s},
    )


def _engine(url: URL, settings: DatabaseSettings, *pragmas: str, begin: str, **words: Any) -> AsyncEngine:
    engine = create_async_engine(
        url.set(database=str(sqlite_path(url))),
        hide_parameters=True,
        json_serializer=json_text,
        **{"connect_args": {"timeout": settings.lock_timeout_s}, **words},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        synchronous = f"PRAGMA synchronous={settings.sqlite_synchronous}"
        for pragma in ("PRAGMA foreign_keys=ON", synchronous, *pragmas):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begun(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(begin)

    return engine
