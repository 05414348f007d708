"""One process migrates at a time; the others wait, and find that there is nothing left to do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from maestro_core_db._database import Database
from maestro_core_db._errors import LockTimeout, MigrationError, MigrationLocked
from maestro_core_db._failures import connecting, translated

# One lock for all wheels that share a database; the number only has to be ours.
_LOCK = 5_204_218_013_411_267
_POLL_S = 0.05


@asynccontextmanager
async def locked_connection(database: Database) -> AsyncIterator[AsyncConnection]:
    """A connection whose holder may migrate.

    On SQLite it is in a transaction, committed at the end: an upgrade is done whole or not at all. On PostgreSQL it is
    in none, so that each revision is its own transaction.
    """
    engine = database.migrating_engine()
    try:
        if database.kind == "sqlite":
            async with _sqlite(engine.connect(), database) as connection:
                yield connection
        else:
            async with _postgres(engine.connect(), database) as connection:
                yield connection
    finally:
        await engine.dispose()


@asynccontextmanager
async def _sqlite(connecting_to: AsyncConnection, database: Database) -> AsyncIterator[AsyncConnection]:
    async with connecting_to as connection:
        try:
            with translated():
                await connection.begin()
        except LockTimeout as error:
            raise _waited(database) from error
        yield connection
        broken = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
        if broken:
            tables = ", ".join(sorted({str(row[0]) for row in broken}))
            raise MigrationError(f"{len(broken)} rows point to rows that are not there, in {tables}: all is undone")
        await connection.commit()


@asynccontextmanager
async def _postgres(connecting_to: AsyncConnection, database: Database) -> AsyncIterator[AsyncConnection]:
    with connecting():
        await connecting_to.start()
    try:
        until = asyncio.get_running_loop().time() + database.settings.migration_wait_s
        # Not with pg_advisory_lock: whoever waits in it holds a snapshot, and CREATE INDEX CONCURRENTLY waits for that.
        while not await try_lock(connecting_to):
            if asyncio.get_running_loop().time() > until:
                raise _waited(database)
            await asyncio.sleep(_POLL_S)
        yield connecting_to
    finally:
        # The lock ends with the connection, which is in no pool.
        await connecting_to.close()


async def try_lock(connection: AsyncConnection) -> bool:
    """Whether this connection holds the lock now; it does until it is closed."""
    taken = await connection.scalar(text("SELECT pg_try_advisory_lock(:number)"), {"number": _LOCK})
    await connection.commit()
    return bool(taken)


def _waited(database: Database) -> MigrationLocked:
    return MigrationLocked(f"another process was still migrating after {database.settings.migration_wait_s} s")
