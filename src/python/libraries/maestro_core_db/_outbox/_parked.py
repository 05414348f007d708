"""Care for the outbox: what waits, what was parked and why, sending it again, and forgetting what was sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select

from maestro_core_db._database import Database
from maestro_core_db._failures import translated
from maestro_core_db._outbox._claim import table_of
from maestro_core_db._outbox._writer import append
from maestro_core_db._types import utc_now

_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """A message that was given up."""

    id: str
    topic: str
    key: str | None
    type: str
    attempts: int
    reason: str
    parked_at: datetime


@dataclass(frozen=True, slots=True)
class OutboxLag:
    """How far behind the outbox is; `oldest_at` is None when nothing waits."""

    waiting: int
    parked: int
    oldest_at: datetime | None


async def outbox_lag(database: Database) -> OutboxLag:
    """What waits and what is parked, for a metric or an alarm."""
    table = table_of(database)
    waits = (table.c.sent_at.is_(None)) & (table.c.parked_at.is_(None))
    async with database.session() as session:
        waiting, oldest_at = (await session.execute(select(func.count(), func.min(table.c.at)).where(waits))).one()
        parked = await session.scalar(select(func.count()).where(table.c.parked_at.is_not(None)))
    return OutboxLag(waiting, parked or 0, oldest_at)


async def parked_messages(database: Database, *, limit: int = 100) -> list[ParkedMessage]:
    """The parked messages, oldest first."""
    table = table_of(database)
    columns = [table.c[name] for name in ParkedMessage.__slots__]
    query = select(*columns).where(table.c.parked_at.is_not(None)).order_by(table.c.sequence).limit(limit)
    async with database.session() as session:
        return [ParkedMessage(*row) for row in await session.execute(query)]


async def replay_parked(database: Database, ids: Sequence[str]) -> int:
    """Let parked messages be published after all, after what waits of their keys; how many there were."""
    table = table_of(database)
    async with database.unit_of_work() as uow:
        taken = await uow.session.execute(
            delete(table).where(table.c.parked_at.is_not(None), table.c.id.in_(ids)).returning(table)
        )
        rows: list[dict[str, Any]] = sorted(map(dict, taken.mappings()), key=lambda row: row["sequence"])
        for row in rows:
            del row["sequence"]
            row |= {"attempts": 0, "due_at": utc_now(), "reason": None, "parked_at": None}
        if rows:
            await append(await uow.session.connection(), table, rows)
        uow.after_commit(database.outbox_written)
    return len(rows)


async def trim_outbox(database: Database, before: datetime) -> int:
    """Delete what was sent before a moment, in small transactions; how many rows."""
    table = table_of(database)
    old = select(table.c.sequence).where(table.c.sent_at < before).limit(_CHUNK)
    if database.kind == "postgresql":
        old = old.with_for_update(skip_locked=True)
    gone = 0
    while True:
        with translated():
            async with database.engine.begin() as connection:
                deleted = (await connection.execute(delete(table).where(table.c.sequence.in_(old)))).rowcount
        gone += deleted
        if deleted < _CHUNK:
            return gone
