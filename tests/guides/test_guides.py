"""What the guides show is valid."""

import re
from pathlib import Path

import pytest

from maestro_tools import tool_step_kinds
from maestro_workflow_engine import builtin_step_kinds, parse_definition
from maestro_yaml_config_parser import load_yaml

GUIDE = Path("docs/guides/workflows.md")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n", 1)[0])
def test_each_workflow_of_the_guide_is_valid(block: str) -> None:
    """Every YAML block of the guide to workflows passes the checks that `maestro run` makes."""
    document = load_yaml(block)
    definition = parse_definition(document.data, kinds={**builtin_step_kinds(), **tool_step_kinds()})
    assert definition.steps


def test_the_guide_has_workflows() -> None:
    """The guide's blocks are found at all."""
    assert len(BLOCKS) >= 2
