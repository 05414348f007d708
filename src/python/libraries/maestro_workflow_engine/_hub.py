"""Hands durable events to those who watch, and never waits for them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from maestro_workflow_engine._errors import SlowReader, WorkflowError
from maestro_workflow_engine._events import TERMINAL_TYPES, Event

_PAGE: Final = 500


class Subscription:
    """The live events that one watcher has not taken yet, up to a bound."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._events: deque[Event] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._end: WorkflowError | None = None
        self.is_behind = False

    def offer(self, event: Event) -> bool:
        """Whether there was room for it."""
        if len(self._events) >= self._bound:
            self.is_behind = True
        else:
            self._events.append(event)
        self._rouse()
        return not self.is_behind

    def end(self, error: WorkflowError) -> None:
        """Nothing more will come; the watcher gets the error after what it has not taken yet."""
        self._end = error
        self._rouse()

    async def take(self) -> Event | None:
        """The next event, or None when the watcher has fallen behind; raises what `end` was given."""
        while not self._events:
            if self.is_behind:
                return None
            if self._end is not None:
                raise self._end
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        return self._events.popleft()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class Hub:
    """All watchers of one engine; an engine without watchers pays one look-up per decision."""

    def __init__(self) -> None:
        self._of_one: dict[str, set[Subscription]] = {}
        self._of_all: set[Subscription] = set()
        self._end: WorkflowError | None = None

    def publish(self, workflow_id: str, events: list[Event]) -> None:
        """Hand on events of one workflow that are durable."""
        if self._of_all:
            self._offer(self._of_all, events)
        watchers = self._of_one.get(workflow_id)
        if watchers:
            self._offer(watchers, events)

    def subscribe(self, workflow_id: str | None, bound: int) -> Subscription:
        """Everything from now on of one workflow, or of all."""
        subscription = Subscription(bound)
        watchers = self._of_all if workflow_id is None else self._of_one.setdefault(workflow_id, set())
        watchers.add(subscription)
        if self._end is not None:
            subscription.end(self._end)
        return subscription

    def unsubscribe(self, workflow_id: str | None, subscription: Subscription) -> None:
        """Forget a watcher."""
        if workflow_id is None:
            self._of_all.discard(subscription)
        elif workflow_id in self._of_one:
            self._of_one[workflow_id].discard(subscription)
            if not self._of_one[workflow_id]:
                del self._of_one[workflow_id]

    def close(self, error: WorkflowError) -> None:
        """End every watcher, also those who come later."""
        self._end = error
        for watchers in (self._of_all, *self._of_one.values()):
            for subscription in watchers:
                subscription.end(error)

    def _offer(self, watchers: set[Subscription], events: list[Event]) -> None:
        for subscription in list(watchers):
            for event in events:
                if not subscription.offer(event):
                    watchers.discard(subscription)
                    break


async def follow(
    hub: Hub,
    workflow_id: str | None,
    *,
    start: int,
    bound: int,
    read: Callable[[int, int], Awaitable[list[Event]]],
    has_ended: Callable[[], Awaitable[bool]],
) -> AsyncIterator[Event]:
    """Durable events of one workflow from a seq on until it ends, or of all from a position on.

    `read` gives history from a number on, at most so many; the hub takes over once the reader has caught up.
    """
    upcoming = start
    subscription: Subscription | None = None
    try:
        while True:
            ended = subscription is not None and await has_ended()
            page = await read(upcoming, _PAGE)
            for event in page:
                yield event
                upcoming = (event.position if workflow_id is None else event.seq) + 1
                if workflow_id is not None and event.type in TERMINAL_TYPES:
                    return
            if ended:
                return
            if len(page) < _PAGE:
                if subscription is not None:
                    break
                subscription = hub.subscribe(workflow_id, bound)
        while True:
            live = await subscription.take()
            if live is None:
                raise SlowReader(upcoming)
            number = live.position if workflow_id is None else live.seq
            if number >= upcoming:
                yield live
                upcoming = number + 1
            if workflow_id is not None and live.type in TERMINAL_TYPES:
                return
    finally:
        if subscription is not None:
            hub.unsubscribe(workflow_id, subscription)
