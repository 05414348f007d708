"""The suite that the migrations of every wheel pass."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

from alembic.script import Script

from maestro_core_db._database import Database
from maestro_core_db._migrate._migrations import Migrations
from maestro_core_db._migrate._scripts import has_downgrade, in_order, waiver
from maestro_core_db._testing._locks import LockWatch, long_locks, statements_of
from maestro_core_db._testing._schema import schema_of
from maestro_core_db._testing._temporary import temporary_database


class MigrationTests:
    """Subclass it in a test file, with `migrations`; for PostgreSQL a fixture sets `server` to the URL of a database.

    Each test says what it demands. A revision that cannot be undone says `# no downgrade: why`, one whose long lock is
    wanted says `# long lock: why`, as a comment of its own.
    """

    migrations: Migrations
    server: str | None = None

    def database(self) -> AbstractAsyncContextManager[Database]:
        """A new and empty database; override it to have others."""
        return temporary_database(self.server)

    async def fill(self, database: Database, revision: str) -> None:
        """Called after each revision is first run: override it to have rows that the next ones must carry along."""

    async def test_there_is_one_line_of_revisions(self) -> None:
        """One head, and at least one revision."""
        assert self.migrations.revisions(), f"{self.migrations.folder} has no revision"

    async def test_every_revision_can_be_undone_or_says_why_not(self) -> None:
        """A downgrade that does something, or a reason."""
        for script in in_order(self.migrations.scripts()):
            assert has_downgrade(script) or waiver(
                script, "no downgrade"
            ), f"{script.revision} has no downgrade; write it, or the comment `# no downgrade: why`"

    async def test_up_down_and_up_again_lead_to_the_same_schema(self) -> None:
        """Each revision alone: its downgrade takes back all that it did, and it can be run again."""
        async with self.database() as database:
            before = await self._schema(database)
            for script in in_order(self.migrations.scripts()):
                await self.migrations.upgrade(database, script.revision)
                after = await self._schema(database)
                if has_downgrade(script):
                    await self.migrations.downgrade(database, "-1")
                    _same(
                        _settled(before),
                        _settled(await self._schema(database)),
                        f"after the downgrade of {script.revision}",
                    )
                    await self.migrations.upgrade(database, script.revision)
                    _same(
                        _settled(after),
                        _settled(await self._schema(database)),
                        f"after {script.revision} was run again",
                    )
                await self.fill(database, script.revision)
                before = after

    async def test_the_models_are_what_the_migrations_make(self) -> None:
        """What was migrated is what `create_all` makes: types, defaults, keys, indexes and checks."""
        async with self.database() as migrated, self.database() as created:
            await self.migrations.upgrade(migrated)
            async with created.engine.begin() as connection:
                await connection.run_sync(self.migrations.metadata.create_all)
            differences = await self.migrations.differences(migrated)
            assert not differences, "Alembic finds:\n" + "\n".join(differences)
            _same(await self._schema(created), await self._schema(migrated), "the models against the migrations")

    async def test_no_revision_holds_a_long_lock_on_postgresql(self) -> None:
        """By its statements; and where the database is a PostgreSQL, by what each transaction really holds and does."""
        found: list[str] = []
        async with self.database() as database:
            real = database.kind == "postgresql"
            before: list[str] = []
            for script in in_order(self.migrations.scripts()):
                statements = self._statements(script)
                problems = long_locks(statements, before=before)
                if real:
                    problems += await self._watched(database, script)
                    await self.fill(database, script.revision)
                if not waiver(script, "long lock"):
                    found += [f"{script.revision}: {problem}" for problem in problems]
                before += statements
        assert not found, "\n".join(["write it otherwise, or the comment `# long lock: why`:", *found])

    def _statements(self, script: Script) -> list[str]:
        start = script.down_revision if isinstance(script.down_revision, str) else "base"
        return statements_of(self.migrations.sql("postgresql", f"{start}:{script.revision}"))

    async def _watched(self, database: Database, script: Script) -> list[str]:
        watch = LockWatch(self.migrations.version_table)
        async with database.reading_engine.connect() as connection:
            await watch.remember(connection)
        await self.migrations.upgrade(database, script.revision, watch=watch.attach)
        return watch.found

    async def _schema(self, database: Database) -> frozenset[str]:
        async with database.reading_engine.connect() as connection:
            return await connection.run_sync(lambda sync: schema_of(sync, without=self.migrations.version_table))


def _same(wanted: frozenset[str], found: frozenset[str], when: str) -> None:
    assert wanted == found, "\n".join([f"the schema differs {when}:", *_difference(wanted, found)])


def _settled(schema: frozenset[str]) -> frozenset[str]:
    """A check that was validated stays so: that is no harm, and there is no way back."""
    return frozenset(line.removesuffix(" NOT VALID") for line in schema)


def _difference(wanted: frozenset[str], found: frozenset[str]) -> Iterator[str]:
    yield from (f"  missing: {line}" for line in sorted(wanted - found))
    yield from (f"  too much: {line}" for line in sorted(found - wanted))
