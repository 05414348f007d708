"""What is acted on refuses the late."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_service_registry import FencingGuard, StaleToken, TooMany, fence


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 6))))
def test_no_earlier_token_acts_after_a_later_one(attempts: list[tuple[str, int]]) -> None:
    """In memory and in a database alike, for each resource by itself."""
    guard, done = FencingGuard(), {"a": [0], "b": [0]}
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for resource, token in attempts:
            late = token < done[resource][-1]
            with pytest.raises(StaleToken) if late else contextlib.nullcontext(), guard.acting(resource, token):
                done[resource].append(token)
            connection.execute("BEGIN")
            with pytest.raises(StaleToken) if late else contextlib.nullcontext():
                fence(connection, resource, token)
            connection.execute("COMMIT")
    assert all(tokens == sorted(tokens) for tokens in done.values())


def test_a_full_guard_lets_nobody_new_in() -> None:
    """Forgetting a resource would let a late holder in."""
    guard = FencingGuard(max_resources=1)
    with guard.acting("a", 1):
        pass
    with pytest.raises(TooMany), guard.acting("b", 1):
        raise AssertionError("acted")
    with guard.acting("a", 2):
        pass


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(tmp_path / "effects.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE effects (token INTEGER)")
        yield connection


def test_the_effect_and_the_token_are_durable_together(database: sqlite3.Connection) -> None:
    """A transaction that is taken back has let nobody by."""
    database.execute("BEGIN")
    fence(database, "a", 5)
    database.execute("ROLLBACK")
    database.execute("BEGIN")
    fence(database, "a", 3)
    database.execute("INSERT INTO effects VALUES (3)")
    database.execute("COMMIT")
    assert database.execute("SELECT token FROM effects").fetchall() == [(3,)]


def test_outside_a_transaction_there_is_no_promise(database: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match="inside a transaction"):
        fence(database, "a", 1)
