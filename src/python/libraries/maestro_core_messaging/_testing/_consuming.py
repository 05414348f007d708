"""Scenarios: a Consumer on the broker."""

import asyncio
import random
import time
from collections import defaultdict

from maestro_core_messaging._broker import Delivery
from maestro_core_messaging._consumer import Handler
from maestro_core_messaging._policy import RetryPolicy
from maestro_core_messaging._testing._case import BrokerCase, Seen, data_of, message, topic_name


class _Final(Exception):
    retryable = False


class _Later(Exception):
    retry_after_s = 0.3


class ConsumingScenarios(BrokerCase):
    async def test_a_consumer_handles_what_comes_and_acknowledges_it(self) -> None:
        topic, seen = topic_name(), Seen()

        async def handler(delivery: Delivery) -> None:
            seen.add(delivery)

        async with self.opened() as broker:
            await broker.publish(topic, message(0))
            async with self.consumer(broker, topic, handler):
                for number in range(1, 20):
                    await broker.publish(topic, message(number))
                await self.until(lambda: len(seen.data) == 20, seen.changed)
            group = (await broker.stats(topic)).groups[0]
            assert (group.waiting, group.in_flight, group.dead) == (0, 0, 0)
        assert sorted(seen.data) == list(range(20))

    async def test_what_keeps_failing_is_buried_with_its_last_error(self) -> None:
        topic, seen = topic_name(), Seen()

        async def handler(delivery: Delivery) -> None:
            seen.add(delivery)
            raise ValueError(f"attempt {delivery.attempt}")

        async with self.opened() as broker:
            await broker.publish(topic, message(1))
            async with self.consumer(broker, topic, handler):
                letter = (await self.dead(broker, topic, 1))[0]
        assert [delivery.attempt for delivery in seen.deliveries] == [1, 2, 3]
        assert (letter.reason, letter.error, letter.attempts) == ("attempts-exhausted", "ValueError: attempt 3", 3)

    async def test_an_error_that_no_retry_can_help_is_buried_at_once(self) -> None:
        topic, seen = topic_name(), Seen()

        async def handler(delivery: Delivery) -> None:
            seen.add(delivery)
            raise _Final("never")

        async with self.opened() as broker:
            await broker.publish(topic, message(1))
            async with self.consumer(broker, topic, handler):
                letter = (await self.dead(broker, topic, 1))[0]
        assert (letter.reason, letter.attempts, len(seen.data)) == ("not-retryable", 1, 1)

    async def test_an_error_says_when_to_come_again(self) -> None:
        topic, seen, times = topic_name(), Seen(), []

        async def handler(delivery: Delivery) -> None:
            times.append(time.monotonic())
            seen.add(delivery)
            if delivery.attempt == 1:
                raise _Later

        async with self.opened() as broker:
            await broker.publish(topic, message(1))
            async with self.consumer(broker, topic, handler):
                await self.until(lambda: len(seen.data) == 2, seen.changed)
        assert times[1] - times[0] >= 0.27

    async def test_a_poisoned_message_holds_up_its_own_key_only(self) -> None:
        """The later ones of its key come when it is buried; those of others come before."""
        topic, seen = topic_name(), Seen()
        policy = RetryPolicy(max_attempts=2, initial_delay_s=0.5, jitter=0)

        async def handler(delivery: Delivery) -> None:
            seen.add(delivery)
            if delivery.message.data == "poison":
                raise ValueError("poison")

        async with self.opened() as broker:
            await broker.publish(topic, message("poison", "bad"), message("behind", "bad"))
            await broker.publish(topic, message("good", "good"), message("free"))
            async with self.consumer(broker, topic, handler, policy=policy, concurrency=1):
                await self.until(lambda: len(seen.data) == 5, seen.changed)
        assert seen.data == ["poison", "good", "free", "poison", "behind"]

    async def test_order_of_each_key_holds_among_many_consumers_that_fail_at_random(self) -> None:
        topic, seen, chance = topic_name(), Seen(), random.Random(3)
        running: set[str | None] = set()
        policy = RetryPolicy(max_attempts=1000, initial_delay_s=0.001, max_delay_s=0.01)

        async def handler(delivery: Delivery) -> None:
            assert delivery.message.key not in running, "two of one key at the same time"
            running.add(delivery.message.key)
            try:
                await asyncio.sleep(chance.random() * 0.002)
                if chance.random() < 0.2:
                    raise ValueError("at random")
                seen.add(delivery)
            finally:
                running.discard(delivery.message.key)

        async with self.opened() as broker:
            await broker.publish(topic, *(message(number, f"k{number % 12}") for number in range(180)))
            consumers = [self.consumer(broker, topic, handler, policy=policy, concurrency=5) for _ in range(3)]
            async with consumers[0], consumers[1], consumers[2]:
                await self.until(lambda: len(seen.data) == 180, seen.changed)
        by_key = defaultdict(list)
        for delivery in seen.deliveries:
            by_key[delivery.message.key].append(delivery.message.data)
        assert all(numbers == sorted(numbers) for numbers in by_key.values())

    async def test_long_work_is_not_given_to_another(self) -> None:
        topic, seen, lease_s = topic_name(), Seen(), self.lease_s * 2

        async def handler(delivery: Delivery) -> None:
            seen.add(delivery)
            await asyncio.sleep(lease_s * 2)
            seen.add(delivery)

        async with self.opened() as broker:
            await broker.publish(topic, message(1))
            async with (
                self.consumer(broker, topic, handler, lease_s=lease_s),
                self.consumer(broker, topic, handler),
            ):
                await self.until(lambda: len(seen.data) == 2, seen.changed)
            assert (await broker.stats(topic)).groups[0].waiting == 0
        assert [delivery.attempt for delivery in seen.deliveries] == [1, 1]

    async def test_no_more_is_leased_than_is_in_hand(self) -> None:
        topic, seen, go = topic_name(), Seen(), asyncio.Event()

        async def handler(delivery: Delivery) -> None:
            seen.add(delivery)
            await go.wait()

        async with self.opened() as broker:
            await broker.publish(topic, *(message(number) for number in range(10)))
            async with self.consumer(broker, topic, handler, concurrency=3):
                await self.until(lambda: len(seen.data) == 3, seen.changed)
                group = (await broker.stats(topic)).groups[0]
                assert (group.waiting, group.in_flight, len(seen.data)) == (7, 3, 3)
                go.set()
                await self.until(lambda: len(seen.data) == 10, seen.changed)

    async def test_a_stop_lets_handlers_finish(self) -> None:
        topic, seen, go = topic_name(), Seen(), asyncio.Event()

        async def handler(delivery: Delivery) -> None:
            seen.add(delivery)
            await go.wait()
            seen.add(delivery)

        async with self.opened() as broker:
            await broker.publish(topic, message(1), message(2))
            async with self.consumer(broker, topic, handler, concurrency=1) as consumer:
                await self.until(lambda: len(seen.data) == 1, seen.changed)
                consumer.stop()
                go.set()
                await consumer.wait()
            group = (await broker.stats(topic)).groups[0]
            assert (group.waiting, group.in_flight) == (1, 0)
        assert seen.data == [1, 1]

    async def test_a_stop_gives_back_what_does_not_finish(self) -> None:
        """At once, and it is no failure: the attempt does not count."""
        topic, seen = topic_name(), Seen()

        async def handler(delivery: Delivery) -> None:
            seen.add(delivery)
            await asyncio.Event().wait()

        async with self.opened() as broker:
            await broker.publish(topic, message(1))
            other = await self.join(broker, topic)
            async with self.consumer(broker, topic, handler, stop_timeout_s=0.05):
                await self.until(lambda: len(seen.data) == 1, seen.changed)
            assert [(found.message.data, found.attempt) for found in await self.take(other, 1)] == [(1, 1)]

    async def test_a_handler_has_its_time_and_no_more(self) -> None:
        topic = topic_name()

        async def handler(delivery: Delivery) -> None:
            await asyncio.Event().wait()

        async with self.opened() as broker:
            await broker.publish(topic, message(1))
            async with self.consumer(broker, topic, handler, timeout_s=0.05):
                letter = (await self.dead(broker, topic, 1))[0]
        assert (letter.reason, letter.attempts) == ("attempts-exhausted", 3)
        assert letter.error == "HandlerTimedOut: the handler took longer than 0.05 s"

    async def test_a_message_that_kills_its_workers_is_buried(self) -> None:
        """Attempts that never ended count too."""
        topic, seen = topic_name(), Seen()

        async def handler(delivery: Delivery) -> None:
            seen.add(delivery)

        async with self.opened() as broker:
            dying = await self.join(broker, topic, lease_s=0.05)
            await broker.publish(topic, message("killer"))
            for attempt in (1, 2, 3):
                assert (await self.take(dying, 1))[0].attempt == attempt
            async with self.consumer(broker, topic, handler):
                letter = (await self.dead(broker, topic, 1))[0]
        assert (letter.reason, letter.attempts, seen.data) == ("worker-lost", 3, [])

    async def test_a_handler_that_cancels_itself_has_failed(self) -> None:
        topic = topic_name()

        async def handler(delivery: Delivery) -> None:
            raise asyncio.CancelledError

        async with self.opened() as broker:
            await broker.publish(topic, message(1))
            async with self.consumer(broker, topic, handler):
                letter = (await self.dead(broker, topic, 1))[0]
        assert (letter.reason, letter.attempts) == ("attempts-exhausted", 3)

    async def test_middlewares_stand_around_the_handler_in_their_order(self) -> None:
        topic, calls, done = topic_name(), list[str](), asyncio.Event()

        class Named:
            def __init__(self, name: str) -> None:
                self.name = name

            async def __call__(self, delivery: Delivery, call_next: Handler) -> None:
                calls.append(f"{self.name} in {delivery.attempt}")
                try:
                    await call_next(delivery)
                except ValueError:
                    calls.append(f"{self.name} sees")
                    raise
                done.set()

        async def handler(delivery: Delivery) -> None:
            if delivery.attempt == 1:
                raise ValueError("once")

        async with self.opened() as broker:
            await broker.publish(topic, message(1))
            async with self.consumer(broker, topic, handler, middlewares=[Named("a"), Named("b")]):
                async with asyncio.timeout(self.patience_s):
                    await done.wait()
        assert calls == ["a in 1", "b in 1", "b sees", "a sees", "a in 2", "b in 2"]

    async def test_hostile_entries_do_not_stop_a_consumer(self) -> None:
        topic, seen = topic_name(), Seen()

        async def handler(delivery: Delivery) -> None:
            seen.add(delivery)

        async with self.opened() as broker:
            async with self.consumer(broker, topic, handler):
                await self.publish_raw(broker, topic, b"\x00{")
                await broker.publish(topic, message("good"))
                await self.until(lambda: seen.data == ["good"], seen.changed)
                assert (await self.dead(broker, topic, 1))[0].reason == "unreadable"
            assert data_of(await (await self.join(broker, topic)).take(10)) == []
