"""The guide to operating the engine, run as one program against an engine of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from kit.processes import import_path
from kit.readme import readme_program

GUIDE = Path("docs/guides/operating-the-engine.md")


def test_the_guide_runs_from_top_to_bottom(tmp_path: Path) -> None:
    """Every block as it is written, in an empty folder."""
    program = readme_program(GUIDE.read_text(encoding="utf-8"))
    assert program.count("assert ") >= 15
    script = tmp_path / "guide_blocks.py"
    script.write_text(program, encoding="utf-8")
    said = tmp_path / "said.txt"
    with said.open("w", encoding="utf-8") as saying:
        # A session of its own: when a block fails, the engine that it has started ends with it.
        running = subprocess.Popen(
            [sys.executable, "-W", "error::DeprecationWarning", script.name],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": import_path()},
            stdout=saying,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        status = running.wait(60)
    finally:
        _end_session(running)
    assert status == 0, said.read_text(encoding="utf-8")


def _end_session(running: "subprocess.Popen[bytes]") -> None:
    """End whatever is left of it."""
    try:
        os.killpg(running.pid, signal.SIGKILL)
    except ProcessLookupError:  # all of it has ended
        return
    running.wait(10)
