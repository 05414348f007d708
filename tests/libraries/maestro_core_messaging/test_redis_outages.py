"""Redis goes away, comes back, hangs, forgets everything: slower, and nothing that was accepted is lost."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest

from kit.redis_server import RedisServer
from maestro_core_messaging import BrokerUnavailable, Consumer, Delivery, Message, RetryPolicy
from maestro_core_messaging.redis import RedisBroker

MESSAGES = 120
TIMEOUT_S = 2.0
"""Longer than a server that is awake takes on a busy machine: what it hands out to nobody is leased until it ends."""


def message(number: int) -> Message:
    return Message(id=str(number), type="t", source="/s", data=number, extensions={"partitionkey": str(number % 5)})


class Load:
    """A publisher that tries each message until it is accepted, and a consumer; and what was seen."""

    def __init__(self, url: str) -> None:
        self.broker = RedisBroker(url, timeout_s=TIMEOUT_S)
        self.seen: list[int] = []
        self.changed = asyncio.Event()
        self.refused = 0

    async def handle(self, delivery: Delivery) -> None:
        self.seen.append(delivery.message.data)
        self.changed.set()

    async def publish(self) -> None:
        for number in range(MESSAGES):
            while True:
                try:
                    await self.broker.publish("t", message(number))
                    break
                except BrokerUnavailable:
                    self.refused += 1
                    await self.pause()

    async def until(self, count: int) -> None:
        while len(set(self.seen)) < count:
            self.changed.clear()
            await self.changed.wait()

    async def again(self, count: int) -> None:
        """Wait until so many have been seen that had been seen before."""
        while len(self.seen) - len(set(self.seen)) < count:
            self.changed.clear()
            await self.changed.wait()

    async def pause(self) -> None:
        """A moment in which nothing is expected."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.05)


async def _stop_and_start(server: RedisServer) -> None:
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)


async def _kill_and_start(server: RedisServer) -> None:
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def _freeze_and_thaw(server: RedisServer) -> None:
    """Longer than anyone waits for an answer."""
    server.freeze()
    probe = RedisBroker(server.url, timeout_s=TIMEOUT_S)
    with pytest.raises(BrokerUnavailable):
        await probe.topics()
    await probe.close()
    server.thaw()


@pytest.mark.parametrize("outage", [_stop_and_start, _kill_and_start, _freeze_and_thaw])
async def test_an_outage_under_load_loses_and_misorders_nothing(
    own_redis: RedisServer, outage: Callable[[RedisServer], Awaitable[None]]
) -> None:
    """Published while it was away or not, all is handled; first sights of each key are in order."""
    load = Load(own_redis.url)
    # Each answer that is lost in the outage counts as an attempt.
    patient = RetryPolicy(max_attempts=100)
    consumer = Consumer(load.broker, "t", "g", load.handle, policy=patient, lease_s=2.0, concurrency=4)
    async with asyncio.timeout(55), consumer:
        publishing = asyncio.create_task(load.publish())
        await load.until(MESSAGES // 4)
        await outage(own_redis)
        await publishing
        await load.until(MESSAGES)
    assert set(load.seen) == set(range(MESSAGES))
    firsts = list(dict.fromkeys(load.seen))
    for key in range(5):
        numbers = [number for number in firsts if number % 5 == key]
        assert numbers == sorted(numbers)
    group = (await load.broker.stats("t")).groups[0]
    assert group.dead == 0
    await load.broker.close()


async def test_what_is_flushed_is_gone_and_the_group_begins_again_by_itself(own_redis: RedisServer) -> None:
    load = Load(own_redis.url)
    forgetting = [("FLUSHALL",), ("DEL", "maestro:streams:t"), ("XGROUP DESTROY", "maestro:streams:t", "g")]
    async with asyncio.timeout(50), Consumer(load.broker, "t", "g", load.handle, lease_s=5.0):
        for begin, words in zip((0, 10, 20), forgetting, strict=True):
            await load.broker.publish("t", *(message(number) for number in range(begin, begin + 10)))
            await load.until(begin + 10)
            await load.broker._link.command(*words)
        # A group that was removed begins with all that the stream holds.
        await load.again(10)
        await load.broker.publish("t", message(30))
        await load.until(31)
    assert sorted(load.seen) == sorted([*range(31), *range(20, 30)])
    await load.broker.close()


async def test_a_server_that_hangs_is_waited_for_no_longer_than_the_bound(own_redis: RedisServer) -> None:
    broker = RedisBroker(own_redis.url, timeout_s=1.0)
    group = await broker.subscribe("t", "g")
    assert await group.take(1) == []
    own_redis.freeze()
    begun_s = time.monotonic()
    for call in (broker.publish("t", message(1)), group.take(1), group.wait(60), broker.stats("t")):
        with pytest.raises(BrokerUnavailable):
            await call
    assert time.monotonic() - begun_s < 30
    own_redis.thaw()
    await broker.close()


async def test_a_server_that_is_not_there_is_told_and_a_stop_does_not_wait_for_it(own_redis: RedisServer) -> None:
    load = Load(own_redis.url)
    async with asyncio.timeout(20), Consumer(load.broker, "t", "g", load.handle):
        own_redis.stop()
        with pytest.raises(BrokerUnavailable):
            await load.broker.publish("t", message(1))
    await load.broker.close()
