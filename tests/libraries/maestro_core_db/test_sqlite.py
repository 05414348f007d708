"""What SQLite needs to be trusted with: turns to write, foreign keys, transactions around DDL, private files."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from libraries.maestro_core_db.models import Account, Base
from sqlalchemy import text

from kit.processes import import_path
from maestro_core_config import SecretText
from maestro_core_db import Database, DatabaseSettings, LockTimeout, Unreachable
from maestro_core_db.testing import temporary_database

WRITER = """
import asyncio, sys
from maestro_core_config import SecretText
from maestro_core_db import Database, DatabaseSettings
from sqlalchemy import text

async def main(url, writes):
    async with Database(DatabaseSettings(url=SecretText(url), lock_timeout_s=60)) as database:
        async def write():
            async with database.unit_of_work() as uow:
                balance = await uow.session.scalar(text("SELECT balance FROM account WHERE id = 1"))
                await uow.session.execute(text("UPDATE account SET balance = :b WHERE id = 1"), {"b": balance + 1})
        for _ in range(writes // 5):
            await asyncio.gather(*(write() for _ in range(5)))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def url_of(database: Database) -> str:
    return f"sqlite:///{database.engine.url.database}"


async def test_eight_processes_write_and_none_is_locked_out(on_sqlite: Database, tmp_path: Path) -> None:
    """Each reads and then writes what it read, five tasks at a time: no error, and no update is lost."""
    async with on_sqlite.unit_of_work() as uow:
        uow.session.add(Account(id=1, balance=0))
    processes, writes = 8, 50
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    command = [sys.executable, "-W", "error", str(script), url_of(on_sqlite), str(writes)]
    environment = {**os.environ, "PYTHONPATH": import_path()}
    running = [
        await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
        for _ in range(processes)
    ]
    async with asyncio.timeout(60):
        errors = [(await process.communicate())[1].decode() for process in running]
    assert errors == [""] * processes
    async with on_sqlite.session() as session:
        assert await session.scalar(text("SELECT balance FROM account")) == processes * writes


async def test_reading_then_writing_never_fails_where_the_driver_s_own_transactions_do(on_sqlite: Database) -> None:
    """The trap, shown with the driver as it comes: a deferred transaction that read may not write any more."""
    async with on_sqlite.unit_of_work() as uow:
        uow.session.add(Account(id=1, balance=0))
    path = on_sqlite.engine.url.database
    assert path is not None
    plain = [sqlite3.connect(path, isolation_level=None, timeout=5) for _ in range(2)]
    for connection in plain:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM account").fetchall()
    plain[0].execute("UPDATE account SET balance = 1")
    plain[0].execute("COMMIT")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        plain[1].execute("UPDATE account SET balance = 2")
    for connection in plain:
        connection.close()

    async def add() -> None:
        async with on_sqlite.unit_of_work() as uow:
            account = await uow.session.get_one(Account, 1)
            await asyncio.sleep(0)
            account.balance += 1

    await asyncio.gather(*(add() for _ in range(20)))
    async with on_sqlite.session() as session:
        assert (await session.get_one(Account, 1)).balance == 21


async def test_readers_do_not_wait_for_a_writer(on_sqlite: Database) -> None:
    """While a transaction has written and not committed, a session reads what was before."""
    async with on_sqlite.unit_of_work() as uow:
        uow.session.add(Account(id=1, balance=0))
        await uow.session.flush()
        async with asyncio.timeout(20), on_sqlite.session() as session:
            assert await session.get(Account, 1) is None


async def test_ddl_is_part_of_the_transaction(on_sqlite: Database) -> None:
    """A table that is made and then rolled back is not there."""
    connection = await on_sqlite.engine.connect()
    await connection.execute(text("CREATE TABLE made (id INTEGER)"))
    await connection.execute(text("INSERT INTO made VALUES (1)"))
    await connection.rollback()
    tables = await connection.scalars(text("SELECT name FROM sqlite_master WHERE name = 'made'"))
    assert tables.all() == []
    await connection.close()


async def test_settings_of_each_connection(on_sqlite: Database) -> None:
    """WAL, foreign keys, the busy timeout and the synchronous mode that is named."""
    for engine, query_only in ((on_sqlite.engine, 0), (on_sqlite.reading_engine, 1)):
        async with engine.connect() as connection:
            for pragma, value in (
                ("journal_mode", "wal"),
                ("foreign_keys", 1),
                ("busy_timeout", 10_000),
                ("synchronous", 2),
                ("query_only", query_only),
            ):
                assert await connection.scalar(text(f"PRAGMA {pragma}")) == value, pragma
    async with temporary_database(sqlite_synchronous="normal") as other, other.engine.connect() as connection:
        assert await connection.scalar(text("PRAGMA synchronous")) == 1


async def test_files_are_private(tmp_path: Path) -> None:
    """The database and its side files are its owner's alone, and so are the folders that were made for it."""
    path = tmp_path / "new" / "folder" / "data.db"
    database = Database(DatabaseSettings(url=SecretText(f"sqlite:///{path}")))
    async with database, database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {"data.db": 0o600, "data.db-shm": 0o600, "data.db-wal": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_turn_that_does_not_come_is_a_lock_timeout(on_sqlite: Database) -> None:
    """Held by another connection for longer than the timeout: a retryable error, in this process and from another."""
    url = DatabaseSettings(url=SecretText(url_of(on_sqlite)), lock_timeout_s=0.05)
    async with Database(url) as impatient, on_sqlite.unit_of_work():
        with pytest.raises(LockTimeout, match="another process") as caught:
            await write(impatient)
    assert caught.value.retryable

    async with Database(url) as impatient:
        held = await impatient.engine.connect()
        with pytest.raises(LockTimeout, match="pool"):
            await write(impatient)
        await held.close()


async def write(database: Database) -> None:
    async with asyncio.timeout(10), database.unit_of_work():
        raise AssertionError("it had its turn")


async def test_what_is_no_database_is_unreachable(tmp_path: Path) -> None:
    """A folder, a file of something else, and a place where nothing can be made."""
    (tmp_path / "text").write_text("this is no database, and is longer than a header of one hundred bytes" * 3)
    for path in (tmp_path, tmp_path / "text", tmp_path / "text" / "below"):
        with pytest.raises(Unreachable, match=str(path)):
            await Database(DatabaseSettings(url=SecretText(f"sqlite:///{path}"))).__aenter__()


COUNT = """
import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM account').fetchone())
"""


async def test_two_databases_of_one_process_lose_nothing_to_another_process(on_sqlite: Database) -> None:
    """Opening the second must not end the first one's locks, or whoever else closes the file takes its WAL away."""
    path = str(on_sqlite.engine.url.database)

    def seen_elsewhere() -> str:
        done = subprocess.run(
            [sys.executable, "-c", COUNT, path], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.strip()

    async def add(database: Database, number: int) -> None:
        async with database.unit_of_work() as uow:
            uow.session.add(Account(id=number, balance=0))

    await add(on_sqlite, 1)
    async with Database(DatabaseSettings(url=SecretText(url_of(on_sqlite)))) as second:
        await add(second, 2)
    assert seen_elsewhere() == "2"
    await add(on_sqlite, 3)
    assert seen_elsewhere() == "3"
