"""One time limit for a whole exchange: sockets limit each read alone, and a byte now and then would hold us."""

import io
import socket
import time
from typing import Any


class Deadline(io.RawIOBase):
    """A connected socket as `http.client` uses one, whose reads and writes all end at `until_s` of the real clock.

    Whoever connected closes the socket: `http.client` lets go of it before the answer has been read.
    """

    def __init__(self, link: socket.socket, until_s: float) -> None:
        self._link = link
        self._until_s = until_s

    def makefile(self, *_: object, **__: object) -> io.BufferedReader:
        """What the answer is read from."""
        return io.BufferedReader(self)

    def sendall(self, data: Any) -> None:
        """Send everything in time, or raise TimeoutError."""
        self._limit()
        self._link.sendall(data)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there in time, or raise TimeoutError."""
        self._limit()
        return self._link.recv_into(buffer)

    def close(self) -> None:
        """Nothing: see above."""

    def _limit(self) -> None:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("it took too long")
        self._link.settimeout(left_s)
