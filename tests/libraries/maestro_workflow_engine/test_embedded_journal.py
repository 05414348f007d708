"""The journal of the embedded backend: one writer, few transactions, small rows, and accidents told clearly."""

import asyncio
import json
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import (
    EmbeddedBackend,
    EngineAlreadyRunning,
    Event,
    JournalCorrupt,
    JournalTooNew,
    JournalUnavailable,
    WorkflowDefinition,
    WorkflowNotFound,
    parse_definition,
)
from maestro_workflow_engine.testing import (
    CountingBackend,
    Gate,
    ScriptedKind,
    failing_backend,
    filling_backend,
    large_output,
)


def define(steps: dict[str, Any], **rest: Any) -> WorkflowDefinition:
    """Steps of kind `test`, unless they say otherwise."""
    return parse_definition({"name": "j", "steps": {k: {"kind": "test", **v} for k, v in steps.items()}, **rest})


CHAIN = define({f"s{n}": {"needs": [f"s{n - 1}"]} if n else {} for n in range(50)})
ONE = define({"a": {}})


def rows(folder: Path, query: str) -> list[Any]:
    """Read the database beside the engine."""
    connection = sqlite3.connect(folder / "journal.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


async def test_a_finished_step_and_the_start_of_the_next_are_one_transaction(tmp_path: Path) -> None:
    """A chain costs one transaction per step, and `step.started` rides along."""
    async with CountingBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        started = await backend.start(CHAIN)
        await backend.wait(started.workflow_id)
        # On a busy machine a start may linger long enough to be written alone; it may not be the rule.
        assert sum(backend.transactions) == 2 + 3 * 50
        assert 51 <= len(backend.transactions) <= 60


async def test_the_start_of_a_long_step_is_written_soon(tmp_path: Path) -> None:
    """Nothing else has to happen for `step.started` to be durable."""
    gate = Gate()
    async with CountingBackend(tmp_path, kinds={"test": ScriptedKind(gate)}) as backend:
        started = await backend.start(ONE)
        async with asyncio.timeout(10):
            types = [event.type async for event in until_started(backend, started.workflow_id)]
        assert types == ["workflow.started", "step.scheduled", "step.started"]
        gate.open()


async def until_started(backend: EmbeddedBackend, workflow_id: str) -> Any:
    """Events up to the first `step.started`."""
    async for event in backend.watch(workflow_id):
        yield event
        if event.type == "step.started":
            return


async def test_what_comes_together_is_written_together(tmp_path: Path) -> None:
    """A thousand starts at once need a handful of transactions."""
    async with CountingBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        started = await asyncio.gather(*(backend.start(ONE) for _ in range(1000)))
        await asyncio.gather(*(backend.wait(each.workflow_id) for each in started))
        assert sum(backend.transactions) == 5000
        assert len(backend.transactions) < 250


async def test_a_step_takes_little_room(tmp_path: Path) -> None:
    """At most 400 bytes in the database, beside its payload; a definition is stored once."""
    chain = define({f"s{n:04}": {"needs": [f"s{n - 1:04}"]} if n else {} for n in range(1000)})
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        await backend.wait((await backend.start(ONE)).workflow_id)
        before = await size_of(backend, tmp_path)
        await asyncio.gather(*(finished(backend, chain) for _ in range(3)))
        document_bytes = len(json.dumps(chain.document))
        assert (await size_of(backend, tmp_path) - before - document_bytes) / 3000 < 400
        assert rows(tmp_path, "SELECT count(*) FROM definitions") == [(2,)]


async def finished(backend: EmbeddedBackend, definition: WorkflowDefinition) -> None:
    """Run a workflow to its end."""
    await backend.wait((await backend.start(definition)).workflow_id)


async def size_of(backend: EmbeddedBackend, folder: Path) -> int:
    """Pages in use."""
    ((pages, page_bytes),) = rows(folder, "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")
    return int(pages * page_bytes)


async def test_full_synchronous_is_the_default(tmp_path: Path) -> None:
    """And can be lowered by name."""
    for folder, settings, level in (("a", {}, 2), ("b", {"synchronous": "NORMAL"}, 1)):
        async with EmbeddedBackend(tmp_path / folder, kinds={}, **settings) as backend:  # type: ignore[arg-type]  # by name
            connection = backend._engine.journal.connection
            assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_second_engine_on_a_folder_is_refused(tmp_path: Path) -> None:
    """In this process and in another one; the error names the process that holds the folder."""
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from maestro_workflow_engine import EmbeddedBackend, EngineAlreadyRunning\n"
        "async def main():\n"
        "    try:\n"
        "        async with EmbeddedBackend(Path(sys.argv[1]), kinds={}): print('opened')\n"
        "    except EngineAlreadyRunning as error: print(error.pid, error.code)\n"
        "asyncio.run(main())\n"
    )

    def other_process() -> str:
        command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{script}", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()

    async with EmbeddedBackend(tmp_path, kinds={}):
        with pytest.raises(EngineAlreadyRunning, match=f"the process {os.getpid()} runs an engine on"):
            async with EmbeddedBackend(tmp_path, kinds={}):
                pass
        assert await asyncio.to_thread(other_process) == f"{os.getpid()} workflow.engine-already-running"
    assert await asyncio.to_thread(other_process) == "opened"


async def test_a_full_disk_stops_the_engine_and_loses_nothing(tmp_path: Path) -> None:
    """Callers get a clear error; what was acknowledged goes on at the next opening."""
    wide = define({"m": {"map": {"items": "${{ range(100) }}"}, "with": {"x": "x" * 200}}})
    acknowledged: list[str] = []
    async with filling_backend(60)(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        with pytest.raises(JournalUnavailable, match="the disk is full") as caught:
            await start_many(backend, wide, acknowledged)
        assert caught.value.retryable
        unfinished = await backend.unfinished()
        assert unfinished
        for workflow_id in unfinished:
            with pytest.raises(JournalUnavailable):
                await backend.wait(workflow_id)
            with pytest.raises(JournalUnavailable):
                await backend.cancel(workflow_id)
        assert (await backend.get(acknowledged[0])).seq >= 1
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        for workflow_id in acknowledged:
            assert (await backend.wait(workflow_id, 30)).status == "succeeded"


async def start_many(backend: EmbeddedBackend, definition: WorkflowDefinition, acknowledged: list[str]) -> None:
    """Start workflows until it is refused, and note those that were acknowledged."""
    while len(acknowledged) < 1000:
        acknowledged.append((await backend.start(definition)).workflow_id)


async def test_a_journal_that_fails_stops_what_runs(tmp_path: Path) -> None:
    """Running steps are stopped without a word, watchers are told, and the next engine goes on."""
    gate = Gate()
    kinds = {"test": ScriptedKind(gate), "quick": ScriptedKind()}
    error = sqlite3.OperationalError("disk I/O error")
    async with failing_backend(3, error)(tmp_path, kinds=kinds) as backend:
        first = await backend.start(ONE)
        await gate.arrival()
        watching = asyncio.create_task(count(backend.watch()))
        waiting = asyncio.create_task(backend.wait(first.workflow_id))
        started = [event.type async for event in until_started(backend, first.workflow_id)]
        assert started[-1] == "step.started"
        with pytest.raises(JournalUnavailable, match="disk I/O error"):
            await backend.start(define({"q": {"kind": "quick"}}))
        for task in (watching, waiting):
            with pytest.raises(JournalUnavailable):
                await task
        with pytest.raises(JournalUnavailable):
            await backend.start(ONE)
    assert len(gate.cancelled) == 1
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        state = await backend.wait(first.workflow_id)
        assert (state.status, len((await backend.list()).items)) == ("succeeded", 1)


async def count(events: AsyncIterator[Event]) -> int:
    """How many there are."""
    return len([event async for event in events])


async def test_an_artifact_store_that_fails_stops_the_engine_too(tmp_path: Path) -> None:
    """A result that cannot be kept is not lost: its step runs again at the next opening."""
    kind = ScriptedKind(large_output(50_000))
    async with EmbeddedBackend(tmp_path, kinds={"test": kind}) as backend:
        (tmp_path / "artifacts" / "new").rmdir()
        started = await backend.start(ONE)
        with pytest.raises(JournalUnavailable, match="No such file"):
            await backend.wait(started.workflow_id)
    async with EmbeddedBackend(tmp_path, kinds={"test": kind}) as backend:
        assert (await backend.wait(started.workflow_id)).status == "succeeded"
    assert [call.attempt for call in kind.calls] == [1, 1]


async def test_a_locked_database_is_told_clearly(tmp_path: Path) -> None:
    """At opening and later, after the time that was given to the other program."""
    kinds = {"test": ScriptedKind()}
    async with EmbeddedBackend(tmp_path, kinds=kinds, busy_timeout_s=0.05) as backend:
        await backend.wait((await backend.start(ONE)).workflow_id)
        other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailable, match="another program has locked it"):
            await backend.start(ONE)
        other.execute("ROLLBACK")
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalUnavailable, match="another program has locked it"):
        async with EmbeddedBackend(tmp_path, kinds=kinds, busy_timeout_s=0.05):
            pass
    other.close()
    async with EmbeddedBackend(tmp_path, kinds=kinds) as backend:
        assert len((await backend.list()).items) == 1


@pytest.mark.parametrize("garbage", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_garbage_in_the_database_file_is_told_clearly(tmp_path: Path, garbage: bytes) -> None:
    """And the folder is free again afterwards."""
    (tmp_path / "journal.db").write_bytes(garbage)
    for _ in range(2):
        with pytest.raises(JournalCorrupt, match=r"journal\.db is not a sound journal"):
            async with EmbeddedBackend(tmp_path, kinds={}):
                pass


async def test_a_damaged_page_is_told_when_it_is_met(tmp_path: Path) -> None:
    """Reading a workflow whose events are damaged raises, it does not invent."""
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        started = await backend.start(CHAIN)
        await asyncio.gather(*(finished(backend, CHAIN) for _ in range(40)))
        await backend.wait(started.workflow_id)
    file = tmp_path / "journal.db"
    content = bytearray(file.read_bytes())
    content[4096 * 8 :] = b"\xff" * (len(content) - 4096 * 8)
    file.write_bytes(content)
    with pytest.raises(JournalCorrupt):
        async with EmbeddedBackend(tmp_path, kinds={}) as backend:
            await backend.get(started.workflow_id)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET data = 'no JSON'",
        "UPDATE events SET data = CAST(X'ff' AS TEXT)",
        "UPDATE events SET data = '[]'",
        "UPDATE events SET data = '{}'",
        "UPDATE events SET type = 99",
        "UPDATE events SET at = 1 << 62",
        "UPDATE definitions SET document = ''",
        "DELETE FROM definitions",
    ],
)
async def test_rows_that_make_no_sense_are_told_as_damage(tmp_path: Path, damage: str) -> None:
    """Nobody gets a foreign error for what a bad disk did, and other workflows can still be asked for."""
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        await backend.wait((await backend.start(ONE, workflow_id="w")).workflow_id)
    connection = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    connection.execute(damage)
    connection.close()
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        with pytest.raises((JournalCorrupt, WorkflowNotFound)):
            await backend.get("w")
        assert len((await backend.list()).items) == 1


async def test_a_schema_that_is_no_text_is_told_as_damage(tmp_path: Path) -> None:
    """Opening says what the file is, and to restore it."""
    async with EmbeddedBackend(tmp_path, kinds={}):
        pass
    file = tmp_path / "journal.db"
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE definitions", b"CREATE TABLE definition\xe4"))
    with pytest.raises(JournalCorrupt, match=r"journal\.db is not a sound journal"):
        async with EmbeddedBackend(tmp_path, kinds={}):
            pass


async def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written into it."""
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (tmp_path / "journal.db").read_bytes()
    with pytest.raises(JournalCorrupt, match="another program"):
        async with EmbeddedBackend(tmp_path, kinds={}):
            pass
    assert (tmp_path / "journal.db").read_bytes() == before


async def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """With both versions named."""
    async with EmbeddedBackend(tmp_path, kinds={}):
        pass
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalTooNew, match="schema version 99, this library knows 2"):
        async with EmbeddedBackend(tmp_path, kinds={}):
            pass


async def test_a_folder_that_cannot_be_made_is_told_clearly(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnavailable, match="Not a directory"):
        async with EmbeddedBackend(tmp_path / "file" / "data", kinds={}):
            pass


async def test_another_writer_is_noticed(tmp_path: Path) -> None:
    """Two events with one number cannot be: the engine stops instead of going on with a wrong history."""
    gate = Gate()
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind(gate)}) as backend:
        started = await backend.start(ONE)
        await gate.arrival()
        await backend.get(started.workflow_id)
        foreign = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        foreign.execute(
            "INSERT INTO events SELECT position + 100, workflow, 4, type, at, data FROM events WHERE seq = 1"
        )
        foreign.close()
        waiting = asyncio.create_task(count(backend.watch(started.workflow_id)))
        gate.open()
        with pytest.raises(JournalUnavailable, match="UNIQUE"):
            await waiting


async def test_finished_workflows_are_not_loaded_at_opening(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Only what is unfinished is read, and a broken one does not keep the others from going on."""
    gate = Gate()
    backend = EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind(gate)})
    async with backend:
        started = [await backend.start(ONE, workflow_id=f"w{number}") for number in range(2)]
        await gate.arrival()
        await backend.close(drain_s=0)
    connection = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    connection.execute("INSERT INTO definitions (digest, document) VALUES ('bad', '{}')")
    connection.execute(
        "UPDATE workflows SET definition = (SELECT key FROM definitions WHERE digest = 'bad') WHERE id = 'w0'"
    )
    connection.close()
    with caplog.at_level(logging.ERROR):
        async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
            assert (await backend.wait("w1")).status == "succeeded"
            assert list(backend._engine.runs) == []
            with pytest.raises(WorkflowNotFound):
                await backend.get("w2")
    assert "workflow.not_resumed workflow_id=w0" in caplog.text
    assert len(started) == 2
