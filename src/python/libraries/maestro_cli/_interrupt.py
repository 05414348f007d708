"""Ctrl-C: once, and running steps may finish; twice, and the command ends at once. Both ways nothing is lost."""

import asyncio
import signal
from collections.abc import Callable

from maestro_workflow_engine import ExecutionBackend

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Closes the backend on a signal: the first lets running steps end, the second cuts that short."""

    def __init__(self, backend: ExecutionBackend, *, drain_s: float) -> None:
        self._backend = backend
        self._drain_s = drain_s
        self._closing: asyncio.Task[None] | None = None
        self.on_first: Callable[[], None] = _say_nothing

    def listen(self) -> None:
        """From now on a signal closes the backend in place of ending the process."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal)

    async def done(self) -> None:
        """Wait until what a signal began has ended."""
        if self._closing is not None:
            await asyncio.wait([self._closing])
            if not self._closing.cancelled():
                self._closing.result()

    def _on_signal(self) -> None:
        if self._closing is None:
            self.on_first()
            self._closing = asyncio.create_task(self._backend.close(self._drain_s))
        else:
            self._closing.cancel()


def _say_nothing() -> None:
    """Before a report exists there is nobody to tell."""
