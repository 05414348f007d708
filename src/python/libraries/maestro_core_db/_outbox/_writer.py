"""The way into the outbox, inside a unit of work."""

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from maestro_core_db._outbox._message import check_message


class OutboxWriter:
    """Collects the messages of one unit of work, and writes them just before its commit."""

    def __init__(self, table: Table, *, source: str, clock: Callable[[], datetime]) -> None:
        self.staged: list[dict[str, Any]] = []
        self._table = table
        self._source = source
        self._clock = clock

    def add(
        self,
        *,
        topic: str,
        type: str,
        data: Any = None,
        key: str | None = None,
        id: str | None = None,
        source: str | None = None,
        subject: str | None = None,
        at: datetime | None = None,
        datacontenttype: str = "application/json",
        dataschema: str | None = None,
        extensions: Mapping[str, str] | None = None,
    ) -> str:
        """Add a message to this transaction; its id. Raises InvalidMessage.

        `data` is anything JSON. `id` None makes one, `source` None is the application's name, `at` None is now.
        """
        now = self._clock()
        row = {
            "topic": topic,
            "key": key,
            "id": str(uuid.uuid4()) if id is None else id,
            "source": self._source if source is None else source,
            "type": type,
            "subject": subject,
            "at": now if at is None else at,
            "data": data,
            "datacontenttype": datacontenttype,
            "dataschema": dataschema,
            "extensions": dict(extensions or {}),
            "attempts": 0,
            "due_at": now,
        }
        check_message(row)
        self.staged.append(row)
        return str(row["id"])

    async def write(self, session: AsyncSession) -> None:
        """Write what was collected; nothing but the commit may follow.

        The order of a key is the order of its commits. On PostgreSQL numbers are given before the commit, so those who
        write the same key take turns here. The locks are taken in one order, and last: they cannot end in a deadlock.
        """
        await append(await session.connection(), self._table, self.staged)


async def append(connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows at the end of the order of their keys; nothing but the commit may follow."""
    if connection.dialect.name == "postgresql":
        keys = {(row["topic"], row["key"]) for row in rows if row["key"] is not None}
        locks = sorted(_lock_number(table.fullname, *names) for names in keys)
        take = text("SELECT pg_advisory_xact_lock(number) FROM unnest(CAST(:locks AS bigint[])) AS number")
        await connection.execute(take, {"locks": locks})
        await connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": channel_of(table.fullname)})
    await connection.execute(insert(table), rows)


def channel_of(table: str) -> str:
    """The channel on which PostgreSQL says that something was written."""
    return f"outbox_{_lock_number(table) % 2**64:016x}"


def _lock_number(*names: str) -> int:
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
