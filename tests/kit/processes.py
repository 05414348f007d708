"""What tests need that start programs of ours in processes of their own."""

import os
import select
import subprocess
import sys
from pathlib import Path


def import_path() -> str:
    """A PYTHONPATH with which another Python imports what this one does, from any folder."""
    return os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)


def run_unread(module: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the `main` of a module with an output whose reader has left, as that of `… | head -0`."""
    program = f"import sys; from {module} import main; sys.exit(main())"
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [sys.executable, "-c", program, *words],
            env={"PYTHONPATH": import_path(), **environment},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)


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
