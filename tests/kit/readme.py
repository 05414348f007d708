"""Runs the Python blocks of a wheel's README, as a reader would paste them."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from kit.processes import import_path

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def readme_program(text: str) -> str:
    """All Python blocks of a README, joined in order into one program."""
    return "\n".join(match.group(1) for match in _BLOCK.finditer(text))


def run_readme(import_name: str, *, timeout_s: float = 60.0) -> None:
    """Run the README of an importable package in an empty folder; raises AssertionError with what it printed."""
    spec = importlib.util.find_spec(import_name)
    assert spec is not None, f"{import_name} cannot be imported"
    assert spec.origin is not None, f"{import_name} is no package with an __init__.py"
    program = readme_program((Path(spec.origin).parent / "README.md").read_text(encoding="utf-8"))
    assert program.strip(), f"the README of {import_name} has no ```python block"
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
