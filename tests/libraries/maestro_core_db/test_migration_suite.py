"""The suite for migrations passes sound ones on both databases, and finds each fault that is planted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from libraries.maestro_core_db import shop
from libraries.maestro_core_db.planted import BASE, PlantedSuite, planted, two
from libraries.maestro_core_db.wheels import function, installed, up
from sqlalchemy import CheckConstraint, Column, Integer, String, Table, text
from sqlalchemy.schema import SchemaItem

from maestro_core_db import BrokenMigrations, Database
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


async def test_a_downgrade_that_leaves_something_is_found(tmp_path: Path, server: str | None) -> None:
    """What it forgot is named."""
    second = function("upgrade", "op.create_index('ix_t_a', 't', ['a'])", "op.create_index('ix_t_b', 't', ['b'])")
    second += function("downgrade", "op.drop_index('ix_t_a', 't')")
    with (
        installed(tmp_path, f"leaves_{server is None}".lower(), two(second), planted()) as migrations,
        pytest.raises(AssertionError, match=r"too much: .*ix_t_b"),
    ):
        await PlantedSuite(migrations, server).test_up_down_and_up_again_lead_to_the_same_schema()


async def test_a_missing_downgrade_is_found(tmp_path: Path) -> None:
    """An empty one, one that only raises, and none at all; a reason lets it pass."""
    for number, downgrade in enumerate(("", function("downgrade"), function("downgrade", "raise OSError('no')"))):
        body = function("upgrade", "op.execute('SELECT 1')") + downgrade
        with installed(tmp_path, f"no_downgrade_{number}", {"0001_one": body}, planted()) as migrations:
            with pytest.raises(AssertionError, match="0001_one has no downgrade"):
                await PlantedSuite(migrations, None).test_every_revision_can_be_undone_or_says_why_not()
            revision = migrations.folder / "0001_one.py"
            revision.write_text(revision.read_text() + "\n# no downgrade: the rows are gone\n")
            await PlantedSuite(migrations, None).test_every_revision_can_be_undone_or_says_why_not()


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
        check = PlantedSuite(migrations, server).test_the_models_are_what_the_migrations_make()
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
            await PlantedSuite(migrations, None).test_there_is_one_line_of_revisions()
