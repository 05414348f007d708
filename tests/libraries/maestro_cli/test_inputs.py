"""Inputs from the command line get the type that the definition declares."""

from pathlib import Path

import pytest

from maestro_cli._errors import BadUsage
from maestro_cli._inputs import read_inputs
from maestro_workflow_engine import WorkflowDefinition, parse_definition


@pytest.fixture
def definition() -> WorkflowDefinition:
    types = ("string", "integer", "boolean", "array")
    return parse_definition(
        {
            "name": "sample",
            "inputs": {name: {"type": name, "default": None} for name in types},
            "steps": {"one": {"kind": "sleep", "with": {"seconds": 0}}},
        }
    )


def test_text_stays_text_and_the_rest_is_json(definition: WorkflowDefinition) -> None:
    """A string input takes its text as it is, also when it looks like JSON."""
    pairs = ["string=42=x", "integer=42", "boolean=true", 'array=["a", 1]']
    assert read_inputs(definition, pairs, None) == {
        "string": "42=x",
        "integer": 42,
        "boolean": True,
        "array": ["a", 1],
    }


def test_pairs_win_over_the_file(definition: WorkflowDefinition, tmp_path: Path) -> None:
    """--inputs-file gives the base, --input the exceptions."""
    file = tmp_path / "inputs.yml"
    file.write_text("string: from file\ninteger: 1\n")
    assert read_inputs(definition, ["integer=2"], file) == {"string": "from file", "integer": 2}


@pytest.mark.parametrize(
    ("pair", "complaint"),
    [
        ("string", "expected NAME=VALUE"),
        ("=x", "expected NAME=VALUE"),
        ("integer=many", "is not JSON"),
        ("array=" + "[" * 100_000, "is not JSON"),
        ("strang=x", "declares no such input; it has: string, integer, boolean, array"),
    ],
)
def test_a_wrong_pair_says_what_is_wrong(definition: WorkflowDefinition, pair: str, complaint: str) -> None:
    """The message names the input and what was expected."""
    with pytest.raises(BadUsage, match=complaint):
        read_inputs(definition, [pair], None)


@pytest.mark.parametrize("text", ["- a list\n", "a: [\n", "\x00"])
def test_a_wrong_file_is_refused_by_name(definition: WorkflowDefinition, tmp_path: Path, text: str) -> None:
    """A file that holds no names with values is told by its path."""
    file = tmp_path / "inputs.yml"
    file.write_text(text)
    with pytest.raises(BadUsage, match=r"inputs\.yml"):
        read_inputs(definition, [], file)
