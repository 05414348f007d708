"""Reading beside the writer: of one moment, with plain errors, also when the engine stops or the file is in trouble."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from libraries.maestro_workflow_engine.store_kit import NOON, Store, define

from maestro_workflow_engine import (
    EmbeddedBackend,
    EngineClosed,
    Event,
    FlowLimit,
    JournalCorrupt,
    JournalUnavailable,
    WorkflowNotFound,
    parse_definition,
)
from maestro_workflow_engine._embedded._facets import Search
from maestro_workflow_engine._embedded._reader import Reader
from maestro_workflow_engine._embedded._rows import (
    limit_deletion,
    limit_statement,
    migration_statements,
    parked_statement,
    priority_statement,
)
from maestro_workflow_engine.testing import ScriptedKind


async def test_who_asks_too_late_is_told_that_the_engine_is_closed(tmp_path: Path) -> None:
    """Whatever the question; and what was asked in time is answered."""
    store = Store(tmp_path)
    store.ended("w")
    reader = Reader(store.path, 5.0)
    pending = [asyncio.create_task(reader.events("w", 1, 10)) for _ in range(8)]
    await asyncio.sleep(0)
    await reader.close()
    assert [len(events) for events in await asyncio.gather(*pending)] == [2] * 8
    questions = (reader.last_numbers(), reader.events("w", 1, 1), reader.page(Search(), 1), reader.next_due())
    for question in questions:
        with pytest.raises(EngineClosed):
            await question
    store.close()


async def test_a_watcher_that_reads_history_while_the_engine_stops_gets_a_plain_error(tmp_path: Path) -> None:
    """EngineClosed, wherever in the history it is."""
    long = parse_definition({"name": "n", "steps": {"m": {"kind": "test", "map": {"items": "${{ range(400) }}"}}}})
    backend = EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()})
    async with backend:
        await backend.wait((await backend.start(long, workflow_id="w")).workflow_id)
        watching = backend.watch("w")
        everything = backend.watch(from_position=0)
        await anext(watching)
        await anext(everything)
        await backend.close()
        for events in (watching, everything):
            with pytest.raises(EngineClosed):
                await read_to_the_end(events)


async def read_to_the_end(events: AsyncIterator[Event]) -> None:
    """Take all there is."""
    async for _ in events:
        pass


async def test_rows_say_what_an_engine_needs_to_go_on(tmp_path: Path) -> None:
    """Who is unfinished, who rests, of whom it is the child or the next run, and with which definitions."""
    store = Store(tmp_path)
    for name in ("a", "b", "c", "d"):
        store.start(name, parent="a" if name == "c" else None, origin="b" if name == "d" else None, priority=3)
    store.end("b", at=NOON + timedelta(seconds=9))
    other = define("other")
    changes = migration_statements(1, other, ("flow", {"n": 1}), ("other", {"n": 2}))
    await store.write([parked_statement(3, True), priority_statement(4, -7), *changes])
    reader = Reader(store.path, 5.0)
    try:
        assert [row.id for row in await reader.unfinished()] == ["a", "c", "d"]
        assert [row.id for row in await reader.unparked()] == ["a", "d"]
        assert [row.id for row in await reader.unparked(after_key=1, limit=1)] == ["d"]
        rows = {name: await reader.workflow(name) for name in ("a", "b", "c", "d")}
        assert (rows["c"].parent, rows["c"].is_parked, rows["d"].origin, rows["d"].priority) == ("a", True, "b", -7)
        assert (rows["b"].finished_at, rows["b"].status) == (NOON + timedelta(seconds=9), "succeeded")
        assert (rows["a"].name, rows["a"].is_migrated, rows["b"].is_migrated) == ("other", True, False)
        assert set(await reader.documents("a")) == {rows["a"].digest, other.digest}
        assert rows["a"].digest == define().digest
        with pytest.raises(WorkflowNotFound):
            await reader.documents("nobody")
    finally:
        await reader.close()
        store.close()


async def test_flow_limits_are_kept_by_name(tmp_path: Path) -> None:
    """The last setting holds; forgetting one again is fine."""
    store = Store(tmp_path)
    mail = FlowLimit("mail", max_parallel=3, rate_count=5, rate_per_s=60.0, breaker_failures=2, is_paused=True)
    await store.write([limit_statement(FlowLimit("mail")), limit_statement(mail), limit_statement(FlowLimit("api"))])
    reader = Reader(store.path, 5.0)
    assert await reader.limits() == [FlowLimit("api"), mail]
    await store.write([limit_deletion("api"), limit_deletion("api")])
    assert await reader.limits() == [mail]
    await reader.close()
    store.close()


async def test_trouble_with_the_file_is_told_plainly(tmp_path: Path) -> None:
    """Locked, gone, or damaged: never an error of SQLite itself, and the next question may find it in order."""
    store = Store(tmp_path)
    store.ended("w")
    reader = Reader(store.path, 0.01)
    store.connection.execute("PRAGMA journal_mode = DELETE")
    store.connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalUnavailable, match="another program has locked it"):
        await reader.page(Search(), 10)
    store.connection.execute("ROLLBACK")
    assert len((await reader.page(Search(), 10)).items) == 1
    store.connection.execute("UPDATE workflows SET labels = 'no JSON'")
    with pytest.raises(JournalCorrupt, match="makes no sense"):
        await reader.page(Search(), 10)
    store.connection.execute("UPDATE facets SET keys = 'text'")
    with pytest.raises(JournalCorrupt, match="makes no sense"):
        await reader.page(Search([facet for (facet,) in store.rows("SELECT facet FROM facets LIMIT 1")]), 10)
    await reader.close()
    store.close()


async def test_a_page_is_of_one_moment(tmp_path: Path) -> None:
    """What is written between two looks of one question is not seen by it."""
    store = Store(tmp_path)
    for number in range(3):
        store.ended(f"w{number}")
    reader = Reader(store.path, 5.0)

    def look(connection: sqlite3.Connection) -> tuple[int, int]:
        counted = "SELECT count(*) FROM workflows"
        before = connection.execute(counted).fetchone()[0]
        beside = sqlite3.connect(store.path, isolation_level=None)
        beside.execute("DELETE FROM workflows WHERE key = 1")
        beside.close()
        return before, connection.execute(counted).fetchone()[0]

    assert await reader.ask(look) == (3, 3)
    assert len((await reader.page(Search(), 10)).items) == 2
    await reader.close()
    store.close()
