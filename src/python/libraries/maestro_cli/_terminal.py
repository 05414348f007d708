"""Asks whoever sits at the terminal, without holding up the event loop."""

import asyncio
import os
from typing import TextIO

_CHUNK = 65_536


class Terminal:
    """Lines from the keyboard, one question at a time."""

    def __init__(self, keyboard: TextIO, screen: TextIO) -> None:
        self._descriptor = keyboard.fileno()
        self._screen = screen
        self._typed = b""

    def show(self, line: str = "") -> None:
        """Print a line."""
        self._screen.write(line + "\n")
        self._screen.flush()

    async def ask(self, prompt: str) -> str | None:
        """The line that is typed; None when there will be no more (Ctrl-D). It can be cancelled."""
        self._screen.write(prompt)
        self._screen.flush()
        loop = asyncio.get_running_loop()
        while b"\n" not in self._typed:
            readable = loop.create_future()
            loop.add_reader(self._descriptor, _set, readable)
            try:
                await readable
            finally:
                loop.remove_reader(self._descriptor)
            chunk = os.read(self._descriptor, _CHUNK)
            if not chunk:
                self.show()
                return None
            self._typed += chunk
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode("utf-8", "replace").rstrip("\r")


def _set(readable: "asyncio.Future[None]") -> None:
    if not readable.done():
        readable.set_result(None)
