"""One engine per data folder, held by a lock file for life."""

import contextlib
import fcntl
import os
from pathlib import Path

from maestro_workflow_engine._errors import EngineAlreadyRunning


class FolderLock:
    """The lock on a data folder; the operating system lets go of it when the process dies."""

    def __init__(self, data_dir: Path) -> None:
        """Take the lock; raises EngineAlreadyRunning."""
        # The file stays when the lock goes: deleting it would let two engines lock two files of one name.
        self._file = os.open(data_dir / "maestro.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = _pid_in(os.pread(self._file, 32, 0))
            os.close(self._file)
            raise EngineAlreadyRunning(data_dir, pid) from error
        os.truncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next engine in."""
        with contextlib.suppress(OSError):  # a full disk does not matter: without its lock the number says nothing
            os.truncate(self._file, 0)
        os.close(self._file)


def _pid_in(content: bytes) -> int | None:
    text = content.strip()
    return int(text) if text.isdigit() else None
