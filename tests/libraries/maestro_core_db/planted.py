"""Sample wheels with planted faults, and the suite for migrations to be run on them by hand."""

from libraries.maestro_core_db.wheels import up
from sqlalchemy import Column, Integer, MetaData, Table
from sqlalchemy.schema import SchemaItem

from maestro_core_db import Migrations, new_metadata
from maestro_core_db.testing import MigrationTests


class PlantedSuite(MigrationTests):
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


def two(second: str) -> dict[str, str]:
    return {"0001_base": BASE, "0002_change": second}
