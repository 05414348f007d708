"""The suite for migrations finds each long lock that is planted, and reports nothing that is quick."""

from pathlib import Path

import pytest
from libraries.maestro_core_db.planted import BASE, PlantedSuite, planted, two
from libraries.maestro_core_db.wheels import installed, up

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
        suite = PlantedSuite(migrations, server)
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
        await PlantedSuite(migrations, None).test_no_revision_holds_a_long_lock_on_postgresql()


@pytest.mark.parametrize("name", FINE)
async def test_what_is_quick_is_not_reported(name: str, tmp_path: Path, postgres_url: str) -> None:
    """Neither by the statements nor by the server."""
    with installed(tmp_path, f"fine_{name}", two(up(FINE[name])), planted()) as migrations:
        await PlantedSuite(migrations, postgres_url).test_no_revision_holds_a_long_lock_on_postgresql()


async def test_not_null_after_a_valid_check_is_not_reported(tmp_path: Path, postgres_url: str) -> None:
    """PostgreSQL does not read the table again then, and the lint knows."""
    revisions = {
        "0001_base": BASE,
        "0002_check": up("op.execute('ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID')"),
        "0003_validate": up("op.execute('ALTER TABLE t VALIDATE CONSTRAINT c')"),
        "0004_not_null": up("op.alter_column('t', 'a', nullable=False)"),
    }
    with installed(tmp_path, "fine_not_null", revisions, planted()) as migrations:
        await PlantedSuite(migrations, postgres_url).test_no_revision_holds_a_long_lock_on_postgresql()
