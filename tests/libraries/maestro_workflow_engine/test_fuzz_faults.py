"""Faults of the world: a full disk at each kind of record, clocks that jump, a slow disk, and step kinds that die."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from libraries.maestro_workflow_engine.fault_story import FIRST, PATIENCE_S, backend_with, check_after, kinds, tell

from maestro_workflow_engine import EmbeddedBackend, JournalUnavailable, builtin_step_kinds, parse_definition
from maestro_workflow_engine._embedded._journal import Journal, Record
from maestro_workflow_engine._events import EVENT_TYPES
from maestro_workflow_engine.testing import ManualClock, ScriptedKind, filling_backend

# --- a full disk ---


async def test_the_story_writes_every_kind_of_record(tmp_path: Path) -> None:
    """So that the tests below leave none out."""
    clock, done = ManualClock(), list[dict[str, Any]]()
    async with EmbeddedBackend(tmp_path, kinds=kinds(), clock=clock, synchronous="NORMAL") as backend:
        await tell(backend, clock, done)
    assert await check_after(tmp_path, done) == set(EVENT_TYPES)


@pytest.mark.parametrize("type_", EVENT_TYPES)
async def test_a_full_disk_at_any_kind_of_record_loses_nothing(tmp_path: Path, type_: str) -> None:
    """The engine stops with an error that says so; with room again, everything goes on to its end."""

    def commit(journal: Journal, records: list[Record], really: Callable[[], None]) -> None:
        if any(event.type == type_ for record in records for event in record.events):
            raise sqlite3.OperationalError("database or disk is full")
        really()

    clock, done = ManualClock(), list[dict[str, Any]]()
    async with backend_with(commit)(tmp_path, kinds=kinds(), clock=clock, synchronous="NORMAL") as backend:
        with pytest.raises(JournalUnavailable, match="nothing acknowledged is lost"):
            await tell(backend, clock, done)
    assert type_ not in await check_after(tmp_path, done)


async def test_a_file_that_cannot_grow_any_more_loses_nothing(tmp_path: Path) -> None:
    """Whichever page of the database is the last one; SQLite itself says that the disk is full."""
    async with EmbeddedBackend(tmp_path / "empty", kinds=kinds()):
        pass
    with sqlite3.connect(tmp_path / "empty" / "journal.db") as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.close()
    failures = 0
    for more in range(12):
        clock, done, folder = ManualClock(), list[dict[str, Any]](), tmp_path / str(more)
        async with filling_backend(pages + more)(folder, kinds=kinds(), clock=clock, synchronous="NORMAL") as backend:
            try:
                await tell(backend, clock, done)
            except JournalUnavailable:
                failures += 1
        await check_after(folder, done)
    assert failures


# --- clocks that jump ---


class JumpingClock(ManualClock):
    """Timers go on as they should, and the time of day is set back and forth."""

    offset = timedelta()

    def now(self) -> datetime:
        return super().now() + self.offset


@pytest.mark.parametrize("seed", range(6))
async def test_a_clock_that_jumps_changes_no_result(tmp_path: Path, seed: int) -> None:
    """By hours and years, back and forth, at every write; also over a restart in the middle."""
    random, clock = Random(seed), JumpingClock()

    def commit(journal: Journal, records: list[Record], really: Callable[[], None]) -> None:
        clock.offset = timedelta(seconds=random.choice([-9e7, -7_200, -1, 0, 1, 7_200, 9e7]))
        really()

    done: list[dict[str, Any]] = []
    async with backend_with(commit)(
        tmp_path, kinds=kinds(), clock=clock, synchronous="NORMAL", retention=None
    ) as backend:
        await tell(backend, clock, done)
        await backend.start(parse_definition(FIRST), workflow_id="open")
        outcome = {each.id: each.status for each in (await backend.list()).items}
    await check_after(tmp_path, done)
    assert outcome == {
        "first": "failed", "again": "cancelled", "late": "failed", "moved": "succeeded", "open": "running",
    }  # fmt: skip


# --- a slow disk ---


async def test_nothing_is_told_and_nothing_starts_before_a_slow_disk_has_it(tmp_path: Path) -> None:
    """Fifty starts wait for the disk together, share a transaction, and then go on."""
    may_write, commits = threading.Semaphore(0), list[int]()

    def commit(journal: Journal, records: list[Record], really: Callable[[], None]) -> None:
        assert may_write.acquire(timeout=PATIENCE_S)
        really()
        commits.append(sum(event.type == "workflow.started" for record in records for event in record.events))

    kind = ScriptedKind()
    definition = parse_definition({"name": "slow", "steps": {"a": {"kind": "test"}}})
    backend = backend_with(commit)(tmp_path, kinds={"test": kind}, retention=None)
    async with backend:
        starts = [asyncio.create_task(backend.start(definition, workflow_id=f"w{n}")) for n in range(50)]
        for _ in range(200):
            await asyncio.sleep(0)
        assert not any(start.done() for start in starts)
        assert not kind.calls
        may_write.release()
        may_write.release()
        await asyncio.gather(*starts)
        assert sum(commits[:2]) == 50
        for _ in range(200):
            may_write.release()
        for number in range(50):
            assert (await backend.wait(f"w{number}", PATIENCE_S)).status == "succeeded"
    assert len(kind.calls) == 50


# --- step kinds that die ---


@pytest.mark.parametrize(
    "error",
    [SystemExit(1), MemoryError(), RecursionError(), asyncio.CancelledError(), StopIteration()],
)
async def test_a_kind_that_dies_fails_its_attempt_alone(tmp_path: Path, error: BaseException) -> None:
    """The engine goes on, and so does the step with its next attempt."""

    def die_once(call: Any) -> object:
        if call.attempt == 1:
            raise error
        return "well"

    steps = {"a": {"kind": "test", "retry": {"max_attempts": 2, "initial_delay_s": 0}}}
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind(die_once)}) as backend:
        started = await backend.start(parse_definition({"name": "dies", "steps": steps}))
        state = await backend.wait(started.workflow_id, PATIENCE_S)
    assert (state.status, state.steps["a"].attempt, state.steps["a"].output) == ("succeeded", 2, "well")


async def test_a_program_that_is_killed_fails_its_attempt_alone(tmp_path: Path) -> None:
    """As by the operating system when memory is short."""
    run = "test -e died && echo well || { touch died; kill -9 $$; }"
    steps = {"a": {"kind": "shell", "with": {"command": run}, "retry": {"max_attempts": 2, "initial_delay_s": 0}}}
    async with EmbeddedBackend(tmp_path / "data", kinds=builtin_step_kinds()) as backend:
        started = await backend.start(parse_definition({"name": "dies", "steps": steps}), base_dir=tmp_path)
        state = await backend.wait(started.workflow_id, PATIENCE_S)
    assert (state.status, state.steps["a"].attempt) == ("succeeded", 2)
