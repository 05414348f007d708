"""How workflows are deleted: as statements that the journal writes like all others, each safe to be the last one.

First a workflow goes from sight, with all that finds it, in one transaction, and its key is kept in `deletions`; then
its events go, slice by slice. So no transaction is long, and a crash in between leaves only work for later.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, get_args

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._embedded._facets import BLOCK, clearing, facet, facets_of, taking
from maestro_workflow_engine._embedded._values import NO_SENSE, Statement, microseconds
from maestro_workflow_engine._events import EVENT_TYPES
from maestro_workflow_engine._state import WorkflowStatus

EVENTS_AT_ONCE: Final = 1000
_MIGRATED: Final = EVENT_TYPES.index(ev.WORKFLOW_MIGRATED)

# Nobody who has not ended may need it: its children, its parent, a run that waits for its end, one that runs it again.
_IS_FREE: Final = (
    "w.finished_at IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM workflows c WHERE c.parent = w.id AND c.finished_at IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM workflows p WHERE p.id = w.parent AND p.finished_at IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM waits v WHERE v.on_kind = 'workflow' AND v.on_key = w.id) "
    "AND NOT EXISTS (SELECT 1 FROM workflows r WHERE r.origin = w.id AND r.finished_at IS NULL)"
)
_HAS_NO_PARENT: Final = "NOT EXISTS (SELECT 1 FROM workflows p WHERE p.id = w.parent)"
_IS_GONE: Final = "NOT EXISTS (SELECT 1 FROM workflows WHERE key = ?)"

# Numbers are never given twice, also when the newest workflow has been deleted.
_KEEP_MARKS: Final[Statement] = (
    "UPDATE marks SET position = max(position, ifnull((SELECT max(position) FROM events), 0)), "
    "workflow = max(workflow, ifnull((SELECT max(key) FROM workflows), 0))",
    (),
)
_INHERIT: Final = (
    "INSERT OR IGNORE INTO artifact_references (sha256, workflow) "
    "SELECT a.sha256, r.key FROM artifact_references a, workflows r WHERE a.workflow = ? AND r.origin = ?"
)


@dataclass(frozen=True, slots=True)
class Doomed:
    """A workflow that may be deleted, and all that finds it."""

    key: int
    id: str
    finished_at: int
    facets: Sequence[int]
    definitions: Sequence[tuple[int, str]]
    """Key and digest of each."""


def outdated(
    connection: sqlite3.Connection,
    *,
    before: datetime | None,
    keep: int | None,
    after: tuple[int, int],
    limit: int,
) -> list[Doomed]:
    """Workflows that ended before a time, or when `keep` later ones have ended, the earliest first.

    Those that an unfinished workflow needs are left out, and those whose parent is still there; `after` is the time of
    the end and the key of the last one that was looked at.
    """
    bound = (-1, -1) if before is None else (microseconds(before), 0)
    if keep is not None:
        query = (
            "SELECT finished_at, key FROM workflows WHERE finished_at IS NOT NULL "
            "ORDER BY finished_at DESC, key DESC LIMIT 1 OFFSET ?"
        )
        bound = max(bound, connection.execute(query, (keep,)).fetchone() or bound)
    query = (
        "SELECT w.key FROM workflows w WHERE w.finished_at IS NOT NULL AND (w.finished_at, w.key) > (?, ?) "
        f"AND (w.finished_at, w.key) <= (?, ?) AND {_IS_FREE} AND {_HAS_NO_PARENT} "
        "ORDER BY w.finished_at, w.key LIMIT ?"
    )
    return [doomed(connection, key) for (key,) in connection.execute(query, (*after, *bound, limit)).fetchall()]


def family(connection: sqlite3.Connection, workflow_id: str) -> list[Doomed]:
    """A workflow with all that it has started, the children before their parents."""
    query = (
        "WITH RECURSIVE family (key, id, depth) AS (SELECT key, id, 0 FROM workflows WHERE id = ? "
        "UNION SELECT c.key, c.id, depth + 1 FROM family f JOIN workflows c ON c.parent = f.id) "
        "SELECT key FROM family ORDER BY depth DESC, key"
    )
    return [doomed(connection, key) for (key,) in connection.execute(query, (workflow_id,)).fetchall()]


def doomed(connection: sqlite3.Connection, key: int) -> Doomed:
    """All that has to go with a workflow."""
    query = "SELECT id, finished_at, name, template, parent, labels FROM workflows WHERE key = ?"
    workflow_id, finished_at, name, template, parent, labels = connection.execute(query, (key,)).fetchone()
    query = (
        "SELECT key, digest FROM definitions WHERE key = (SELECT definition FROM workflows WHERE key = ?) "
        "OR key IN (SELECT definition FROM migrations WHERE workflow = ?)"
    )
    definitions = connection.execute(query, (key, key)).fetchall()
    plain = {"status": None, "name": name, "template": template, "parent": parent}
    try:
        found = facets_of(**plain, labels=json.loads(labels), inputs=_inputs(connection, key))
    except NO_SENSE:  # damage must not keep it for ever; what is left of it in the search index finds nothing
        found = facets_of(**plain, labels={}, inputs={})
    found += [facet("status", status) for status in get_args(WorkflowStatus)]
    return Doomed(key, workflow_id, finished_at or 0, found, definitions)


def removal(workflows: Iterable[Doomed]) -> list[Statement]:
    """Take workflows from sight; those that somebody needs by now stay as they are."""
    statements = [_KEEP_MARKS]
    for each in workflows:
        key = each.key
        statements += [
            (f"DELETE FROM workflows AS w WHERE w.key = ? AND {_IS_FREE}", (key,)),
            (f"INSERT OR IGNORE INTO deletions (workflow) SELECT ? WHERE {_IS_GONE}", (key, key)),
            taking(each.facets, key, unless_there=True),
            clearing(each.facets, key),
            (f"{_INHERIT} AND {_IS_GONE}", (key, each.id, key)),
            (f"DELETE FROM artifact_references WHERE workflow = ? AND {_IS_GONE}", (key, key)),
            (f"DELETE FROM migrations WHERE workflow = ? AND {_IS_GONE}", (key, key)),
            *(_definition_removal(definition) for definition, _ in each.definitions),
            _block_removal(key // BLOCK),
        ]
    return statements


def deleted(connection: sqlite3.Connection, limit: int) -> list[int]:
    """Keys of workflows that are gone from sight, and of which events may be left."""
    return [key for (key,) in connection.execute("SELECT workflow FROM deletions LIMIT ?", (limit,))]


def events_removal(keys: Sequence[int]) -> list[Statement]:
    """Delete a slice of the events of workflows that are gone from sight."""
    places = ", ".join("?" * len(keys))
    return [
        _KEEP_MARKS,
        (
            "DELETE FROM events WHERE position IN "
            f"(SELECT position FROM events WHERE workflow IN ({places}) LIMIT {EVENTS_AT_ONCE})",
            keys,
        ),
        (
            f"DELETE FROM deletions WHERE workflow IN ({places}) "
            "AND NOT EXISTS (SELECT 1 FROM events e WHERE e.workflow = deletions.workflow)",
            keys,
        ),
    ]


def _definition_removal(key: int) -> Statement:
    unused = (
        "NOT EXISTS (SELECT 1 FROM workflows WHERE definition = ?) "
        "AND NOT EXISTS (SELECT 1 FROM migrations WHERE definition = ?)"
    )
    return f"DELETE FROM definitions WHERE key = ? AND {unused}", (key, key, key)


def _block_removal(block: int) -> Statement:
    empty = "NOT EXISTS (SELECT 1 FROM workflows WHERE key >= ? AND key < ?)"
    return f"DELETE FROM blocks WHERE block = ? AND {empty}", (block, block * BLOCK, (block + 1) * BLOCK)


def _inputs(connection: sqlite3.Connection, key: int) -> dict[str, Any]:
    """The inputs as they are by now: a migration may have changed them."""
    query = "SELECT data FROM events WHERE workflow = ? AND seq = 1"
    inputs: dict[str, Any] = json.loads(connection.execute(query, (key,)).fetchone()[0])["inputs"]
    if connection.execute("SELECT 1 FROM migrations WHERE workflow = ?", (key,)).fetchone() is not None:
        query = "SELECT data FROM events WHERE workflow = ? AND type = ? ORDER BY seq"
        for (data,) in connection.execute(query, (key, _MIGRATED)):
            inputs = json.loads(data).get("inputs", inputs)
    return inputs
