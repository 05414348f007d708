"""What is particular to Redis: its entries, other clients, rights, features, connections, and the inbox."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio.client import Pipeline

from kit.redis_server import RedisServer
from kit.servers import free_port
from maestro_core_messaging import BrokerClosed, BrokerUnsupported, InvalidSetting, Message
from maestro_core_messaging.redis import RedisBroker, RedisInbox
from maestro_core_messaging.testing import delivery_of

STREAM = "maestro:streams:t"


def message(data: object = None, key: str | None = None, **extensions: str) -> Message:
    keyed = {} if key is None else {"partitionkey": key}
    return Message(type="t.v1", source="/s", data=data, extensions={**extensions, **keyed})


@pytest.fixture
async def client(shared_redis: RedisServer) -> AsyncIterator[Any]:
    """A client of another make on an empty server."""
    async with redis.asyncio.Redis.from_url(shared_redis.url, decode_responses=True, protocol=2) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def broker(shared_redis: RedisServer, client: Any) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker(shared_redis.url)
    yield broker
    await broker.close()


async def test_an_entry_is_the_event_and_flat_copies_for_those_who_filter(broker: RedisBroker, client: Any) -> None:
    sent = message(1, "k", tenant="t1", traceparent="00-a-b-01")
    await broker.publish("t", sent)
    ((_, fields),) = await client.xrange(STREAM)
    assert Message.from_json(fields.pop("ce")) == sent
    assert fields == {"type": "t.v1", "partitionkey": "k", "tenant": "t1", "traceparent": "00-a-b-01"}


async def test_entries_of_other_producers_keep_the_order_of_their_keys(broker: RedisBroker, client: Any) -> None:
    """The key is read from the event where the entry does not tell it."""
    for number in range(2):
        await client.xadd(STREAM, {"ce": message(number, "k").to_json()})
    group = await broker.subscribe("t", "g")
    (first,) = await group.take(5)
    assert first.message.data == 0
    await group.ack(first)
    assert [delivery.message.data for delivery in await group.take(5)] == [1]


async def test_entries_without_an_event_are_buried_with_what_they_hold(broker: RedisBroker, client: Any) -> None:
    await client.xadd(STREAM, {"some": "thing", "partitionkey": "k\0k"})
    await client.xadd(STREAM, {b"\xff": b"\xfe"})
    group = await broker.subscribe("t", "g")
    assert await group.take(5) == []
    letters = await broker.dead_letters("t", "g")
    assert [letter.reason for letter in letters] == ["unreadable", "unreadable"]
    assert "thing" in letters[0].body


async def test_what_another_client_of_the_group_left_is_found_at_the_next_subscription(
    broker: RedisBroker, client: Any
) -> None:
    """In the order of its key, after it was idle for a lease."""
    await broker.subscribe("t", "g", lease_s=0.001)
    await broker.publish("t", message(0, "k"), message(1, "k"), message(2))
    assert len((await client.xreadgroup("g", "stranger", {STREAM: ">"}))[0][1]) == 3
    group = await broker.subscribe("t", "g", lease_s=0.001)
    while len(pending := await client.xpending_range(STREAM, "g", "-", "+", 10)) != 3 or {
        entry["consumer"] for entry in pending
    } != {"maestro"}:
        group = await broker.subscribe("t", "g", lease_s=0.001)
    group = await broker.subscribe("t", "g", lease_s=60)
    taken = await group.take(5)
    assert [delivery.message.data for delivery in taken] == [0, 2]
    await group.ack(taken[0])
    assert [delivery.message.data for delivery in await group.take(5)] == [1]


async def test_an_entry_that_was_cut_while_it_was_pending_is_a_dead_letter(broker: RedisBroker, client: Any) -> None:
    """Someone else's XDEL or MAXLEN: it is told, and its key goes on."""
    group = await broker.subscribe("t", "g")
    await broker.publish("t", message(0, "k"), message(1, "k"))
    (held,) = await group.take(1)
    await client.xdel(STREAM, held.position)
    await group.retry(held, delay_s=0)
    assert [delivery.message.data for delivery in await group.take(1)] == [1]
    (letter,) = await broker.dead_letters("t", "g")
    assert (letter.reason, letter.position, letter.message) == ("trimmed", held.position, None)


async def test_a_group_that_was_destroyed_by_hand_holds_no_key_back(broker: RedisBroker, client: Any) -> None:
    """What was known of its entries goes with it."""
    group = await broker.subscribe("t", "g", lease_s=600)
    await broker.publish("t", message(0, "k"), message(1, "k"))
    (held,) = await group.take(1)
    await client.xgroup_destroy(STREAM, "g")
    assert await group.extend([held]) == [held]
    assert await group.take(1) == []
    (again,) = await group.take(5)
    assert (again.message.data, again.attempt) == (0, 1)


async def test_nothing_of_a_finished_message_is_left_but_its_entry(broker: RedisBroker, client: Any) -> None:
    group = await broker.subscribe("t", "g")
    await broker.publish("t", *(message(number, f"k{number % 3}") for number in range(30)))
    done = 0
    while done < 30:
        for delivery in await group.take(10):
            await group.ack(delivery)
            done += 1
    kept = [key for key in await client.keys("*:group:*") if not key.endswith(":wake")]
    assert kept == []
    assert (await client.xpending(STREAM, "g"))["pending"] == 0
    assert len(await client.xinfo_consumers(STREAM, "g")) == 1


async def test_how_long_a_message_is_remembered_is_said(shared_redis: RedisServer, client: Any) -> None:
    twice = message(1)
    forgetful, remembering = RedisBroker(shared_redis.url, remember_s=0), RedisBroker(shared_redis.url, remember_s=60)
    for _ in range(2):
        await forgetful.publish("forgetful", twice)
        await remembering.publish("remembering", twice)
    assert len(await forgetful.read("forgetful")) == 2
    assert len(await remembering.read("remembering")) == 1
    (seen,) = await client.keys("*:seen:*")
    assert 50_000 < await client.pttl(seen) <= 60_000
    await forgetful.close()
    await remembering.close()


async def test_no_more_connections_are_made_than_allowed(shared_redis: RedisServer, client: Any) -> None:
    """Two for commands, and one for each that waits."""
    before = len(await client.client_list())
    broker = RedisBroker(shared_redis.url, max_connections=2)
    group = await broker.subscribe("t", "g")
    assert await group.take(1) == []
    waiting = asyncio.create_task(group.wait(30))
    await asyncio.gather(*(broker.publish("t", message(number)) for number in range(50)))
    await waiting
    assert len(await client.client_list()) - before <= 3
    await broker.close()
    with pytest.raises(BrokerClosed):
        await group.wait(1)


async def test_who_waits_for_a_connection_is_served_in_turn(shared_redis: RedisServer, client: Any) -> None:
    """Nobody's second call is done before everyone's first."""
    broker, done = RedisBroker(shared_redis.url, max_connections=1), list[int]()

    async def publisher() -> None:
        for round_ in range(5):
            await broker.publish("t", message(round_))
            done.append(round_)

    await asyncio.gather(*(publisher() for _ in range(20)))
    assert done == sorted(done)
    await broker.close()


async def test_a_wrong_password_and_missing_rights_are_told_and_no_retry_can_help(
    own_redis: RedisServer,
) -> None:
    async with redis.asyncio.Redis.from_url(own_redis.url) as client:
        await client.acl_setuser(
            "limited", True, passwords=["+hunter2"], keys=["*"], categories=["+@all"], commands=["-xadd"]
        )
        await client.config_set("requirepass", "secret-1")
        for username, password in ((None, None), (None, "wrong-2"), ("limited", "hunter2")):
            broker = RedisBroker(own_redis.url, username=username, password=password)
            with pytest.raises(BrokerUnsupported) as caught:
                await broker.publish("t", message())
            assert not any(secret in str(caught.value) for secret in ("hunter2", "secret-1", "wrong-2"))
            await broker.close()


async def test_a_server_without_the_needed_commands_is_refused_by_their_names() -> None:
    """Asked by COMMAND INFO, not by a version."""

    async def old_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while header := await reader.readline():
            words = []
            for _ in range(int(header[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            if words[0].upper() == b"COMMAND":
                known = [b"*1\r\n$1\r\nx\r\n" if b"X" not in name.upper()[:1] else b"*-1\r\n" for name in words[2:]]
                writer.write(b"*%d\r\n%b" % (len(known), b"".join(known)))
            else:
                writer.write(b"+OK\r\n")
            await writer.drain()
        writer.close()

    port = free_port()
    async with await asyncio.start_server(old_server, "127.0.0.1", port):
        broker = RedisBroker(f"redis://127.0.0.1:{port}/0")
        with pytest.raises(BrokerUnsupported, match="the server has no XAUTOCLAIM, XREADGROUP, XINFO, XTRIM: Redis"):
            await broker.topics()
        await broker.close()


async def test_a_key_that_is_no_stream_is_told(broker: RedisBroker, client: Any) -> None:
    await client.set(STREAM, "mine")
    with pytest.raises(BrokerUnsupported, match="WRONGTYPE"):
        await broker.publish("t", message())


@pytest.mark.parametrize("url", ["http://localhost", "localhost", "redis://localhost:port/0", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidSetting, match="url must be"):
        RedisBroker(url)


async def test_the_inbox_does_the_effect_and_the_record_or_neither(shared_redis: RedisServer, client: Any) -> None:
    inbox = RedisInbox(shared_redis.url)
    delivery = delivery_of(message())

    def count(pipeline: Pipeline) -> None:
        pipeline.incr("counter")

    def broken(pipeline: Pipeline) -> None:
        pipeline.incr("counter")
        raise LookupError("half way")

    with pytest.raises(LookupError, match="half way"):
        await inbox.once(delivery, broken)
    assert await client.get("counter") is None
    outcomes = await asyncio.gather(*(inbox.once(delivery, count) for _ in range(8)))
    assert sorted(outcomes) == [False] * 7 + [True]
    assert await client.get("counter") == "1"
    assert await inbox.once(delivery_of(delivery.message, group="other"), count)
    await inbox.close()


async def test_a_record_of_the_inbox_ends_when_it_is_said(shared_redis: RedisServer, client: Any) -> None:
    inbox = RedisInbox(shared_redis.url, keep_s=100)
    await inbox.once(delivery_of(message()), lambda pipeline: pipeline.incr("counter"))
    (record,) = await client.keys("maestro:inbox:*")
    assert 90_000 < await client.pttl(record) <= 100_000
    await inbox.close()
