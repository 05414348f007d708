"""On a terminal: colour, progress in place, and what is left on the screen in the end."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from libraries.maestro_cli.command import environment

WORKFLOW = """
name: shown
steps:
  quick: {kind: shell, with: {command: "true"}}
  slow: {kind: shell, with: {command: "sleep 0.7"}}
"""


def on_terminal(folder: Path, **more: str) -> str:
    """Everything that the command writes to a terminal of 80 columns."""
    (folder / "shown.yml").write_text(WORKFLOW)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "maestro_cli", "run", "shown.yml", "--data-dir", str(folder / "data")]
    with subprocess.Popen(
        command, cwd=folder, env=environment(TERM="xterm-256color", COLUMNS="80", LINES="24", **more), stdout=theirs
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not chunk:
                break
            written += chunk
        os.close(ours)
        assert process.wait(30) == 0
    return written.decode()


def screen_of(text: str) -> list[str]:
    """What a terminal shows after all of it: lines, cursor up, erase below; colours are left out."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r\n|[^\x1b\r\n]+", text):
        if part == "\r\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif part.startswith("\x1b["):
            if part.endswith("F"):
                row -= int(part[2:-1])
            elif part.endswith("J"):
                lines = [*lines[:row], ""]
        else:
            lines[row] += part
    return [line.rstrip() for line in lines]


def test_settled_steps_stay_and_running_ones_are_drawn_in_place(tmp_path: Path) -> None:
    """While `slow` runs it is on the screen; in the end each step has exactly one line."""
    text = on_terminal(tmp_path)
    assert "● running" in text
    assert "1 of 2 steps" in text
    final = screen_of(text)
    assert len([line for line in final if " quick " in line]) == 1
    assert len([line for line in final if " slow " in line]) == 1
    assert not any("running" in line or "of 2 steps" in line for line in final)
    assert any("✓ shown succeeded" in line for line in final)
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l"), "the cursor is given back"


def test_lines_fit_the_window(tmp_path: Path) -> None:
    """Nothing wraps: a wrapped line could not be erased."""
    assert all(len(line) <= 80 for line in screen_of(on_terminal(tmp_path))[2:])


@pytest.mark.parametrize(("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_respected(tmp_path: Path, more: dict[str, str], coloured: bool) -> None:
    """With NO_COLOR progress is still drawn in place, without any colour."""
    text = on_terminal(tmp_path, **more)
    assert bool(re.search(r"\x1b\[[0-9;]+m", text)) is coloured
    assert "\x1b[J" in text
