"""Migrations of a wheel: run once however many start at once, refused where they cannot be right, written for one."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from libraries.maestro_core_db import models, shop
from libraries.maestro_core_db.wheels import installed, up
from sqlalchemy import Column, ForeignKey, Integer, Table, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from kit.processes import import_path, run_unread
from maestro_core_db import (
    BrokenMigrations,
    Database,
    DatabaseNotCurrent,
    DatabaseTooNew,
    LockTimeout,
    MigrationError,
    MigrationLocked,
    Migrations,
    new_metadata,
)
from maestro_core_db._command import main
from maestro_core_db._migrate._locked import try_lock
from maestro_core_db._testing._locks import statements_of
from maestro_core_db.testing import MigrationTests, temporary_database

HEAD = "0003_name_index"


@pytest.fixture
def migrations(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Migrations]:
    """The sample wheel, under a name of this test's own."""
    with installed(tmp_path, f"wheel_{abs(hash(request.node.name))}", shop.REVISIONS, shop.Base.metadata) as found:
        yield found


@pytest_asyncio.fixture
async def empty(server: str | None) -> AsyncIterator[Database]:
    """A database with nothing in it."""
    async with temporary_database(server, migration_lock_timeout_s=0.1, migration_wait_s=20.0) as database:
        yield database


async def tables(database: Database) -> set[str]:
    async with database.reading_engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_up_and_down(migrations: Migrations, empty: Database) -> None:
    """To the newest, to one between, by steps, back to nothing; what was run is told."""
    assert await migrations.current(empty) is None
    with pytest.raises(DatabaseNotCurrent, match="run the upgrade"):
        await migrations.require_current(empty)
    assert await migrations.upgrade(empty) == list(shop.REVISIONS)
    assert await migrations.upgrade(empty) == []
    await migrations.require_current(empty)
    assert await migrations.current(empty) == HEAD
    await migrations.downgrade(empty, "-1")
    assert await migrations.current(empty) == "0002_stock"
    await migrations.downgrade(empty, "base")
    assert await tables(empty) == {migrations.version_table}
    assert await migrations.upgrade(empty, "0001_articles") == ["0001_articles"]
    await migrations.stamp(empty, HEAD)
    assert await migrations.current(empty) == HEAD


async def test_a_database_of_a_newer_version_is_refused(migrations: Migrations, empty: Database) -> None:
    """By everything, before anything is run."""
    await migrations.upgrade(empty)
    async with empty.unit_of_work() as uow:
        await uow.session.execute(text(f"UPDATE {migrations.version_table} SET version_num = '0009_future'"))
    for call in (migrations.current(empty), migrations.upgrade(empty), migrations.downgrade(empty, "base")):
        with pytest.raises(DatabaseTooNew, match="0009_future"):
            await call


async def test_two_wheels_share_a_database(migrations: Migrations, empty: Database, tmp_path: Path) -> None:
    """Each has its own version and its own tables, and finds no fault with the other's."""
    metadata = new_metadata()
    Table("other", metadata, Column("id", Integer, primary_key=True))
    body = up("op.create_table('other', sa.Column('id', sa.Integer(), nullable=False),")
    body = body.replace("nullable=False),", "nullable=False), sa.PrimaryKeyConstraint('id', name='pk_other'))")
    with installed(tmp_path / "second", f"{migrations.package}_other", {"0001_other": body}, metadata) as second:
        await migrations.upgrade(empty)
        await second.upgrade(empty)
        assert await migrations.current(empty) == HEAD
        assert await second.current(empty) == "0001_other"
        assert await migrations.differences(empty) == []
        assert await second.differences(empty) == []


UPGRADER = """
import asyncio, sys
from libraries.maestro_core_db import shop
from maestro_core_config import SecretText
from maestro_core_db import Database, DatabaseSettings, Migrations

async def main(package, url):
    async with Database(DatabaseSettings(url=SecretText(url))) as database:
        print(len(await Migrations(package, shop.Base.metadata).upgrade(database)))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_of_processes_that_start_at_once_one_migrates(
    migrations: Migrations, empty: Database, tmp_path: Path
) -> None:
    """Two processes, and two tasks here: all end well, and each revision was run once, the concurrent index too."""
    script = tmp_path / "upgrader.py"
    script.write_text(UPGRADER)
    url = empty.settings.url.get_secret_value()
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{import_path()}"}
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable, str(script), migrations.package, url, env=environment, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    async with asyncio.timeout(60):
        here = await asyncio.gather(*(migrations.upgrade(empty) for _ in range(2)))
        there = [int((await process.communicate())[0]) for process in running]
    assert sorted([*map(len, here), *there]) == [0, 0, 0, 3]
    assert await migrations.current(empty) == HEAD


async def test_waiting_for_another_who_migrates_has_an_end(migrations: Migrations, server: str | None) -> None:
    """MigrationLocked, which may be tried again."""
    async with temporary_database(server, migration_wait_s=0.05, lock_timeout_s=0.05) as database:
        if database.kind == "sqlite":
            held = await database.engine.connect()
            await held.begin()
        else:
            held = await database.engine.connect()
            assert await try_lock(held)
        with pytest.raises(MigrationLocked) as caught:
            await migrations.upgrade(database)
        assert caught.value.retryable
        await held.close()


async def test_a_migration_gives_way_to_who_uses_the_table(migrations: Migrations, on_postgres: Database) -> None:
    """It does not queue behind a long reader with all others behind itself; later it is called again."""
    async with temporary_database(
        on_postgres.settings.url.get_secret_value(), migration_lock_timeout_s=0.05
    ) as database:
        await migrations.upgrade(database, "0001_articles")
        async with database.session() as reader:
            await reader.execute(text("SELECT * FROM article"))
            with pytest.raises(LockTimeout):
                await migrations.upgrade(database)
        assert await migrations.current(database) == "0001_articles"
        assert await migrations.upgrade(database) == ["0002_stock", "0003_name_index"]


async def test_a_migration_that_fails_leaves_no_half_of_itself(tmp_path: Path, empty: Database) -> None:
    """What the failing revision did is undone: on SQLite with the whole upgrade, on PostgreSQL to the one before."""
    revisions = {
        "0001_one": up("op.create_table('one', sa.Column('id', sa.Integer()))"),
        "0002_two": up("op.create_table('two', sa.Column('id', sa.Integer()))", "op.execute('SELECT nonsense')"),
    }
    with installed(tmp_path, f"failing_{empty.kind}", revisions, new_metadata()) as migrations:
        with pytest.raises(SQLAlchemyError, match="nonsense"):
            await migrations.upgrade(empty)
        assert "two" not in await tables(empty)
        assert await migrations.current(empty) == (None if empty.kind == "sqlite" else "0001_one")


async def test_sqlite_checks_foreign_keys_after_tables_were_rebuilt(tmp_path: Path, on_sqlite: Database) -> None:
    """A migration that leaves rows pointing nowhere is undone."""
    metadata = new_metadata()
    Table("parent", metadata, Column("id", Integer, primary_key=True))
    Table("child", metadata, Column("id", Integer, primary_key=True), Column("p", ForeignKey("parent.id")))
    async with on_sqlite.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(text("INSERT INTO parent VALUES (1)"))
        await connection.execute(text("INSERT INTO child VALUES (1, 1)"))
    revisions = {"0001_break": up("op.execute('DELETE FROM parent')")}
    with installed(tmp_path, "breaking", revisions, metadata) as migrations:
        with pytest.raises(MigrationError, match="1 rows point to rows that are not there, in child"):
            await migrations.upgrade(on_sqlite)
        assert await migrations.current(on_sqlite) is None


async def test_a_revision_is_written_from_the_models(tmp_path: Path, server: str | None, empty: Database) -> None:
    """The models of these tests, the outbox among them: what was written makes exactly them, up and down."""
    with installed(tmp_path, f"written_{empty.kind}", {}, models.Base.metadata) as migrations:
        path = await migrations.write_revision(empty, "All the Tables!")
        assert path.name == "0001_all_the_tables.py"
        assert "maestro_core_db.UtcDateTime()" in path.read_text()
        await migrations.upgrade(empty)
        suite = MigrationTests()
        suite.migrations, suite.server = migrations, server
        await suite.test_the_models_are_what_the_migrations_make()
        with pytest.raises(BrokenMigrations, match="letters"):
            await migrations.write_revision(empty, "!!!")
        await migrations.downgrade(empty, "base")
        assert await tables(empty) == {migrations.version_table}
        with pytest.raises(DatabaseNotCurrent):
            await migrations.write_revision(empty, "another")


async def test_the_script_for_somebody_else_to_run(migrations: Migrations, on_postgres: Database) -> None:
    """It makes what the upgrade makes: run by hand, the database is at the newest revision."""
    script = migrations.sql("postgresql")
    assert script.startswith("SET lock_timeout")
    async with temporary_database(on_postgres.settings.url.get_secret_value()) as database:
        engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            for part in statements_of(script):
                await driver.execute(part)
        assert await migrations.current(database) == HEAD
        assert await migrations.differences(database) == []
    assert "0001_articles" not in migrations.sql("postgresql", f"0001_articles:{HEAD}").split("-- Running")[0]


@pytest.mark.parametrize(
    ("package", "problem"), [("no_such_package", "no package"), ("json.tool", "no package"), ("email", "no folder")]
)
def test_packages_without_migrations_are_refused(package: str, problem: str) -> None:
    """With what is missing."""
    with pytest.raises(BrokenMigrations, match=problem):
        Migrations(package, new_metadata()).revisions()


def test_the_command(
    migrations: Migrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that is done by hand, with the URL from the environment and errors told in a line."""
    (tmp_path / migrations.package / "tables.py").write_text(
        "from libraries.maestro_core_db import shop\nfrom maestro_core_db import Migrations\n"
        f"migrations = Migrations({migrations.package!r}, shop.Base.metadata)\n"
    )
    place = f"{migrations.package}.tables:migrations"

    def said(*words: str, code: int = 0) -> str:
        assert main([place, *words]) == code
        captured = capsys.readouterr()
        return captured.out + captured.err

    monkeypatch.delenv("MAESTRO_DB_URL", raising=False)
    assert "set MAESTRO_DB_URL" in said("current", code=2)
    assert "CREATE TABLE article" in said("sql")
    assert "INDEX" in said("sql", f"0002_stock:{HEAD}")
    monkeypatch.setenv("MAESTRO_DB_URL", "shop.db")
    assert said("current", code=2).startswith("maestro-db: MAESTRO_DB_URL: not a database URL; write sqlite:///")
    monkeypatch.setenv("MAESTRO_DB_URL", f"sqlite:///{tmp_path}/x.db")
    assert said("current") == "base\n"
    assert f"the database is at base, not at {HEAD}: run the upgrade" in said("check", code=1)
    assert said("upgrade").splitlines() == list(shop.REVISIONS)
    assert said("upgrade") == "nothing to do\n"
    assert said("check") == "the database is as the models say\n"
    assert said("downgrade", "0001_articles").count("\n") == 2
    assert "DatabaseNotCurrent" not in said("revision", "more", code=2)
    said("upgrade")
    assert said("revision", "more").strip().endswith("0004_more.py")
    assert main([f"{migrations.package}.tables:nothing", "current"]) == 2
    assert "names no Migrations" in capsys.readouterr().err
    done = run_unread("maestro_core_db._command", place, "sql")
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / migrations.package / "slow.py").write_text("raise KeyboardInterrupt\n")
    assert main([f"{migrations.package}.slow:migrations", "sql"]) == 130
