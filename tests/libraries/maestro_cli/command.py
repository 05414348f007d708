"""The command `maestro` in a process of its own, as a person types it."""

import os
import select
import subprocess
import sys
from pathlib import Path


def environment(**more: str) -> dict[str, str]:
    """What the command sees: our own modules, and nothing that changes how it looks."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1", **more}


def maestro(*arguments: str | Path, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", *map(str, arguments)],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def begin(*arguments: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Run the command beside the test; leave it with `with`."""
    return subprocess.Popen(
        [sys.executable, "-m", "maestro_cli", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


class Signal:
    """A named pipe that a step writes to and a test waits for: `echo > path`."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # Open for both, so that a step that writes never waits for a reader.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def wait(self, within_s: float = 30.0) -> None:
        """Wait until a step has written."""
        ready, _, _ = select.select([self._pipe], [], [], within_s)
        assert ready, "no step has written to the pipe"
        os.read(self._pipe, 4096)

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._pipe)
