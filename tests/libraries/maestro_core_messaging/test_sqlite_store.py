"""The broker in a file: its files, its clock, other processes, and what is no store of ours."""

import asyncio
import errno
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kit.processes import import_path
from maestro_core_messaging import (
    BrokerUnavailable,
    InvalidSetting,
    MemoryBroker,
    Message,
    SqliteBroker,
    StoreUnreadable,
)
from maestro_core_messaging._sqlite._writer import Writer
from maestro_core_messaging.testing import ManualClock

ANOTHER = """
import asyncio, sys
from maestro_core_messaging import Message, SqliteBroker

async def main():
    broker = SqliteBroker(sys.argv[1])
    await broker.topics()
    print("ready", flush=True)
    for number, _ in enumerate(sys.stdin):
        await broker.publish("t", Message(type="t", source="/s", data=number))
    await broker.close()

asyncio.run(main())
"""


def message(data: object = None) -> Message:
    return Message(type="t", source="/s", data=data)


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    broker = SqliteBroker(tmp_path / "m.sqlite")
    await broker.subscribe("t", "g")
    assert modes_in(tmp_path) == {
        "m.sqlite": 0o600,
        "m.sqlite-wal": 0o600,
        "m.sqlite-shm": 0o600,
        "m.sqlite-wake": 0o700,
    }
    assert list(modes_in(tmp_path / "m.sqlite-wake").values()) == [0o600]
    await broker.close()
    assert modes_in(tmp_path / "m.sqlite-wake") == {}


async def test_leases_and_retries_follow_the_clock_that_is_given() -> None:
    clock = ManualClock()
    broker = MemoryBroker(clock=clock)
    group = await broker.subscribe("t", "g", lease_s=30)
    await broker.publish("t", message())
    (first,) = await group.take(1)
    clock.advance(29.9)
    assert await group.take(1) == []
    assert await group.extend([first]) == []
    clock.advance(29.9)
    assert await group.take(1) == []
    clock.advance(0.1)
    (second,) = await group.take(1)
    await group.retry(second, delay_s=3600)
    clock.advance(3599)
    assert await group.take(1) == []
    clock.advance(1)
    assert [delivery.attempt for delivery in await group.take(1)] == [3]
    assert await broker.trim("t", older_than_s=0) == 0
    await broker.close()


async def test_one_who_waits_is_woken_by_another_process_without_polling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within moments of the publish, and with next to no processor time while nothing happens."""
    monkeypatch.setattr("maestro_core_messaging._sqlite._bell._RECHECK_S", 60.0)
    broker = SqliteBroker(tmp_path / "m.sqlite")
    group = await broker.subscribe("t", "g")
    another = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", ANOTHER, str(tmp_path / "m.sqlite")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": import_path()},
    )
    assert another.stdin is not None
    assert another.stdout is not None
    assert await another.stdout.readline() == b"ready\n"
    for number in range(5):
        assert await group.take(1) == []
        used_s = time.process_time()
        await group.wait(0.3)
        assert time.process_time() - used_s < 0.1
        begun_s = time.monotonic()
        another.stdin.write(b"\n")
        while not (taken := await group.take(1)):
            await group.wait(60)
        assert time.monotonic() - begun_s < 20, "it was not woken, but looked again by itself"
        assert taken[0].message.data == number
        await group.ack(taken[0])
    another.stdin.close()
    assert await another.wait() == 0
    await broker.close()


async def test_pipes_of_dead_processes_are_swept_away_and_a_full_one_holds_up_nobody(tmp_path: Path) -> None:
    broker = SqliteBroker(tmp_path / "m.sqlite")
    await broker.subscribe("t", "g")
    wake = tmp_path / "m.sqlite-wake"
    os.mkfifo(wake / "dead")
    os.mkfifo(wake / "full")
    full = os.open(wake / "full", os.O_RDWR | os.O_NONBLOCK)
    os.write(full, b"!" * 65536)
    await broker.publish("t", message())
    assert not (wake / "dead").exists()
    assert (wake / "full").exists()
    os.close(full)
    await broker.close()


async def test_the_folder_of_pipes_may_be_taken_away(tmp_path: Path) -> None:
    """Publishing goes on; a waiter finds what came when it looks again."""
    broker, other = SqliteBroker(tmp_path / "m.sqlite"), SqliteBroker(tmp_path / "m.sqlite")
    group = await broker.subscribe("t", "g")
    (pipe,) = (tmp_path / "m.sqlite-wake").iterdir()
    pipe.unlink()
    pipe.parent.rmdir()
    await other.publish("t", message(1))
    assert [delivery.message.data for delivery in await group.take(1)] == [1]
    await other.close()
    await broker.close()


async def test_what_comes_at_the_same_time_shares_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand publishes of a thousand tasks take a few commits, and each is whole or refused by itself."""
    commits = []
    transaction = Writer._transaction

    def counting(self: Writer, batch: list[object]) -> list[object]:
        commits.append(len(batch))
        return transaction(self, batch)  # type: ignore[arg-type] # whatever it is, it is passed on

    monkeypatch.setattr(Writer, "_transaction", counting)
    broker = SqliteBroker(tmp_path / "m.sqlite", max_backlog=900)
    await broker.subscribe("t", "g")
    outcomes = await asyncio.gather(*(broker.publish("t", message(n)) for n in range(1000)), return_exceptions=True)
    assert len([outcome for outcome in outcomes if outcome is None]) == 900
    assert {type(outcome).__name__ for outcome in outcomes} == {"NoneType", "TopicFull"}
    assert (await broker.stats("t")).groups[0].waiting == 900
    assert len(commits) < 20
    await broker.close()


async def test_what_is_cancelled_while_it_is_written_holds_up_nobody(tmp_path: Path) -> None:
    broker = SqliteBroker(tmp_path / "m.sqlite")
    await broker.topics()
    publishing = asyncio.create_task(broker.publish("t", message(1)))
    await asyncio.sleep(0)
    publishing.cancel()
    await broker.publish("t", message(2))
    assert [stored.message.data for stored in await broker.read("t") if stored.message] == [1, 2]
    await broker.close()


async def test_a_lock_held_too_long_is_told_and_passes(tmp_path: Path) -> None:
    broker = SqliteBroker(tmp_path / "m.sqlite", busy_timeout_s=0.05)
    await broker.publish("t", message(1))
    locker = sqlite3.connect(tmp_path / "m.sqlite", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    with pytest.raises(BrokerUnavailable, match="locked") as caught:
        await broker.publish("t", message(2))
    assert caught.value.retryable
    locker.execute("ROLLBACK")
    locker.close()
    await broker.publish("t", message(3))
    assert [stored.message.data for stored in await broker.read("t") if stored.message] == [1, 3]
    await broker.close()


async def test_a_full_disk_is_told_and_passes(tmp_path: Path) -> None:
    """The publish that did not fit left nothing, and smaller ones of the same commit are refused with it."""
    broker = SqliteBroker(tmp_path / "m.sqlite")
    await broker.publish("t", message(1))
    pages = await broker._writer.run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await broker._writer.run(lambda connection: connection.execute(f"PRAGMA max_page_count={pages + 2}").fetchone())
    with pytest.raises(BrokerUnavailable, match="full"):
        await broker.publish("t", *(message("x" * 60_000) for _ in range(3)))
    await broker._writer.run(lambda connection: connection.execute("PRAGMA max_page_count=100000").fetchone())
    await broker.publish("t", message(2))
    assert [stored.message.data for stored in await broker.read("t") if stored.message] == [1, 2]
    await broker.close()


async def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    broker = SqliteBroker(tmp_path / "m.sqlite")
    await broker.publish("t", message())
    await broker.close()
    connection = sqlite3.connect(tmp_path / "m.sqlite")
    connection.execute("PRAGMA user_version=2")
    connection.close()
    newer = SqliteBroker(tmp_path / "m.sqlite")
    with pytest.raises(StoreUnreadable, match="schema version 2 and this package knows up to 1; upgrade"):
        await newer.topics()
    await newer.close()


async def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "m.sqlite")
    connection.execute("CREATE TABLE messages (mine TEXT)")
    connection.close()
    broker = SqliteBroker(tmp_path / "m.sqlite")
    with pytest.raises(StoreUnreadable, match="another program"):
        await broker.publish("t", message())
    await broker.close()
    connection = sqlite3.connect(tmp_path / "m.sqlite")
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("messages",)]
    connection.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
async def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.sqlite").write_bytes(content)
    broker = SqliteBroker(tmp_path / "m.sqlite")
    with pytest.raises(StoreUnreadable):
        await broker.topics()
    await broker.close()
    assert (tmp_path / "m.sqlite").read_bytes() == content


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    broker = SqliteBroker(tmp_path / "none" / "m.sqlite")
    with pytest.raises(StoreUnreadable, match=r"none/m\.sqlite cannot be opened: No such file or directory"):
        await broker.topics()
    await broker.close()


async def test_a_folder_in_which_no_pipe_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.sqlite-wake").write_text("in the way")
    broker = SqliteBroker(tmp_path / "m.sqlite")
    with pytest.raises(StoreUnreadable, match="no named pipe can be made"):
        await broker.subscribe("t", "g")
    await broker.close()


async def test_without_descriptors_a_commit_is_told_and_the_pipes_of_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who cannot ring says so in the log; it neither fails what is committed nor takes a living pipe for a dead one."""
    here, other = SqliteBroker(tmp_path / "m.sqlite"), SqliteBroker(tmp_path / "m.sqlite")
    await other.subscribe("t", "g")
    await here.publish("t", message(1))

    def refuse(path: str, flags: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("maestro_core_messaging._sqlite._bell.os.open", refuse)
        await here.publish("t", message(2))
    assert "no pipe can be rung: [Errno 24] Too many open files" in caplog.text
    assert len(await here.read("t")) == 2
    assert len([*(tmp_path / "m.sqlite-wake").iterdir()]) == 1
    await here.close()
    await other.close()


async def test_brokers_of_many_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """The first makes the tables, the others find them."""
    brokers = [SqliteBroker(tmp_path / "m.sqlite") for _ in range(8)]
    await asyncio.gather(*(broker.publish("t", message(number)) for number, broker in enumerate(brokers)))
    assert len(await brokers[0].read("t")) == 8
    await asyncio.gather(*(broker.close() for broker in brokers))


async def test_a_new_file_that_another_is_about_to_switch_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is about to write keeps others from switching the file, and SQLite tells them so without waiting."""
    writer = sqlite3.connect(tmp_path / "m.sqlite", isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    waits = []

    def end_the_writing(delay_s: float) -> None:
        waits.append(delay_s)
        writer.close()

    monkeypatch.setattr("maestro_core_messaging._sqlite._writer.time.sleep", end_the_writing)
    broker = SqliteBroker(tmp_path / "m.sqlite")
    assert await broker.topics() == []
    assert len(waits) == 1
    await broker.close()


async def test_a_file_that_stays_busy_is_told_in_time(tmp_path: Path) -> None:
    writer = sqlite3.connect(tmp_path / "m.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    broker = SqliteBroker(tmp_path / "m.sqlite", busy_timeout_s=0.05)
    with pytest.raises(BrokerUnavailable, match="locked"):
        await broker.topics()
    writer.close()
    assert await broker.topics() == []
    await broker.close()


async def test_the_event_loop_is_free_while_the_disk_works(tmp_path: Path) -> None:
    """Statements run in a thread of the broker, never in the loop's."""
    broker = SqliteBroker(tmp_path / "m.sqlite")
    thread = await broker._writer.run(lambda connection: threading.get_ident())
    assert thread != threading.get_ident()
    await broker.close()


async def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="synchronous"):
        SqliteBroker(tmp_path / "m", synchronous="off")  # type: ignore[arg-type] # on purpose
    with pytest.raises(InvalidSetting, match="max_backlog"):
        SqliteBroker(tmp_path / "m", max_backlog=0)
    with pytest.raises(InvalidSetting, match="busy_timeout_s"):
        SqliteBroker(tmp_path / "m", busy_timeout_s=0)


@pytest.mark.parametrize(("name", "number"), [("full", 2), ("normal", 1)])
async def test_the_durability_named_is_that_of_the_file(tmp_path: Path, name: str, number: int) -> None:
    broker = SqliteBroker(tmp_path / "m.sqlite", synchronous="full" if name == "full" else "normal")
    pragmas = await broker._writer.run(
        lambda connection: [connection.execute(f"PRAGMA {p}").fetchone()[0] for p in ("synchronous", "journal_mode")]
    )
    assert pragmas == [number, "wal"]
    await broker.close()


COUNT = """
import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM messages').fetchone())
"""


async def test_two_brokers_of_one_process_lose_nothing_to_another_process(tmp_path: Path) -> None:
    """Opening the second must not end the first one's locks, or whoever else closes the file takes its WAL away."""
    path = tmp_path / "messages.db"

    def seen_elsewhere() -> str:
        done = subprocess.run(
            [sys.executable, "-c", COUNT, path], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.strip()

    first, second = SqliteBroker(path), SqliteBroker(path)
    await first.publish("t", Message(type="t", source="/s", data=1))
    await second.publish("t", Message(type="t", source="/s", data=2))
    await second.close()
    assert seen_elsewhere() == "2"
    await first.publish("t", Message(type="t", source="/s", data=3))
    assert seen_elsewhere() == "3"
    await first.close()
