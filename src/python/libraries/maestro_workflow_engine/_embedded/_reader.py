"""Reads the journal, off the event loop and beside the writer."""

import asyncio
import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._embedded._database import journal_error, open_for_reading
from maestro_workflow_engine._embedded._journal import from_microseconds
from maestro_workflow_engine._errors import JournalCorrupt, WorkflowNotFound
from maestro_workflow_engine._events import EVENT_TYPES, Event
from maestro_workflow_engine._ids import may_be_workflow_id
from maestro_workflow_engine._ports import Page, WorkflowSummary
from maestro_workflow_engine._state import WorkflowState, fold

_THREADS: Final = 2
ALL: Final = 2**63 - 1
"""As a limit: no limit."""
_T = TypeVar("_T")

_ROW: Final = (
    "SELECT w.key, w.id, d.digest, w.base_dir, w.status FROM workflows w JOIN definitions d ON d.key = w.definition "
)


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """Where a workflow lies in the journal."""

    key: int
    id: str
    digest: str
    base_dir: Path
    status: str


class Reader:
    """A few connections that only read, each on a thread of its own."""

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="maestro-reader")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []

    async def close(self) -> None:
        """Let the last read end, then let go of the file."""
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._connections:
            connection.close()

    async def last_numbers(self) -> tuple[int, int]:
        """The highest position of an event and the highest key of a workflow, 0 when there is none."""
        query = "SELECT (SELECT max(position) FROM events), (SELECT max(key) FROM workflows)"
        row = await self._read(lambda connection: connection.execute(query).fetchone())
        return row[0] or 0, row[1] or 0

    async def workflow(self, workflow_id: str) -> WorkflowRow:
        """Where a workflow lies; raises WorkflowNotFound."""
        return await self._read(lambda connection: _workflow(connection, workflow_id))

    async def unfinished(self) -> list[WorkflowRow]:
        """All workflows that have not ended, the oldest first."""
        query = _ROW + "WHERE w.status IN ('running', 'cancelling') ORDER BY w.key"
        return await self._read(lambda connection: [_row(row) for row in connection.execute(query)])

    async def document(self, digest: str) -> Any:
        """The definition document with this digest."""
        query = "SELECT document FROM definitions WHERE digest = ?"
        return await self._read(lambda connection: json.loads(connection.execute(query, (digest,)).fetchone()[0]))

    async def state(self, workflow_id: str, definition: WorkflowDefinition) -> WorkflowState:
        """The state after all its events; raises WorkflowNotFound."""
        events = await self.events(workflow_id, 1, ALL)
        with self._making_sense():
            return fold(events, definition=definition)

    async def events(self, workflow_id: str, from_seq: int, limit: int) -> list[Event]:
        """Events of one workflow; raises WorkflowNotFound."""

        def read(connection: sqlite3.Connection) -> list[Event]:
            key = _workflow(connection, workflow_id).key
            query = (
                "SELECT seq, type, at, data, position FROM events WHERE workflow = ? AND seq >= ? ORDER BY seq LIMIT ?"
            )
            rows = connection.execute(query, (key, min(from_seq, ALL), min(limit, ALL)))
            return [_event(workflow_id, *row) for row in rows]

        return await self._read(read)

    async def events_of_all(self, from_position: int, limit: int) -> list[Event]:
        """Events of all workflows in the order in which they became durable."""
        query = (
            "SELECT w.id, e.seq, e.type, e.at, e.data, e.position FROM events e JOIN workflows w ON w.key = e.workflow "
            "WHERE e.position >= ? ORDER BY e.position LIMIT ?"
        )
        return await self._read(
            lambda connection: [_event(*row) for row in connection.execute(query, (min(from_position, ALL), limit))]
        )

    async def page(
        self, *, status: str | None, name: str | None, template: str | None, limit: int, before_key: int | None
    ) -> Page:
        """Workflows, the newest first."""
        wanted = {"status = ?": status, "name = ?": name, "template = ?": template, "key < ?": before_key}
        given = {condition: value for condition, value in wanted.items() if value is not None}
        where = f"WHERE {' AND '.join(given)} " if given else ""
        query = (
            "SELECT key, id, name, template, labels, status, started_at, finished_at, error FROM workflows "
            f"{where}ORDER BY key DESC LIMIT ?"
        )
        values = (*given.values(), limit + 1)
        rows = await self._read(lambda connection: connection.execute(query, values).fetchall())
        items = [_summary(*row[1:]) for row in rows[:limit]]
        return Page(items, str(rows[limit - 1][0]) if len(rows) > limit else None)

    async def _read(self, read: Callable[[sqlite3.Connection], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read_here, read)

    @contextlib.contextmanager
    def _making_sense(self) -> Iterator[None]:
        """Rows that no journal writes are damage, whatever it is that stumbles over them."""
        try:
            yield
        except UnicodeEncodeError:
            raise  # what was asked for is no text; the rows are sound
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise JournalCorrupt(self._path, f"a row makes no sense ({type(error).__name__}: {error})") from error

    def _read_here(self, read: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
            if connection is None:
                connection = self._own.connection = open_for_reading(self._path, self._busy_timeout_s)
                self._connections.append(connection)
            with self._making_sense():
                return read(connection)
        except (sqlite3.Error, OSError) as error:
            raise journal_error(self._path, error) from error


def _workflow(connection: sqlite3.Connection, workflow_id: str) -> WorkflowRow:
    row = None
    if may_be_workflow_id(workflow_id):
        row = connection.execute(_ROW + "WHERE w.id = ?", (workflow_id,)).fetchone()
    if row is None:
        raise WorkflowNotFound(workflow_id)
    return _row(row)


def _row(row: tuple[int, str, str, str, str]) -> WorkflowRow:
    key, workflow_id, digest, base_dir, status = row
    return WorkflowRow(key, workflow_id, digest, Path(base_dir), status)


def _event(workflow_id: str, seq: int, type_: int, at: int, data: str, position: int) -> Event:
    return Event(seq, workflow_id, EVENT_TYPES[type_], from_microseconds(at), json.loads(data), position)


def _summary(
    id_: str,
    name: str,
    template: str | None,
    labels: str,
    status: Any,
    started_at: int,
    finished_at: int | None,
    error: str | None,
) -> WorkflowSummary:
    return WorkflowSummary(
        id=id_,
        name=name,
        template=template,
        labels=json.loads(labels),
        status=status,
        started_at=from_microseconds(started_at),
        finished_at=None if finished_at is None else from_microseconds(finished_at),
        error=None if error is None else json.loads(error),
    )
