"""The settings of one database."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from maestro_core_config import SecretText, Section

SslMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]

_DRIVERS = {"sqlite": "aiosqlite", "postgresql": "asyncpg", "postgres": "asyncpg"}


class DatabaseSettings(Section):
    """Where the database is and how long anything there may take; times are seconds."""

    url: SecretText = Field(
        description="sqlite:///relative.db, sqlite:////absolute.db or postgresql://user:password@host/name"
    )
    application_name: str = Field(
        "maestro", min_length=1, max_length=63, description="How the database's own tools show this program"
    )
    pool_size: int = Field(5, ge=1, le=500, description="Connections that are kept; SQLite has one more, the writer")
    pool_overflow: int = Field(5, ge=0, le=500, description="Connections beyond these for a rush; PostgreSQL only")
    pool_timeout_s: float = Field(10.0, gt=0, le=3600, description="How long to wait for a connection of the pool")
    connect_timeout_s: float = Field(5.0, gt=0, le=3600, description="How long to wait for a new connection")
    lock_timeout_s: float = Field(
        10.0, gt=0, le=3600, description="How long to wait for a lock; on SQLite for the turn to write"
    )
    statement_timeout_s: float = Field(30.0, gt=0, le=86400, description="Longest single statement; PostgreSQL only")
    idle_in_transaction_timeout_s: float = Field(
        60.0, gt=0, le=86400, description="Longest silence inside a transaction; PostgreSQL only"
    )
    migration_lock_timeout_s: float = Field(
        3.0, gt=0, le=3600, description="How long a migration may queue for a table, with others behind it"
    )
    migration_wait_s: float = Field(60.0, gt=0, le=86400, description="How long to wait while another process migrates")
    ssl_mode: SslMode = Field("prefer", description="As libpq's sslmode; PostgreSQL only")
    ssl_root_certificate: Path | None = Field(None, description="PEM file of the authority; None: the system's")
    sqlite_synchronous: Literal["normal", "full"] = Field(
        "full", description="full: a commit survives the loss of power; normal: the last ones may not"
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretText) -> SecretText:
        parse_url(url.get_secret_value())
        return url


def parse_url(text: str) -> URL:
    """The URL with the driver that serves it; raises ValueError, which never shows the text."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The cause quotes the whole URL, password included.
        raise ValueError("not a database URL; write sqlite:///file.db or postgresql://host/name") from None
    kind, _, driver = url.drivername.partition("+")
    if kind not in _DRIVERS or driver not in ("", _DRIVERS[kind]):
        raise ValueError(f"{url.drivername!r} is not served; write sqlite:///file.db or postgresql://host/name")
    if not url.database or url.database == ":memory:" or "mode=memory" in (url.database + str(dict(url.query))):
        raise ValueError(
            "the URL names no file or database; one in memory cannot be shared by connections, "
            "maestro_core_db.testing.temporary_database makes one for a test"
        )
    if kind == "sqlite" and url.query:
        raise ValueError("a sqlite URL takes no parameters; use the settings")
    return url.set(drivername="sqlite+aiosqlite" if kind == "sqlite" else "postgresql+asyncpg")
