"""The database from its settings: what it refuses, what it never shows, and what each connection is told."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from libraries.maestro_core_db.models import Account, Base, outbox
from pydantic import ValidationError
from sqlalchemy import text

from kit.postgres_server import postgres_server
from kit.processes import import_path
from maestro_core_config import SecretText, Settings, explain
from maestro_core_config.testing import settings_from
from maestro_core_db import (
    Database,
    DatabaseSettings,
    LockTimeout,
    NotOpen,
    OutboxMessage,
    OutboxRelay,
    StatementTimeout,
    Unreachable,
)
from maestro_core_db.testing import temporary_database


class App(Settings, env_prefix="APP_"):
    """A program with a database."""

    database: DatabaseSettings


def settings_for(url: str, **words: Any) -> DatabaseSettings:
    return DatabaseSettings(url=SecretText(url), **words)


async def test_ping_is_a_health_probe(database: Database) -> None:
    """Nothing where the database answers."""
    await database.ping()


async def test_ping_says_what_is_wrong(postgres_url: str) -> None:
    """No such database, nobody there, and a server that does not answer; the password is in none of it."""
    there = postgres_url
    place = there.partition("?")[2]
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    for url in (
        f"postgresql://postgres:hunter2@/nowhere?{place}",
        "postgresql://postgres:hunter2@127.0.0.1:1/x",
        f"postgresql://postgres:hunter2@127.0.0.1:{port}/x",
    ):
        async with Database(settings_for(url, connect_timeout_s=0.2)) as database:
            with pytest.raises(Unreachable) as caught:
                await database.ping()
            assert caught.value.retryable
            assert "hunter2" not in f"{caught.value!r}{caught.value.__cause__!r}{database!r}"
    silent.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no url hunter2",
        "mysql://root:hunter2@db/x",
        "postgresql+psycopg2://root:hunter2@db/x",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file?mode=memory",
        "postgresql://root:hunter2@db",
        "postgresql://root:hunter2@db:port/x",
    ],
)
def test_urls_that_cannot_be_served_are_refused(url: str) -> None:
    """When the settings are made, and without showing the URL."""
    with pytest.raises(ValidationError, match="url") as caught:
        settings_for(url)
    assert "hunter2" not in f"{caught.value!r}{caught.value.errors()}"


def test_the_url_is_never_shown() -> None:
    """Neither by the settings nor by the database."""
    settings = settings_from(App, environment={"APP_DATABASE__URL": "postgresql://maestro:hunter2@db/x"})
    shown = f"{settings!r}{settings}{explain(settings)}{settings.model_dump_json()}{Database(settings.database)!r}"
    assert "hunter2" not in shown
    assert "***@db/x" in repr(Database(settings.database))


async def test_it_is_used_while_open(database: Database) -> None:
    """Before and after there is nothing to use."""
    closed = Database(database.settings)
    with pytest.raises(NotOpen, match="async with"):
        _ = closed.engine
    async with closed:
        await closed.ping()
    with pytest.raises(NotOpen):
        closed.unit_of_work()


async def test_what_a_connection_of_postgresql_is_told(postgres_url: str) -> None:
    """Name, timeouts and time zone, as the settings say."""
    words: dict[str, Any] = {"application_name": "shop", "lock_timeout_s": 1.5, "statement_timeout_s": 20.0}
    async with temporary_database(postgres_url, **words) as database, database.session() as session:
        for name, value in (
            ("application_name", "shop"),
            ("lock_timeout", "1500ms"),
            ("statement_timeout", "20s"),
            ("idle_in_transaction_session_timeout", "1min"),
            ("TimeZone", "UTC"),
            ("transaction_read_only", "on"),
            ("transaction_isolation", "repeatable read"),
        ):
            assert await session.scalar(text(f"SELECT current_setting('{name}')")) == value


async def test_encryption_that_is_demanded_is_not_done_without(postgres_url: str) -> None:
    """A server that does not offer it is not talked to; `verify-full` looks for the authority's certificate."""
    url = postgres_url
    async with Database(settings_for(url, ssl_mode="require")) as database:
        await database.ping()  # a socket of this machine is not encrypted, and need not be
    ended = asyncio.Semaphore(0)

    async def without_ssl(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"N")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.release()

    refusing = await asyncio.start_server(without_ssl, "127.0.0.1", 0)
    port = refusing.sockets[0].getsockname()[1]
    for mode in ("require", "verify-ca", "verify-full"):
        async with Database(settings_for(f"postgresql://p@127.0.0.1:{port}/x", ssl_mode=mode)) as database:
            with pytest.raises(Unreachable, match="SSL"):
                await database.ping()
        async with asyncio.timeout(10):
            await ended.acquire()
    refusing.close()
    await refusing.wait_closed()


async def test_waiting_for_a_row_and_for_a_statement_has_an_end(postgres_url: str) -> None:
    """LockTimeout, which may be tried again; StatementTimeout, which may not."""
    words: dict[str, Any] = {"metadata": Base.metadata, "lock_timeout_s": 0.05, "statement_timeout_s": 0.5}

    async def wait_for_the_row(database: Database) -> None:
        async with database.unit_of_work() as uow:
            await uow.session.execute(text("UPDATE account SET balance = 2"))

    async def wait_for_the_end(database: Database) -> None:
        async with database.session() as session:
            await session.execute(text("SELECT pg_sleep(30)"))

    async with temporary_database(postgres_url, **words) as database:
        async with database.unit_of_work() as uow:
            uow.session.add(Account(id=1, balance=0))
        async with database.unit_of_work() as uow:
            await uow.session.execute(text("UPDATE account SET balance = 1"))
            with pytest.raises(LockTimeout):
                await asyncio.create_task(wait_for_the_row(database))
        with pytest.raises(StatementTimeout) as caught:
            await wait_for_the_end(database)
        assert not caught.value.retryable


async def test_a_full_pool_is_a_lock_timeout(postgres_url: str) -> None:
    """Nobody waits longer for a connection than the settings say."""
    words: dict[str, Any] = {"pool_size": 1, "pool_overflow": 0, "pool_timeout_s": 0.05}
    async with temporary_database(postgres_url, **words) as database, database.session():
        with pytest.raises(LockTimeout, match="pool"):
            await database.session().__aenter__()


def test_the_bare_wheel_imports_and_names_the_extra(tmp_path: Path) -> None:
    """Without asyncpg it imports and serves SQLite; PostgreSQL asks for the extra by its name."""
    program = """
import asyncio, sys
sys.modules["asyncpg"] = None
import maestro_core_db, maestro_core_db.testing
from maestro_core_config import SecretText, Settings, explain
from maestro_core_db import Database, DatabaseSettings, DriverMissing

async def main():
    async with Database(DatabaseSettings(url=SecretText("sqlite:///x.db"))) as database:
        await database.ping()
    try:
        await Database(DatabaseSettings(url=SecretText("postgresql://db/x"))).__aenter__()
    except DriverMissing as error:
        assert "maestro-core-db[postgres]" in str(error)
        return
    raise SystemExit("no error")

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": import_path()},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def test_postgresql_16_serves_as_well(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The oldest version that is tried: tables, a unit of work, the outbox and a snapshot."""

    got: list[str] = []

    async def publish(message: OutboxMessage) -> None:
        got.append(message.type)

    with postgres_server(tmp_path_factory.mktemp("postgres16"), 16) as server:
        async with temporary_database(server.database(), metadata=Base.metadata, outbox=outbox) as database:
            async with database.unit_of_work(isolation="serializable") as uow:
                uow.session.add(Account(id=1, balance=0))
                uow.outbox.add(topic="t", key="k", type="x")
            async with database.session() as session:
                version = await session.scalar(text("SHOW server_version"))
            assert str(version).startswith("16.")
            assert await OutboxRelay(database, publish).run_once() == 1
    assert got == ["x"]
