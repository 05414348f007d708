"""What is written beside the events: the rows of workflows, their definitions, and flow limits."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

from maestro_workflow_engine._commands import Start
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._embedded._facets import adding, clearing, facet, facets_of, started_in_block, taking
from maestro_workflow_engine._embedded._values import Statement, encode, microseconds
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._ports import FlowLimit
from maestro_workflow_engine._state import WorkflowState, WorkflowStatus

_INSERT_DEFINITION: Final = "INSERT OR IGNORE INTO definitions (digest, document) VALUES (?, ?)"
_KEY_OF: Final = "(SELECT key FROM definitions WHERE digest = ?)"
_INSERT_WORKFLOW: Final = (
    "INSERT INTO workflows (key, id, name, template, version, labels, definition, base_dir, status, started_at, "
    f"parent, origin, priority) VALUES (?, ?, ?, ?, ?, ?, {_KEY_OF}, ?, ?, ?, ?, ?, ?)"
)


def start_statements(
    key: int,
    workflow_id: str,
    definition: WorkflowDefinition,
    command: Start,
    *,
    base_dir: Path,
    started_at: datetime,
    with_definition: bool,
) -> list[Statement]:
    """The rows of a new workflow; `with_definition` False when its definition is known to be stored."""
    parent, origin = _workflow_in(command.parent), _workflow_in(command.origin)
    labels = dict(command.labels or {})
    facets = facets_of(
        status="running",
        name=definition.name,
        template=command.template,
        parent=parent,
        labels=labels,
        inputs=command.inputs,
    )
    row = (
        key,
        workflow_id,
        definition.name,
        command.template,
        command.version,
        encode(labels),
        definition.digest,
        str(base_dir),
        "running",
        microseconds(started_at),
        parent,
        origin,
        definition.priority if command.priority is None else command.priority,
    )
    return [
        *([definition_statement(definition)] if with_definition else []),
        (_INSERT_WORKFLOW, row),
        started_in_block(key, started_at),
        *adding(facets, key),
    ]


def definition_statement(definition: WorkflowDefinition) -> Statement:
    """Store a definition; again changes nothing."""
    return _INSERT_DEFINITION, (definition.digest, encode(definition.document))


def status_statements(key: int, before: WorkflowStatus, state: WorkflowState) -> list[Statement]:
    """Note another status of a workflow."""
    finished_at = None if state.finished_at is None else microseconds(state.finished_at)
    error = encode(state.error) if state.status == "failed" else None
    update = "UPDATE workflows SET status = ?, finished_at = ?, error = ? WHERE key = ?"
    return [
        (update, (state.status, finished_at, error, key)),
        taking([facet("status", before)], key),
        *adding([facet("status", state.status)], key),
    ]


def priority_statement(key: int, priority: int) -> Statement:
    """Note the priority of a workflow."""
    return "UPDATE workflows SET priority = ? WHERE key = ?", (priority, key)


def parked_statement(key: int, is_parked: bool) -> Statement:
    """Note whether an unfinished workflow needs nothing until one of its waits is over."""
    return "UPDATE workflows SET is_parked = ? WHERE key = ?", (int(is_parked), key)


def migration_statements(
    key: int, definition: WorkflowDefinition, old: tuple[str, Mapping[str, JSON]], new: tuple[str, Mapping[str, JSON]]
) -> list[Statement]:
    """Note that a workflow goes on with another definition; `old` and `new` are its name and inputs."""
    before, after = set(_facets_of_name_and_inputs(*old)), set(_facets_of_name_and_inputs(*new))
    link = f"INSERT OR IGNORE INTO migrations (workflow, definition) VALUES (?, {_KEY_OF})"
    return [
        definition_statement(definition),
        (link, (key, definition.digest)),
        ("UPDATE workflows SET name = ? WHERE key = ?", (new[0], key)),
        taking(sorted(before - after), key),
        clearing(sorted(before - after), key),
        *adding(sorted(after - before), key),
    ]


def limit_statement(limit: FlowLimit) -> Statement:
    """Keep a flow limit."""
    settings = asdict(limit)
    del settings["name"]
    return "INSERT OR REPLACE INTO limits (name, settings) VALUES (?, ?)", (limit.name, encode(settings))


def limit_deletion(name: str) -> Statement:
    """Forget a flow limit."""
    return "DELETE FROM limits WHERE name = ?", (name,)


def limit_of(name: str, settings: str) -> FlowLimit:
    """The flow limit of a row."""
    return FlowLimit(name, **json.loads(settings))


def _facets_of_name_and_inputs(name: str, inputs: Mapping[str, JSON]) -> list[int]:
    return facets_of(status=None, name=name, template=None, parent=None, labels={}, inputs=inputs)


def _workflow_in(reference: Mapping[str, JSON] | None) -> str | None:
    return None if reference is None else str(reference["workflow"])
