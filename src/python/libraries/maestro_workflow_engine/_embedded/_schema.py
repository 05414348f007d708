"""The tables of the journal, and how a file of an earlier version becomes one of today.

Everything here runs inside one transaction of the caller: a crash leaves the file as it was.
"""

import json
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from itertools import groupby
from typing import Final

from maestro_workflow_engine._embedded._facets import BLOCK, facets_of, with_key
from maestro_workflow_engine._embedded._references import INSERT_REFERENCE, references_in
from maestro_workflow_engine._embedded._values import NO_SENSE, from_microseconds
from maestro_workflow_engine._embedded._waits import wait_statements
from maestro_workflow_engine._events import EVENT_TYPES, Event

_log: Final = logging.getLogger("maestro_workflow_engine")

SCHEMA_VERSION: Final = 2
APPLICATION_ID: Final = 0x4D535452  # "MSTR": tells our files from those of others

# Rows are small on purpose: an event names its workflow and its type by a number, and its time in microseconds.
_TABLES: Final = """
CREATE TABLE definitions (
    key INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL
);
CREATE TABLE workflows (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    template TEXT,
    labels TEXT NOT NULL,
    definition INTEGER NOT NULL REFERENCES definitions (key),
    base_dir TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    error TEXT
);
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    workflow INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    type INTEGER NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL
);
CREATE UNIQUE INDEX events_by_workflow ON events (workflow, seq);
"""

# What version 2 brought: search, waits that are found without their workflow, children, migration and retention.
_TABLES_OF_2: Final = """
ALTER TABLE workflows ADD COLUMN version TEXT;
ALTER TABLE workflows ADD COLUMN parent TEXT;
ALTER TABLE workflows ADD COLUMN origin TEXT;
ALTER TABLE workflows ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workflows ADD COLUMN is_parked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX workflows_unfinished ON workflows (is_parked) WHERE finished_at IS NULL;
CREATE INDEX workflows_ended ON workflows (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX workflows_by_definition ON workflows (definition);
CREATE INDEX workflows_by_parent ON workflows (parent) WHERE parent IS NOT NULL;
CREATE INDEX workflows_by_origin ON workflows (origin) WHERE origin IS NOT NULL;
CREATE TABLE migrations (
    workflow INTEGER NOT NULL,
    definition INTEGER NOT NULL REFERENCES definitions (key),
    PRIMARY KEY (workflow, definition)
) WITHOUT ROWID;
CREATE INDEX migrations_by_definition ON migrations (definition);
CREATE TABLE facets (
    facet INTEGER NOT NULL,
    block INTEGER NOT NULL,
    keys BLOB NOT NULL,
    PRIMARY KEY (facet, block)
) WITHOUT ROWID;
CREATE TABLE blocks (
    block INTEGER PRIMARY KEY,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL
);
CREATE TABLE waits (
    position INTEGER PRIMARY KEY,
    workflow INTEGER NOT NULL,
    step TEXT NOT NULL,
    item INTEGER NOT NULL,
    due_at INTEGER,
    on_kind TEXT,
    on_key TEXT,
    on_json TEXT,
    since INTEGER NOT NULL,
    UNIQUE (workflow, step, item)
);
CREATE INDEX waits_due ON waits (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX waits_by_kind ON waits (on_kind) WHERE on_kind IS NOT NULL;
CREATE INDEX waits_by_key ON waits (on_kind, on_key) WHERE on_key IS NOT NULL;
CREATE INDEX waits_answerable ON waits (position) WHERE on_kind IS NOT NULL;
CREATE TABLE limits (
    name TEXT PRIMARY KEY,
    settings TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE artifact_references (
    sha256 TEXT NOT NULL,
    workflow INTEGER NOT NULL,
    PRIMARY KEY (sha256, workflow)
) WITHOUT ROWID;
CREATE INDEX artifact_references_by_workflow ON artifact_references (workflow);
CREATE TABLE deletions (
    workflow INTEGER PRIMARY KEY
);
CREATE TABLE marks (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    position INTEGER NOT NULL,
    workflow INTEGER NOT NULL
);
INSERT INTO marks VALUES (1, 0, 0);
"""


def create(connection: sqlite3.Connection) -> None:
    """Make all tables in an empty file."""
    _run(connection, _TABLES)
    _run(connection, _TABLES_OF_2)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file of an earlier version to that of today."""
    for earlier in range(version, SCHEMA_VERSION):
        _MIGRATIONS[earlier](connection)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _run(connection: sqlite3.Connection, script: str) -> None:
    for statement in script.strip().split(";\n"):
        connection.execute(statement)


def _from_1(connection: sqlite3.Connection) -> None:
    """Version 1 knew no waits beside the events, and searched by status, name and template alone."""
    for index in ("status", "name", "template"):
        connection.execute(f"DROP INDEX workflows_by_{index}")
    _run(connection, _TABLES_OF_2)
    index_workflows(connection)
    _note_waits(connection)
    rows = connection.execute("SELECT position, workflow, seq, type, at, data FROM events WHERE length(data) > 64")
    connection.executemany(INSERT_REFERENCE, references_in(rows))


def index_workflows(connection: sqlite3.Connection) -> None:
    """Make all workflows of a journal findable at once; for one that is not in the search index yet."""
    query = (
        "SELECT w.key, w.started_at, w.status, w.name, w.template, w.parent, w.labels, e.data "
        "FROM workflows w JOIN events e ON e.workflow = w.key AND e.seq = 1 ORDER BY w.key"
    )
    rows = connection.execute(query)
    for block, members in groupby(rows, key=lambda row: int(row[0]) // BLOCK):
        keys: defaultdict[int, bytes] = defaultdict(bytes)
        times: list[int] = []
        for key, started_at, *told in members:
            times.append(started_at)
            for facet in _facets_of_row(key, *told):
                keys[facet] = with_key(keys[facet], (key % BLOCK).to_bytes(2, "little"))
        connection.execute("INSERT INTO blocks VALUES (?, ?, ?)", (block, min(times), max(times)))
        connection.executemany(
            "INSERT INTO facets VALUES (?, ?, ?)", [(each, block, keys[each]) for each in sorted(keys)]
        )


def _facets_of_row(
    key: int, status: str, name: str, template: str | None, parent: str | None, labels: str, data: str
) -> list[int]:
    plain = {"status": status, "name": name, "template": template, "parent": parent}
    try:
        return facets_of(**plain, labels=json.loads(labels), inputs=json.loads(data)["inputs"])
    except NO_SENSE as error:  # one damaged workflow must not keep the others from being opened
        _log.warning("workflow.damaged key=%s: it is not found by labels and inputs (%s)", key, error)
        return facets_of(**plain, labels={}, inputs={})


def _note_waits(connection: sqlite3.Connection) -> None:
    query = (
        "SELECT e.workflow, w.id, e.seq, e.type, e.at, e.data, e.position FROM workflows w "
        "JOIN events e ON e.workflow = w.key WHERE w.finished_at IS NULL ORDER BY e.workflow, e.seq"
    )
    for key, rows in groupby(connection.execute(query), key=lambda row: int(row[0])):
        try:
            statements = wait_statements(key, [_event(*row[1:]) for row in list(rows)], set())
        except NO_SENSE as error:  # the engine will not go on with it either
            _log.warning("workflow.damaged key=%s: what it waits for is not known (%s)", key, error)
            continue
        for statement in statements:
            connection.execute(*statement)


def _event(workflow_id: str, seq: int, type_: int, at: int, data: str, position: int) -> Event:
    return Event(seq, workflow_id, EVENT_TYPES[type_], from_microseconds(at), json.loads(data), position)


_MIGRATIONS: Final[dict[int, Callable[[sqlite3.Connection], None]]] = {1: _from_1}
