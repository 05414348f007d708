"""A journal without an engine: workflows are written as the engine writes them, by hand."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from maestro_workflow_engine import Event, WorkflowDefinition, parse_definition
from maestro_workflow_engine._commands import Start
from maestro_workflow_engine._embedded._database import INSERT_EVENT, open_for_writing, transaction
from maestro_workflow_engine._embedded._facets import BLOCK
from maestro_workflow_engine._embedded._references import INSERT_REFERENCE, references_in
from maestro_workflow_engine._embedded._rows import start_statements, status_statements
from maestro_workflow_engine._embedded._values import Statement, encode, microseconds
from maestro_workflow_engine._embedded._waits import wait_statements
from maestro_workflow_engine._events import EVENT_TYPES
from maestro_workflow_engine._fold import apply
from maestro_workflow_engine._state import Place, WorkflowState, new_state

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def define(name: str = "flow") -> WorkflowDefinition:
    """A definition with two steps."""
    return parse_definition({"name": name, "steps": {"a": {"kind": "test"}, "b": {"kind": "test"}}})


class Store:
    """The database file of an engine that is not there."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.connection: sqlite3.Connection = open_for_writing(self.path, "NORMAL", 5.0)
        self.position = 0
        self.writes = 0
        self._key = 0
        self._states: dict[str, WorkflowState] = {}
        self._keys: dict[str, int] = {}
        self._waiting: dict[str, set[Place]] = {}

    def start(
        self,
        workflow_id: str,
        *,
        at: datetime = NOON,
        name: str = "flow",
        inputs: Mapping[str, Any] | None = None,
        parent: str | None = None,
        origin: str | None = None,
        **told: Any,
    ) -> int:
        """A workflow that runs; gives its key."""
        self._key += 1
        definition = define(name)
        command = Start(
            inputs or {},
            parent=None if parent is None else {"workflow": parent, "step": "a", "item": None, "depth": 1},
            origin=None if origin is None else {"workflow": origin, "seq": 1, "from": []},
            **told,
        )
        self._states[workflow_id] = new_state(definition, workflow_id)
        self._keys[workflow_id], self._waiting[workflow_id] = self._key, set()
        statements = start_statements(
            self._key, workflow_id, definition, command, base_dir=Path("/"), started_at=at, with_definition=True
        )
        data = {"name": name, "definition": definition.digest, "inputs": dict(inputs or {})}
        self.add(workflow_id, ("workflow.started", data), at=at, statements=statements)
        return self._key

    def add(
        self,
        workflow_id: str,
        *events: tuple[str, dict[str, Any]],
        at: datetime = NOON,
        statements: Sequence[Statement] = (),
    ) -> None:
        """Events of a workflow, in one transaction."""
        state, key = self._states[workflow_id], self._keys[workflow_id]
        before, made = state.status, []
        for type_, data in events:
            self.position += 1
            made.append(Event(state.seq + 1, workflow_id, type_, at, data, self.position))
            apply(state, made[-1])
        rows = [
            (each.position, key, each.seq, EVENT_TYPES.index(each.type), microseconds(at), encode(each.data))
            for each in made
        ]
        changed = status_statements(key, before, state) if state.status != before else []
        waits = wait_statements(key, made, self._waiting[workflow_id])
        with transaction(self.connection):
            for sql, values in [*statements, *changed, *waits]:
                self.connection.execute(sql, values)
            self.connection.executemany(INSERT_EVENT, rows)
            self.connection.executemany(INSERT_REFERENCE, references_in(rows))

    def end(self, workflow_id: str, *, at: datetime = NOON + timedelta(seconds=1), outputs: Any = None) -> None:
        """The workflow succeeds."""
        self.add(workflow_id, ("workflow.succeeded", {"outputs": outputs}), at=at)

    def ended(self, workflow_id: str, *, at: datetime = NOON, outputs: Any = None, **told: Any) -> int:
        """A workflow that has ended a second after its start."""
        key = self.start(workflow_id, at=at, **told)
        self.end(workflow_id, at=at + timedelta(seconds=1), outputs=outputs)
        return key

    async def write(self, statements: list[Statement]) -> None:
        """What the journal does with statements."""
        self.writes += 1
        with transaction(self.connection):
            for sql, values in statements:
                self.connection.execute(sql, values)

    def rows(self, query: str) -> list[Any]:
        """What the database says."""
        return self.connection.execute(query).fetchall()

    def dump(self) -> dict[str, list[Any]]:
        """Everything in it, but for the numbers that are kept for later."""
        tables = [name for (name,) in self.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        dumped = {name: sorted(self.rows(f"SELECT * FROM {name}"), key=repr) for name in tables if name != "marks"}
        dumped["facets"] = [(facet, block, sorted(_keys(keys))) for facet, block, keys in dumped["facets"] if keys]
        return dumped

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()


def _keys(keys: bytes) -> list[int]:
    """The keys of a block, whichever way they are stored."""
    if len(keys) == BLOCK // 8:
        return [key for key in range(BLOCK) if keys[key >> 3] >> (key & 7) & 1]
    return [int.from_bytes(keys[start : start + 2], "little") for start in range(0, len(keys), 2)]
