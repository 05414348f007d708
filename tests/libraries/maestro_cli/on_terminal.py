"""The command `maestro` on a terminal, with somebody at the keyboard."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libraries.maestro_cli.command import environment


class OnTerminal:
    """A running command, what it has written so far, and its keyboard."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self._terminal = terminal
        self.written = ""
        self._seen = 0

    def until(self, text: str, within_s: float = 30.0) -> str:
        """Everything since the last call up to a text, as soon as that is written."""
        end = time.monotonic() + within_s
        while text not in self.written[self._seen :]:
            assert self._read(end - time.monotonic()), f"{text!r} was not written: {self.written[self._seen:]!r}"
        place = self.written.index(text, self._seen) + len(text)
        found, self._seen = self.written[self._seen : place], place
        return found

    def type(self, line: str) -> None:
        """A line, with the key at its end."""
        os.write(self._terminal, line.encode() + b"\n")

    def press(self, key: bytes) -> None:
        """One key, such as Ctrl-D."""
        os.write(self._terminal, key)

    def ended(self, within_s: float = 30.0) -> int:
        """The exit status, once everything is written."""
        end = time.monotonic() + within_s
        while self._read(end - time.monotonic()):
            pass
        return self.process.wait(within_s)

    def _read(self, within_s: float) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], max(0.0, within_s))
        if not ready:
            return False
        try:
            chunk = os.read(self._terminal, 65_536)
        except OSError:  # the other side is closed
            return False
        self.written += chunk.decode("utf-8", "replace")
        return bool(chunk)


@contextmanager
def on_terminal(*arguments: str | Path, cwd: Path, columns: int = 80, **more: str) -> Iterator[OnTerminal]:
    """Run the command on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "maestro_cli", *map(str, arguments)],
        cwd=cwd,
        env=environment(TERM="xterm-256color", **more),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield OnTerminal(process, ours)
    finally:
        process.kill()
        process.wait(30)
        os.close(ours)
