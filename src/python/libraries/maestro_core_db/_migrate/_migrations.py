"""The migrations of one wheel."""

from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from alembic import autogenerate
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import AsyncConnection

from maestro_core_db._database import Database
from maestro_core_db._errors import BrokenMigrations, DatabaseNotCurrent, DatabaseTooNew, MigrationError
from maestro_core_db._failures import connecting, translated
from maestro_core_db._migrate._environment import alone_in_process, compare_options, configure, run_steps
from maestro_core_db._migrate._locked import locked_connection
from maestro_core_db._migrate._revision import write_revision
from maestro_core_db._migrate._scripts import folder_of, in_order, load_scripts

_MAX_IDENTIFIER = 63


class Migrations:
    """The revisions in the folder `_migrations` of a package, and the models that they lead to.

    Each wheel has a table of its own for its version, so that several share a database.
    """

    def __init__(self, package: str, metadata: MetaData) -> None:
        self.package = package
        self.metadata = metadata
        self.version_table = f"schema_version_{package.replace('.', '_')}"
        if len(self.version_table) > _MAX_IDENTIFIER:
            raise BrokenMigrations(f"{package}: too long for the name of a table")

    @property
    def folder(self) -> Path:
        """Where the revisions are."""
        return folder_of(self.package)

    def scripts(self) -> ScriptDirectory:
        """Alembic's view of the revisions; raises BrokenMigrations."""
        return load_scripts(self.folder)

    def revisions(self) -> list[str]:
        """The names of the revisions, the first one first."""
        return [script.revision for script in in_order(self.scripts())]

    async def current(self, database: Database) -> str | None:
        """The revision that the database is at, None before the first. Raises DatabaseTooNew."""
        with connecting():
            async with database.reading_engine.connect() as connection:
                return await connection.run_sync(self._current)

    async def require_current(self, database: Database) -> None:
        """Raise DatabaseNotCurrent, or DatabaseTooNew, unless the database is at the newest revision."""
        current, head = await self.current(database), self.scripts().get_current_head()
        if current != head:
            raise DatabaseNotCurrent(
                f"{self.package}: the database is at {current or 'base'}, not at {head}: run the upgrade"
            )

    async def upgrade(
        self, database: Database, revision: str = "head", *, watch: Callable[[AsyncConnection], None] | None = None
    ) -> list[str]:
        """Bring the database to a revision; those that were run.

        Safe for any number of processes at once: one does it, the others wait. Raises MigrationLocked, DatabaseTooNew,
        LockTimeout when a table was in use for too long (what was finished stays, call again). `watch` is given the
        connection before anything is run, to listen to what is sent.
        """
        scripts = self.scripts()
        if revision == "head" and await self.current(database) == scripts.get_current_head():
            return []
        return await self._run(
            database, scripts, lambda heads: scripts._upgrade_revs(revision, heads), watch, destination_rev=revision
        )

    async def downgrade(self, database: Database, revision: str) -> list[str]:
        """Take the database back to a revision, to "base" or by "-1"; the revisions that were undone."""
        scripts = self.scripts()
        return await self._run(
            database, scripts, lambda heads: scripts._downgrade_revs(revision, heads), destination_rev=revision
        )

    async def stamp(self, database: Database, revision: str) -> None:
        """Say that the database is at a revision, without running anything."""
        scripts = self.scripts()
        await self._run(database, scripts, lambda heads: scripts._stamp_revs(revision, heads), destination_rev=revision)

    async def differences(self, database: Database) -> list[str]:
        """What the models have otherwise than the database, empty when they agree; tables of others do not count."""
        async with database.reading_engine.connect() as connection:
            found = await connection.run_sync(self._differences)
        return [str(difference) for difference in found]

    def sql(self, dialect: Literal["postgresql", "sqlite"] = "postgresql", span: str = "head") -> str:
        """The script of an upgrade for somebody who runs it by hand; `span` is "head", or "from:to"."""
        scripts, written = self.scripts(), StringIO()
        start, _, end = span.rpartition(":")

        def steps(revision: Any, _: MigrationContext) -> Iterable[RevisionStep]:
            return scripts._upgrade_revs(end, revision)

        try:
            with EnvironmentContext(Config(), scripts, fn=steps, as_sql=True, destination_rev=end) as environment:
                options: dict[str, Any] = {"starting_rev": start} if start else {}
                configure(
                    environment,
                    self.metadata,
                    self.version_table,
                    dialect_name=dialect,
                    literal_binds=True,
                    output_buffer=written,
                    **options,
                )
                if dialect == "postgresql":
                    written.write("SET lock_timeout = '3s';\n\n")
                with environment.begin_transaction():
                    environment.run_migrations()
        except CommandError as error:
            raise MigrationError(f"{self.package}: {error}") from error
        return written.getvalue()

    async def write_revision(self, database: Database, message: str) -> Path:
        """Write the next revision: what brings the database, at the newest one, to the models. Read it before use."""
        self.folder.mkdir(exist_ok=True)
        await self.require_current(database)
        async with database.reading_engine.connect() as connection:
            produced = await connection.run_sync(
                lambda sync: autogenerate.produce_migrations(self._comparing(sync), self.metadata)
            )
            return await connection.run_sync(
                lambda sync: write_revision(self.scripts(), self._comparing(sync), produced, message)
            )

    async def _run(
        self,
        database: Database,
        scripts: ScriptDirectory,
        revisions: Callable[[Any], Iterable[Any]],
        watch: Callable[[AsyncConnection], None] | None = None,
        **options: Any,
    ) -> list[str]:
        done: list[str] = []

        def steps(heads: Any, _: MigrationContext) -> Iterable[RevisionStep]:
            for step in revisions(heads):
                yield step
                done.append(step.info.up_revision_id if step.info.up_revision_id else str(step))

        async with alone_in_process(), locked_connection(database) as connection:
            await self._refuse_newer(connection)
            if watch is not None:
                watch(connection)
            try:
                with translated():
                    await connection.run_sync(run_steps, scripts, self.metadata, self.version_table, steps, **options)
            except CommandError as error:
                raise MigrationError(f"{self.package}: {error}") from error
        return done

    async def _refuse_newer(self, connection: AsyncConnection) -> None:
        began = connection.in_transaction()
        await connection.run_sync(self._current)
        if not began:
            await connection.rollback()

    def _current(self, connection: Connection) -> str | None:
        context = MigrationContext.configure(connection, opts={"version_table": self.version_table})
        heads, known = context.get_current_heads(), set(self.revisions())
        if unknown := sorted(set(heads) - known):
            raise DatabaseTooNew(
                f"{self.package}: the database is at {', '.join(unknown)}, which this version does not know: "
                "install the version that made it, or a newer one"
            )
        return heads[0] if heads else None

    def _comparing(self, connection: Connection) -> MigrationContext:
        tables = {table.name for table in self.metadata.tables.values()}

        def is_ours(name: str | None, kind: str, _: Any) -> bool:
            return kind != "table" or name in tables

        options = compare_options(self.metadata, self.version_table)
        return MigrationContext.configure(connection, opts={**options, "include_name": is_ours})

    def _differences(self, connection: Connection) -> list[Any]:
        found: list[Any] = autogenerate.compare_metadata(self._comparing(connection), self.metadata)
        return found
