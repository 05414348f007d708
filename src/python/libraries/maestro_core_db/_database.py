"""The database: its engines, and the two ways to use it, reading sessions and units of work."""

import asyncio
import random as _random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Literal, Self, TypeVar

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from maestro_core_db import _postgres, _sqlite
from maestro_core_db._errors import DatabaseError, NotOpen
from maestro_core_db._failures import connecting, translated
from maestro_core_db._outbox._writer import OutboxWriter
from maestro_core_db._settings import DatabaseSettings, parse_url
from maestro_core_db._types import utc_now
from maestro_core_db._unit_of_work import Isolation, UnitOfWork

T = TypeVar("T")


class Database:
    """One database, open inside `async with`.

    `outbox` is the table that `uow.outbox` writes to, made by `outbox_table`; `clock` gives the times of its messages.
    `random` and `sleep` are for the waits between the attempts of `run_in_transaction`.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        *,
        outbox: Table | None = None,
        clock: Callable[[], datetime] = utc_now,
        random: Callable[[], float] = _random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self.outbox = outbox
        self.outbox_listeners: set[Callable[[], None]] = set()
        self._url = parse_url(settings.url.get_secret_value())
        self._clock = clock
        self._random = random
        self._sleep = sleep
        self._in_units: set[asyncio.Task[object] | None] = set()
        self._engines: tuple[AsyncEngine, AsyncEngine] | None = None

    def __repr__(self) -> str:
        return f"Database({self._url.render_as_string(hide_password=True)!r})"

    @property
    def kind(self) -> Literal["sqlite", "postgresql"]:
        """Which of the two it is."""
        return "sqlite" if self._url.get_backend_name() == "sqlite" else "postgresql"

    @property
    def engine(self) -> AsyncEngine:
        """The engine that writes."""
        return self._opened()[0]

    @property
    def reading_engine(self) -> AsyncEngine:
        """The engine whose transactions are snapshots that refuse to write."""
        return self._opened()[1]

    async def __aenter__(self) -> Self:
        """Make the engines; a SQLite file is created, a PostgreSQL server is not yet asked for anything."""
        if self.kind == "sqlite":
            await asyncio.to_thread(_sqlite.prepare_file, _sqlite.sqlite_path(self._url), self.settings.lock_timeout_s)
            writing = _sqlite.writing_engine(self._url, self.settings)
            self._engines = writing, _sqlite.reading_engine(self._url, self.settings)
        else:
            writing = _postgres.writing_engine(self._url, self.settings)
            self._engines = writing, _postgres.reading_engine(writing)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        engines, self._engines = self._opened(), None
        for engine in engines:
            await engine.dispose()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session that reads one snapshot; a write in it raises ReadOnly."""
        async with AsyncSession(self.reading_engine, expire_on_commit=False) as session:
            with connecting():
                await session.connection()
            with translated():
                yield session
                # The database refuses what was added or changed, rather than that it is forgotten in silence.
                await session.flush()

    def unit_of_work(self, *, isolation: Isolation = "read committed") -> UnitOfWork:
        """One transaction that may write; enter it with `async with`. SQLite is always serializable."""
        outbox = None
        if self.outbox is not None:
            outbox = OutboxWriter(self.outbox, source=self.settings.application_name, clock=self._clock)
        return UnitOfWork(self.engine, outbox, isolation, self.outbox_written, self._in_units)

    async def run_in_transaction(
        self,
        function: Callable[[UnitOfWork], Awaitable[T]],
        *,
        attempts: int = 5,
        isolation: Isolation = "read committed",
    ) -> T:
        """Run the function in a unit of work, and all of it again after an error that is retryable.

        The function may be called several times: let it do nothing that a rollback does not undo.
        """
        for failures in range(1, attempts):
            try:
                async with self.unit_of_work(isolation=isolation) as uow:
                    return await function(uow)
            except DatabaseError as error:
                if not error.retryable:
                    raise
            # Doubling, and spread, so that those who collided do not meet again.
            await self._sleep(min(0.01 * 2**failures, 1.0) * (0.5 + self._random()))
        async with self.unit_of_work(isolation=isolation) as uow:
            return await function(uow)

    async def ping(self) -> None:
        """Health probe: raises Unreachable (or another DatabaseError) when the database does not answer."""
        with connecting():
            async with asyncio.timeout(self.settings.connect_timeout_s), self.reading_engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

    def migrating_engine(self) -> AsyncEngine:
        """An engine for migrations and for them alone; dispose of it after use."""
        make = _sqlite.migrating_engine if self.kind == "sqlite" else _postgres.migrating_engine
        return make(self._url, self.settings)

    def outbox_written(self) -> None:
        """Tell the relays of this process that there is something new."""
        for listener in tuple(self.outbox_listeners):
            listener()

    def _opened(self) -> tuple[AsyncEngine, AsyncEngine]:
        if self._engines is None:
            raise NotOpen("the database is not open: use it inside `async with database:`")
        return self._engines
