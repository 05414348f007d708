"""The consumer where things go wrong: a broker that fails, leases that run out, handlers that do not obey."""

import asyncio
import logging
from itertools import pairwise
from typing import Any

import pytest

from maestro_core_messaging import (
    BrokerClosed,
    Consumer,
    Delivery,
    InvalidSetting,
    MemoryBroker,
    Message,
    RetryPolicy,
)
from maestro_core_messaging.testing import delivery_of, faulty


def message(data: Any = None) -> Message:
    return Message(type="t", source="/s", data=data)


class Failing:
    """Fails the first calls of one name, and tells of every call of it."""

    def __init__(self, name: str, times: int) -> None:
        self.name, self.left = name, times
        self.calls, self.called = 0, asyncio.Event()

    def __call__(self, name: str) -> bool:
        if name != self.name:
            return False
        self.calls += 1
        self.called.set()
        return self.calls <= self.left

    async def until(self, calls: int) -> None:
        while self.calls < calls:
            self.called.clear()
            await self.called.wait()


@pytest.mark.parametrize(("name", "times"), [("take", 3), ("wait", 3), ("ack", 3), ("extend", 1)])
async def test_a_broker_that_fails_for_a_while_delays_and_loses_nothing(name: str, times: int) -> None:
    """What was handled is not handled again when only its acknowledgement failed."""
    fails = Failing(name, times)
    broker = faulty(MemoryBroker(), fails)
    seen = []

    async def handler(delivery: Delivery) -> None:
        if name == "extend":
            await fails.until(times + 1)
        seen.append(delivery.message.data)

    async with asyncio.timeout(20), Consumer(broker, "t", "g", handler, lease_s=6.0, random=lambda: 0.0):
        if name == "wait":
            await fails.until(times + 1)
        for number in range(3):
            await broker.publish("t", message(number))
        await fails.until(times + 1)
    group = (await broker.stats("t")).groups[0]
    assert (sorted(seen), group.waiting, group.in_flight) == ([0, 1, 2], 0, 0)
    await broker.close()


async def _never() -> None:
    await asyncio.Event().wait()


async def test_a_handler_whose_lease_cannot_be_renewed_is_cancelled_before_another_may_begin() -> None:
    """The broker answers nobody; the handler ends by the lease's end, and settles nothing."""
    down = False
    broker = faulty(MemoryBroker(), lambda name: down and name != "close")
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        begun.set()
        try:
            await _never()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    # A third of it is left when the handler is cancelled, which a busy machine may take.
    loop, lease_s = asyncio.get_running_loop(), 6.0
    async with Consumer(broker, "t", "g", handler, lease_s=lease_s, stop_timeout_s=0):
        await broker.publish("t", message())
        async with asyncio.timeout(20):
            await begun.wait()
            down, begun_s = True, loop.time()
            await cancelled.wait()
        assert loop.time() - begun_s <= lease_s
        down = False
    await broker.close()


async def test_a_broker_that_is_closed_ends_the_consumer_with_its_error() -> None:
    broker = MemoryBroker()

    async def handler(delivery: Delivery) -> None:
        raise AssertionError("nothing was published")

    async def consume() -> None:
        async with Consumer(broker, "t", "g", handler) as consumer:
            await broker.close()
            await consumer.wait()

    with pytest.raises(BrokerClosed):
        async with asyncio.timeout(10):
            await consume()


async def test_a_handler_that_ignores_its_cancellation_is_left_behind_with_a_word(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maestro_core_messaging._consumer._CANCELLING_S", 0.05)
    broker, go, begun, ended = MemoryBroker(), asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def deaf(delivery: Delivery) -> None:
        begun.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        ended.set()

    with caplog.at_level(logging.ERROR):
        async with asyncio.timeout(10), Consumer(broker, "t", "g", deaf, stop_timeout_s=0):
            await broker.publish("t", message())
            await begun.wait()
    assert "ignores its cancellation" in caplog.text
    go.set()
    async with asyncio.timeout(10):
        await ended.wait()
    # Its acknowledgement is still taken: the lease is its own.
    await broker.close()


async def test_an_error_that_cannot_be_stored_or_shown_is_buried_all_the_same() -> None:
    """Lone surrogates, endless texts, and a __str__ that raises."""

    class Hostile(Exception):
        retryable = False

        def __str__(self) -> str:
            raise RuntimeError("no text")

    class Plain(Exception):
        retryable = False

    errors = [Hostile(), Plain("\ud800\x00"), Plain("x" * 1_000_000)]
    broker, last = MemoryBroker(), asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        if delivery.message.data == 2:
            last.set()
        raise errors[delivery.message.data]

    async with asyncio.timeout(10), Consumer(broker, "t", "g", handler, concurrency=1):
        await broker.publish("t", *(message(number) for number in range(3)))
        await last.wait()
    letters = await broker.dead_letters("t", "g")
    assert letters[0].error == "Hostile: (its text cannot be had: RuntimeError)"
    assert letters[1].error == "Plain: \\ud800\x00"
    assert len(letters[2].error) == 2000
    await broker.close()


async def test_what_an_error_says_is_logged_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    broker, begun = MemoryBroker(), asyncio.Event()

    class Forged(Exception):
        retryable = False

    async def handler(delivery: Delivery) -> None:
        begun.set()
        raise Forged("one\nERROR root: two\x1b[31m")

    with caplog.at_level(logging.ERROR):
        async with asyncio.timeout(10), Consumer(broker, "t", "g", handler):
            await broker.publish("t", message())
            await begun.wait()
    record = next(record for record in caplog.records if "buried" in record.getMessage())
    assert record.getMessage().isprintable()
    await broker.close()


async def test_numbers_and_names_that_cannot_be_are_refused() -> None:
    broker = MemoryBroker()

    async def handler(delivery: Delivery) -> None:
        raise AssertionError

    for wrong in (
        {"concurrency": 0},
        {"lease_s": 0},
        {"timeout_s": float("nan")},
        {"stop_timeout_s": -1},
        {"topic": "a b"},
        {"group": ""},
    ):
        words: dict[str, Any] = {"topic": "t", "group": "g", **wrong}
        with pytest.raises(InvalidSetting, match=next(iter(wrong))):
            Consumer(broker, words.pop("topic"), words.pop("group"), handler, **words)
    with pytest.raises(InvalidSetting, match="start"):
        await broker.subscribe("t", "g", start="end")  # type: ignore[arg-type] # on purpose
    await broker.close()


async def test_a_consumer_runs_once() -> None:
    broker = MemoryBroker()

    async def handler(delivery: Delivery) -> None:
        raise AssertionError

    consumer = Consumer(broker, "t", "g", handler)
    async with consumer:
        pass
    with pytest.raises(InvalidSetting, match="make another"):
        await consumer.__aenter__()
    await broker.close()


async def test_a_heartbeat_that_breaks_ends_the_consumer_with_its_error() -> None:
    """A fault of a broker that is no BrokerError is not passed over."""

    def fails(name: str) -> bool:
        if name == "extend":
            raise LookupError("a fault of its own")
        return False

    broker = faulty(MemoryBroker(), fails)

    async def handler(delivery: Delivery) -> None:
        await _never()

    async def consume() -> None:
        async with Consumer(broker, "t", "g", handler, lease_s=0.1, stop_timeout_s=0) as consumer:
            await broker.publish("t", message())
            await consumer.wait()

    with pytest.raises(LookupError, match="a fault of its own"):
        async with asyncio.timeout(10):
            await consume()
    await broker.close()


async def test_a_delivery_made_by_hand_serves_to_call_a_handler() -> None:
    seen = []

    async def handler(delivery: Delivery) -> None:
        seen.append((delivery.message.data, delivery.topic, delivery.group, delivery.attempt))

    await handler(delivery_of(message(1), topic="orders", attempt=3))
    assert seen == [(1, "orders", "group", 3)]


async def test_a_consumer_that_waits_for_a_retry_does_not_wait_longer_than_it_must() -> None:
    """It wakes for what is due, with nobody publishing."""
    broker, attempts, done = MemoryBroker(), list[float](), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def handler(delivery: Delivery) -> None:
        attempts.append(loop.time())
        if delivery.attempt < 3:
            raise ValueError("again")
        done.set()

    policy = RetryPolicy(initial_delay_s=0.1, multiplier=1, jitter=0)
    async with asyncio.timeout(10), Consumer(broker, "t", "g", handler, policy=policy):
        await broker.publish("t", message())
        await done.wait()
    assert all(0.09 <= later - earlier < 2 for earlier, later in pairwise(attempts))
    await broker.close()
