"""Runs the Python blocks of a wheel's README, as a reader would paste them."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from kit.processes import import_path

_BLOCK = re.compile(r"^```python(?: (?P<extra>[a-z]+))?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def readme_program(text: str, extra: str | None = None) -> str:
    """The Python blocks of a README as one program, in their order: the plain ones, then those fenced for `extra`."""
    blocks = list(_BLOCK.finditer(text))
    wanted = [None, extra] if extra else [None]
    return "\n".join(match["code"] for name in wanted for match in blocks if match["extra"] == name)


def run_readme(
    import_name: str,
    *,
    extra: str | None = None,
    given: Mapping[str, object] = MappingProxyType({}),
    timeout_s: float = 60.0,
) -> None:
    """Run the README of an importable package in an empty folder; raises AssertionError with what it printed.

    `extra` adds the blocks fenced as ```python EXTRA; `given` holds plain values that these find by name.
    """
    spec = importlib.util.find_spec(import_name)
    assert spec is not None, f"{import_name} cannot be imported"
    assert spec.origin is not None, f"{import_name} is no package with an __init__.py"
    text = (Path(spec.origin).parent / "README.md").read_text(encoding="utf-8")
    program = readme_program(text, extra)
    assert program.strip(), f"the README of {import_name} has no ```python block"
    assert extra is None or program != readme_program(
        text
    ), f"the README of {import_name} has no ```python {extra} block"
    program = "".join(f"{name} = {value!r}\n" for name, value in given.items()) + program
    with tempfile.TemporaryDirectory() as empty:
        script = Path(empty) / "readme_blocks.py"
        script.write_text(program, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning", script.name],
            cwd=empty,
            env={**os.environ, "PYTHONPATH": import_path()},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    assert done.returncode == 0, f"README of {import_name} failed:\n{done.stdout}\n{done.stderr}"
