"""Both databases: every test that asks for `database` runs on SQLite and on a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from libraries.maestro_core_db.models import Base, outbox

from kit.postgres_server import PostgresServer, postgres_server
from maestro_core_db import Database
from maestro_core_db.testing import temporary_database

settings.register_profile(
    "maestro-core-db",
    database=None,
    deadline=None,
    max_examples=40,
    # One database serves all examples of a test; each example begins by emptying it.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("maestro-core-db")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One server for all tests of a file."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres: PostgresServer) -> str:
    """A database of that server, from which `temporary_database` makes others."""
    return postgres.database()


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> str | None:
    """What `temporary_database` takes: nothing for SQLite, a URL for PostgreSQL."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest_asyncio.fixture
async def database(server: str | None) -> AsyncIterator[Database]:
    """A new database with the tables of the models."""
    async with temporary_database(server, metadata=Base.metadata, outbox=outbox) as opened:
        yield opened


@pytest_asyncio.fixture
async def on_postgres(postgres_url: str) -> AsyncIterator[Database]:
    """A new database on PostgreSQL alone."""
    async with temporary_database(postgres_url, metadata=Base.metadata, outbox=outbox) as opened:
        yield opened


@pytest_asyncio.fixture
async def on_sqlite() -> AsyncIterator[Database]:
    """A new database on SQLite alone."""
    async with temporary_database(metadata=Base.metadata, outbox=outbox) as opened:
        yield opened
