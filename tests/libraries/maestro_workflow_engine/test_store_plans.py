"""Every question to the journal is answered from an index: SQLite says so itself."""

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from libraries.maestro_workflow_engine.store_kit import NOON, Store

from maestro_workflow_engine._embedded import _deletion, _reader
from maestro_workflow_engine._embedded._database import open_for_reading
from maestro_workflow_engine._embedded._facets import Search, facets_of
from maestro_workflow_engine._embedded._reader import Reader

EVERYTHING: dict[str, Any] = {
    "status": "failed",
    "name": "n",
    "template": "t",
    "parent": "p",
    "labels": {"a": "b", "c": "d"},
    "inputs": {"n": 1, "m": None},
}
SPAN: dict[str, Any] = {"first_at": 0, "last_at": 2**50}


async def ask_everything(reader: Reader) -> None:
    """One call of whatever an engine may ask while it works."""
    await reader.last_numbers()
    await reader.workflow("w")
    await reader.unfinished()
    await reader.unparked(1, 10)
    await reader.children("w")
    await reader.documents("w")
    await reader.document((await reader.workflow("w")).digest)
    await reader.events("w", 1, 10)
    await reader.events_of_all(1, 10)
    for search in (Search(), Search(before_key=3), Search(**SPAN), Search(facets_of(**EVERYTHING), **SPAN)):
        await reader.page(search, 50)
    await reader.limits()
    await reader.next_due()
    await reader.due(NOON, (1, 1))
    await reader.waits_for("event", "t")
    await reader.waits_of("w")
    await reader.unanswered()
    await reader.orphans()
    await reader.inbox(None, 0, 10)
    await reader.inbox("approval", 5, 10)
    await reader.ask(lambda c: _deletion.outdated(c, before=NOON, keep=None, after=(0, 0), limit=20))
    await reader.ask(lambda c: _deletion.outdated(c, before=None, keep=3, after=(0, 0), limit=20))
    await reader.ask(lambda c: _deletion.family(c, "w"))
    await reader.ask(lambda c: _deletion.deleted(c, 20))


async def test_no_question_looks_at_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither at all workflows, nor at all events or waits, nor does it sort what an index holds in order."""
    asked: set[str] = set()
    opened: Callable[..., sqlite3.Connection] = open_for_reading

    def traced(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
        connection = opened(path, busy_timeout_s)
        connection.set_trace_callback(asked.add)
        return connection

    monkeypatch.setattr(_reader, "open_for_reading", traced)
    store = Store(tmp_path)
    store.ended("w", at=NOON - timedelta(days=1), labels={"a": "b"})
    store.start("v", parent="w")
    reader = Reader(store.path, 5.0)
    await ask_everything(reader)
    await reader.close()
    questions = sorted(sql for sql in asked if sql.startswith(("SELECT", "WITH")))
    assert len(questions) > 30
    bad = {sql: [step for step in plan(store, sql) if is_slow(step, sql)] for sql in questions}
    assert {sql: steps for sql, steps in bad.items() if steps} == {}
    store.close()


async def test_no_delete_looks_at_every_row(tmp_path: Path) -> None:
    """The writer is not held for longer when there is more."""
    store = Store(tmp_path)
    store.ended("w", labels={"a": "b"}, inputs={"n": 1})
    statements = [*_deletion.removal(_deletion.family(store.connection, "w")), *_deletion.events_removal([1, 2])]
    bad = {sql: [step for step in plan(store, sql, values) if is_slow(step, sql)] for sql, values in statements}
    assert {sql: steps for sql, steps in bad.items() if steps} == {}
    store.close()


def plan(store: Store, sql: str, values: Any = ()) -> list[str]:
    """What SQLite would do."""
    return [row[3] for row in store.connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def is_slow(step: str, sql: str) -> bool:
    """Whether a step of a plan takes longer the more workflows there are; a family is sorted, and small."""
    small = ("limits", "deletions", "marks", "m", "f", "family", "CONSTANT")
    ordered = ("USING INDEX", "USING COVERING INDEX")
    if step.startswith("SCAN"):
        return step.split()[1] not in small and not any(word in step for word in ordered)
    return "AUTOMATIC" in step or ("TEMP B-TREE" in step and "WITH RECURSIVE" not in sql)
