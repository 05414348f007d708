"""A journal of an earlier version opens as one of today: nothing is lost, all is found, and a crash harms nothing."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from libraries.maestro_workflow_engine import journal_v1
from libraries.maestro_workflow_engine.store_kit import Store

from maestro_workflow_engine import EmbeddedBackend, JournalCorrupt, WorkflowState
from maestro_workflow_engine._embedded._database import open_for_writing
from maestro_workflow_engine._embedded._reader import Reader
from maestro_workflow_engine.testing import ManualClock, ScriptedKind

LARGE = "e03d9e85eec7bdc57d99d7347dc8df60e467ba0bcf8d242db601ce4c6c01798a"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def shape(path: Path) -> dict[str, Any]:
    """Tables with their columns, and indexes, whatever the order in which they were made."""
    connection = sqlite3.connect(path)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    columns = {name: connection.execute(f"SELECT * FROM pragma_table_info('{name}')").fetchall() for name in tables}
    indexes = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index'").fetchall()
    version = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return {"version": version, "columns": columns, "indexes": sorted(indexes)}


def test_a_migrated_file_has_the_shape_of_a_new_one(tmp_path: Path) -> None:
    """Table by table, column by column, index by index."""
    (tmp_path / "new").mkdir()
    Store(tmp_path / "new").close()
    path = journal_v1.make(tmp_path)
    open_for_writing(path, "FULL", 5.0).close()
    assert shape(path) == shape(tmp_path / "new" / "journal.db")


async def test_what_was_there_is_found_in_the_new_ways(tmp_path: Path) -> None:
    """By status, template, label and input; what waits is known, and which artifacts are named."""
    path = journal_v1.make(tmp_path)
    connection = open_for_writing(path, "FULL", 5.0)
    async with EmbeddedBackend(tmp_path, kinds={}, resume="none", retention=None) as backend:

        async def ids(**asked: Any) -> list[str]:
            return [item.id for item in (await backend.list(**asked)).items]

        assert await ids() == ["running", "napping", "retrying", "failed", "large", "good"]
        assert await ids(status="running") == ["running", "napping", "retrying"]
        assert await ids(name="good") == ["failed", "good"]
        assert await ids(template="t", labels={"env": "production"}, inputs={"n": 7}) == ["good"]
        assert await ids(inputs={"n": 3, "who": "you"}) == ["large"]
        assert await ids(started_before=NEW_YEAR.replace(second=1)) == ["good"]
        assert (await backend.get("failed")).status == "failed"
    rows = connection.execute("SELECT workflow, step, item, due_at, on_kind FROM waits ORDER BY workflow").fetchall()
    second = 1_000_000
    new_year = int(NEW_YEAR.timestamp()) * second
    assert rows == [(4, "a", -1, new_year + 52 * second, None), (5, "a", -1, new_year + 3602 * second, None)]
    assert connection.execute("SELECT * FROM artifact_references").fetchall() == [(LARGE, 2)]
    connection.close()


async def test_unfinished_workflows_go_on_in_the_new_version(tmp_path: Path) -> None:
    """One that retried, one that slept, one that a crash had cut off."""
    journal_v1.make(tmp_path)
    clock = ManualClock(NEW_YEAR.replace(second=10))
    kinds = {name: ScriptedKind(lambda call: "done") for name in ("bad", "nap", "gate")}
    async with EmbeddedBackend(tmp_path, kinds=kinds, clock=clock) as backend:
        assert (await backend.wait("running", 20)).status == "succeeded"
        state = await ended(backend, clock, "retrying")
        assert (state.status, state.steps["a"].attempt) == ("succeeded", 2)
        assert clock.now() >= NEW_YEAR.replace(second=52)
        assert (await backend.get("napping")).status == "running"
        clock.advance(3600)
        assert (await ended(backend, clock, "napping")).status == "succeeded"


async def ended(backend: EmbeddedBackend, clock: ManualClock, workflow_id: str) -> WorkflowState:
    """The state at the end, while seconds pass: nobody knows when the engine has come to it."""
    async with asyncio.timeout(20):
        while not (state := await backend.get(workflow_id)).is_finished:
            clock.advance(1)
    return state


DYING = """
import os, signal, sys
from pathlib import Path
from maestro_workflow_engine._embedded import _database, _schema

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(_schema, sys.argv[2], die)
_database.open_for_writing(Path(sys.argv[1]), "FULL", 5.0)
"""


@pytest.mark.parametrize("place", ["index_workflows", "wait_statements", "references_in"])
def test_a_crash_in_the_middle_leaves_the_old_file(tmp_path: Path, place: str) -> None:
    """SIGKILL at any point: the file is still one of version 1, and the next opening migrates it whole."""
    path = journal_v1.make(tmp_path)
    before = shape(path)
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{DYING}", str(path), place]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert shape(path) == before
    connection = open_for_writing(path, "FULL", 5.0)
    assert connection.execute("SELECT count(*) FROM waits").fetchone() == (2,)
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (len(journal_v1.EVENTS),)
    connection.close()


@pytest.mark.parametrize("version", [0, -1])
def test_a_file_without_a_version_is_told_as_damage(tmp_path: Path, version: int) -> None:
    """No engine has ever written one."""
    path = journal_v1.make(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(JournalCorrupt, match=f"version {version}"):
        open_for_writing(path, "FULL", 5.0)


async def test_one_damaged_workflow_does_not_keep_the_others_from_opening(tmp_path: Path) -> None:
    """It is not found by what cannot be read, and told as damage when it is asked for."""
    path = journal_v1.make(tmp_path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE events SET data = 'no JSON' WHERE workflow IN (1, 4)")
    connection.close()
    open_for_writing(path, "FULL", 5.0).close()
    async with EmbeddedBackend(tmp_path, kinds={}, resume="none", retention=None) as backend:
        assert [item.id for item in (await backend.list(inputs={"n": 7})).items] == []
        assert [item.id for item in (await backend.list(status="succeeded")).items] == ["large", "good"]
        with pytest.raises(JournalCorrupt, match="makes no sense"):
            await backend.get("good")
    reader = Reader(path, 5.0)
    assert [row.workflow_id for row in await reader.waits_of("retrying")] == []
    assert [row.step for row in await reader.waits_of("napping")] == ["a"]
    await reader.close()
