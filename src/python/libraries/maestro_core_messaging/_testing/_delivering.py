"""Scenarios: publishing, groups, leases, order."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from maestro_core_messaging._errors import InvalidSetting, LeaseLost, TopicFull
from maestro_core_messaging._message import Message
from maestro_core_messaging._testing._case import BrokerCase, data_of, message, topic_name


class DeliveringScenarios(BrokerCase):
    async def test_a_message_arrives_as_it_was_sent(self) -> None:
        """Every attribute, extension and kind of data comes through."""
        topic = topic_name()
        sent = [
            Message(
                type="dev.maestro.order.v1",
                source="/shop/1",
                subject="order/7",
                time=datetime(2026, 5, 17, 1, 2, 3, 456789, UTC),
                data={"a": [1, 2.5, None, "ü\n\u2028"]},
                dataschema="https://example.org/order.json",
                extensions={"tenant": "t1", "traceparent": "00-abc-def-01"},
            ),
            Message(type="b", source="s", data=b"\x00\xff", datacontenttype="application/octet-stream", time=None),
            Message(type="c", source="s", data="<a/>", datacontenttype="text/xml"),
            Message(type="d", source="s", extensions={"partitionkey": "key with spaces and ü"}),
        ]
        async with self.opened() as broker:
            await broker.publish(topic, *sent)
            taken = await self.take(await self.join(broker, topic), 4)
        assert [delivery.message for delivery in taken] == sent
        assert {(delivery.topic, delivery.group, delivery.attempt) for delivery in taken} == {(topic, "g", 1)}

    async def test_one_consumer_takes_in_the_order_of_publishing(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            await broker.publish(topic, *(message(number) for number in range(5)))
            await broker.publish(topic, *(message(number) for number in range(5, 10)))
            subscription = await self.join(broker, topic)
            assert data_of(await self.take(subscription, 4)) == [0, 1, 2, 3]
            assert data_of(await self.take(subscription, 6)) == [4, 5, 6, 7, 8, 9]

    async def test_every_group_gets_every_message(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            first, second = await self.join(broker, topic, "a"), await self.join(broker, topic, "b")
            await broker.publish(topic, message(1), message(2))
            for delivery in await self.take(first, 2):
                await first.ack(delivery)
            assert data_of(await self.take(second, 2)) == [1, 2]

    async def test_a_late_group_begins_where_it_says(self) -> None:
        """At the beginning, or with what comes after it joined; and where it is when it joins again."""
        topic = topic_name()
        async with self.opened() as broker:
            await broker.publish(topic, message("old"))
            late = await self.join(broker, topic, "late", start="now")
            whole = await self.join(broker, topic, "whole", start="beginning")
            await broker.publish(topic, message("new"))
            assert data_of(await self.take(late, 1)) == ["new"]
            assert data_of(await self.take(whole, 2)) == ["old", "new"]
            again = await self.join(broker, topic, "late", start="beginning")
            assert data_of(await again.take(10)) == []

    async def test_consumers_of_a_group_share_its_messages(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            first, second = await self.join(broker, topic), await self.join(broker, topic)
            await broker.publish(topic, *(message(number) for number in range(10)))
            taken = await self.take(first, 4) + await self.take(second, 6)
            assert sorted(data_of(taken)) == list(range(10))

    async def test_one_who_waits_is_woken_by_a_publish(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            subscription = await self.join(broker, topic)
            assert await subscription.take(1) == []
            begun_s = time.monotonic()
            waiting = asyncio.create_task(self.take(subscription, 1))
            await broker.publish(topic, message(1))
            assert data_of(await waiting) == [1]
            assert time.monotonic() - begun_s < self.prompt_s
            await subscription.ack((await waiting)[0])

    async def test_waiting_ends_in_time_and_can_be_cancelled(self) -> None:
        """A cancelled wait leaves nothing behind: the next publish is seen."""
        topic = topic_name()
        async with self.opened() as broker:
            subscription = await self.join(broker, topic)
            assert await subscription.take(1) == []
            begun_s = time.monotonic()
            await subscription.wait(0.05)
            assert time.monotonic() - begun_s < self.prompt_s
            waiting = asyncio.create_task(subscription.wait(60))
            await asyncio.sleep(0.05)
            waiting.cancel()
            await asyncio.wait({waiting})
            assert waiting.cancelled()
            await broker.publish(topic, message(1))
            assert data_of(await self.take(subscription, 1)) == [1]

    async def test_what_is_acknowledged_never_comes_again(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            subscription = await self.join(broker, topic, lease_s=self.lease_s)
            await broker.publish(topic, message(1))
            await subscription.ack((await self.take(subscription, 1))[0])
            await self.nothing_for(subscription, self.lease_s * 1.5)

    async def test_what_a_dead_consumer_held_comes_again_when_its_lease_ends(self) -> None:
        """Not before, with a higher attempt and token."""
        topic = topic_name()
        async with self.opened() as broker:
            dead, alive = await self.join(broker, topic, lease_s=self.lease_s), await self.join(broker, topic)
            await broker.publish(topic, message(1))
            begun_s = time.monotonic()
            first = (await self.take(dead, 1))[0]
            second = (await self.take(alive, 1))[0]
            assert time.monotonic() - begun_s >= self.lease_s * 0.9
            assert (second.message, second.attempt) == (first.message, 2)
            assert second.token > first.token

    async def test_a_renewed_lease_does_not_end(self) -> None:
        topic, lease_s = topic_name(), self.lease_s * 2
        async with self.opened() as broker:
            busy, other = await self.join(broker, topic, lease_s=lease_s), await self.join(broker, topic)
            await broker.publish(topic, message(1))
            held = await self.take(busy, 1)
            for _ in range(4):
                assert await busy.extend(held) == []
                await self.nothing_for(other, lease_s / 3)
            await busy.ack(held[0])

    async def test_one_who_lost_the_lease_can_settle_nothing(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            slow, quick = await self.join(broker, topic, lease_s=self.lease_s), await self.join(broker, topic)
            await broker.publish(topic, message(1))
            old = (await self.take(slow, 1))[0]
            new = (await self.take(quick, 1))[0]
            assert await slow.extend([old]) == [old]
            assert await quick.extend([new]) == []
            for settled in (
                slow.ack(old),
                slow.retry(old, delay_s=0),
                slow.give_back(old),
                slow.bury(old, reason="r", error="e"),
            ):
                assert isinstance((await asyncio.gather(settled, return_exceptions=True))[0], LeaseLost)
            await quick.ack(new)
            assert isinstance((await asyncio.gather(quick.ack(new), return_exceptions=True))[0], LeaseLost)

    async def test_a_retry_comes_after_its_delay_and_counts(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            subscription = await self.join(broker, topic)
            await broker.publish(topic, message(1))
            begun_s = time.monotonic()
            await subscription.retry((await self.take(subscription, 1))[0], delay_s=0.3)
            again = (await self.take(subscription, 1))[0]
            assert time.monotonic() - begun_s >= 0.27
            assert again.attempt == 2

    async def test_what_is_given_back_comes_at_once_and_does_not_count(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            first = await self.join(broker, topic)
            second = await self.join(broker, topic)
            await broker.publish(topic, message(1))
            held = (await self.take(first, 1))[0]
            await first.give_back(held)
            assert isinstance((await asyncio.gather(first.ack(held), return_exceptions=True))[0], LeaseLost)
            assert (await self.take(second, 1))[0].attempt == 1

    async def test_messages_of_a_key_come_one_after_the_other(self) -> None:
        """Also to different consumers, and across a retry: the second waits until the first is finished."""
        topic = topic_name()
        async with self.opened() as broker:
            one, two = await self.join(broker, topic), await self.join(broker, topic)
            await broker.publish(topic, message("a1", "a"), message("a2", "a"), message("b1", "b"), message("free"))
            taken = {delivery.message.data: delivery for delivery in await self.take(one, 3)}
            assert set(taken) == {"a1", "b1", "free"}
            assert await two.take(5) == []
            await one.retry(taken["a1"], delay_s=0.1)
            assert await two.take(5) == []
            again = (await self.take(two, 1))[0]
            assert (again.message.data, again.attempt) == ("a1", 2)
            assert await one.take(5) == []
            await two.ack(again)
            assert data_of(await self.take(one, 1)) == ["a2"]

    async def test_one_who_waits_is_woken_by_what_another_settles(self) -> None:
        """When the next of a key comes forward, and when a message is given back; long before it would look itself."""
        topic = topic_name()
        async with self.opened() as broker:
            busy, idle = await self.join(broker, topic), await self.join(broker, topic)
            await broker.publish(topic, message(1, "k"), message(2, "k"))
            first = (await self.take(busy, 1))[0]
            for settled, expected in ((busy.ack(first), 2), (None, 2)):
                assert await idle.take(1) == []
                waiting = asyncio.create_task(self.take(idle, 1))
                begun_s = time.monotonic()
                await (settled or busy.give_back(first))
                first = (await waiting)[0]
                assert first.message.data == expected
                assert time.monotonic() - begun_s < self.prompt_s
                busy, idle = idle, busy

    async def test_the_next_of_a_key_comes_when_the_first_is_buried(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            subscription = await self.join(broker, topic)
            await broker.publish(topic, message(1, "k"), message(2, "k"), message(3, "k"))
            for expected in (1, 2, 3):
                held = (await self.take(subscription, 1))[0]
                assert held.message.data == expected
                await subscription.bury(held, reason="not-retryable", error="no")

    async def test_a_key_without_messages_is_forgotten(self) -> None:
        """The key's next message, long after, comes at once."""
        topic = topic_name()
        async with self.opened() as broker:
            subscription = await self.join(broker, topic)
            for number in range(3):
                await broker.publish(topic, message(number, "k"))
                held = (await self.take(subscription, 1))[0]
                assert held.message.data == number
                await subscription.ack(held)

    async def test_a_message_published_twice_is_one(self) -> None:
        """By source and id, in one call and in two, so that a publisher may try again."""
        topic = topic_name()
        twice, other = message("twice"), message("other")
        async with self.opened() as broker:
            subscription = await self.join(broker, topic)
            await broker.publish(topic, twice, twice)
            await broker.publish(topic, twice, other)
            assert data_of(await self.take(subscription, 2)) == ["twice", "other"]
            assert await subscription.take(10) == []

    async def test_a_full_topic_refuses_all_of_a_batch(self) -> None:
        topic = topic_name()
        async with self.opened(max_backlog=3) as broker:
            subscription = await self.join(broker, topic)
            await broker.publish(topic, message(1), message(2))
            refused = await asyncio.gather(broker.publish(topic, message(3), message(4)), return_exceptions=True)
            assert isinstance(refused[0], TopicFull)
            assert refused[0].retryable
            taken = await self.take(subscription, 2)
            await broker.publish(topic, message(5))
            refused = await asyncio.gather(broker.publish(topic, message(6)), return_exceptions=True)
            assert isinstance(refused[0], TopicFull)
            await subscription.ack(taken[0])
            await broker.publish(topic, message(7))
            assert data_of(await self.take(subscription, 2)) == [5, 7]

    async def test_names_that_cannot_be_are_refused(self) -> None:
        async with self.opened() as broker:
            for wrong in ("", " a", "a b", "ü", "a" * 129, "a\n", "\0", "../x"):
                calls: list[Any] = [broker.publish(wrong, message()), broker.subscribe(wrong, "g")]
                calls.append(broker.subscribe("t", wrong))
                for refused in await asyncio.gather(*calls, return_exceptions=True):
                    assert isinstance(refused, InvalidSetting), wrong

    async def test_what_was_published_and_taken_outlives_the_broker(self) -> None:
        """Unfinished messages, their attempts, and the place of the group are in the store."""
        topic = topic_name()
        async with self.opened() as broker:
            subscription = await self.join(broker, topic, lease_s=self.lease_s)
            await broker.publish(topic, message("done"), message("held"), message("waits"))
            taken = await self.take(subscription, 2)
            await subscription.ack(taken[0])
            await subscription.close()
        async with self.opened() as broker:
            if not self.durable:
                assert (await broker.stats(topic)).messages == 0
                return
            deliveries = await self.take(await self.join(broker, topic, start="now"), 2)
            assert {(found.message.data, found.attempt) for found in deliveries} == {("held", 2), ("waits", 1)}

    async def test_what_is_no_event_becomes_a_dead_letter_and_holds_up_nothing(self) -> None:
        topic = topic_name()
        hostile = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"specversion":"1.0"}', b"[" * 100_000, b'{"id": NaN}']
        async with self.opened() as broker:
            subscription = await self.join(broker, topic)
            for body in hostile:
                await self.publish_raw(broker, topic, body)
            await broker.publish(topic, message("good"))
            assert data_of(await self.take(subscription, 1)) == ["good"]
            letters = await self.dead(broker, topic, len(hostile))
            assert {(letter.reason, letter.message) for letter in letters} == {("unreadable", None)}
            assert all(letter.error for letter in letters)
            await self.nothing_for(subscription, 0.05)
