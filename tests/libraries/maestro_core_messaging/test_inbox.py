"""The inbox: the effect and its record together or not at all."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from maestro_core_messaging import Delivery, InvalidSetting, Message, SqliteInbox, StoreUnreadable
from maestro_core_messaging.testing import ManualClock, delivery_of


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookings (amount INTEGER CHECK (amount > 0))")
    connection.close()
    return path


@pytest.fixture
async def inbox(database: Path) -> AsyncIterator[SqliteInbox]:
    inbox = SqliteInbox(database)
    yield inbox
    await inbox.close()


def delivery(number: int = 1, *, source: str = "/s", group: str = "g") -> Delivery:
    return delivery_of(Message(type="t", source=source, id=str(number)), group=group)


def book(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO bookings VALUES (5)")


def bookings(database: Path) -> int:
    connection = sqlite3.connect(database)
    count: int = connection.execute("SELECT count(*) FROM bookings").fetchone()[0]
    connection.close()
    return count


async def test_an_effect_happens_once_for_each_message_and_group(inbox: SqliteInbox, database: Path) -> None:
    """Group, source and id name it; attempt and topic do not."""
    assert [await inbox.once(delivery(), book) for _ in range(3)] == [True, False, False]
    assert await inbox.once(delivery(2), book)
    assert await inbox.once(delivery(source="/other"), book)
    assert await inbox.once(delivery(group="other"), book)
    assert bookings(database) == 4


async def test_an_effect_that_fails_leaves_nothing_and_may_come_again(inbox: SqliteInbox, database: Path) -> None:
    def half(connection: sqlite3.Connection) -> None:
        book(connection)
        raise LookupError("half way")

    def refused(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO bookings VALUES (-1)")

    with pytest.raises(LookupError, match="half way"):
        await inbox.once(delivery(), half)
    with pytest.raises(sqlite3.IntegrityError):
        await inbox.once(delivery(), refused)
    assert bookings(database) == 0
    assert await inbox.once(delivery(), book)


async def test_effects_that_come_together_stand_or_fall_alone(inbox: SqliteInbox, database: Path) -> None:
    def failing(connection: sqlite3.Connection) -> None:
        book(connection)
        raise LookupError

    effects = [failing if number % 3 == 0 else book for number in range(60)]
    outcomes = await asyncio.gather(
        *(inbox.once(delivery(number), effect) for number, effect in enumerate(effects)), return_exceptions=True
    )
    assert [outcome is True for outcome in outcomes] == [effect is book for effect in effects]
    assert bookings(database) == 40


async def test_of_many_at_once_one_has_the_effect(database: Path) -> None:
    """Each inbox is a connection of its own, as in another process."""
    inboxes = [SqliteInbox(database) for _ in range(6)]
    outcomes = await asyncio.gather(*(inbox.once(delivery(), book) for inbox in inboxes))
    assert sorted(outcomes) == [False] * 5 + [True]
    assert bookings(database) == 1
    await asyncio.gather(*(inbox.close() for inbox in inboxes))


async def test_an_effect_that_ends_the_transaction_is_told_so(inbox: SqliteInbox) -> None:
    with pytest.raises(InvalidSetting, match="must not commit or roll back"):
        await inbox.once(delivery(), lambda connection: connection.execute("ROLLBACK"))
    assert await inbox.once(delivery(), book)


async def test_old_records_are_forgotten_when_asked(database: Path) -> None:
    clock = ManualClock()
    inbox = SqliteInbox(database, clock=clock)
    await inbox.once(delivery(1), book)
    clock.advance(100)
    await inbox.once(delivery(2), book)
    assert await inbox.forget(older_than_s=50) == 1
    assert await inbox.once(delivery(1), book)
    assert not await inbox.once(delivery(2), book)
    await inbox.close()


async def test_a_record_of_a_newer_version_is_refused(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE maestro_inbox_v2 (id TEXT)")
    connection.close()
    inbox = SqliteInbox(database)
    with pytest.raises(StoreUnreadable, match="maestro_inbox_v2"):
        await inbox.once(delivery(), book)
    await inbox.close()
