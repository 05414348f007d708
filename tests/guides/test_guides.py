"""What the guides and the examples show is valid."""

import re
from pathlib import Path
from typing import Any

import pytest

from maestro_tools import tool_step_kinds
from maestro_workflow_engine import builtin_step_kinds, definition_schema, parse_definition
from maestro_yaml_config_parser import load_yaml

GUIDE = Path("docs/guides/workflows.md")
TEXT = GUIDE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PYTHON = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
EXAMPLES = sorted(Path("examples/workflows").glob("*.yml"))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n", 1)[0])
def test_each_workflow_of_the_guide_is_valid(block: str) -> None:
    """Every YAML block of the guide to workflows passes the checks that `maestro run` makes."""
    document = load_yaml(block)
    definition = parse_definition(document.data, kinds={**builtin_step_kinds(), **tool_step_kinds()})
    assert definition.steps


def test_the_guide_shows_every_key() -> None:
    """No key of a definition or of a step is without an example that is checked above."""
    schema = definition_schema()
    documents: list[Any] = [load_yaml(block).data for block in BLOCKS]
    assert schema["properties"].keys() == {key for document in documents for key in document}
    blocks = [document.get(key, {}) for document in documents for key in ("steps", "on_failure", "finally")]
    assert schema["$defs"]["step"]["properties"].keys() == {
        key for block in blocks for step in block.values() for key in step
    }


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.split("\n", 1)[0])
def test_each_python_block_of_the_guide_runs(block: str) -> None:
    """Every Python block of the guide runs as written, with its own assertions."""
    exec(compile(block, str(GUIDE), "exec"), {})


@pytest.mark.parametrize("link", re.findall(r"\]\(#([^)]+)\)", TEXT))
def test_each_link_within_the_guide_leads_somewhere(link: str) -> None:
    """A section that is referred to is there."""
    headings = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    assert link in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_is_valid(example: Path) -> None:
    """Every example passes the checks that `maestro run` makes."""
    document = load_yaml(example.read_text(encoding="utf-8"))
    definition = parse_definition(document.data, kinds={**builtin_step_kinds(), **tool_step_kinds()})
    assert definition.name == example.stem


def test_there_is_something_to_check() -> None:
    """The guide's blocks and the examples are found at all."""
    assert len(BLOCKS) >= 2
    assert len(PYTHON) >= 1
    assert len(EXAMPLES) >= 2
