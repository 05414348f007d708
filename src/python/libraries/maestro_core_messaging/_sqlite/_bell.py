"""Bell: wakes those who wait for messages, in this process and, through named pipes, in the others."""

import asyncio
import contextlib
import errno
import logging
import os
import uuid
from pathlib import Path
from typing import Final

from maestro_core_messaging._errors import StoreUnreadable

_LOG: Final = logging.getLogger("maestro_core_messaging")
_RECHECK_S: Final = 5.0
"""Nobody waits longer without a look: a ring may be lost when someone empties the folder of pipes."""


class Bell:
    """Rings in this process only; `rings` counts."""

    def __init__(self) -> None:
        self.rings = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake all who wait here; for the event loop's thread."""
        self.rings += 1
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def ring_others(self) -> None:
        """Wake those who wait in other processes; for any thread. Never fails: what they are told of is committed."""

    def listen(self) -> None:
        """Begin to hear other processes."""

    async def wait(self, heard: int, timeout_s: float) -> None:
        """Return when the bell has rung more than `heard` times, at the latest after `timeout_s`."""
        if self.rings != heard:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waiting, min(timeout_s, _RECHECK_S))
        finally:
            self._waiting.discard(waiting)

    def close(self) -> None:
        """Stop to listen, and wake all who wait."""
        self.ring()


class PipeBell(Bell):
    """One named pipe for each process that waits, in `folder`: a byte written to it is a ring; nobody polls."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._own: Path | None = None
        self._pipe = -1
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self) -> None:
        if self._own is not None:
            return
        try:
            self._make_pipe()
        except OSError as error:
            raise StoreUnreadable(f"no named pipe can be made in {self._folder}: {error.strerror}") from error
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe, self._heard)

    def _make_pipe(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{os.getpid()}-{uuid.uuid4().hex}"
        # Opened before it gets a name by which others find it: a pipe that nobody reads is swept away.
        hidden, shown = self._folder / f".{name}", self._folder / name
        os.mkfifo(hidden, 0o600)
        self._pipe = os.open(hidden, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        os.rename(hidden, shown)
        self._own = shown

    def ring_others(self) -> None:
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.path != str(self._own):
                        _ring(entry.path)
        except FileNotFoundError:
            return
        except OSError as error:  # no descriptors are left, for example
            _LOG.warning("other processes find what is new only by looking, for no pipe can be rung: %s", error)

    def close(self) -> None:
        if self._own is not None and self._loop is not None:
            self._loop.remove_reader(self._pipe)
            self._own.unlink(missing_ok=True)
            os.close(self._pipe)
            self._own = None
        super().close()

    def _heard(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._pipe, 65536)
        self.ring()


def _ring(path: str) -> None:
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        with contextlib.suppress(FileNotFoundError):  # nobody reads it: its process was killed
            os.unlink(path)
        return
    try:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # full: it has been rung; broken: it is leaving
            os.write(pipe, b"!")
    finally:
        os.close(pipe)
