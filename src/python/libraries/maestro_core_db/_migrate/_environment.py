"""Alembic without its ini file and env.py: what these would say is the same for every wheel."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData

from maestro_core_db._types import ExactDecimal, Json, UtcDateTime

Steps = Callable[[Any, MigrationContext], Iterable[RevisionStep]]

_CHECKED = ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"]
_POLL_S = 0.01
# `op`, as revisions import it, is one for the whole process: so only one of its threads and tasks migrates at a time.
_one_at_a_time = threading.Lock()


@asynccontextmanager
async def alone_in_process() -> AsyncIterator[None]:
    """Wait until nobody else in this process uses Alembic."""
    while not _one_at_a_time.acquire(blocking=False):  # noqa: ASYNC110 # other threads have other loops
        await asyncio.sleep(_POLL_S)
    try:
        yield
    finally:
        _one_at_a_time.release()


def run_steps(
    connection: Connection,
    /,
    scripts: ScriptDirectory,
    metadata: MetaData,
    version_table: str,
    steps: Steps,
    **options: Any,
) -> None:
    """Run migrations on an open connection; on SQLite inside the transaction that is already begun."""
    with EnvironmentContext(Config(), scripts, fn=steps, **options) as environment:
        configure(environment, metadata, version_table, connection=connection)
        if connection.dialect.name == "sqlite":
            # The whole upgrade is one transaction there, and nothing in it has to be outside.
            environment.get_context().autocommit_block = nullcontext  # type: ignore[assignment,method-assign] # as said
        with environment.begin_transaction():
            environment.run_migrations()


def configure(environment: EnvironmentContext, metadata: MetaData, version_table: str, **options: Any) -> None:
    """The settings that an env.py would hold."""
    environment.configure(
        target_metadata=metadata,
        version_table=version_table,
        transaction_per_migration=True,
        transactional_ddl=True,
        **options,
    )


def compare_options(metadata: MetaData, version_table: str) -> dict[str, Any]:
    """How models and database are compared, and how what differs is written down."""
    return {
        "target_metadata": metadata,
        "version_table": version_table,
        "compare_type": True,
        "compare_server_default": True,
        "autogenerate_plugins": _CHECKED,
        "render_as_batch": True,
        "render_item": _render_item,
        "sqlalchemy_module_prefix": "sa.",
        "alembic_module_prefix": "op.",
    }


def _render_item(kind: str, item: object, _: object) -> str | bool:
    """Our own types, by the door of this package."""
    match item:
        case ExactDecimal():
            return f"maestro_core_db.ExactDecimal({item.precision}, {item.scale})"
        case UtcDateTime() | Json():
            return f"maestro_core_db.{type(item).__name__}()"
    return False
