"""Problems point at the place in the file when positions are known."""

from typing import NamedTuple

import pytest

from maestro_workflow_engine import InvalidDefinition, Problem, parse_definition


class Place(NamedTuple):
    line: int
    column: int


DOCUMENT = {"name": "n", "steps": {"a": {"kind": "shell", "needs": ["b"], "extra": {"k": 1}}}}
POSITIONS = {"": Place(1, 1), "/steps": Place(3, 3), "/steps/a": Place(4, 5), "/steps/a/needs/0": Place(5, 13)}
POSITIONS |= {"/steps/a/extra": Place(7, 7)}
KEYS = {"/steps/a/extra": Place(6, 5)}


def problems_of(**options: object) -> tuple[Problem, ...]:
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition(DOCUMENT, **options)  # type: ignore[arg-type]  # the options of one test each
    return caught.value.problems


def test_a_problem_names_file_line_and_column() -> None:
    """The text of a problem begins like a compiler's message, so that editors can jump there."""
    needs, extra = problems_of(positions=POSITIONS, key_positions=KEYS, file="w.yml")
    assert (needs.line, needs.column, needs.file) == (5, 13, "w.yml")
    assert str(needs).startswith("w.yml:5:13: /steps/a/needs/0: there is no step 'b'")
    assert str(extra).startswith("w.yml:6:5: /steps/a/extra: a step has no key 'extra'")


def test_without_the_place_of_a_key_its_value_is_named() -> None:
    """Positions of keys are a help and not needed."""
    assert str(problems_of(positions=POSITIONS)[1]).startswith("7:7: /steps/a/extra:")


def test_an_unknown_place_is_that_of_what_holds_it() -> None:
    """A value without a position is placed at the nearest that has one."""
    needs, _ = problems_of(positions={"": Place(1, 1), "/steps": Place(3, 3)})
    assert (needs.line, needs.column) == (3, 3)
    needs, _ = problems_of(positions={"/other": Place(9, 9)}, file="w.yml")
    assert (needs.line, needs.column) == (None, None)
    assert str(needs).startswith("w.yml: /steps/a/needs/0:")


def test_without_positions_the_path_is_enough() -> None:
    """Plain data, as it comes over HTTP, gives paths alone."""
    assert str(problems_of()[0]).startswith("/steps/a/needs/0: there is no step")


def test_the_error_lists_every_problem() -> None:
    """The text of the error itself shows all problems, one a line."""
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition(DOCUMENT, positions=POSITIONS, file="w.yml")
    lines = str(caught.value).splitlines()
    assert lines[0] == "the definition has 2 problems:"
    assert lines[1].startswith("  w.yml:5:13: ")
    assert len(lines) == 3
