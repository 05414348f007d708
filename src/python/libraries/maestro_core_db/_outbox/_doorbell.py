"""Hears on PostgreSQL that another process has written to the outbox; on SQLite there is nothing to hear."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from maestro_core_db._database import Database
from maestro_core_db._failures import connecting
from maestro_core_db._outbox._claim import table_of
from maestro_core_db._outbox._writer import channel_of


class Doorbell:
    """One connection that listens, made anew when it is lost."""

    def __init__(self, database: Database, ring: Callable[[], None]) -> None:
        self._database = database
        self._channel = channel_of(table_of(database).fullname)
        self._ring = ring
        self._connection: AsyncConnection | None = None
        self._driver: Any = None

    async def listen(self) -> None:
        """See that somebody listens."""
        if self._database.kind == "sqlite" or (self._driver is not None and not self._driver.is_closed()):
            return
        await self.close()
        with connecting():
            self._connection = await self._database.engine.connect()
            driver: Any = (await self._connection.get_raw_connection()).driver_connection
            await driver.add_listener(self._channel, self._heard)
        driver.add_termination_listener(self._lost)
        self._driver = driver

    async def close(self) -> None:
        """End the connection, rather than ask a server that may be gone to forget what was set on it."""
        connection, self._connection = self._connection, None
        driver, self._driver = self._driver, None
        if driver is not None and not driver.is_closed():
            driver.remove_termination_listener(self._lost)
        if connection is not None:
            try:
                await connection.invalidate()
            finally:
                await connection.close()

    def _heard(self, *_: object) -> None:
        self._ring()

    def _lost(self, *_: object) -> None:
        # The next round finds it closed, and listens again.
        self._ring()
