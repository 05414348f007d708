"""SqliteBroker and MemoryBroker: one log and its groups, in a file that processes share, or in this process."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from maestro_core_messaging._broker import DeadLetter, Delivery, Start, Stored, Subscription, TopicStats
from maestro_core_messaging._checks import check_count, check_name, check_seconds
from maestro_core_messaging._errors import InvalidMessage, InvalidSetting
from maestro_core_messaging._message import Message
from maestro_core_messaging._sqlite import _deliveries, _keeping
from maestro_core_messaging._sqlite._bell import Bell, PipeBell
from maestro_core_messaging._sqlite._deliveries import Taken
from maestro_core_messaging._sqlite._schema import prepare
from maestro_core_messaging._sqlite._writer import MEMORY, Writer, connect

Clock = Callable[[], datetime]
Synchronous = Literal["full", "normal"]


def _now() -> datetime:
    return datetime.now(UTC)


class _LogBroker:
    """The broker on any SQLite database; it is opened by its first use, and belongs to one event loop."""

    def __init__(
        self, path: Path, bell: Bell, *, synchronous: str, busy_timeout_s: float, max_backlog: int | None, clock: Clock
    ) -> None:
        if max_backlog is not None:
            check_count("max_backlog", max_backlog)
        check_seconds("busy_timeout_s", busy_timeout_s)
        if synchronous not in ("full", "normal"):
            raise InvalidSetting(f"synchronous must be full or normal, not {synchronous!r:.80}")
        self._bell = bell
        self._max_backlog = max_backlog
        self._clock = clock
        self._writer = Writer(partial(_open, path, synchronous=synchronous, busy_timeout_s=busy_timeout_s), bell)

    async def publish(self, topic: str, *messages: Message) -> None:
        check_name("topic", topic)
        bodies = [(message, message.to_json()) for message in messages]
        await self._writer.run(
            lambda connection: _deliveries.publish(connection, topic, bodies, self._now_s(), self._max_backlog),
            news=True,
        )

    async def subscribe(
        self, topic: str, group: str, *, start: Start = "beginning", lease_s: float = 30.0
    ) -> Subscription:
        check_name("topic", topic)
        check_name("group", group)
        check_seconds("lease_s", lease_s)
        if start not in ("beginning", "now"):
            raise InvalidSetting(f"start must be beginning or now, not {start!r:.80}")
        group_id = await self._writer.run(lambda connection: _deliveries.join(connection, topic, group, start))
        self._bell.listen()
        return _LogSubscription(self._writer, self._bell, self._now_s, topic, group, group_id, lease_s)

    async def read(self, topic: str, *, after: str = "", limit: int = 100) -> list[Stored]:
        place = _number("after", after)
        return await self._writer.run(lambda connection: _keeping.read(connection, topic, place, limit))

    async def dead_letters(self, topic: str, group: str, *, after: str = "", limit: int = 100) -> list[DeadLetter]:
        place = _number("after", after)
        return await self._writer.run(lambda connection: _keeping.dead_letters(connection, topic, group, place, limit))

    async def replay(self, topic: str, group: str, letter_id: str) -> bool:
        letter = _number("letter_id", letter_id)
        return await self._writer.run(
            lambda connection: _keeping.replay(connection, topic, group, letter, self._now_s()), news=True
        )

    async def purge(self, topic: str, group: str, letter_id: str) -> bool:
        letter = _number("letter_id", letter_id)
        return await self._writer.run(lambda connection: _keeping.purge(connection, topic, group, letter)) is not None

    async def trim(self, topic: str, *, older_than_s: float) -> int:
        check_seconds("older_than_s", older_than_s, zero=True)
        return await self._writer.run(lambda connection: _keeping.trim(connection, topic, self._now_s() - older_than_s))

    async def remove_group(self, topic: str, group: str) -> None:
        await self._writer.run(lambda connection: _keeping.remove_group(connection, topic, group))

    async def topics(self) -> list[str]:
        return await self._writer.run(_keeping.topics)

    async def stats(self, topic: str) -> TopicStats:
        return await self._writer.run(lambda connection: _keeping.stats(connection, topic, self._now_s()))

    async def close(self) -> None:
        await self._writer.close()
        self._bell.close()

    def _now_s(self) -> float:
        return self._clock().timestamp()


class SqliteBroker(_LogBroker):
    """Topics in one SQLite file, which processes of one machine share; they wake each other through named pipes.

    `synchronous` "full" has every commit on the disk before its caller hears of it; with "normal" a loss of power may
    take the last ones. More than `max_backlog` unfinished messages of a group refuse what would add to them.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        synchronous: Synchronous = "full",
        busy_timeout_s: float = 10.0,
        max_backlog: int | None = None,
        clock: Clock = _now,
    ) -> None:
        where = Path(path).absolute()
        super().__init__(
            where,
            PipeBell(where.with_name(where.name + "-wake")),
            synchronous=synchronous,
            busy_timeout_s=busy_timeout_s,
            max_backlog=max_backlog,
            clock=clock,
        )


class MemoryBroker(_LogBroker):
    """The same in this process alone, gone with it: for tests, and where losing messages at an end is right."""

    def __init__(self, *, max_backlog: int | None = None, clock: Clock = _now) -> None:
        super().__init__(
            MEMORY, Bell(), synchronous="normal", busy_timeout_s=10.0, max_backlog=max_backlog, clock=clock
        )


class _LogSubscription:
    def __init__(
        self,
        writer: Writer,
        bell: Bell,
        now_s: Callable[[], float],
        topic: str,
        group: str,
        group_id: int,
        lease_s: float,
    ) -> None:
        self._writer = writer
        self._bell = bell
        self._now_s = now_s
        self._topic = topic
        self._group = group
        self._group_id = group_id
        self._lease_s = lease_s
        self._heard = -1
        self._next_at: float | None = None

    async def take(self, count: int) -> list[Delivery]:
        heard = self._bell.rings
        taken, self._next_at = await self._writer.run(lambda connection: self._take(connection, count))
        self._heard = heard
        return taken

    def _take(self, connection: sqlite3.Connection, count: int) -> tuple[list[Delivery], float | None]:
        now_s = self._now_s()
        rows, next_at = _deliveries.take(connection, self._group_id, count, now_s, self._lease_s)
        deliveries = []
        for taken, body in rows:
            try:
                message = Message.from_json(body)
            except InvalidMessage as error:
                _keeping.bury(connection, self._group_id, taken, "unreadable", str(error), now_s)
                next_at = now_s  # one of its key may have come forward
            else:
                deliveries.append(
                    Delivery(message, self._topic, self._group, taken.attempt, str(taken.seq), taken.token)
                )
        return deliveries, next_at

    async def wait(self, timeout_s: float) -> None:
        if self._next_at is not None:
            timeout_s = min(timeout_s, max(0.0, self._next_at - self._now_s()))
        await self._bell.wait(self._heard, timeout_s)

    async def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        return await self._writer.run(
            lambda connection: _deliveries.extend(connection, self._group_id, deliveries, self._now_s() + self._lease_s)
        )

    async def ack(self, delivery: Delivery) -> None:
        taken = _taken(delivery)
        await self._writer.run(
            lambda connection: _deliveries.finish(connection, self._group_id, taken.seq, taken.token),
            news=delivery.message.key is not None,
        )

    async def retry(self, delivery: Delivery, *, delay_s: float) -> None:
        await self._release(delivery, delay_s, counts=1)

    async def give_back(self, delivery: Delivery) -> None:
        await self._release(delivery, 0.0, counts=0)

    async def bury(self, delivery: Delivery, *, reason: str, error: str) -> None:
        taken = _taken(delivery)
        await self._writer.run(
            lambda connection: _keeping.bury(connection, self._group_id, taken, reason, error, self._now_s()),
            news=delivery.message.key is not None,
        )

    async def close(self) -> None:
        """Nothing is held that a lease does not bound."""

    async def _release(self, delivery: Delivery, delay_s: float, counts: int) -> None:
        await self._writer.run(
            lambda connection: _deliveries.release(
                connection, self._group_id, delivery, self._now_s() + delay_s, counts
            ),
            news=True,
        )


def _taken(delivery: Delivery) -> Taken:
    return Taken(int(delivery.position), delivery.attempt, delivery.token)


def _open(path: Path, *, synchronous: str, busy_timeout_s: float) -> sqlite3.Connection:
    connection = connect(path, synchronous=synchronous, busy_timeout_s=busy_timeout_s)
    try:
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _number(what: str, text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidSetting(f"{what} must be a number that this broker gave out, not {text!r:.80}")
    return int(text or 0)
