"""The relay: takes messages out of the outbox, publishes them, and marks them as sent."""

import asyncio
import heapq
import logging
import random as _random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError

from maestro_core_db._database import Database
from maestro_core_db._errors import DatabaseError, WrongUse
from maestro_core_db._failures import translated
from maestro_core_db._outbox._claim import Claim, Failure, claimed, table_of
from maestro_core_db._outbox._doorbell import Doorbell
from maestro_core_db._outbox._message import OutboxMessage
from maestro_core_db._outbox._parked import trim_outbox
from maestro_core_db._types import utc_now

MAX_REASON = 1000
# No publication begins later than this after the claim, so that a transaction does not live for hours.
_HOLD_S = 10.0
_TRIM_EVERY = timedelta(minutes=1)

_log = logging.getLogger("maestro_core_db")


def delay_s(attempts: int, *, initial_s: float, longest_s: float, random: float) -> float:
    """The wait after so many failed attempts: doubling up to `longest_s`, and up to half of it taken off by chance."""
    return min(longest_s, initial_s * 2.0 ** min(attempts - 1, 60)) * (1 - random / 2)


class OutboxRelay:
    """Publishes the outbox: at least once, in order for each topic and key.

    `publish` returns when the message is safe elsewhere, and raises otherwise; it may be called again with the same
    message. After `max_attempts`, or an error whose `retryable` is False, a message is parked with its reason. Times
    are seconds, `retention` is how long sent rows are kept, None for ever. Several relays may run at once.
    """

    def __init__(
        self,
        database: Database,
        publish: Callable[[OutboxMessage], Awaitable[None]],
        *,
        batch: int = 100,
        concurrency: int = 8,
        max_attempts: int = 10,
        initial_delay_s: float = 0.5,
        longest_delay_s: float = 300.0,
        publish_timeout_s: float = 30.0,
        poll_s: float = 5.0,
        retention: timedelta | None = timedelta(days=7),
        clock: Callable[[], datetime] = utc_now,
        random: Callable[[], float] = _random.random,
    ) -> None:
        if min(batch, concurrency, max_attempts) < 1 or min(initial_delay_s, publish_timeout_s, poll_s) <= 0:
            raise WrongUse("a relay's counts are at least 1 and its times above 0")
        table_of(database)
        self._database = database
        self._publish = publish
        self._batch = batch
        self._slots = asyncio.Semaphore(concurrency)
        self._max_attempts = max_attempts
        self._initial_delay_s = initial_delay_s
        self._longest_delay_s = longest_delay_s
        self._publish_timeout_s = publish_timeout_s
        self._poll_s = poll_s
        self._retention = retention
        self._clock = clock
        self._random = random
        self._wake = asyncio.Event()
        self._stopping = False
        self._trimmed_at: datetime | None = None
        # When failed messages are due again, as a heap.
        self._due: list[datetime] = []
        self._task: asyncio.Task[None] | None = None

    async def run_once(self) -> int:
        """Take one batch and publish it; how many messages were tried, sent or not."""
        now = self._clock()
        while self._due and self._due[0] <= now:
            heapq.heappop(self._due)
        with translated():
            async with claimed(self._database, now, self._batch) as claim:
                until = asyncio.get_running_loop().time() + _HOLD_S
                await asyncio.gather(*(self._publish_key(rows, claim, until) for rows in claim.keys))
        return len(claim.sent) + len(claim.failed)

    async def run(self) -> None:
        """Publish until `stop`, through failures of any kind, which are logged."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        self._database.outbox_listeners.add(wake)
        doorbell = Doorbell(self._database, self._wake.set)
        try:
            while not self._stopping:
                self._wake.clear()
                tried = 0
                try:
                    await doorbell.listen()
                    tried = await self.run_once()
                    await self._trim()
                except Exception as error:
                    # The driver's own errors are among them, and nobody watches a task that has ended.
                    known = isinstance(error, DatabaseError | SQLAlchemyError | OSError)
                    _log.warning(
                        "the outbox waits: %s: %s", type(error).__name__, error, exc_info=None if known else error
                    )
                if not tried and not self._stopping:
                    await self._wait()
        finally:
            self._database.outbox_listeners.discard(wake)
            await doorbell.close()

    def stop(self) -> None:
        """Have `run` end once the messages in flight are published and marked."""
        self._stopping = True
        self._wake.set()

    async def __aenter__(self) -> Self:
        """Run in a task of its own until the block ends."""
        self._task = asyncio.create_task(self.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._task is not None:
            await self._task

    async def _publish_key(self, rows: list[RowMapping], claim: Claim, until: float) -> None:
        """The rows of one key, one after the other, up to the first that fails or is not due."""
        async with self._slots:
            for row in rows:
                late = asyncio.get_running_loop().time() > until
                if self._stopping or late or row["due_at"] > self._clock():
                    return
                message = _message(row)
                try:
                    async with asyncio.timeout(self._publish_timeout_s):
                        await self._publish(message)
                except Exception as error:
                    claim.failed.append(self._failure(row["sequence"], message, error))
                    return
                claim.sent.append(row["sequence"])

    def _failure(self, sequence: int, message: OutboxMessage, error: Exception) -> Failure:
        reason = f"{type(error).__name__}: {error}".replace("\0", "")[:MAX_REASON]
        if message.attempt >= self._max_attempts or getattr(error, "retryable", True) is False:
            _log.error("outbox message %s is parked after %s attempts: %s", message.id, message.attempt, reason)
            return Failure(sequence, reason, None)
        wait_s = delay_s(
            message.attempt,
            initial_s=self._initial_delay_s,
            longest_s=self._longest_delay_s,
            random=self._random(),
        )
        due_at = self._clock() + timedelta(seconds=wait_s)
        heapq.heappush(self._due, due_at)
        return Failure(sequence, reason, due_at)

    async def _wait(self) -> None:
        wait_s = self._poll_s
        if self._due:
            wait_s = min(wait_s, max(0.0, (self._due[0] - self._clock()).total_seconds()))
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _trim(self) -> None:
        now = self._clock()
        if self._retention is None or (self._trimmed_at is not None and now - self._trimmed_at < _TRIM_EVERY):
            return
        await trim_outbox(self._database, now - self._retention)
        self._trimmed_at = now


def _message(row: RowMapping) -> OutboxMessage:
    return OutboxMessage(
        topic=row["topic"],
        key=row["key"],
        id=row["id"],
        source=row["source"],
        type=row["type"],
        subject=row["subject"],
        at=row["at"],
        data=row["data"],
        datacontenttype=row["datacontenttype"],
        dataschema=row["dataschema"],
        extensions=row["extensions"],
        attempt=row["attempts"] + 1,
    )
