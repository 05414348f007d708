"""Opening a folder with unfinished workflows, and input that must not harm the engine."""

import asyncio
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import (
    EmbeddedBackend,
    EngineBroken,
    InvalidInputs,
    JournalUnavailable,
    StepCall,
    WorkflowDefinition,
    WorkflowFinished,
    WorkflowNotFound,
    WorkflowNotResumed,
    parse_definition,
)
from maestro_workflow_engine.testing import Gate, ManualClock, ScriptedKind, failing_backend, fails


def define(**steps: dict[str, Any]) -> WorkflowDefinition:
    """Steps of kind `test`."""
    return parse_definition({"name": "n", "steps": {name: {"kind": "test", **step} for name, step in steps.items()}})


async def leave_unfinished(folder: Path, *ids: str) -> None:
    """Start workflows and close the engine on them."""
    gate = Gate()
    backend = EmbeddedBackend(folder, kinds={"test": ScriptedKind(gate)})
    async with backend:
        for workflow_id in ids:
            await backend.start(define(a={}), workflow_id=workflow_id)
            await gate.arrival()
        await backend.close(drain_s=0)


async def test_an_engine_can_leave_unfinished_workflows_alone(tmp_path: Path) -> None:
    """With `resume="none"` only those go on that it is asked for; the next engine finds the others as they were."""
    await leave_unfinished(tmp_path, "one", "two", "three")
    kind = ScriptedKind()
    async with EmbeddedBackend(tmp_path, kinds={"test": kind}, resume="none") as backend:
        assert await backend.unfinished() == ["one", "two", "three"]
        with pytest.raises(WorkflowNotResumed, match="it up first"):
            await backend.wait("one")
        assert (await backend.get("one")).status == "running"
        await asyncio.gather(backend.take_up("two"), backend.take_up("two"))
        await backend.take_up("two")
        assert (await backend.wait("two")).status == "succeeded"
        with pytest.raises(WorkflowFinished):
            await backend.take_up("two")
        with pytest.raises(WorkflowNotFound):
            await backend.take_up("four")
        await backend.cancel("three", "not wanted")
        assert (await backend.wait("three")).reason == "not wanted"
        started = await backend.start(define(a={}))
        assert (await backend.wait(started.workflow_id)).status == "succeeded"
        assert await backend.unfinished() == ["one"]
    assert [call.workflow_id for call in kind.calls].count("two") == 1
    async with EmbeddedBackend(tmp_path, kinds={"test": kind}) as backend:
        assert (await backend.wait("one")).status == "succeeded"


async def test_a_clock_that_was_set_back_makes_no_wait_longer(tmp_path: Path) -> None:
    """A retry that was due in 50 s is due within 50 s, although the clock says that it is yesterday."""
    retry = {"max_attempts": 2, "initial_delay_s": 50, "jitter": 0}
    today = ManualClock()
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind(fails(1))}, clock=today) as backend:
        await backend.start(define(a={"retry": retry}), workflow_id="w")
        async for event in backend.watch("w"):
            if event.type == "step.failed":
                break
    yesterday = ManualClock(today.now() - timedelta(days=1))
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}, clock=yesterday) as backend:
        yesterday.advance(50)
        assert (await backend.wait("w", timeout_s=20)).status == "succeeded"


async def test_scratch_folders_outlive_the_engine_but_not_their_workflow(tmp_path: Path) -> None:
    """What an interrupted step wrote is there when it runs again; what a crash left behind is swept away."""
    gate, folders = Gate(), []

    async def write(call: StepCall) -> object:
        folders.append(call.work_dir)
        (call.work_dir / "half").write_text("done")
        return await gate(call)

    backend = EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind(write)})
    async with backend:
        await backend.start(define(a={}), workflow_id="w")
        await gate.arrival()
        await backend.close(drain_s=0)
    (tmp_path / "work" / "ended-long-ago").mkdir()
    reading = ScriptedKind(lambda call: (call.work_dir / "half").read_text())
    async with EmbeddedBackend(tmp_path, kinds={"test": reading}) as backend:
        assert (await backend.wait("w")).steps["a"].output == "done"
    assert list((tmp_path / "work").iterdir()) == []


async def test_texts_that_cannot_be_stored_are_refused_and_harm_nothing(tmp_path: Path) -> None:
    """Lone surrogates and endless names, wherever a caller can put them."""
    bad, definition = "\ud800", define(a={})
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind(lambda call: bad)}) as backend:
        refused: list[dict[str, Any]] = [
            {"template": bad},
            {"template": "x" * 5000},
            {"base_dir": tmp_path / bad},
            {"workflow_id": bad},
            {"labels": {str(number): "" for number in range(100)}},
            {"labels": {"a": 1}},
            {"labels": {"a": bad}},
            {"inputs": {bad: 1}},
        ]
        for arguments in refused:
            with pytest.raises(InvalidInputs):
                await backend.start(definition, **arguments)
        for question in (backend.get, backend.wait, backend.events, backend.cancel):
            for workflow_id in (bad, "a\0b", "x" * 100_000):
                with pytest.raises(WorkflowNotFound):
                    await question(workflow_id)
        assert (await backend.list(name=bad)).items == []
        assert await backend.events((await backend.start(definition)).workflow_id, from_seq=10**30) == []
        state = await backend.wait((await backend.start(definition)).workflow_id)
        assert (state.status, (state.error or {})["code"]) == ("failed", "workflow.bad-step-result")


async def test_a_fault_of_the_engine_itself_stops_it_loudly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not go on with a state that nobody understands, and nobody waits for ever."""
    gate = Gate()
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind(gate)}) as backend:
        started = await backend.start(define(a={}))
        await gate.arrival()

        def broken(*arguments: object, **more: object) -> object:
            raise KeyError("on purpose")

        monkeypatch.setattr("maestro_workflow_engine._decide.advance", broken)
        waiting = asyncio.create_task(backend.wait(started.workflow_id))
        await asyncio.sleep(0)
        gate.open()
        with pytest.raises(EngineBroken, match="KeyError: 'on purpose'"):
            await waiting
        with pytest.raises(EngineBroken):
            await backend.start(define(a={}))
    monkeypatch.undo()
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        assert (await backend.wait(started.workflow_id)).status == "succeeded"


async def test_any_error_while_writing_reaches_the_callers(tmp_path: Path) -> None:
    """Also one that nobody thought of."""
    async with failing_backend(1, RuntimeError("odd"))(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        with pytest.raises(JournalUnavailable, match="odd"):
            await backend.start(define(a={}))


def test_a_backend_needs_room_for_one_step(tmp_path: Path) -> None:
    """Zero at once would be never."""
    with pytest.raises(ValueError, match="at least 1"):
        EmbeddedBackend(tmp_path, kinds={}, max_parallel=0)


def modes(folder: Path) -> dict[str, int]:
    """Who may do what with the journal and the files beside it."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("journal.db*")}


async def test_the_journal_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Inputs and outputs are in it; a folder that was there before may be open to others."""
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        await backend.start(define(a={}))
        files = modes(tmp_path)
    assert files.keys() >= {"journal.db", "journal.db-wal"}
    assert set(files.values()) == {0o600}
