"""Scenarios: dead letters, trimming, figures, the end."""

import asyncio
from datetime import UTC, datetime, timedelta

from maestro_core_messaging._broker import Broker
from maestro_core_messaging._errors import BrokerClosed, InvalidSetting, UnknownGroup
from maestro_core_messaging._testing._case import BrokerCase, data_of, message, topic_name


class KeepingScenarios(BrokerCase):
    async def test_a_dead_letter_says_what_happened(self) -> None:
        topic = topic_name()
        sent = message({"n": 1}, "k")
        async with self.opened() as broker:
            subscription = await self.join(broker, topic)
            await broker.publish(topic, sent)
            await subscription.retry((await self.take(subscription, 1))[0], delay_s=0)
            held = (await self.take(subscription, 1))[0]
            await subscription.bury(held, reason="attempts-exhausted", error="ValueError: ü\nno")
            letter = (await broker.dead_letters(topic, "g"))[0]
        assert (letter.message, letter.topic, letter.group) == (sent, topic, "g")
        assert (letter.reason, letter.error) == ("attempts-exhausted", "ValueError: ü\nno")
        assert (letter.position, letter.attempts) == (held.position, 2)
        assert abs(letter.dead_at - datetime.now(UTC)) < timedelta(minutes=5)

    async def test_dead_letters_are_read_page_by_page(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            await self._bury(broker, topic, *range(5))
            first = await broker.dead_letters(topic, "g", limit=2)
            rest = await broker.dead_letters(topic, "g", after=first[-1].id)
            assert [letter.message.data for letter in first + rest if letter.message] == [0, 1, 2, 3, 4]

    async def test_a_replay_delivers_anew_to_its_group_alone(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            other = await self.join(broker, topic, "other")
            await self._bury(broker, topic, "again")
            for delivery in await self.take(other, 1):
                await other.ack(delivery)
            letter = (await broker.dead_letters(topic, "g"))[0]
            # Whoever is first has it: two at a time replay it once.
            outcomes = await asyncio.gather(*(broker.replay(topic, "g", letter.id) for _ in range(2)))
            assert sorted(outcomes) == [False, True]
            assert await broker.dead_letters(topic, "g") == []
            subscription = await self.join(broker, topic)
            replayed = (await self.take(subscription, 1))[0]
            assert (replayed.message, replayed.attempt) == (letter.message, 1)
            await subscription.ack(replayed)
            assert await other.take(10) == []
            assert data_of(await (await self.join(broker, topic, "late")).take(10)) == ["again"]

    async def test_a_replay_takes_its_place_behind_its_key(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            subscription = await self.join(broker, topic)
            await broker.publish(topic, message(1, "k"), message(2, "k"))
            await subscription.bury((await self.take(subscription, 1))[0], reason="r", error="e")
            second = (await self.take(subscription, 1))[0]
            letter = (await broker.dead_letters(topic, "g"))[0]
            assert await broker.replay(topic, "g", letter.id)
            assert await subscription.take(10) == []
            await subscription.ack(second)
            assert data_of(await self.take(subscription, 1)) == [1]

    async def test_a_purged_letter_is_gone(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            await self._bury(broker, topic, 1, 2)
            first, second = await broker.dead_letters(topic, "g")
            assert await broker.purge(topic, "g", first.id)
            assert not await broker.purge(topic, "g", first.id)
            assert not await broker.replay(topic, "g", first.id)
            assert await broker.dead_letters(topic, "g") == [second]

    async def test_ids_and_groups_that_are_none_are_refused(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            await self._bury(broker, topic, 1)
            for call in (
                broker.dead_letters(topic, "nobody"),
                broker.replay(topic, "nobody", "1"),
                broker.purge("nothing", "g", "1"),
                broker.remove_group(topic, "nobody"),
            ):
                assert isinstance((await asyncio.gather(call, return_exceptions=True))[0], UnknownGroup)
            for wrong in ("x", "1;2", "-1", "(1", "9" * 50, "ü"):
                for call in (broker.replay(topic, "g", wrong), broker.purge(topic, "g", wrong)):
                    assert isinstance((await asyncio.gather(call, return_exceptions=True))[0], InvalidSetting)
                read = broker.read(topic, after=wrong)
                assert isinstance((await asyncio.gather(read, return_exceptions=True))[0], InvalidSetting)

    async def test_trimming_leaves_what_a_group_has_not_finished(self) -> None:
        """However old: what is pending, what waits for a retry, and what was never read."""
        topic = topic_name()
        async with self.opened() as broker:
            subscription = await self.join(broker, topic)
            await broker.publish(topic, *(message(number) for number in range(6)))
            taken = await self.take(subscription, 4)
            for delivery in taken[:2]:
                await subscription.ack(delivery)
            await subscription.retry(taken[2], delay_s=0)
            await self._pass_a_moment()
            assert await broker.trim(topic, older_than_s=3600) == 0
            assert await broker.trim(topic, older_than_s=0) == 2
            left = await self.take(subscription, 3)
            assert sorted(data_of(left)) == [2, 4, 5]
            for delivery in [taken[3], *left]:
                await subscription.ack(delivery)
            assert await broker.trim(topic, older_than_s=0) == 4
            assert await broker.read(topic) == []

    async def test_trimming_waits_for_the_slowest_group_and_leaves_dead_letters(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            await self.join(broker, topic, "slow")
            await self._bury(broker, topic, 1)
            await self._pass_a_moment()
            assert await broker.trim(topic, older_than_s=0) == 0
            await broker.remove_group(topic, "slow")
            assert await broker.trim(topic, older_than_s=0) == 1
            letters = await broker.dead_letters(topic, "g")
            assert [letter.message.data for letter in letters if letter.message] == [1]
            assert await broker.replay(topic, "g", letters[0].id)
            assert data_of(await self.take(await self.join(broker, topic), 1)) == [1]

    async def test_figures_say_what_is_before_a_group(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            subscription = await self.join(broker, topic)
            await self.join(broker, topic, "idle", start="now")
            await broker.publish(topic, *(message(number, "k" if number > 3 else None) for number in range(6)))
            taken = await self.take(subscription, 4)
            await subscription.ack(taken[0])
            await subscription.retry(taken[1], delay_s=60)
            await subscription.bury(taken[2], reason="r", error="e")
            stats = await broker.stats(topic)
            assert stats.messages == 6
            figures = {group.group: (group.waiting, group.in_flight, group.dead) for group in stats.groups}
            assert figures == {"g": (3, 1, 1), "idle": (6, 0, 0)}
            oldest = stats.groups[0].oldest_unfinished_at
            assert oldest is not None
            assert abs(oldest - datetime.now(UTC)) < timedelta(minutes=5)

    async def test_a_topic_that_is_none_has_no_figures(self) -> None:
        async with self.opened() as broker:
            stats = await broker.stats(topic_name())
            assert (stats.messages, stats.groups) == (0, ())
            assert await broker.read(topic_name()) == []
            assert await broker.trim(topic_name(), older_than_s=0) == 0

    async def test_topics_are_listed_whether_written_or_joined(self) -> None:
        written, joined = sorted([topic_name(), topic_name()])
        async with self.opened() as broker:
            await broker.publish(written, message())
            await self.join(broker, joined)
            assert [name for name in await broker.topics() if name in (written, joined)] == [written, joined]

    async def test_a_topic_can_be_read_page_by_page_without_a_group(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            await broker.publish(topic, *(message(number) for number in range(5)))
            await self.publish_raw(broker, topic, b"no event")
            first = await broker.read(topic, limit=2)
            rest = await broker.read(topic, after=first[-1].position)
            assert [stored.message.data for stored in first + rest if stored.message] == [0, 1, 2, 3, 4]
            assert (rest[-1].message, rest[-1].body) == (None, "no event")

    async def test_a_removed_group_begins_anew(self) -> None:
        topic = topic_name()
        async with self.opened() as broker:
            await self._bury(broker, topic, 1)
            await broker.remove_group(topic, "g")
            assert (await broker.stats(topic)).groups == ()
            subscription = await self.join(broker, topic)
            assert await broker.dead_letters(topic, "g") == []
            assert data_of(await self.take(subscription, 1)) == [1]

    async def test_after_the_end_every_call_is_refused(self) -> None:
        topic = topic_name()
        broker = await self.open()
        subscription = await self.join(broker, topic)
        await broker.close()
        await broker.close()
        for call in (broker.publish(topic, message()), broker.stats(topic), subscription.take(1)):
            assert isinstance((await asyncio.gather(call, return_exceptions=True))[0], BrokerClosed)

    async def _bury(self, broker: Broker, topic: str, *data: object) -> None:
        subscription = await self.join(broker, topic)
        await broker.publish(topic, *(message(item) for item in data))
        for delivery in await self.take(subscription, len(data)):
            await subscription.bury(delivery, reason="not-retryable", error="no")

    async def _pass_a_moment(self) -> None:
        """So that everything is older than no time at all by every store's clock."""
        await asyncio.sleep(0.005)
