"""A journal with a long history: many finished workflows, written in bulk as the engine would have written them."""

import json
import random
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maestro_workflow_engine import parse_definition
from maestro_workflow_engine._embedded._database import INSERT_EVENT, open_for_writing, transaction
from maestro_workflow_engine._embedded._schema import index_workflows
from maestro_workflow_engine._events import EVENT_TYPES

BEGIN_AT = 1_760_000_000_000_000
APART_US = 30_000_000
"""One workflow every 30 s: a million of them are a year."""
_TYPES = {type_: number for number, type_ in enumerate(EVENT_TYPES)}
_ENDS = {"succeeded": "workflow.succeeded", "failed": "workflow.failed", "cancelled": "workflow.cancelled"}
_BATCH = 20_000


@dataclass(frozen=True)
class Told:
    """What one workflow of the history says of itself; all of it follows from its number."""

    number: int
    status: str
    name: str
    template: str | None
    parent: str | None
    labels: dict[str, str]
    inputs: dict[str, Any]
    started_at: int

    @property
    def id(self) -> str:
        """An id like those the engine makes: sorted by time, and random otherwise."""
        return str(uuid.UUID(int=(self.started_at // 1000 << 80) | random.Random(self.number).getrandbits(76)))


def told(number: int) -> Told:
    """The workflow with this number (1, 2, …).

    Some facets fit half of all, some one in a hundred thousand; `half` and `other` never fit the same workflow.
    """
    draw = random.Random(number * 7919)
    name = f"flow-{draw.randrange(50):02}"
    labels = {
        "team": f"team-{draw.randrange(8)}",
        "env": draw.choice(["production", "production", "staging"]),
        "half" if number % 2 else "other": "yes",
    }
    inputs = {
        "customer": f"customer-{draw.randrange(100_000)}",
        "amount": draw.randrange(1000),
        "dry_run": draw.random() < 0.5,
        "order": f"order-{number}",
    }
    return Told(
        number=number,
        status=draw.choices(["succeeded", "failed", "cancelled"], [90, 8, 2])[0],
        name=name,
        template=name if draw.random() < 0.8 else None,
        parent=f"parent-{number // 200}" if number % 20 == 0 else None,
        labels=labels,
        inputs=inputs,
        started_at=BEGIN_AT + number * APART_US,
    )


def build(path: Path, workflows: int) -> None:
    """Write the journal; five events for each workflow."""
    connection = open_for_writing(path, "NORMAL", 5.0)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    definition = parse_definition({"name": "flow", "steps": {"only": {"kind": "sleep", "with": {"seconds": 0}}}})
    connection.execute(
        "INSERT INTO definitions (key, digest, document) VALUES (1, ?, ?)",
        (definition.digest, json.dumps(definition.document)),
    )
    for first in range(1, workflows + 1, _BATCH):
        _write(connection, range(first, min(first + _BATCH, workflows + 1)))
    with transaction(connection):
        index_workflows(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _write(connection: sqlite3.Connection, numbers: range) -> None:
    workflows = [told(number) for number in numbers]
    rows = (
        (
            each.number,
            each.id,
            each.name,
            each.template,
            json.dumps(each.labels),
            each.status,
            each.started_at,
            each.started_at + 900_000,
            json.dumps({"code": "workflow.step-failed", "message": "no"}) if each.status == "failed" else None,
            each.parent,
        )
        for each in workflows
    )
    insert = (
        "INSERT INTO workflows (key, id, name, template, labels, definition, base_dir, status, started_at, "
        "finished_at, error, parent) VALUES (?, ?, ?, ?, ?, 1, '/srv/flows', ?, ?, ?, ?, ?)"
    )
    with transaction(connection):
        connection.executemany(insert, rows)
        connection.executemany(INSERT_EVENT, (row for each in workflows for row in _events(each)))


def _events(each: Told) -> Iterator[tuple[int, int, int, int, int, str]]:
    at_place = {"step": "only", "attempt": 1}
    begun = {"name": each.name, "inputs": each.inputs, "template": each.template, "labels": each.labels}
    ended: dict[str, Any] = {"outputs": {}} if each.status == "succeeded" else {"error": {"code": "x", "message": "no"}}
    events: list[tuple[str, dict[str, Any]]] = [
        ("workflow.started", begun),
        ("step.scheduled", at_place),
        ("step.started", at_place),
        ("step.succeeded", {**at_place, "output": {"seconds": 0, "text": "some result of usual length"}}),
        (_ENDS[each.status], ended),
    ]
    for seq, (type_, data) in enumerate(events, 1):
        position = (each.number - 1) * len(events) + seq
        at = each.started_at + seq * 1000
        yield position, each.number, seq, _TYPES[type_], at, json.dumps(data, separators=(",", ":"))
