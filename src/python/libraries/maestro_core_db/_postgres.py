"""Engines on a PostgreSQL server: it ends every wait of ours, and knows who we are."""

import importlib.util
import ssl
from typing import Any

from sqlalchemy import NullPool
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from maestro_core_db._errors import DriverMissing
from maestro_core_db._settings import DatabaseSettings
from maestro_core_db._types import json_text


def writing_engine(url: URL, settings: DatabaseSettings) -> AsyncEngine:
    """The pool of connections; that they can write is up to each transaction."""
    return create_async_engine(
        url,
        hide_parameters=True,
        json_serializer=json_text,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_timeout=settings.pool_timeout_s,
        pool_pre_ping=True,
        connect_args=_connect_args(settings, settings.lock_timeout_s, settings.statement_timeout_s),
    )


def reading_engine(engine: AsyncEngine) -> AsyncEngine:
    """The same pool, each transaction a snapshot that refuses to write: what a reading session of SQLite is too."""
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def migrating_engine(url: URL, settings: DatabaseSettings) -> AsyncEngine:
    """One connection of its own; it gives way soon when a table is in use, and has no limit for a statement."""
    return create_async_engine(
        url,
        hide_parameters=True,
        json_serializer=json_text,
        poolclass=NullPool,
        connect_args=_connect_args(settings, settings.migration_lock_timeout_s, 0),
    )


def _connect_args(settings: DatabaseSettings, lock_timeout_s: float, statement_timeout_s: float) -> dict[str, Any]:
    if importlib.util.find_spec("asyncpg") is None:
        raise DriverMissing("PostgreSQL needs the extra: pip install 'maestro-core-db[postgres]'")
    return {
        "timeout": settings.connect_timeout_s,
        "ssl": _ssl(settings),
        "server_settings": {
            "application_name": settings.application_name,
            "timezone": "UTC",
            "lock_timeout": _milliseconds(lock_timeout_s),
            "statement_timeout": _milliseconds(statement_timeout_s),
            "idle_in_transaction_session_timeout": _milliseconds(settings.idle_in_transaction_timeout_s),
        },
    }


def _milliseconds(seconds: float) -> str:
    # PostgreSQL reads 0 as no limit at all, which a span below half a millisecond does not mean.
    return str(max(1, round(seconds * 1000)) if seconds else 0)


def _ssl(settings: DatabaseSettings) -> ssl.SSLContext | str:
    """What asyncpg takes: libpq's word, or a context where a certificate is to be verified."""
    if not settings.ssl_mode.startswith("verify-"):
        return settings.ssl_mode
    context = ssl.create_default_context(cafile=settings.ssl_root_certificate)
    context.check_hostname = settings.ssl_mode == "verify-full"
    return context
