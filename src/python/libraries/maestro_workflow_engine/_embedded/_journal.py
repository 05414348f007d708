"""Writes the journal: one thread, and one transaction for all that has come together meanwhile."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._embedded._database import (
    INSERT_EVENT,
    Synchronous,
    journal_error,
    open_for_writing,
    transaction,
)
from maestro_workflow_engine._embedded._references import INSERT_REFERENCE, references_in
from maestro_workflow_engine._embedded._values import Statement, encode, microseconds
from maestro_workflow_engine._errors import EngineError
from maestro_workflow_engine._events import EVENT_TYPES, Event

_TYPE_NUMBER: Final = {type_: number for number, type_ in enumerate(EVENT_TYPES)}
_LINGER_S: Final = 0.005
"""How long a deferred record waits for another one to ride with."""


@dataclass(slots=True)
class Record:
    """What one decision writes, whole or not at all; one without events tells when all before it is durable."""

    workflow: Any
    """Whose it is: handed back when it is durable."""
    key: int
    events: list[Event]
    statements: list[Statement] = field(default_factory=list)
    """Other rows of the same transaction."""
    blobs: list[tuple[str, bytes]] = field(default_factory=list)
    """Artifacts that its events refer to, by hash."""
    waiter: asyncio.Future[None] | None = None
    let_go: Sequence[str] = ()
    """Child workflows that nobody waits for once it is durable."""


class Journal:
    """The only writer of the database.

    Records become durable in the order in which they came, and `on_durable` hears of it on the event loop, once per
    transaction. After the first failure nothing is written any more, and `on_failure` hears of every record.
    """

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Synchronous,
        busy_timeout_s: float,
        keep_blob: Callable[[str, bytes], None],
    ) -> None:
        """Open the file, making it when there is none; raises EngineError. Blocks: call it off the event loop."""
        self.path = path
        self._keep_blob = keep_blob
        self._gathered: list[Record] = []
        self._gathered_since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._queue: queue.SimpleQueue[list[Record] | None] = queue.SimpleQueue()
        self._error: EngineError | None = None
        self.connection = open_for_writing(path, synchronous, busy_timeout_s)

    def run(
        self,
        loop: asyncio.AbstractEventLoop,
        on_durable: Callable[[list[Record]], None],
        on_failure: Callable[[EngineError, list[Record]], None],
    ) -> None:
        """Begin to write."""
        self._loop = loop
        self._on_durable = on_durable
        self._on_failure = on_failure
        # A daemon, so that a process whose loop died does not hang on it; what it had not committed, nobody was told.
        self._thread = threading.Thread(target=self._write, name="maestro-journal", daemon=True)
        self._thread.start()

    def append(self, record: Record) -> None:
        """Write it with the next transaction."""
        self._gathered.append(record)
        self._hand_over()

    def defer(self, record: Record) -> None:
        """Write it together with whatever comes next, or alone after a few milliseconds."""
        if not self._gathered:
            self._gathered_since = self._loop.time()
            if self._timer is None:
                self._timer = self._loop.call_later(_LINGER_S, self._linger_over)
        self._gathered.append(record)

    async def close(self) -> None:
        """Write what was given so far, and stop."""
        if self._timer is not None:
            self._timer.cancel()
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self.connection.close()

    def commit(self, records: list[Record]) -> None:
        """Make records durable in one transaction, with the artifacts they refer to before them."""
        rows, statements = [], []
        for record in records:
            for sha256, data in record.blobs:
                self._keep_blob(sha256, data)
            rows += [_row(record.key, event) for event in record.events]
            statements += record.statements
        if not rows and not statements:
            return
        references = references_in(rows)
        with transaction(self.connection):
            for sql, values in statements:
                self.connection.execute(sql, values)
            self.connection.executemany(INSERT_EVENT, rows)
            if references:
                self.connection.executemany(INSERT_REFERENCE, references)

    def _linger_over(self) -> None:
        """Hand over what has waited long enough; what came since the timer was set waits on."""
        self._timer = None
        if self._gathered:
            left_s = self._gathered_since + _LINGER_S - self._loop.time()
            if left_s > _LINGER_S / 10:
                self._timer = self._loop.call_later(left_s, self._linger_over)
            else:
                self._hand_over()

    def _hand_over(self) -> None:
        self._queue.put(self._gathered)
        self._gathered = []

    def _write(self) -> None:
        while True:
            records, is_last = self._next()
            if records:
                if self._error is None:
                    self._try_commit(records)
                else:
                    self._tell(self._on_failure, self._error, records)
            if is_last:
                return

    def _next(self) -> tuple[list[Record], bool]:
        """All records that wait, and whether they are the last ones."""
        first = self._queue.get()
        if first is None:
            return [], True
        records = first
        while True:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                return records, False
            if more is None:
                return records, True
            records += more

    def _try_commit(self, records: list[Record]) -> None:
        try:
            self.commit(records)
        except Exception as error:  # whatever it is, nobody may go on as if this had been written
            self._error = journal_error(self.path, error)
            self._error.__cause__ = error
            self._tell(self._on_failure, self._error, records)
        else:
            self._tell(self._on_durable, records)

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            self._loop.call_soon_threadsafe(callback, *arguments)


def _row(key: int, event: Event) -> tuple[int, int, int, int, int, str]:
    at = microseconds(event.at)
    return event.position, key, event.seq, _TYPE_NUMBER[event.type], at, encode(event.data)
