"""The stores of idempotency keys: one suite and one model for both, and what only a file has to stand."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, precondition, rule

from kit.processes import import_path
from maestro_core_api import (
    BadStore,
    Claim,
    IdempotencyStore,
    IdempotencyUnavailable,
    InvalidApi,
    KeptAnswer,
    KeyState,
    MemoryIdempotencyStore,
    SqliteIdempotencyStore,
)
from maestro_core_api.testing import IdempotencyConformance, ManualClock

LEASE, RETENTION = timedelta(seconds=5), timedelta(seconds=20)
ANSWER = KeptAnswer(201, (("location", "/x"),), b"made")


class TestMemory(IdempotencyConformance):
    """A dict."""

    @asynccontextmanager
    async def open_store(self, folder: Path, clock: ManualClock) -> AsyncIterator[IdempotencyStore]:
        yield MemoryIdempotencyStore(now=clock.now)


class TestSqlite(IdempotencyConformance):
    """A file."""

    @asynccontextmanager
    async def open_store(self, folder: Path, clock: ManualClock) -> AsyncIterator[IdempotencyStore]:
        store = SqliteIdempotencyStore(folder / "keys.db", now=clock.now)
        try:
            yield store
        finally:
            store.close()


class AgainstAModel(RuleBasedStateMachine):
    """Any order of calls and of time passing gives what a plain table of (fingerprint, holder, times, answer) gives."""

    tokens = Bundle("tokens")
    store: IdempotencyStore

    @initialize()
    def open(self) -> None:
        self.clock = ManualClock()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.time_s = 0.0
        self.made = 0
        # key -> fingerprint, token, end of lease, end of retention, answer
        self.table: dict[str, tuple[str, str, float, float, KeptAnswer | None]] = {}
        self.store = self.open_store()

    def open_store(self) -> IdempotencyStore:
        return MemoryIdempotencyStore(now=self.clock.now)

    def close_store(self) -> None:
        """Nothing to let go of."""

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.close_store()
            self.runner.close()
            self.folder.cleanup()

    @rule(target=tokens, key=st.sampled_from("ab"), fingerprint=st.sampled_from("xy"))
    def begin(self, key: str, fingerprint: str) -> tuple[str, str]:
        self.made += 1
        token = f"t{self.made}"
        claim = self.runner.run(self.store.begin(key, fingerprint, token, lease=LEASE, retention=RETENTION))
        known = self.table.get(key)
        if known is None or known[3] <= self.time_s:
            expected = KeyState.BEGUN
        elif known[0] != fingerprint:
            expected = KeyState.REUSED
        elif known[4] is not None:
            expected = KeyState.ANSWERED
            assert claim.answer == known[4]
        else:
            expected = KeyState.BEGUN if known[2] <= self.time_s else KeyState.IN_FLIGHT
        assert claim.state is expected
        if expected is KeyState.BEGUN:
            self.table[key] = (fingerprint, token, self.time_s + 5, self.time_s + 20, None)
        return key, token

    @rule(held=tokens, body=st.binary(max_size=3))
    def finish(self, held: tuple[str, str], body: bytes) -> None:
        key, token = held
        answer = KeptAnswer(200, (), body)
        done = self.runner.run(self.store.finish(key, token, answer, retention=RETENTION))
        # Whether a key that expired is still in the file, or was swept, is the store's own affair.
        if key in self.table and self.table[key][3] <= self.time_s and not done:
            return
        assert done == self.is_held(key, token)
        if done:
            known = self.table[key]
            self.table[key] = (*known[:3], self.time_s + 20, answer)

    @rule(held=consumes(tokens))
    def abandon(self, held: tuple[str, str]) -> None:
        key, token = held
        done = self.runner.run(self.store.abandon(key, token))
        if key in self.table and self.table[key][3] <= self.time_s and not done:
            return
        assert done == self.is_held(key, token)
        if done:
            del self.table[key]

    @rule(seconds=st.sampled_from([1, 4, 5, 15, 20]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.time_s += seconds

    def is_held(self, key: str, token: str) -> bool:
        return key in self.table and self.table[key][1] == token and self.table[key][4] is None


class SqliteAgainstAModel(AgainstAModel):
    """The same, over restarts too."""

    def open_store(self) -> IdempotencyStore:
        return SqliteIdempotencyStore(Path(self.folder.name) / "keys.db", now=self.clock.now)

    def close_store(self) -> None:
        assert isinstance(self.store, SqliteIdempotencyStore)
        self.store.close()

    @precondition(lambda self: self.made % 4 == 3)
    @rule()
    def restart(self) -> None:
        self.close_store()
        self.store = self.open_store()


TestModelOfMemory = AgainstAModel.TestCase
TestModelOfMemory.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestModelOfSqlite = SqliteAgainstAModel.TestCase
TestModelOfSqlite.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


async def test_memory_is_bounded_and_says_so_before_anything_begins() -> None:
    """A full store refuses new keys, never forgets one, and has room again when one expires."""
    clock = ManualClock()
    store = MemoryIdempotencyStore(max_keys=2, now=clock.now)
    for key in "ab":
        await store.begin(key, "f", "t", lease=LEASE, retention=RETENTION)
    with pytest.raises(IdempotencyUnavailable):
        await store.begin("c", "f", "t", lease=LEASE, retention=RETENTION)
    assert await store.finish("a", "t", ANSWER, retention=RETENTION)
    clock.advance(20)
    assert (await store.begin("c", "f", "t", lease=LEASE, retention=RETENTION)).state is KeyState.BEGUN
    assert len(store) == 1
    with pytest.raises(InvalidApi):
        MemoryIdempotencyStore(max_keys=0)


async def test_memory_is_bounded_for_keys_that_are_let_go_as_well() -> None:
    """What is forgotten leaves nothing behind, and what is kept still expires."""
    clock = ManualClock()
    store = MemoryIdempotencyStore(max_keys=10, now=clock.now)
    await store.begin("kept", "f", "t", lease=LEASE, retention=RETENTION)
    for number in range(1000):
        await store.begin(f"k{number}", "f", "t", lease=LEASE, retention=RETENTION)
        await store.abandon(f"k{number}", "t")
    assert len(store) == 1
    assert len(store._expiries) <= 30
    clock.advance(20)
    await store.begin("new", "f", "t", lease=LEASE, retention=RETENTION)
    assert len(store) == 1


async def test_what_expired_leaves_the_file(tmp_path: Path) -> None:
    clock = ManualClock()
    store = SqliteIdempotencyStore(tmp_path / "keys.db", now=clock.now)
    for number in range(150):
        await store.begin(f"k{number}", "f", "t", lease=LEASE, retention=RETENTION)
    clock.advance(20)
    for key in "ab":
        await store.begin(key, "f", "t", lease=LEASE, retention=RETENTION)
    store.close()
    with sqlite3.connect(tmp_path / "keys.db") as connection:
        assert connection.execute("SELECT key FROM keys ORDER BY key").fetchall() == [("a",), ("b",)]
    connection.close()


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """So are those beside it, and the folders that were made."""
    before = os.umask(0)
    try:
        store = SqliteIdempotencyStore(tmp_path / "new" / "keys.db")
        asyncio.run(store.begin("k", "f", "t", lease=LEASE, retention=RETENTION))
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "new").iterdir()}
        assert modes == {"keys.db": 0o600, "keys.db-wal": 0o600, "keys.db-shm": 0o600}
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
        store.close()
    finally:
        os.umask(before)


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    """WAL with synchronous=FULL, as the README says."""
    store = SqliteIdempotencyStore(tmp_path / "keys.db")
    connection = store._connection
    assert store._thread.submit(lambda: connection.execute("PRAGMA synchronous").fetchone()).result() == (2,)
    assert store._thread.submit(lambda: connection.execute("PRAGMA journal_mode").fetchone()).result() == ("wal",)
    store.close()


def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    """Another database, one of a newer version, and no database at all; the error says which."""
    for name, statements, reason in (
        ("other.db", ["CREATE TABLE t (x)"], "another program's"),
        ("newer.db", ["PRAGMA application_id = 0x4d49444b", "CREATE TABLE keys (x)", "PRAGMA user_version = 9"], "9"),
    ):
        connection = sqlite3.connect(tmp_path / name)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
        before = (tmp_path / name).read_bytes()
        with pytest.raises(BadStore, match=reason):
            SqliteIdempotencyStore(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    for name, content in (("text.db", b"no database, but long enough to look like one " * 100), ("empty.db", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadStore):
            SqliteIdempotencyStore(tmp_path / name)
        assert (tmp_path / name).read_bytes() == content


async def test_a_file_that_another_process_holds_refuses_in_time(tmp_path: Path) -> None:
    """Nothing was begun, so a retry is safe; and it works again when the file is free."""
    store = SqliteIdempotencyStore(tmp_path / "keys.db", busy_timeout_s=0.05)
    other = sqlite3.connect(tmp_path / "keys.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(IdempotencyUnavailable) as refused:
        await store.begin("k", "f", "t", lease=LEASE, retention=RETENTION)
    assert refused.value.retryable
    other.execute("ROLLBACK")
    other.close()
    assert await store.begin("k", "f", "t", lease=LEASE, retention=RETENTION) == Claim(KeyState.BEGUN)
    store.close()


def race(path: Path, number: int, barrier: threading.Barrier, states: list[KeyState]) -> None:
    barrier.wait(30)
    store = SqliteIdempotencyStore(path)
    claim = asyncio.run(store.begin("k", "f", f"t{number}", lease=LEASE, retention=RETENTION))
    states.append(claim.state)
    store.close()


def test_stores_that_open_one_new_file_at_once_share_it(tmp_path: Path) -> None:
    """Eight at a time, twenty times; and one of them begins."""
    for round_number in range(20):
        path = tmp_path / f"{round_number}.db"
        barrier = threading.Barrier(8)
        states: list[KeyState] = []

        threads = [threading.Thread(target=race, args=(path, number, barrier, states)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(state.value for state in states) == ["begun", *["in-flight"] * 7]
    assert not [each.name for each in tmp_path.iterdir() if each.name.startswith(".")]


DRIVER = """
import asyncio, sys
from datetime import timedelta
from maestro_core_api import KeptAnswer, SqliteIdempotencyStore

async def main():
    store = SqliteIdempotencyStore(sys.argv[1])
    times = {"retention": timedelta(hours=1)}
    for key in ("begun", "done", "left"):
        await store.begin(key, "f", "dead", lease=timedelta(seconds=60), **times)
    await store.finish("done", "dead", KeptAnswer(201, (("location", "/x"),), b"made"), **times)
    await store.abandon("left", "dead")
    print("ready", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The file of a process that was killed with one key begun, one answered and one let go."""
    path = tmp_path / "keys.db"
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(path)],
        env={**os.environ, "PYTHONPATH": import_path()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    return path


async def test_kill_9_leaves_what_was_said_to_be_kept(killed: Path) -> None:
    """An answer is there, a key in flight is held until its lease lapses, one that was let go is free."""
    # The clock of the process that was killed was the real one, so this one begins with it.
    clock = ManualClock(datetime.now(UTC))
    store = SqliteIdempotencyStore(killed, now=clock.now)

    async def begin(key: str) -> Claim:
        return await store.begin(key, "f", "next", lease=LEASE, retention=RETENTION)

    assert await begin("done") == Claim(KeyState.ANSWERED, answer=ANSWER)
    assert await begin("left") == Claim(KeyState.BEGUN)
    held = await begin("begun")
    assert held.state is KeyState.IN_FLIGHT
    assert 0 < held.lease_left_s <= 60
    clock.advance(held.lease_left_s)
    assert await begin("begun") == Claim(KeyState.BEGUN)
    store.close()
