"""Both stores keep the port's promises, and the file those of a file."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kit.processes import import_path
from maestro_core_auth import AuthStore, MemoryAuthStore, SqliteAuthStore, StoreUnreadable, Users
from maestro_core_auth.testing import AuthStoreConformance


class TestMemoryAuthStore(AuthStoreConformance):
    """The store in memory."""

    async def open_store(self) -> AuthStore:
        return MemoryAuthStore()


class TestSqliteAuthStore(AuthStoreConformance):
    """The store in a file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self._path = tmp_path
        self._opened = 0

    async def open_store(self) -> AuthStore:
        self._opened += 1
        return SqliteAuthStore(self._path / f"auth{self._opened}.db")


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """The folder made for it too, and the files that SQLite puts beside it."""
    async with SqliteAuthStore(tmp_path / "new" / "auth.db") as store:
        await Users(store).add("ada")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert modes == {"auth.db": 0o600, "auth.db-wal": 0o600, "auth.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


async def test_what_is_kept_outlives_the_program(tmp_path: Path) -> None:
    """A store opened again holds what the last one kept."""
    async with SqliteAuthStore(tmp_path / "auth.db") as store:
        user = await Users(store).add("ada", {"admin"})
    async with SqliteAuthStore(tmp_path / "auth.db") as store:
        assert await store.user("ada") == user


async def test_two_stores_on_one_file_see_each_other(tmp_path: Path) -> None:
    """At once: nothing of it is remembered by either."""
    async with SqliteAuthStore(tmp_path / "auth.db") as one, SqliteAuthStore(tmp_path / "auth.db") as other:
        added = await asyncio.gather(*(Users(store).add(f"u{i}") for i in range(10) for store in (one,)))
        assert await other.users() == sorted(added, key=lambda user: user.subject)


async def test_it_writes_through_to_the_disk(tmp_path: Path) -> None:
    """WAL, and every commit is synced."""
    async with SqliteAuthStore(tmp_path / "auth.db") as store:
        rows = [await store._rows(f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert rows == [[("wal",)], [(2,)], [(1,)]]


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """With both versions named, and without touching it."""
    path = tmp_path / "auth.db"
    asyncio.run(SqliteAuthStore(path).close())
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnreadable, match="version 7; this program reads 1"):
        SqliteAuthStore(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be read as one" * 20, b"\0" * 4096])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """It is named, and unharmed."""
    path = tmp_path / "auth.db"
    path.write_bytes(content)
    with pytest.raises(StoreUnreadable, match=r"auth\.db"):
        SqliteAuthStore(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """Its tables stay as they are."""
    path = tmp_path / "auth.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE users (name TEXT)")
    db.close()
    with pytest.raises(StoreUnreadable, match="something else"):
        SqliteAuthStore(path)


async def test_a_failed_step_changes_nothing_and_lets_go(tmp_path: Path) -> None:
    """The store can be used after an error in the middle of a step."""
    async with SqliteAuthStore(tmp_path / "auth.db") as store:

        def fails(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO users VALUES ('eve', '[]', 0, NULL, 0)")
            raise LookupError("in the middle")

        with pytest.raises(LookupError):
            await store._transaction(fails)
        assert await store.users() == []
        await Users(store).add("ada")


OTHER_PROCESS = """
import asyncio, sys
from maestro_core_auth import SqliteAuthStore
async def main():
    async with SqliteAuthStore(sys.argv[1]) as store:
        print(*[user.subject for user in await store.users()])
asyncio.run(main())
"""


async def test_two_stores_of_one_process_lose_nothing_to_another_process(tmp_path: Path) -> None:
    """Opening the second must not end the first one's locks, or the other process takes the WAL away from under it."""
    path = tmp_path / "auth.db"

    def seen_elsewhere() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", OTHER_PROCESS, str(path)],
            env={**os.environ, "PYTHONPATH": import_path()},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    async with SqliteAuthStore(path) as first:
        await Users(first).add("ann", {"admin"})
        async with SqliteAuthStore(path):
            pass
        assert seen_elsewhere() == ["ann"]
        await Users(first).add("bob", {"admin"})
        assert seen_elsewhere() == ["ann", "bob"]
