"""Every value and every key has its line and column."""

import pytest

from maestro_yaml_config_parser import Position, load_yaml

TEXT = """\
# A comment first.
name: report
steps:
  a/b:
    kind: shell
    needs: [x, "y"]
  c~d: {kind: http,
        with: {é: 1}}
list:
- 😀: |
    text
-
  - deep
empty:
last: 'quoted'
"""


def test_values_are_found_by_pointer() -> None:
    """The position of a value is where its text begins; keys in pointers are escaped as RFC 6901 says."""
    positions = load_yaml(TEXT).positions
    expected = {
        "": (2, 1),
        "/name": (2, 7),
        "/steps": (4, 3),
        "/steps/a~1b": (5, 5),
        "/steps/a~1b/kind": (5, 11),
        "/steps/a~1b/needs": (6, 12),
        "/steps/a~1b/needs/0": (6, 13),
        "/steps/a~1b/needs/1": (6, 16),
        "/steps/c~0d": (7, 8),
        "/steps/c~0d/kind": (7, 15),
        "/steps/c~0d/with": (8, 15),
        "/steps/c~0d/with/é": (8, 19),
        "/list": (10, 1),
        "/list/0": (10, 3),
        "/list/0/😀": (10, 6),
        "/list/1": (13, 3),
        "/list/1/0": (13, 5),
        "/empty": (14, 1),
        "/last": (15, 7),
    }
    assert dict(positions) == expected
    assert len(positions) == len(expected)
    assert positions["/name"] == Position(line=2, column=7)


def test_keys_have_positions_of_their_own() -> None:
    """The position of a key is where the key begins; items of lists have no keys."""
    keys = load_yaml(TEXT).key_positions
    assert keys["/steps"] == (3, 1)
    assert keys["/steps/c~0d/with"] == (8, 9)
    assert keys["/list/0/😀"] == (10, 3)
    assert "/list/0" not in keys
    assert "" not in keys
    assert set(keys) == {pointer for pointer in load_yaml(TEXT).positions if pointer and not pointer[-1].isdecimal()}


@pytest.mark.parametrize(
    "pointer", ["name", "/nope", "/name/x", "/list/2", "/list/-1", "/list/00", "/list/x", "/list/٣", "//"]
)
def test_what_is_not_there_is_not_found(pointer: str) -> None:
    """A pointer to nothing raises KeyError, as in any mapping."""
    document = load_yaml(TEXT)
    assert pointer not in document.positions
    assert document.positions.get(pointer) is None
    with pytest.raises(KeyError):
        document.key_positions[pointer]


def test_what_an_alias_repeats_is_placed_where_it_is_written() -> None:
    """The value behind an alias has the position of its text; the key before the alias has its own."""
    document = load_yaml("a: &x\n  b: [1]\nc: *x\n")
    assert document.positions["/c/b/0"] == document.positions["/a/b/0"] == (2, 7)
    assert document.key_positions["/c"] == (3, 1)
    assert document.key_positions["/c/b"] == (2, 3)


def test_json_has_positions_too() -> None:
    """Lines and columns are counted the same way in JSON."""
    document = load_yaml('{\n\t"a": [1,\r\n  {"b\\n": "x"}],\n"c": {}}')
    assert dict(document.positions) == {
        "": (1, 1),
        "/a": (2, 7),
        "/c": (4, 6),
        "/a/0": (2, 8),
        "/a/1": (3, 3),
        "/a/1/b\n": (3, 11),
    }
    assert document.key_positions["/a/1/b\n"] == (3, 4)


def test_an_empty_key_and_a_repeated_slash_are_told_apart() -> None:
    """Pointers are exact."""
    positions = load_yaml('"": {"": 1, "/": 2}').positions
    assert (positions["/"], positions["//"], positions["//~1"]) == ((1, 5), (1, 10), (1, 18))
