"""The guide to testing workflows is a test file that passes."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path("docs/guides/testing-workflows.md")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
NAMES: dict[str, Any] = {}
exec(compile("\n".join(BLOCKS), str(GUIDE), "exec"), NAMES)
EXAMPLES = [each for name, each in NAMES.items() if name.startswith("test_")]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.__name__)
async def test_each_test_of_the_guide_passes(example: Callable[[Path], Awaitable[None]], tmp_path: Path) -> None:
    """As it is written, on the example that it names."""
    await example(tmp_path)


def test_no_test_of_the_guide_is_lost() -> None:
    """None takes the name of another, and each is found."""
    assert len(EXAMPLES) == sum(block.count("def test_") for block in BLOCKS) >= 8
