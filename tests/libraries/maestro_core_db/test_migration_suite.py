"""The suite for migrations passes sound ones on both databases, and finds each fault that is planted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from libraries.maestro_core_db import shop
from libraries.maestro_core_db.wheels import function, installed, up
from sqlalchemy import CheckConstraint, Column, Integer, MetaData, String, Table, text
from sqlalchemy.schema import SchemaItem

from maestro_core_db import BrokenMigrations, Database, Migrations, new_metadata
from maestro_core_db.testing import MigrationTests


class TestShopOnSqlite(MigrationTests):
    """A user's own test, in a few lines."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def shop(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        """The sample wheel, installed."""
        with installed(tmp_path_factory.mktemp("shop"), "shop_sqlite", shop.REVISIONS, shop.Base.metadata) as found:
            cls.migrations = found
            yield

    async def fill(self, database: Database, revision: str) -> None:
        """An article from before all later revisions."""
        if revision == "0001_articles":
            async with database.unit_of_work() as uow:
                await uow.session.execute(text("INSERT INTO article (id, name, version) VALUES (1, 'tea', 1)"))


class TestShopOnPostgres(TestShopOnSqlite):
    """The same on PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _on_postgres(self, postgres_url: str) -> None:
        self.server = postgres_url


class _Suite(MigrationTests):
    """Not collected by itself: run by hand on planted faults."""

    __test__ = False

    def __init__(self, migrations: Migrations, server: str | None) -> None:
        self.migrations = migrations
        self.server = server


def planted(*columns: SchemaItem) -> MetaData:
    """The models of a table `t`."""
    metadata = new_metadata()
    Table("t", metadata, Column("id", Integer, primary_key=True), *columns)
    return metadata


BASE = up(
    "op.create_table('t', sa.Column('id', sa.Integer(), nullable=False), sa.Column('a', sa.String(50)),",
    "    sa.Column('b', sa.Integer()), sa.PrimaryKeyConstraint('id', name='pk_t'))",
    "op.create_table('other', sa.Column('id', sa.Integer(), nullable=False), sa.PrimaryKeyConstraint('id'))",
)

LONG_LOCKS = {
    "index": "op.create_index('ix', 't', ['a'])",
    "not_null": "op.alter_column('t', 'a', nullable=False)",
    "type": "op.alter_column('t', 'b', type_=sa.BigInteger())",
    "check": "op.create_check_constraint('c', 't', 'b > 0')",
    "foreign_key": "op.create_foreign_key('f', 't', 'other', ['b'], ['id'])",
    "unique": "op.create_unique_constraint('u', 't', ['b'])",
    "volatile": "op.add_column('t', sa.Column('c', sa.Uuid(), server_default=sa.text('gen_random_uuid()')))",
    "stored": "op.add_column('t', sa.Column('c', sa.Integer(), sa.Computed('b + 1', persisted=True)))",
    "backfill": "op.add_column('t', sa.Column('c', sa.Integer())); op.execute('UPDATE t SET c = 1')",
    "lock": "op.execute('LOCK TABLE t IN ACCESS EXCLUSIVE MODE')",
    "no_timeout": "op.execute('SET lock_timeout = 0')",
}

FINE = {
    "nullable": "op.add_column('t', sa.Column('c', sa.Integer()))",
    "default": "op.add_column('t', sa.Column('c', sa.Integer(), server_default='0', nullable=False))",
    "not_valid": "op.create_check_constraint('c', 't', 'b > 0', postgresql_not_valid=True)",
    "foreign_key_not_valid": "op.create_foreign_key('f', 't', 'other', ['b'], ['id'], postgresql_not_valid=True)",
    "new_table": "op.create_table('n', sa.Column('a', sa.Integer())); op.create_index('ix', 'n', ['a'])",
    "backfill_alone": "op.execute('UPDATE t SET b = 1')",
    "drop": "op.drop_column('t', 'a')",
}


def two(second: str) -> dict[str, str]:
    return {"0001_base": BASE, "0002_change": second}


@pytest.mark.parametrize("name", LONG_LOCKS)
@pytest.mark.parametrize("real", [False, True], ids=["statements", "server"])
async def test_each_long_lock_is_found(
    name: str, real: bool, tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the statements alone, and by a real server alone; a reason in a comment lets it pass."""
    server = None
    if real:
        server = postgres_url
        if name != "lock":  # which reads nothing, and so is seen in the statement only
            monkeypatch.setattr("maestro_core_db._testing._migration_tests.long_locks", lambda *_, **__: [])
    with installed(tmp_path, f"planted_{name}_{real}".lower(), two(up(LONG_LOCKS[name])), planted()) as migrations:
        suite = _Suite(migrations, server)
        with pytest.raises(AssertionError, match="0002_change"):
            await suite.test_no_revision_holds_a_long_lock_on_postgresql()
        revision = migrations.folder / "0002_change.py"
        revision.write_text(revision.read_text() + "\n# long lock: the table is small\n")
        await suite.test_no_revision_holds_a_long_lock_on_postgresql()


async def test_a_comment_without_a_reason_lets_nothing_pass(tmp_path: Path) -> None:
    """The reason is what makes it."""
    second = up(LONG_LOCKS["index"]) + "# long lock:\n"
    with (
        installed(tmp_path, "no_reason", two(second), planted()) as migrations,
        pytest.raises(AssertionError, match="0002_change"),
    ):
        await _Suite(migrations, None).test_no_revision_holds_a_long_lock_on_postgresql()


@pytest.mark.parametrize("name", FINE)
async def test_what_is_quick_is_not_reported(name: str, tmp_path: Path, postgres_url: str) -> None:
    """Neither by the statements nor by the server."""
    with installed(tmp_path, f"fine_{name}", two(up(FINE[name])), planted()) as migrations:
        await _Suite(migrations, postgres_url).test_no_revision_holds_a_long_lock_on_postgresql()


async def test_not_null_after_a_valid_check_is_not_reported(tmp_path: Path, postgres_url: str) -> None:
    """PostgreSQL does not read the table again then, and the lint knows."""
    revisions = {
        "0001_base": BASE,
        "0002_check": up("op.execute('ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID')"),
        "0003_validate": up("op.execute('ALTER TABLE t VALIDATE CONSTRAINT c')"),
        "0004_not_null": up("op.alter_column('t', 'a', nullable=False)"),
    }
    with installed(tmp_path, "fine_not_null", revisions, planted()) as migrations:
        await _Suite(migrations, postgres_url).test_no_revision_holds_a_long_lock_on_postgresql()


async def test_a_downgrade_that_leaves_something_is_found(tmp_path: Path, server: str | None) -> None:
    """What it forgot is named."""
    second = function("upgrade", "op.create_index('ix_t_a', 't', ['a'])", "op.create_index('ix_t_b', 't', ['b'])")
    second += function("downgrade", "op.drop_index('ix_t_a', 't')")
    with (
        installed(tmp_path, f"leaves_{server is None}".lower(), two(second), planted()) as migrations,
        pytest.raises(AssertionError, match=r"too much: .*ix_t_b"),
    ):
        await _Suite(migrations, server).test_up_down_and_up_again_lead_to_the_same_schema()


async def test_a_missing_downgrade_is_found(tmp_path: Path) -> None:
    """An empty one, one that only raises, and none at all; a reason lets it pass."""
    for number, downgrade in enumerate(("", function("downgrade"), function("downgrade", "raise OSError('no')"))):
        body = function("upgrade", "op.execute('SELECT 1')") + downgrade
        with installed(tmp_path, f"no_downgrade_{number}", {"0001_one": body}, planted()) as migrations:
            with pytest.raises(AssertionError, match="0001_one has no downgrade"):
                await _Suite(migrations, None).test_every_revision_can_be_undone_or_says_why_not()
            revision = migrations.folder / "0001_one.py"
            revision.write_text(revision.read_text() + "\n# no downgrade: the rows are gone\n")
            await _Suite(migrations, None).test_every_revision_can_be_undone_or_says_why_not()


DRIFTS: dict[str, Callable[[], tuple[SchemaItem, ...]]] = {
    "none": lambda: (Column("a", String(50)), Column("b", Integer)),
    "column": lambda: (Column("a", String(50)), Column("b", Integer), Column("c", Integer)),
    "missing": lambda: (Column("a", String(50)),),
    "type": lambda: (Column("a", Integer), Column("b", Integer)),
    "nullable": lambda: (Column("a", String(50), nullable=False), Column("b", Integer)),
    "default": lambda: (Column("a", String(50), server_default="x"), Column("b", Integer)),
    "index": lambda: (Column("a", String(50), index=True), Column("b", Integer)),
    "unique": lambda: (Column("a", String(50), unique=True), Column("b", Integer)),
    "check": lambda: (Column("a", String(50)), Column("b", Integer), CheckConstraint("b > 0", name="b")),
    "length": lambda: (Column("a", String(60)), Column("b", Integer)),
}


@pytest.mark.parametrize("name", DRIFTS)
async def test_models_that_drifted_are_found(name: str, tmp_path: Path, server: str | None) -> None:
    """Whatever a model has otherwise than the migrations make it, and nothing where it has not."""
    metadata = planted(*DRIFTS[name]())
    Table("other", metadata, Column("id", Integer, primary_key=True))
    base = BASE.replace("sa.PrimaryKeyConstraint('id'))", "sa.PrimaryKeyConstraint('id', name='pk_other'))")
    package = f"drift_{name}_{server is None}".lower()
    with installed(tmp_path, package, {"0001_base": base}, metadata) as migrations:
        check = _Suite(migrations, server).test_the_models_are_what_the_migrations_make()
        if name == "none":
            await check
            return
        with pytest.raises(AssertionError, match=r"Alembic finds|the schema differs"):
            await check


async def test_two_heads_are_found(tmp_path: Path) -> None:
    """Two revisions on one: refused with what to do, before anything is run."""
    with installed(tmp_path, "two_heads", two(up("op.execute('SELECT 1')")), planted()) as migrations:
        other = (migrations.folder / "0002_change.py").read_text().replace("0002_change", "0002_other")
        (migrations.folder / "0002_other.py").write_text(other)
        with pytest.raises(BrokenMigrations, match="2 heads"):
            await _Suite(migrations, None).test_there_is_one_line_of_revisions()
