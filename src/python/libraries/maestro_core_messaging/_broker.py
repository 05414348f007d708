"""Broker and Subscription: the port behind which every backend stands, and the values that pass through it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from maestro_core_messaging._message import Message

Start = Literal["beginning", "now"]
"""Where a group that did not exist begins: with all that the topic still holds, or with what comes after."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in the hands of one consumer; `attempt` is 1 at first.

    `position` is where the broker keeps it, `token` the fence: whoever takes it next holds a higher one.
    """

    message: Message
    topic: str
    group: str
    attempt: int
    position: str
    token: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a group gave up; `message` is None where `body` could not be read.

    `reason` is a word (attempts-exhausted, not-retryable, unreadable, worker-lost, trimmed), `error` the last error.
    """

    id: str
    topic: str
    group: str
    message: Message | None
    body: str
    reason: str
    error: str
    position: str
    attempts: int
    dead_at: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as the topic holds it; `message` is None where `body` cannot be read."""

    position: str
    message: Message | None
    body: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class GroupStats:
    """What a group has before it: `waiting` is its lag, delayed retries included; `in_flight` is leased."""

    group: str
    waiting: int
    in_flight: int
    dead: int
    oldest_unfinished_at: datetime | None


@dataclass(frozen=True, slots=True)
class TopicStats:
    """What a topic holds, finished messages included, and its groups in the order of their names."""

    topic: str
    messages: int
    groups: tuple[GroupStats, ...]


class Subscription(Protocol):
    """One consumer's membership in a group. What it takes is leased to it, and nobody else's until the lease ends.

    A message with a key is not given out while an earlier one of its key is unfinished in the group.
    """

    async def take(self, count: int) -> list[Delivery]:
        """Lease up to `count` messages that are due; returns at once, empty when there are none.

        What cannot be read as a message is buried with the reason "unreadable", and never returned.
        """
        ...

    async def wait(self, timeout_s: float) -> None:
        """Return when `take` may find more than it did the last time, at the latest after `timeout_s`.

        It may be cancelled at any moment without a trace, and may return too early.
        """
        ...

    async def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Begin the leases anew; returns those that are lost."""
        ...

    async def ack(self, delivery: Delivery) -> None:
        """Finish it; raises LeaseLost when it is someone else's."""
        ...

    async def retry(self, delivery: Delivery, *, delay_s: float) -> None:
        """Have it delivered again, with `attempt` one higher, not before `delay_s`; raises LeaseLost."""
        ...

    async def give_back(self, delivery: Delivery) -> None:
        """Have it delivered again at once, and forget this attempt; raises LeaseLost."""
        ...

    async def bury(self, delivery: Delivery, *, reason: str, error: str) -> None:
        """Finish it and make it a dead letter, both or neither; raises LeaseLost."""
        ...

    async def close(self) -> None:
        """Leave; what is still leased comes back when its lease ends. Never fails."""
        ...


class Broker(Protocol):
    """Topics of messages, kept until they are trimmed, and the groups that read them, each on its own.

    Everything raises BrokerUnavailable while the broker cannot do it, and BrokerClosed after `close`.
    """

    async def publish(self, topic: str, *messages: Message) -> None:
        """Append all of them durably, in order, or none; raises TopicFull.

        A message whose source and id the topic remembers is left out. For how long it does is the backend's to say.
        """
        ...

    async def subscribe(
        self, topic: str, group: str, *, start: Start = "beginning", lease_s: float = 30.0
    ) -> Subscription:
        """Join a group, which is made where `start` says when there is none; `start` is of no effect on one that is."""
        ...

    async def read(self, topic: str, *, after: str = "", limit: int = 100) -> list[Stored]:
        """The next messages after a position, whoever has read them; from the oldest without one."""
        ...

    async def dead_letters(self, topic: str, group: str, *, after: str = "", limit: int = 100) -> list[DeadLetter]:
        """Dead letters of a group after an id, oldest first."""
        ...

    async def replay(self, topic: str, group: str, letter_id: str) -> bool:
        """Deliver a dead letter to its group anew, from attempt 1, behind what waits; False when there is none."""
        ...

    async def purge(self, topic: str, group: str, letter_id: str) -> bool:
        """Forget a dead letter; False when there is none."""
        ...

    async def trim(self, topic: str, *, older_than_s: float) -> int:
        """Drop old messages that every group has finished with; returns how many."""
        ...

    async def remove_group(self, topic: str, group: str) -> None:
        """Forget a group with all that waits for it and its dead letters; raises UnknownGroup."""
        ...

    async def topics(self) -> list[str]:
        """The names of all topics, sorted."""
        ...

    async def stats(self, topic: str) -> TopicStats:
        """What a topic holds and how far its groups are; zeros for one that does not exist."""
        ...

    async def close(self) -> None:
        """Let go of everything; what was accepted is done first. May be called again."""
        ...
