"""Watching: history first, then live events, without gap or repeat, and never slowing the engine."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_workflow_engine import EngineClosed, Event, SlowReader
from maestro_workflow_engine._hub import Hub, follow

RANDOMS = st.builds(Random, st.integers(0, 2**32))
AT = datetime(2026, 1, 1, tzinfo=UTC)


class Source:
    """A journal in memory whose events become known to the hub one by one, at any time after they are readable."""

    def __init__(self, random: Random, count: int) -> None:
        self.hub = Hub()
        self.events: list[Event] = []
        self._random = random
        self._count = count
        self._published = 0

    def grow(self) -> None:
        """Some events become durable, and some of those are published."""
        for _ in range(self._random.randint(0, 3)):
            if len(self.events) < self._count:
                number = len(self.events) + 1
                type_ = "workflow.succeeded" if number == self._count else "step.started"
                self.events.append(Event(number, "w", type_, AT, {}, number))
        until = self._random.randint(self._published, len(self.events))
        self.hub.publish("w", self.events[self._published : until])
        self._published = until

    async def read(self, start: int, limit: int) -> list[Event]:
        """History, while the world goes on."""
        self.grow()
        page = [event for event in self.events if event.seq >= start][: min(limit, 500)]
        self.grow()
        return page

    async def has_ended(self) -> bool:
        """Whether the last event is durable."""
        self.grow()
        return len(self.events) == self._count

    async def finish(self) -> None:
        """Let everything happen."""
        while self._published < self._count:
            self.grow()
            await asyncio.sleep(0)

    def watch(self, workflow_id: str | None = "w", start: int = 1, bound: int = 10_000) -> AsyncIterator[Event]:
        """Follow it."""
        return follow(self.hub, workflow_id, start=start, bound=bound, read=self.read, has_ended=self.has_ended)


@settings(max_examples=200, deadline=None)
@given(RANDOMS, st.integers(1, 30), st.integers(1, 35))
async def test_no_gap_and_no_repeat_however_the_times_fall(random: Random, count: int, start: int) -> None:
    """Whenever events become durable, readable and published, a watcher gets each once, in order, and then the end."""
    source = Source(random, count)
    watching = asyncio.create_task(collect(source.watch(start=start)))
    await source.finish()
    got = await asyncio.wait_for(watching, 10)
    assert [event.seq for event in got] == list(range(start, count + 1))


async def collect(events: AsyncIterator[Event]) -> list[Event]:
    """All of them."""
    return [event async for event in events]


def events(first: int, last: int) -> list[Event]:
    """Events with these numbers."""
    return [Event(number, "w", "step.started", AT, {}, number) for number in range(first, last + 1)]


class Quiet(Source):
    """Its history is fixed."""

    def __init__(self, history: int) -> None:
        super().__init__(Random(0), 1000)
        self.events = events(1, history)

    def grow(self) -> None:
        """Nothing happens by itself."""


async def live(watching: AsyncIterator[Event], source: Quiet) -> None:
    """Read all history, and then one live event, so that the watcher is known to be live."""
    for _ in source.events:
        await anext(watching)
    waiting = asyncio.ensure_future(anext(watching))
    while not source.hub._of_one and not source.hub._of_all:  # noqa: ASYNC110 - the hub tells nobody who has come
        await asyncio.sleep(0)
    number = len(source.events) + 1
    source.hub.publish("w", events(number, number))
    assert (await waiting).seq == number


@pytest.mark.parametrize("workflow_id", ["w", None])
async def test_a_slow_reader_gets_what_was_kept_and_then_where_to_go_on(workflow_id: str | None) -> None:
    """The hub forgets it at once, so it costs nothing any more."""
    source = Quiet(history=3)
    watching = source.watch(workflow_id, bound=2)
    await live(watching, source)
    source.hub.publish("w", events(5, 9))
    assert not source.hub._of_all
    assert not any(source.hub._of_one.values())
    assert [(await anext(watching)).seq, (await anext(watching)).seq] == [5, 6]
    with pytest.raises(SlowReader) as slow:
        await anext(watching)
    assert slow.value.resume_from == 7


async def test_a_closed_hub_ends_its_watchers_after_what_they_have_not_taken() -> None:
    """And those who come later."""
    source = Quiet(history=1)
    watching = source.watch()
    await live(watching, source)
    source.hub.publish("w", events(3, 3))
    source.hub.close(EngineClosed())
    assert (await anext(watching)).seq == 3
    with pytest.raises(EngineClosed):
        await anext(watching)
    late = source.watch(start=2)
    with pytest.raises(EngineClosed):
        await anext(late)


async def test_a_watcher_that_leaves_is_forgotten() -> None:
    """Nothing is kept for it."""
    source = Quiet(history=1)
    watching = follow(source.hub, "w", start=1, bound=2, read=source.read, has_ended=source.has_ended)
    await live(watching, source)
    assert source.hub._of_one
    await watching.aclose()  # type: ignore[attr-defined]  # an async generator, behind its protocol
    assert source.hub._of_one == {}
