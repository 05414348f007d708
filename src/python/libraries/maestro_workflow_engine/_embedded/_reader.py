"""Reads the journal, off the event loop and beside the writer."""

import asyncio
import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._embedded import _waits
from maestro_workflow_engine._embedded._database import journal_error, open_for_reading
from maestro_workflow_engine._embedded._facets import Search
from maestro_workflow_engine._embedded._rows import limit_of
from maestro_workflow_engine._embedded._values import NO_SENSE, from_microseconds
from maestro_workflow_engine._embedded._waits import WaitRow
from maestro_workflow_engine._errors import EngineClosed, JournalCorrupt, WorkflowNotFound
from maestro_workflow_engine._events import EVENT_TYPES, Event
from maestro_workflow_engine._fold import fold
from maestro_workflow_engine._ids import may_be_workflow_id
from maestro_workflow_engine._ports import FlowLimit, Page, WaitingPage, WorkflowSummary
from maestro_workflow_engine._state import WorkflowState, WorkflowStatus

_THREADS: Final = 2
ALL: Final = 2**63 - 1
"""As a limit: no limit."""
_T = TypeVar("_T")

_ROW: Final = (
    "SELECT w.key, w.id, d.digest, w.base_dir, w.status, w.name, w.template, w.version, w.parent, w.origin, "
    "w.priority, w.is_parked, EXISTS (SELECT 1 FROM migrations m WHERE m.workflow = w.key), "
    "w.started_at, w.finished_at "
    "FROM workflows w JOIN definitions d ON d.key = w.definition "
)
_SUMMARY: Final = (
    "SELECT id, name, template, labels, status, started_at, finished_at, error, priority, parent FROM workflows "
)


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """Where a workflow lies in the journal; `digest` names the definition that it was started with."""

    key: int
    id: str
    digest: str
    base_dir: Path
    status: WorkflowStatus
    name: str
    template: str | None
    version: str | None
    parent: str | None
    origin: str | None
    priority: int
    is_parked: bool
    is_migrated: bool
    started_at: datetime
    finished_at: datetime | None


class Reader:
    """A few connections that only read, each on a thread of its own."""

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="maestro-reader")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._is_closed = False

    async def close(self) -> None:
        """Let the last read end, then let go of the file; whoever asks later gets EngineClosed."""
        self._is_closed = True
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._connections:
            connection.close()

    # --- workflows ---

    async def last_numbers(self) -> tuple[int, int]:
        """The highest position of an event and the highest key of a workflow that there ever were, 0 when none was."""
        query = (
            "SELECT max(m.position, ifnull((SELECT max(position) FROM events), 0)), "
            "max(m.workflow, ifnull((SELECT max(key) FROM workflows), 0)) FROM marks m"
        )
        return await self._read(lambda connection: cast(tuple[int, int], connection.execute(query).fetchone()))

    async def workflow(self, workflow_id: str) -> WorkflowRow:
        """Where a workflow lies; raises WorkflowNotFound."""
        return await self._read(lambda connection: _workflow(connection, workflow_id))

    async def unfinished(self) -> list[WorkflowRow]:
        """All workflows that have not ended, the oldest first."""
        rows = await self._rows(f"WHERE {_waits.IS_UNFINISHED}")
        return sorted(rows, key=lambda row: row.key)

    async def unparked(self, after_key: int = 0, limit: int = ALL) -> list[WorkflowRow]:
        """Those of them that are not parked, beyond a key."""
        where = "WHERE w.finished_at IS NULL AND w.is_parked = 0 AND w.key > ? ORDER BY w.key LIMIT ?"
        return await self._rows(where, after_key, limit)

    async def children(self, workflow_id: str) -> list[WorkflowRow]:
        """Unfinished workflows that this one has started, the oldest first."""
        return await self._rows("WHERE w.parent = ? AND w.finished_at IS NULL ORDER BY w.key", workflow_id)

    async def page(self, search: Search, limit: int) -> Page:
        """Workflows that fit, the newest first."""

        def read(connection: sqlite3.Connection) -> Page:
            keys = list(islice(search.keys(connection), limit + 1))
            if not keys:
                return Page([], None)
            query = f"{_SUMMARY}WHERE key IN ({', '.join('?' * len(keys[:limit]))}) ORDER BY key DESC"
            items = [_summary(*row) for row in connection.execute(query, keys[:limit])]
            return Page(items, str(keys[limit - 1]) if len(keys) > limit else None)

        return await self._read(read, is_snapshot=True)

    async def documents(self, workflow_id: str) -> dict[str, Any]:
        """All definitions of a workflow by digest: that it was started with, and those that it has migrated to."""
        query = (
            "SELECT digest, document FROM definitions WHERE key = (SELECT definition FROM workflows WHERE key = ?) "
            "OR key IN (SELECT definition FROM migrations WHERE workflow = ?)"
        )

        def read(connection: sqlite3.Connection) -> dict[str, Any]:
            key = _workflow(connection, workflow_id).key
            rows = connection.execute(query, (key, key))
            return {digest: json.loads(document) for digest, document in rows}

        return await self._read(read)

    async def document(self, digest: str) -> Any:
        """The definition document with this digest."""
        query = "SELECT document FROM definitions WHERE digest = ?"
        return await self._read(lambda connection: json.loads(connection.execute(query, (digest,)).fetchone()[0]))

    async def limits(self) -> list[FlowLimit]:
        """All flow limits, by name."""
        query = "SELECT name, settings FROM limits ORDER BY name"
        return await self._read(lambda connection: [limit_of(*row) for row in connection.execute(query)])

    # --- events ---

    async def state(
        self,
        workflow_id: str,
        definition: WorkflowDefinition,
        lookup: Callable[[str], WorkflowDefinition] | None = None,
        *,
        up_to: int = ALL,
    ) -> WorkflowState:
        """The state after its events up to a seq; `lookup` as in `fold`. Raises WorkflowNotFound."""

        def read(connection: sqlite3.Connection) -> WorkflowState:
            events = _events(connection, workflow_id, 1, up_to)
            return fold(events, definition=definition, lookup=lookup)

        return await self._read(read)

    async def events(self, workflow_id: str, from_seq: int, limit: int) -> list[Event]:
        """Events of one workflow; raises WorkflowNotFound."""
        return await self._read(lambda connection: _events(connection, workflow_id, from_seq, limit))

    async def events_of_all(self, from_position: int, limit: int) -> list[Event]:
        """Events of all workflows in the order in which they became durable."""
        query = (
            "SELECT w.id, e.seq, e.type, e.at, e.data, e.position FROM events e JOIN workflows w ON w.key = e.workflow "
            "WHERE e.position >= ? ORDER BY e.position LIMIT ?"
        )
        return await self._read(
            lambda connection: [_event(*row) for row in connection.execute(query, (min(from_position, ALL), limit))]
        )

    # --- waits ---

    async def next_due(self, after: datetime | None = None, above_key: int = 0) -> datetime | None:
        """The earliest time beyond `after` at which a workflow that is not paused, with a higher key, goes on."""
        return await self._read(lambda connection: _waits.next_due(connection, after, above_key))

    async def due(
        self, until: datetime, after: tuple[int, int] | None = None, limit: int = 1000, above_key: int = 0
    ) -> list[WaitRow]:
        """Runs of workflows that are not paused whose time has come, the earliest first, beyond the cursor of a row."""
        return await self._read(lambda connection: _waits.due(connection, until, after, limit, above_key))

    async def waits_for(self, kind: str, key: str, *, after: int = 0, limit: int = 1000) -> list[WaitRow]:
        """Runs that wait for a signal, an event or a child, the oldest first and beyond the position `after`."""
        return await self._read(lambda connection: _waits.waits_for(connection, kind, key, after, limit))

    async def waits_of(self, workflow_id: str) -> list[WaitRow]:
        """What a workflow waits for; raises WorkflowNotFound."""
        return await self._read(
            lambda connection: _waits.waits_of(connection, _workflow(connection, workflow_id).key), is_snapshot=True
        )

    async def unanswered(self) -> list[WaitRow]:
        """Runs that wait for a child which has ended or is not there."""
        return await self._read(_waits.unanswered)

    async def orphans(self) -> list[str]:
        """Unfinished workflows whose parent does not wait for them."""
        return await self._read(_waits.orphans)

    async def inbox(self, kind: str | None, after: int, limit: int) -> WaitingPage:
        """Runs that wait for an answer, the oldest first."""
        return await self._read(lambda connection: _waits.inbox(connection, kind, after, limit))

    # --- how ---

    async def ask(self, read: Callable[[sqlite3.Connection], _T]) -> _T:
        """What a function reads that gets a connection for as long as it runs."""
        return await self._read(read, is_snapshot=True)

    async def _rows(self, where: str, *values: object) -> list[WorkflowRow]:
        return await self._read(lambda connection: [_row(row) for row in connection.execute(_ROW + where, values)])

    async def _read(self, read: Callable[[sqlite3.Connection], _T], *, is_snapshot: bool = False) -> _T:
        if self._is_closed:
            raise EngineClosed
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read_here, read, is_snapshot)

    @contextlib.contextmanager
    def _making_sense(self) -> Iterator[None]:
        """Rows that no journal writes are damage, whatever it is that stumbles over them."""
        try:
            yield
        except UnicodeEncodeError:
            raise  # what was asked for is no text; the rows are sound
        except NO_SENSE as error:
            raise JournalCorrupt(self._path, f"a row makes no sense ({type(error).__name__}: {error})") from error

    def _read_here(self, read: Callable[[sqlite3.Connection], _T], is_snapshot: bool) -> _T:
        try:
            connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
            if connection is None:
                connection = self._own.connection = open_for_reading(self._path, self._busy_timeout_s)
                self._connections.append(connection)
            with self._making_sense(), _snapshot(connection) if is_snapshot else contextlib.nullcontext():
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


@contextlib.contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """What is read inside is of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _row(row: tuple[Any, ...]) -> WorkflowRow:
    key, id_, digest, base_dir, status, name, template, version, parent, origin, priority, *rest = row
    is_parked, is_migrated, started_at, finished_at = rest
    return WorkflowRow(
        key=key,
        id=id_,
        digest=digest,
        base_dir=Path(base_dir),
        status=status,
        name=name,
        template=template,
        version=version,
        parent=parent,
        origin=origin,
        priority=priority,
        is_parked=bool(is_parked),
        is_migrated=bool(is_migrated),
        started_at=from_microseconds(started_at),
        finished_at=None if finished_at is None else from_microseconds(finished_at),
    )


def _events(connection: sqlite3.Connection, workflow_id: str, from_seq: int, limit: int) -> list[Event]:
    key = _workflow(connection, workflow_id).key
    query = "SELECT seq, type, at, data, position FROM events WHERE workflow = ? AND seq >= ? ORDER BY seq LIMIT ?"
    rows = connection.execute(query, (key, min(from_seq, ALL), min(limit, ALL)))
    return [_event(workflow_id, *row) for row in rows]


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
    priority: int,
    parent: str | None,
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
        priority=priority,
        parent=parent,
    )
