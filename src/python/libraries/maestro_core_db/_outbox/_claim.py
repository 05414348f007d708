"""Which messages a relay takes: the oldest of each key, and what follows them, for as long as it holds the claim.

Of one topic and key only the head, the oldest waiting row, may be taken by anybody. On PostgreSQL a relay locks heads
and skips those that others hold. Whoever holds the head owns the key, and takes the rows that follow it as well. That
is sound because a row that comes later always has a greater number than every row of its key before it: those who
write a key take turns, and a row that is replayed goes to the end. The locks end with the connection, so what a dead
relay held is free at once.

SQLite has no such locks. One relay at a time holds a lock on a file beside the database.
"""

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, Table, and_, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from maestro_core_db._database import Database
from maestro_core_db._errors import WrongUse


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that was not published: when to try again, or None to park it."""

    sequence: int
    reason: str
    due_at: datetime | None


@dataclass(slots=True)
class Claim:
    """The messages taken, in order within each key, and what became of them."""

    keys: list[list[RowMapping]]
    sent: list[int] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


def table_of(database: Database) -> Table:
    """The outbox of a database; raises WrongUse when it has none."""
    if database.outbox is None:
        raise WrongUse("the database was made without an outbox: Database(settings, outbox=outbox_table(metadata))")
    return database.outbox


@asynccontextmanager
async def claimed(database: Database, now: datetime, batch: int) -> AsyncIterator[Claim]:
    """Take up to `batch` messages; what became of them is stored when the block ends."""
    table = table_of(database)
    if database.kind == "sqlite":
        with _only_relay(Path(f"{database.engine.url.database}-relay.lock")) as alone:
            claim = Claim([])
            if alone:
                async with database.reading_engine.connect() as connection:
                    claim = Claim(await _take(connection, table, now, batch))
            yield claim
            if claim.sent or claim.failed:
                async with database.engine.begin() as connection:
                    await _settle(connection, table, claim, now)
        return
    engine = database.engine.execution_options(isolation_level="READ COMMITTED")
    async with engine.begin() as connection:
        # The connection is silent while its messages are being published.
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        claim = Claim(await _take(connection, table, now, batch))
        yield claim
        await _settle(connection, table, claim, now)


@contextmanager
def _only_relay(path: Path) -> Iterator[bool]:
    """Whether nobody else holds the file's lock; it is held until the block, or the process, ends."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


async def _take(connection: AsyncConnection, table: Table, now: datetime, batch: int) -> list[list[RowMapping]]:
    heads = (await connection.execute(_heads(table, now, batch))).all()
    if not heads:
        return []
    wanted: ColumnElement[bool] = table.c.sequence.in_([head.sequence for head in heads])
    if owned := [(head.topic, head.key) for head in heads if head.key is not None]:
        wanted = or_(wanted, and_(_waits(table), tuple_(table.c.topic, table.c.key).in_(owned)))
    rows = await connection.execute(select(table).where(wanted).order_by(table.c.sequence).limit(batch))
    keys: dict[tuple[Any, ...], list[RowMapping]] = {}
    for row in rows.mappings():
        own = row["sequence"] if row["key"] is None else None
        keys.setdefault((row["topic"], row["key"], own), []).append(row)
    return list(keys.values())


def _heads(table: Table, now: datetime, batch: int) -> Select[Any]:
    before = table.alias("before")
    older = select(before.c.sequence).where(
        before.c.sent_at.is_(None),
        before.c.parked_at.is_(None),
        before.c.topic == table.c.topic,
        before.c.key == table.c.key,
        before.c.sequence < table.c.sequence,
    )
    return (
        select(table.c.sequence, table.c.topic, table.c.key)
        .where(_waits(table), table.c.due_at <= now, or_(table.c.key.is_(None), ~older.exists()))
        .order_by(table.c.sequence)
        .limit(batch)
        .with_for_update(skip_locked=True, of=table)
    )


def _waits(table: Table) -> ColumnElement[bool]:
    return and_(table.c.sent_at.is_(None), table.c.parked_at.is_(None))


async def _settle(connection: AsyncConnection, table: Table, claim: Claim, now: datetime) -> None:
    tried = table.c.attempts + 1
    if claim.sent:
        here = table.c.sequence.in_(claim.sent)
        await connection.execute(update(table).where(here).values(sent_at=now, attempts=tried, reason=None))
    for failure in claim.failed:
        then = {"parked_at": now} if failure.due_at is None else {"due_at": failure.due_at}
        this = update(table).where(table.c.sequence == failure.sequence)
        await connection.execute(this.values(attempts=tried, reason=failure.reason, **then))
