"""The unit of work: one transaction, committed when its block ends well, and undone when it does not."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Literal, Self

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from maestro_core_db._errors import WrongUse
from maestro_core_db._failures import connecting, translate, translated
from maestro_core_db._outbox._writer import OutboxWriter
from maestro_core_db._versions import VersionWatch

Isolation = Literal["read committed", "repeatable read", "serializable"]

_log = logging.getLogger("maestro_core_db")


class UnitOfWork:
    """One transaction: `async with database.unit_of_work() as uow:` commits on a clean exit, rolls back on any error.

    Objects stay readable after the commit. One unit of work within another would wait for itself on SQLite and hide a
    second transaction on PostgreSQL, so it is refused; `savepoint` undoes a part.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        outbox: OutboxWriter | None,
        isolation: Isolation,
        outbox_written: Callable[[], None],
        busy: set[asyncio.Task[object] | None],
    ) -> None:
        self._engine = engine
        self._isolation = isolation
        self._outbox = outbox
        self._outbox_written = outbox_written
        self._callbacks: list[Callable[[], None]] = []
        self._session: AsyncSession | None = None
        self._watch: VersionWatch | None = None
        # The tasks that are in a unit of work of this database.
        self._busy = busy
        self._task: asyncio.Task[object] | None = None

    @property
    def session(self) -> AsyncSession:
        """SQLAlchemy's session of this transaction; leave commit and rollback to the block."""
        if self._session is None:
            raise WrongUse("the unit of work is not open: use it inside its `async with`, once")
        return self._session

    @property
    def outbox(self) -> OutboxWriter:
        """Where messages are put that leave if, and only if, this transaction is committed."""
        if self._outbox is None:
            raise WrongUse("the database was made without an outbox: Database(settings, outbox=outbox_table(metadata))")
        return self._outbox

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call a function once the transaction is committed, never after a rollback.

        In order; one that raises is logged, since the transaction stands.
        """
        self._callbacks.append(callback)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that is undone alone, its messages and callbacks too, when its block raises; the error goes on."""
        messages = 0 if self._outbox is None else len(self._outbox.staged)
        callbacks = len(self._callbacks)
        try:
            async with self.session.begin_nested():
                yield
        except BaseException:
            del self._callbacks[callbacks:]
            if self._outbox is not None:
                del self._outbox.staged[messages:]
            raise

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task in self._busy:
            raise WrongUse("a unit of work within another: pass the outer one on, or use its savepoint()")
        if self._watch is not None:
            raise WrongUse("a unit of work is entered once: ask the database for another")
        session = AsyncSession(self._engine, expire_on_commit=False)
        self._watch = VersionWatch(session)
        options = {"isolation_level": self._isolation.upper()} if self._engine.dialect.name == "postgresql" else {}
        try:
            with connecting():
                await session.connection(execution_options=options)
        except BaseException:
            await session.close()
            raise
        self._session, self._task = session, task
        self._busy.add(task)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, watch = self.session, self._watch
        assert watch is not None, "made when it was entered"
        try:
            # Its own exit closes the session, and so rolls back what is not committed, whatever happens meanwhile.
            async with session:
                if error is None:
                    await self._commit(session)
        except StaleDataError as stale:
            await watch.explain(self._engine, stale)
            raise
        finally:
            self._busy.discard(self._task)
            self._session = self._task = None
        if error is None:
            self._call_back()
        elif isinstance(error, StaleDataError):
            await watch.explain(self._engine, error)
        elif isinstance(error, SQLAlchemyError) and (meaning := translate(error)) is not None:
            raise meaning from error

    async def _commit(self, session: AsyncSession) -> None:
        with translated():
            await session.flush()
            if self._outbox is not None and self._outbox.staged:
                await self._outbox.write(session)
                self._callbacks.append(self._outbox_written)
        with translated(committing=True):
            await session.commit()

    def _call_back(self) -> None:
        for callback in self._callbacks:
            try:
                callback()
            except Exception:
                _log.exception("a callback after the commit raised; the transaction stands")
