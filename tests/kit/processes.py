"""What tests need that start programs of ours in processes of their own."""

import os
import select
import sys
from pathlib import Path


def import_path() -> str:
    """A PYTHONPATH with which another Python imports what this one does, from any folder."""
    return os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)


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
