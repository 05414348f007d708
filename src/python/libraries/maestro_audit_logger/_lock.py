"""The lock of the one writer: the system lets go of it when the process ends, however that happens."""

import fcntl
import os
from pathlib import Path

from maestro_audit_logger._errors import LogHeld


class WriterLock:
    """Held from the moment it is made until `release`; raises LogHeld with the pid of who has it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(self._file, 32).decode(errors="replace").strip()
            os.close(self._file)
            raise LogHeld(f"{path.parent} is held by the writer with pid {pid or 'unknown'}; a log has one") from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let go, also of what a forked child has of it."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)
