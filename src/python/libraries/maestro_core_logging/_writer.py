"""Lines to a stream, from a thread of its own, so that a stream which nobody reads holds up no caller."""

import os
import select
import sys
import threading
import weakref
from collections import deque
from typing import Protocol, TextIO

from maestro_core_logging._rate import Dropped

_BATCH_LINES = 1000


class Sink(Protocol):
    """Where lines go."""

    def put(self, line: str) -> None:
        """Take a line at once."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until every line is written; False when the time is over first."""

    def close(self, timeout_s: float) -> None:
        """Write what is left, and take no more."""


class Writer:
    """A bounded queue of lines before a stream; what does not fit is dropped and counted.

    `stream` is whatever sys.stderr is at the moment of writing when None.
    """

    _changed: threading.Condition
    _lines: deque[str]
    _queued_bytes: int
    _writing: bool
    _thread: threading.Thread | None

    def __init__(self, stream: TextIO | None, dropped: Dropped, max_queued_bytes: int) -> None:
        self._stream = stream
        self._dropped = dropped
        self._max_queued_bytes = max_queued_bytes
        self._closed = False
        self._start_afresh()
        _writers.add(self)

    def put(self, line: str) -> None:
        """Queue a line; returns at once, whatever the stream does."""
        with self._changed:
            fits = self._queued_bytes + len(line) <= self._max_queued_bytes and not self._closed
            if fits:
                self._lines.append(line)
                self._queued_bytes += len(line)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="maestro-logging", daemon=True)
                    self._thread.start()
                self._changed.notify_all()
        if not fits:
            self._dropped.add("queue")

    def flush(self, timeout_s: float) -> bool:
        """Wait until every queued line is written; False when the time is over first."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._writing, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Write what is queued, then end the thread; lines that come later are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _start_afresh(self) -> None:
        """An empty queue; also in the child of a fork, where the thread is gone and the parent writes the lines."""
        self._changed = threading.Condition()
        self._lines = deque()
        self._queued_bytes = 0
        self._writing = False
        self._thread = None

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._lines or self._closed)
                if not self._lines:
                    return
                batch = [self._lines.popleft() for _ in range(min(len(self._lines), _BATCH_LINES))]
                self._queued_bytes -= sum(map(len, batch))
                self._writing = True
            try:
                self._write("".join(f"{line}\n" for line in batch))
            except Exception:  # a closed or broken stream: logging has no one left to tell, so it counts
                self._dropped.add("stream", len(batch))

    def _write(self, text: str) -> None:
        stream = self._stream if self._stream is not None else sys.stderr
        try:
            descriptor = stream.fileno()
        except (AttributeError, OSError, ValueError):  # no file behind it, as in tests
            stream.write(text)
            stream.flush()
            return
        # Past the stream's own buffer and lock: a thread that is stuck in them would hang the end of the process.
        data = memoryview(text.encode("utf-8", "backslashreplace"))
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                select.select([], [descriptor], [])


_writers: "weakref.WeakSet[Writer]" = weakref.WeakSet()


def _after_fork() -> None:
    for writer in _writers:
        writer._start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
