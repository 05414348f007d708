"""Which runs wait, for what and until when: rows beside the events, so that nobody reads journals to find them."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._embedded._values import Statement, encode, from_microseconds, microseconds
from maestro_workflow_engine._events import TERMINAL_TYPES, Event, time_from_text
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._ports import Waiting, WaitingPage
from maestro_workflow_engine._state import Place, WorkflowState

WHOLE: Final[Place] = ("", None)
"""The place of a workflow as a whole: it waits for its own timeout."""

IS_UNFINISHED: Final = "w.finished_at IS NULL AND w.is_parked IN (0, 1)"
"""So that SQLite takes the index of the few instead of the order of all; who needs an order makes it."""
_NO_ITEM: Final = -1
_LONG_AGO: Final = -(2**62)
_PUT: Final = (
    "INSERT OR REPLACE INTO waits (position, workflow, step, item, due_at, on_kind, on_key, on_json, since) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_DELETE: Final = "DELETE FROM waits WHERE workflow = ? AND step = ? AND item = ?"
_DELETE_ALL: Final = "DELETE FROM waits WHERE workflow = ?"
_SELECT: Final = (
    "SELECT v.position, w.id, w.name, v.step, v.item, v.due_at, v.on_json, v.since "
    "FROM waits v JOIN workflows w ON w.key = v.workflow "
)
_KEY_NAMES: Final = {"signal": "name", "event": "type", "workflow": "workflow"}
"""By which member of `on` the one who answers finds the run."""
_STILL: Final = frozenset({ev.STEP_STARTED, ev.STEP_EXPANDED})
"""Events of steps that change nothing about who waits."""


@dataclass(frozen=True, slots=True)
class WaitRow:
    """One run that waits or retries; `step` is empty when it is the timeout of the whole workflow."""

    position: int
    """That of the event by which it began: grows over all workflows."""
    workflow_id: str
    workflow_name: str
    step: str
    item: int | None
    due_at: datetime | None
    on: Mapping[str, JSON] | None
    since: datetime

    @property
    def cursor(self) -> tuple[int, int]:
        """What goes into `after` to get those that are due later."""
        return 0 if self.due_at is None else microseconds(self.due_at), self.position


# --- writing ---


def wait_statements(key: int, events: Sequence[Event], waiting: set[Place]) -> list[Statement]:
    """What events of a workflow change; `waiting`, the places of it that have a row, is kept up to date."""
    if events and events[-1].type in TERMINAL_TYPES:
        if not waiting:
            return []
        waiting.clear()
        return [(_DELETE_ALL, (key,))]
    begun: dict[Place, tuple[Event, str | None]] = {}
    left: set[Place] = set()
    for event in events:
        for place in _touched(event, waiting, begun) if waiting or begun else ():
            begun.pop(place, None)
            left.add(place)
        until = _until(event)
        if event.type == ev.STEP_WAITING or until is not None:
            begun[event.data["step"], event.data.get("item")] = event, until
    statements: list[Statement] = [(_DELETE, (key, *_columns(place))) for place in left & waiting - begun.keys()]
    waiting.difference_update(left)
    waiting.update(begun)
    return statements + [_put(key, place, event, until) for place, (event, until) in begun.items()]


def timeout_statement(key: int, started: Event, timeout_at: datetime, waiting: set[Place]) -> Statement:
    """The timeout of a whole workflow; `started` is its first event."""
    waiting.add(WHOLE)
    at = microseconds(started.at)
    return _PUT, (started.position, key, *_columns(WHOLE), microseconds(timeout_at), None, None, None, at)


def places_waiting(state: WorkflowState) -> set[Place]:
    """The places of an unfinished workflow that have a row, but for WHOLE."""
    return {place for place in state.in_flight if state.place(place).status in ("waiting", "retrying")}


def _touched(event: Event, *waiting: Iterable[Place]) -> list[Place]:
    """The places that do no longer wait for what they waited for."""
    if event.type == ev.WORKFLOW_TIMED_OUT:
        return [WHOLE]
    if event.type == ev.WORKFLOW_MIGRATED:
        gone = {*event.data["restarted"], *event.data["rerun"], *event.data["dropped"]}
        return [place for place in chain(*waiting) if place[0] in gone]
    step, item = event.data.get("step"), event.data.get("item")
    if step is None or event.type in _STILL or not event.type.startswith("step."):
        return []
    if item is None:  # with a step, its items end
        return [place for place in chain(*waiting) if place[0] == step]
    return [(step, item)]


def _until(event: Event) -> str | None:
    """When a run that an event makes wait or retry goes on, as text."""
    if event.type in (ev.STEP_WAITING, ev.STEP_REPEATED):
        until: str | None = event.data.get("until")
        return until
    return event.data.get("retry_at") if event.type == ev.STEP_FAILED else None


def _put(key: int, place: Place, event: Event, until: str | None) -> Statement:
    due_at = None if until is None else microseconds(time_from_text(until))
    on = event.data.get("on") if event.type == ev.STEP_WAITING else None
    what: tuple[JSON, JSON, JSON] = (None, None, None)
    if on is not None:
        what = on["kind"], on.get(_KEY_NAMES.get(on["kind"], "")), encode(on)
    return _PUT, (event.position, key, *_columns(place), due_at, *what, microseconds(event.at))


def _columns(place: Place) -> tuple[str, int]:
    return place[0], _NO_ITEM if place[1] is None else place[1]


# --- reading ---


def next_due(connection: sqlite3.Connection, after: datetime | None, above_key: int) -> datetime | None:
    """The earliest time beyond `after` at which a workflow that is not paused, with a higher key, goes on."""
    query = (
        "SELECT v.due_at FROM waits v JOIN workflows w ON w.key = v.workflow "
        "WHERE v.due_at > ? AND v.workflow > ? AND w.status <> 'paused' ORDER BY v.due_at LIMIT 1"
    )
    row = connection.execute(query, (_LONG_AGO if after is None else microseconds(after), above_key)).fetchone()
    return None if row is None else from_microseconds(row[0])


def due(
    connection: sqlite3.Connection, until: datetime, after: tuple[int, int] | None, limit: int, above_key: int
) -> list[WaitRow]:
    """Runs of workflows that are not paused whose time has come, the earliest first; `after` is a cursor."""
    query = _SELECT + (
        "WHERE v.due_at <= ? AND (v.due_at, v.position) > (?, ?) AND v.workflow > ? AND w.status <> 'paused' "
        "ORDER BY v.due_at, v.position LIMIT ?"
    )
    values = (microseconds(until), *(after or (_LONG_AGO, 0)), above_key, limit)
    return [_row(row) for row in connection.execute(query, values)]


def waits_for(connection: sqlite3.Connection, kind: str, key: str, after: int, limit: int) -> list[WaitRow]:
    """Runs that wait for this, those that have waited longest first."""
    query = _SELECT + "WHERE v.on_kind = ? AND v.on_key = ? AND v.position > ? ORDER BY v.position LIMIT ?"
    return [_row(row) for row in connection.execute(query, (kind, key, after, limit))]


def waits_of(connection: sqlite3.Connection, key: int) -> list[WaitRow]:
    """What one workflow waits for, the oldest first."""
    rows = connection.execute(_SELECT + "WHERE v.workflow = ?", (key,))
    return sorted((_row(row) for row in rows), key=lambda row: row.position)


def unanswered(connection: sqlite3.Connection) -> list[WaitRow]:
    """Runs that wait for a child which has ended or is not there."""
    query = _SELECT + (
        "WHERE v.on_kind = 'workflow' AND NOT EXISTS "
        "(SELECT 1 FROM workflows c WHERE c.id = v.on_key AND c.finished_at IS NULL) ORDER BY v.position"
    )
    return [_row(row) for row in connection.execute(query)]


def orphans(connection: sqlite3.Connection) -> list[str]:
    """Unfinished workflows whose parent does not wait for them, the oldest first."""
    query = (
        f"SELECT w.key, w.id FROM workflows w WHERE {IS_UNFINISHED} AND w.parent IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM waits v WHERE v.on_kind = 'workflow' AND v.on_key = w.id)"
    )
    return [workflow_id for _, workflow_id in sorted(connection.execute(query))]


def inbox(connection: sqlite3.Connection, kind: str | None, after: int, limit: int) -> WaitingPage:
    """Runs that wait for an answer, the oldest first."""
    wanted = "v.on_kind IS NOT NULL" if kind is None else "v.on_kind = ?"
    query = f"{_SELECT}WHERE {wanted} AND v.position > ? ORDER BY v.position LIMIT ?"
    values = (*(() if kind is None else (kind,)), after, limit + 1)
    rows = [_row(row) for row in connection.execute(query, values)]
    items = [
        Waiting(row.workflow_id, row.workflow_name, row.step, row.item, row.on or {}, row.since, row.due_at)
        for row in rows[:limit]
    ]
    return WaitingPage(items, str(rows[limit - 1].position) if len(rows) > limit else None)


def _row(row: Any) -> WaitRow:
    position, workflow_id, name, step, item, due_at, on, since = row
    return WaitRow(
        position=position,
        workflow_id=workflow_id,
        workflow_name=name,
        step=step,
        item=None if item == _NO_ITEM else item,
        due_at=None if due_at is None else from_microseconds(due_at),
        on=None if on is None else json.loads(on),
        since=from_microseconds(since),
    )
