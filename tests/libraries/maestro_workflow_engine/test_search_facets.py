"""The search index finds what a look at every workflow would find, in the same order, whatever is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries.maestro_workflow_engine.store_kit import NOON, Store

from maestro_workflow_engine._embedded._facets import (
    BLOCK,
    Search,
    adding,
    can_be_searched,
    clearing,
    facet,
    facets_of,
    register_functions,
    started_in_block,
    taking,
    with_key,
    without_key,
)
from maestro_workflow_engine._embedded._values import microseconds

NOTHING: dict[str, Any] = {"status": None, "name": None, "template": None, "parent": None, "labels": {}, "inputs": {}}


def number(key: int) -> bytes:
    """A key of block 0 as it is stored."""
    return key.to_bytes(2, "little")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, BLOCK - 1) | st.integers(0, 40)), max_size=200))
def test_a_block_is_a_set_of_keys(changes: list[tuple[bool, int]]) -> None:
    """However many were added and taken, in any order; and it is never longer than its bits."""
    keys, model = b"", set()
    for is_added, key in changes:
        if is_added:
            keys = with_key(keys, number(key)) if keys else number(key)
            model.add(key)
        else:
            keys = without_key(keys, number(key))
            model.discard(key)
        assert len(keys) <= BLOCK // 8
    assert {key for key in range(BLOCK) if is_in(keys, key)} == model
    assert (keys == b"") == (not model)


def is_in(keys: bytes, key: int) -> bool:
    """Whether taking the key away changes the set."""
    return without_key(keys, number(key)) != keys


def test_equal_numbers_are_one_facet_and_other_values_are_not() -> None:
    """As JSON sees it: 1 is 1.0, but neither true nor "1"."""
    assert facet("input", 1, "n") == facet("input", 1.0, "n")
    values: list[Any] = [1, True, "1", None, "null", 1.5, 0, False, ""]
    assert len({facet("input", value, "n") for value in values}) == len(values)
    assert facet("label", "v", "n") != facet("input", "v", "n")
    assert facet("label", "b", "a") != facet("label", "a", "b")
    assert facet("input", 1e308, "n") == facet("input", int(1e308), "n")


def test_what_an_input_is_found_by_is_short_and_flat() -> None:
    """Anything else is not in the index."""
    found: list[Any] = ["x" * 256, 1, None, True, 1.5]
    not_found: list[Any] = ["x" * 257, [], {}, [1]]
    assert [can_be_searched(value) for value in found] == [True] * 5
    assert [can_be_searched(value) for value in not_found] == [False] * 4


workflows = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.integers(1, 3 * BLOCK),
            "status": st.sampled_from(["running", "failed"]),
            "name": st.sampled_from(["a", "b"]),
            "labels": st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"])),
            "inputs": st.dictionaries(st.sampled_from(["n", "m"]), st.sampled_from([1, True, "1", None])),
            "at_s": st.integers(0, 100),
        }
    ),
    max_size=60,
    unique_by=lambda each: each["key"],
)
questions = st.fixed_dictionaries(
    {
        "status": st.sampled_from([None, "running", "failed"]),
        "name": st.sampled_from([None, "a", "b", "c"]),
        "labels": st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"])),
        "inputs": st.dictionaries(st.sampled_from(["n", "m"]), st.sampled_from([1, True, "1", None])),
        "first_s": st.none() | st.integers(0, 100),
        "last_s": st.none() | st.integers(0, 100),
        "before_key": st.none() | st.integers(1, 3 * BLOCK),
    }
)


@contextmanager
def store() -> Iterator[Store]:
    """A store in a folder of its own."""
    with TemporaryDirectory() as folder:
        made = Store(Path(folder))
        try:
            yield made
        finally:
            made.close()


@settings(max_examples=60, deadline=None)
@given(workflows, questions, st.integers(0, 60))
def test_a_search_finds_what_looking_at_all_finds(told: list[dict[str, Any]], asked: dict[str, Any], gone: int) -> None:
    """Also when the clock went to and fro, and after some were taken out again."""
    with store() as made:
        for each in told:
            write(made, each)
        for each in told[:gone]:
            changes = [taking(facets(each), each["key"]), clearing(facets(each), each["key"])]
            for sql, values in [*changes, ("DELETE FROM workflows WHERE key = ?", (each["key"],))]:
                made.connection.execute(sql, values)
        wanted = sorted((each["key"] for each in told[gone:] if fits(each, asked)), reverse=True)
        span: dict[str, int] = {}
        if asked["first_s"] is not None:
            span["first_at"] = microseconds(NOON + timedelta(seconds=asked["first_s"]))
        if asked["last_s"] is not None:
            span["last_at"] = microseconds(NOON + timedelta(seconds=asked["last_s"]))
        if asked["before_key"] is not None:
            span["before_key"] = asked["before_key"]
        assert list(Search(facets(asked), **span).keys(made.connection)) == wanted
        if gone >= len(told):
            assert made.rows("SELECT * FROM facets") == []


def facets(each: dict[str, Any]) -> list[int]:
    """The facets of a workflow or of a question."""
    return facets_of(**{**NOTHING, **{name: each[name] for name in ("status", "name", "labels", "inputs")}})


def write(made: Store, each: dict[str, Any]) -> None:
    """A row of its own, without events."""
    at = NOON + timedelta(seconds=each["at_s"])
    insert = (
        "INSERT INTO workflows (key, id, name, labels, definition, base_dir, status, started_at) "
        "VALUES (?, ?, ?, '{}', 1, '/', ?, ?)"
    )
    row = (each["key"], f"w{each['key']}", each["name"], each["status"], microseconds(at))
    statements = [(insert, row), started_in_block(each["key"], at), *adding(facets(each), each["key"])]
    for sql, values in statements:
        made.connection.execute(sql, values)


def fits(each: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether a workflow is wanted, by looking at it."""
    plain = all(asked[name] in (None, each[name]) for name in ("status", "name"))
    inputs = {(name, repr(value)) for name, value in each["inputs"].items()}
    return (
        plain
        and asked["labels"].items() <= each["labels"].items()
        and {(name, repr(value)) for name, value in asked["inputs"].items()} <= inputs
        and (asked["first_s"] is None or each["at_s"] >= asked["first_s"])
        and (asked["last_s"] is None or each["at_s"] <= asked["last_s"])
        and (asked["before_key"] is None or each["key"] < asked["before_key"])
    )


def test_the_functions_are_there_for_whoever_writes(tmp_path: Path) -> None:
    """And again is fine."""
    made = Store(tmp_path)
    register_functions(made.connection)
    assert made.connection.execute("SELECT with_key(x'0100', x'0200')").fetchone() == (b"\1\0\2\0",)
    made.close()


def test_many_workflows_with_one_label_take_little_room(tmp_path: Path) -> None:
    """A bit each, once there are many of them."""
    made = Store(tmp_path)
    with made.connection:
        for key in range(BLOCK):
            for sql, values in adding([facet("label", "yes", "all")], key):
                made.connection.execute(sql, values)
    assert made.rows("SELECT block, length(keys) FROM facets") == [(0, BLOCK // 8)]
    made.close()


@pytest.mark.parametrize("count", [31, 32, 33])
def test_a_list_becomes_bits_without_losing_any(count: int) -> None:
    """At the very number where it does."""
    keys = b""
    for key in range(0, count * 3, 3):
        keys = with_key(keys, number(key)) if keys else number(key)
    assert [key for key in range(200) if is_in(keys, key)] == list(range(0, count * 3, 3))
