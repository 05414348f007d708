"""The outbox: what is committed is published at least once, in order for each key; what is not, never."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries.maestro_core_db.models import Account, outbox
from sqlalchemy import delete, func, select, text

from maestro_core_db import (
    Database,
    DatabaseSettings,
    InvalidMessage,
    LockTimeout,
    OutboxMessage,
    OutboxRelay,
    UnitOfWork,
    WrongUse,
    outbox_lag,
    parked_messages,
    replay_parked,
    trim_outbox,
)
from maestro_core_db._outbox._relay import delay_s
from maestro_core_db._outbox._writer import OutboxWriter, append
from maestro_core_db.testing import inject_fault


class Clock:
    """A wall clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Broker:
    """Keeps what is published; `fails` says how often a message fails first."""

    def __init__(self) -> None:
        self.got: list[OutboxMessage] = []
        self.fails: dict[Any, int] = {}
        self.error: Exception = ConnectionError("the broker is away")
        self.arrived = asyncio.Event()

    async def __call__(self, message: OutboxMessage) -> None:
        await asyncio.sleep(0)
        if self.fails.get(message.data, 0):
            self.fails[message.data] -= 1
            raise self.error
        self.got.append(message)
        self.arrived.set()

    @property
    def data(self) -> list[Any]:
        return [message.data for message in self.got]


async def put(database: Database, *entries: tuple[str | None, Any]) -> None:
    async with database.unit_of_work() as uow:
        for key, data in entries:
            uow.outbox.add(topic="orders", key=key, type="order.placed", data=data)


async def drained(relay: OutboxRelay) -> None:
    while await relay.run_once():
        pass


async def within(wait: Awaitable[Any], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        await wait


async def test_what_is_committed_leaves_with_its_attributes(database: Database) -> None:
    """Every attribute arrives as it was given, or with its default."""
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    data = {"total": 1e20, "text": "a\0b", "list": [1, None, True]}
    async with database.unit_of_work() as uow:
        number = uow.outbox.add(
            topic="orders",
            key="k",
            type="order.placed",
            data=data,
            subject="order 1",
            at=at,
            dataschema="https://example.test/order.json",
            extensions={"traceparent": "00-1-2-01"},
        )
        uow.outbox.add(topic="orders", type="order.seen", id="given", source="/shop")
    broker = Broker()
    await drained(OutboxRelay(database, lambda message: keep(broker, message)))
    assert broker.got[0] == OutboxMessage(
        "orders",
        "k",
        number,
        "maestro",
        "order.placed",
        "order 1",
        at,
        data,
        "application/json",
        "https://example.test/order.json",
        {"traceparent": "00-1-2-01"},
        1,
    )
    assert (broker.got[1].id, broker.got[1].source, broker.got[1].data) == ("given", "/shop", None)


async def keep(broker: Broker, message: OutboxMessage) -> None:
    broker.got.append(message)


async def test_what_is_rolled_back_never_leaves(database: Database) -> None:
    """The message goes with the transaction."""

    async def fail() -> None:
        async with database.unit_of_work() as uow:
            uow.outbox.add(topic="t", type="x")
            await uow.session.flush()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await fail()
    assert (await outbox_lag(database)).waiting == 0


async def test_the_order_of_a_key_is_the_order_of_commits(database: Database) -> None:
    """Added first and committed last comes last: as the state of the database went, so go its messages."""
    async with database.unit_of_work() as uow:
        uow.session.add(Account(id=1, balance=0))
    added, go_on = asyncio.Event(), asyncio.Event()

    async def raise_balance(uow: UnitOfWork) -> int:
        query = text("UPDATE account SET balance = balance + 1 WHERE id = 1 RETURNING balance")
        return int(await uow.session.scalar(query) or 0)

    async def slow() -> None:
        async with database.unit_of_work() as uow:
            position = uow.outbox.add(topic="t", key="k", type="slow")
            assert position
            added.set()
            await go_on.wait()
            assert await raise_balance(uow) == (2 if database.kind == "postgresql" else 1)

    async def quick() -> None:
        await added.wait()
        async with database.unit_of_work() as uow:
            uow.outbox.add(topic="t", key="k", type="quick")
            await raise_balance(uow)
        go_on.set()

    if database.kind == "sqlite":
        go_on.set()  # there the second one waits for its turn
    await within(asyncio.gather(slow(), quick()))
    broker = Broker()
    await drained(OutboxRelay(database, broker))
    types = [message.type for message in broker.got]
    assert types == (["quick", "slow"] if database.kind == "postgresql" else ["slow", "quick"])


async def test_writers_of_a_key_take_turns_until_the_commit(on_postgres: Database) -> None:
    """Else a lower number could be committed after a relay has published a higher one; other keys do not wait."""
    writer = OutboxWriter(outbox, source="x", clock=lambda: datetime.now(UTC))
    writer.add(topic="orders", key="k", type="x", data="first")
    impatient = DatabaseSettings(url=on_postgres.settings.url, lock_timeout_s=0.05)
    async with on_postgres.engine.connect() as connection, Database(impatient, outbox=outbox) as other:
        await append(connection, outbox, writer.staged)
        with pytest.raises(LockTimeout):
            await put(other, ("k", "too early"))
        await put(other, ("another", "at once"))
        await connection.commit()
        await put(other, ("k", "second"))
    broker = Broker()
    await drained(OutboxRelay(on_postgres, broker))
    assert [message.data for message in broker.got if message.key == "k"] == ["first", "second"]


ENTRIES = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=25)


@settings(max_examples=25)
@given(
    keys=ENTRIES,
    failing=st.dictionaries(st.integers(0, 24), st.integers(1, 3), max_size=4),
    batch=st.integers(1, 7),
    relays=st.integers(1, 3),
)
async def test_each_key_keeps_its_order_with_failures_and_several_relays(
    database: Database, keys: list[str | None], failing: dict[int, int], batch: int, relays: int
) -> None:
    """All are published once and in the order of their key, whichever relay takes them and however often they fail."""
    async with database.unit_of_work() as uow:
        await uow.session.execute(delete(outbox))
    for start in range(0, len(keys), 4):
        await put(database, *((key, start + n) for n, key in enumerate(keys[start : start + 4])))
    clock, broker = Clock(), Broker()
    broker.fails = dict(failing)
    team = [
        OutboxRelay(database, broker, batch=batch, initial_delay_s=1.0, longest_delay_s=1.0, clock=clock)
        for _ in range(relays)
    ]
    while (await outbox_lag(database)).waiting:
        clock.pass_by(1.0)
        await within(asyncio.gather(*(relay.run_once() for relay in team)), 30.0)
    by_key: dict[str | None, list[int]] = defaultdict(list)
    for message in broker.got:
        by_key[message.key].append(message.data)
    assert sorted(broker.data) == list(range(len(keys)))
    assert all(numbers == sorted(numbers) for key, numbers in by_key.items() if key is not None)


async def test_two_relays_share_the_work_and_never_a_key(on_postgres: Database) -> None:
    """While one is at a key, the other takes the other key, and finds nothing more."""
    await put(on_postgres, ("a", 1), ("a", 2), ("b", 3))
    inside, go_on = asyncio.Event(), asyncio.Event()
    first: list[Any] = []

    async def slow(message: OutboxMessage) -> None:
        first.append(message.data)
        inside.set()
        await go_on.wait()

    task = asyncio.create_task(OutboxRelay(on_postgres, slow, batch=1).run_once())
    await within(inside.wait())
    other = Broker()
    relay = OutboxRelay(on_postgres, other)
    assert await relay.run_once() == 1
    assert await relay.run_once() == 0
    go_on.set()
    await within(task)
    await drained(relay)
    assert (first, other.data) == ([1], [3, 2])


async def test_on_sqlite_one_relay_works_and_the_other_waits(on_sqlite: Database) -> None:
    """While one publishes, the other takes nothing, and writers are not held up."""
    await put(on_sqlite, ("a", 1), ("b", 2))
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(message: OutboxMessage) -> None:
        inside.set()
        await go_on.wait()

    task = asyncio.create_task(OutboxRelay(on_sqlite, slow).run_once())
    await within(inside.wait())
    assert await OutboxRelay(on_sqlite, Broker()).run_once() == 0
    await within(put(on_sqlite, ("a", 3)))
    go_on.set()
    await within(task)
    broker = Broker()
    await drained(OutboxRelay(on_sqlite, broker))
    assert broker.data == [3]


async def test_a_failing_message_waits_longer_each_time_and_holds_its_key_alone(database: Database) -> None:
    """Its key waits for it, the others go on; the waits double up to the longest."""
    await put(database, ("bad", 1), ("bad", 2), ("good", 3))
    clock, broker = Clock(), Broker()
    broker.fails = {1: 4}
    relay = OutboxRelay(database, broker, initial_delay_s=1.0, longest_delay_s=4.0, clock=clock, random=lambda: 0.0)
    assert await relay.run_once() == 2
    assert broker.data == [3]
    for wait_s in (1.0, 2.0, 4.0, 4.0):
        clock.pass_by(wait_s - 0.1)
        assert await relay.run_once() == 0
        clock.pass_by(0.1)
        assert await relay.run_once() >= 1
    assert broker.data == [3, 1, 2]
    assert [message.attempt for message in broker.got] == [1, 5, 1]


@given(
    attempts=st.integers(1, 10_000), initial=st.floats(0.001, 10), longest=st.floats(10, 1000), chance=st.floats(0, 1)
)
def test_waits_are_bounded(attempts: int, initial: float, longest: float, chance: float) -> None:
    """Never above the longest, never below half of what doubling asks for."""
    wait_s = delay_s(attempts, initial_s=initial, longest_s=longest, random=chance)
    assert min(longest, initial) / 2 <= wait_s <= longest
    assert wait_s <= delay_s(attempts + 1, initial_s=initial, longest_s=longest, random=chance) or chance


class Refused(Exception):
    """No retry can help."""

    retryable = False


@pytest.mark.parametrize(("error", "attempts"), [(ConnectionError("away\0"), 3), (Refused("bad shape"), 1)])
async def test_poison_is_parked_with_its_reason_and_can_be_replayed(
    database: Database, error: Exception, attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    """After its attempts, or at once when no retry helps; its key goes on; replayed it comes at the end."""
    await put(database, ("k", "poison"), ("k", "next"))
    clock, broker = Clock(), Broker()
    broker.fails, broker.error = {"poison": 99}, error
    relay = OutboxRelay(database, broker, max_attempts=3, clock=clock)
    for _ in range(attempts):
        await relay.run_once()
        clock.pass_by(60)
    await drained(relay)
    assert broker.data == ["next"]
    [parked] = await parked_messages(database)
    assert (parked.attempts, parked.key) == (attempts, "k")
    assert parked.reason.startswith(type(error).__name__)
    assert "parked" in caplog.text
    assert (await outbox_lag(database)).parked == 1

    broker.fails = {}
    await put(database, ("k", "last"))
    assert await replay_parked(database, [parked.id, "unknown"]) == 1
    clock.pass_by(60)
    await drained(relay)
    assert broker.data == ["next", "last", "poison"]
    assert broker.got[-1].id == parked.id
    assert await parked_messages(database) == []


async def test_a_publisher_that_hangs_is_given_up(database: Database) -> None:
    """After its timeout the message counts as failed and is tried again later."""
    await put(database, ("k", 1))

    async def hang(_: OutboxMessage) -> None:
        await asyncio.Event().wait()

    clock = Clock()
    relay = OutboxRelay(database, hang, publish_timeout_s=0.05, max_attempts=1, clock=clock)
    assert await relay.run_once() == 1
    [parked] = await parked_messages(database)
    assert "TimeoutError" in parked.reason


async def test_a_commit_wakes_the_relay_of_its_process(database: Database) -> None:
    """It does not poll for an hour, and still publishes at once."""
    broker = Broker()
    async with OutboxRelay(database, broker, poll_s=3600):
        for number in range(3):
            broker.arrived.clear()
            await put(database, ("k", number))
            await within(broker.arrived.wait())
    assert broker.data == [0, 1, 2]


async def test_a_commit_of_another_process_is_heard(on_postgres: Database) -> None:
    """By LISTEN and NOTIFY; also after the listening connection was ended by the server."""
    broker = Broker()
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE 'LISTEN%'"
    )
    other = Database(on_postgres.settings, outbox=outbox)
    async with other, OutboxRelay(on_postgres, broker, poll_s=3600):
        await put(other, ("k", 1))
        await within(broker.arrived.wait())
        async with other.session() as session:
            assert (await session.scalars(text(end))).all() == [True]
        broker.arrived.clear()
        await put(other, ("k", 2))
        await within(broker.arrived.wait())
    assert broker.data == [1, 2]


async def test_polling_finds_what_nobody_announced(on_sqlite: Database) -> None:
    """On SQLite another process cannot ring."""
    broker = Broker()
    async with Database(on_sqlite.settings, outbox=outbox) as other, OutboxRelay(on_sqlite, broker, poll_s=0.02):
        await put(other, ("k", 1))
        await within(broker.arrived.wait())


async def test_a_failed_message_is_tried_again_when_it_is_due_and_not_when_the_relay_polls(database: Database) -> None:
    """Two keys that fail at different times, and a relay that looks once an hour by itself."""
    broker = Broker()
    broker.fails = {1: 2, 2: 3}
    await put(database, ("a", 1), ("b", 2))
    async with OutboxRelay(database, broker, poll_s=3600, initial_delay_s=0.05):
        while len(broker.got) < 2:
            broker.arrived.clear()
            await within(broker.arrived.wait(), 30)
    assert sorted(broker.data) == [1, 2]


async def test_the_relay_outlives_an_error_of_the_driver(
    on_postgres: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """LISTEN is asked of the driver itself; a connection that ends there is made anew, and heard."""
    listen = asyncpg.Connection.add_listener
    failures = [asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")]

    async def fail_once(self: Any, *words: Any) -> None:
        if failures:
            raise failures.pop()
        await listen(self, *words)

    monkeypatch.setattr(asyncpg.Connection, "add_listener", fail_once)
    broker = Broker()
    await put(on_postgres, ("k", 1))
    async with OutboxRelay(on_postgres, broker, poll_s=0.02):
        await within(broker.arrived.wait())
    assert "the outbox waits: ConnectionDoesNotExistError" in caplog.text


async def test_a_relay_that_has_ended_listens_no_more(on_postgres: Database) -> None:
    broker = Broker()
    await put(on_postgres, ("k", 1))
    async with OutboxRelay(on_postgres, broker):
        await within(broker.arrived.wait())
    async with on_postgres.session() as session:
        listens = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        assert await session.scalar(text(listens)) == 0


async def test_stopping_lets_what_is_in_flight_arrive_and_begins_nothing(database: Database) -> None:
    """The message being published is published and marked; the next one of its key waits."""
    await put(database, ("k", 1), ("k", 2))
    inside, go_on = asyncio.Event(), asyncio.Event()
    got = []

    async def slow(message: OutboxMessage) -> None:
        inside.set()
        await go_on.wait()
        got.append(message.data)

    relay = OutboxRelay(database, slow, poll_s=3600)
    task = asyncio.create_task(relay.run())
    await within(inside.wait())
    relay.stop()
    go_on.set()
    await within(task)
    assert got == [1]
    assert (await outbox_lag(database)).waiting == 1


async def test_the_relay_outlives_failures_of_the_database(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that is lost while marking is logged; the message is published again, and then it is done."""
    await put(database, ("k", 1))
    broker = Broker()
    with inject_fault(database, "connection lost", statement="^UPDATE outbox", times=1):
        async with OutboxRelay(database, broker, poll_s=0.02):
            while len(broker.got) < 2:
                broker.arrived.clear()
                await within(broker.arrived.wait())
    assert broker.data == [1, 1]
    assert broker.got[0].id == broker.got[1].id
    assert "the outbox waits" in caplog.text
    assert (await outbox_lag(database)).waiting == 0


async def test_what_was_sent_is_forgotten_after_its_time(database: Database) -> None:
    """Sent rows are deleted by retention, also more than one chunk of them; waiting ones stay."""
    await put(database, *(("k", number) for number in range(2500)))
    clock, broker = Clock(), Broker()
    relay = OutboxRelay(database, broker, batch=3000, clock=clock)
    await drained(relay)
    await put(database, ("k", "waits"))
    assert await trim_outbox(database, clock.now) == 0
    assert await trim_outbox(database, clock.now + timedelta(seconds=1)) == 2500
    async with database.session() as session:
        assert await session.scalar(select(func.count()).select_from(outbox)) == 1

    clock.pass_by(3600)
    broker.arrived.clear()
    async with OutboxRelay(database, broker, poll_s=0.02, retention=timedelta(0), clock=clock):
        await within(broker.arrived.wait())
        while await remaining(database):
            clock.pass_by(61)


async def remaining(database: Database) -> int:
    async with database.session() as session:
        return await session.scalar(select(func.count()).select_from(outbox)) or 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"topic": ""}, "topic"),
        ({"topic": "x" * 256}, "topic"),
        ({"topic": 7}, "topic"),
        ({"type": "a\nb"}, "type"),
        ({"key": "\0"}, "key"),
        ({"key": ""}, "key"),
        ({"subject": "\ud800"}, "subject"),
        ({"extensions": {"Bad-Name": "x"}}, "extensions"),
        ({"extensions": {"ok": 7}}, r"extensions\.ok"),
        ({"data": float("nan")}, "data"),
        ({"data": object()}, "data"),
        ({"data": {"x": "\ud800"}}, "data"),
        ({"data": "x" * (1024 * 1024)}, "data"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bad_messages_are_refused_when_added(on_sqlite: Database, words: dict[str, Any], problem: str) -> None:
    """By the name of the attribute, and before the transaction has done anything for it."""
    async with on_sqlite.unit_of_work() as uow:
        with pytest.raises(InvalidMessage, match=f"^{problem}"):
            uow.outbox.add(**{"topic": "t", "type": "x", **words})
    assert (await outbox_lag(on_sqlite)).waiting == 0


async def test_wrong_use_is_told(on_sqlite: Database) -> None:
    """No outbox, or numbers that make no relay."""
    async with Database(on_sqlite.settings) as plain:
        async with plain.unit_of_work() as uow:
            with pytest.raises(WrongUse, match="outbox_table"):
                _ = uow.outbox
        with pytest.raises(WrongUse, match="outbox_table"):
            OutboxRelay(plain, Broker())
    make: Callable[..., OutboxRelay] = OutboxRelay
    for words in ({"batch": 0}, {"max_attempts": 0}, {"concurrency": 0}, {"poll_s": 0}, {"publish_timeout_s": -1}):
        with pytest.raises(WrongUse, match="at least 1"):
            make(on_sqlite, Broker(), **words)
