"""A database for the length of a test."""

import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, Table, text
from sqlalchemy.engine import make_url

from maestro_core_config import SecretText
from maestro_core_db._database import Database
from maestro_core_db._settings import DatabaseSettings


@asynccontextmanager
async def temporary_database(
    server: str | None = None, *, metadata: MetaData | None = None, outbox: Table | None = None, **settings: Any
) -> AsyncIterator[Database]:
    """An open, new database, gone afterwards: SQLite in a temporary folder, or one on the PostgreSQL `server`.

    `server` is the URL of any database there whose user may create others. With `metadata` its tables are made.
    `settings` are those of DatabaseSettings.
    """
    if server is None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            async with _filled(f"sqlite:///{Path(folder) / 'test.db'}", metadata, outbox, settings) as database:
                yield database
        return
    name = f"test_{uuid.uuid4().hex}"
    await _administer(server, f'CREATE DATABASE "{name}"')
    try:
        url = make_url(server).set(database=name).render_as_string(hide_password=False)
        async with _filled(url, metadata, outbox, settings) as database:
            yield database
    finally:
        await _administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def _filled(
    url: str, metadata: MetaData | None, outbox: Table | None, settings: dict[str, Any]
) -> AsyncIterator[Database]:
    async with Database(DatabaseSettings(url=SecretText(url), **settings), outbox=outbox) as database:
        if metadata is not None:
            async with database.engine.begin() as connection:
                await connection.run_sync(metadata.create_all)
        yield database


async def _administer(server: str, statement: str) -> None:
    async with Database(DatabaseSettings(url=SecretText(server))) as database:
        engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(statement))
