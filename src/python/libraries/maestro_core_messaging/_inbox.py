"""Inbox: the effect of a message and the record that it was done, in one transaction of the store of the effect."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, TypeVar

from maestro_core_messaging._broker import Delivery
from maestro_core_messaging._checks import check_seconds
from maestro_core_messaging._errors import InvalidSetting, StoreUnreadable
from maestro_core_messaging._sqlite._bell import Bell
from maestro_core_messaging._sqlite._broker import Clock, Synchronous
from maestro_core_messaging._sqlite._writer import Writer, connect

StoreT_co = TypeVar("StoreT_co", covariant=True)

_TABLE: Final = "maestro_inbox_v1"


class Inbox(Protocol[StoreT_co]):
    """Makes effects happen once for each group, source and id, however often the message comes."""

    async def once(self, delivery: Delivery, effect: Callable[[StoreT_co], object]) -> bool:
        """Run the effect and record the message, both or neither; False, and no effect, when it was done before."""
        ...


class SqliteInbox:
    """An inbox in the SQLite database in which the effects happen too, put into WAL mode; processes may share it.

    `effect` gets a connection inside a transaction, in a thread of the inbox; it must not end the transaction. What it
    raises undoes it and reaches the caller. Effects that come at the same time share a commit. For one event loop.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        synchronous: Synchronous = "full",
        busy_timeout_s: float = 10.0,
        clock: Clock = lambda: datetime.now(UTC),
    ) -> None:
        self._path = Path(path)
        self._synchronous = synchronous
        self._busy_timeout_s = check_seconds("busy_timeout_s", busy_timeout_s)
        self._clock = clock
        self._writer = Writer(self._open, Bell())

    async def once(self, delivery: Delivery, effect: Callable[[sqlite3.Connection], object]) -> bool:
        """Run the effect and record the message, both or neither; False, and no effect, when it was done before."""
        name = (delivery.group, delivery.message.source, delivery.message.id)
        return await self._writer.run(lambda connection: self._once(connection, name, effect))

    async def forget(self, *, older_than_s: float) -> int:
        """Drop records that are that old, and return how many: a message that comes again after that is done again."""
        before_s = self._clock().timestamp() - check_seconds("older_than_s", older_than_s, zero=True)
        return await self._writer.run(
            lambda connection: connection.execute(f"DELETE FROM {_TABLE} WHERE done_at < ?", (before_s,)).rowcount
        )

    async def close(self) -> None:
        """Finish what was asked, and close the database."""
        await self._writer.close()

    def _once(
        self, connection: sqlite3.Connection, name: tuple[str, str, str], effect: Callable[[sqlite3.Connection], object]
    ) -> bool:
        recorded = connection.execute(
            f"INSERT INTO {_TABLE} (consumer, source, id, done_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*name, self._clock().timestamp()),
        )
        if not recorded.rowcount:
            return False
        effect(connection)
        if not connection.in_transaction:
            raise InvalidSetting("an effect of an inbox must not commit or roll back: its transaction is the inbox's")
        return True

    def _open(self) -> sqlite3.Connection:
        connection = connect(self._path, synchronous=self._synchronous, busy_timeout_s=self._busy_timeout_s)
        try:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {_TABLE} (consumer TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL,"
                " done_at REAL NOT NULL, PRIMARY KEY (consumer, source, id)) STRICT, WITHOUT ROWID"
            )
            connection.execute(f"CREATE INDEX IF NOT EXISTS {_TABLE}_by_time ON {_TABLE} (done_at)")
            newer = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'maestro_inbox_v*' AND name <> ?"
            found = connection.execute(newer, (_TABLE,)).fetchone()
            if found:
                raise StoreUnreadable(
                    f"the database has {found[0]}, and this package knows {_TABLE}; upgrade the package"
                )
        except BaseException:
            connection.close()
            raise
        return connection
