"""Workflows that only wait leave memory, and come back when they are due, told something, or asked for."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import (
    EmbeddedBackend,
    StepCall,
    UnknownStepKind,
    Wait,
    WorkflowDefinition,
    WorkflowNotResumed,
    builtin_step_kinds,
    parse_definition,
)
from maestro_workflow_engine.testing import Gate, ManualClock, ScriptedKind


def define(steps: dict[str, Any], **rest: Any) -> WorkflowDefinition:
    """Steps of kind `test`, unless they say otherwise."""
    return parse_definition({"name": "p", "steps": {k: {"kind": "test", **v} for k, v in steps.items()}, **rest})


def nap(call: StepCall) -> object:
    """Waits as long as it is told, once."""
    seconds: Any = call.arguments["seconds"]
    return Wait(seconds) if call.due_at is None else "awake"


NAP = define({"a": {"with": {"seconds": "${{ inputs.seconds }}"}}}, inputs={"seconds": {"type": "number"}})


async def start_naps(backend: EmbeddedBackend, *seconds: float) -> list[str]:
    """One workflow for each; gives their ids once all of them wait."""
    ids = []
    for each in seconds:
        started = await backend.start(NAP, {"seconds": each})
        ids.append(started.workflow_id)
        async for event in backend.watch(started.workflow_id):
            if event.type == "step.waiting":
                break
    return ids


async def test_what_waits_leaves_memory_and_ends_on_time(tmp_path: Path) -> None:
    """Only a few stay; the clock is asked for the first that is due, and every one ends at its time, not before."""
    clock = ManualClock()
    backend = EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind(nap)}, clock=clock, max_idle=3, retention=None)
    async with backend:
        begun = clock.now()
        ids = await start_naps(backend, *range(100, 120))
        assert len(backend._engine.runs) == 3
        for number, workflow_id in enumerate(ids):
            assert clock.next_due_at is not None
            assert (clock.next_due_at - begun).total_seconds() == 100 + number
            clock.advance((clock.next_due_at - clock.now()).total_seconds())
            state = await backend.wait(workflow_id, 20)
            assert (state.status, state.finished_at) == ("succeeded", clock.now())
        assert backend._engine.runs == {}


async def test_questions_are_answered_without_memory(tmp_path: Path) -> None:
    """A workflow that rests in the journal is read, watched and waited for as any other."""
    clock = ManualClock()
    backend = EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind(nap)}, clock=clock, max_idle=0)
    async with backend:
        (workflow_id,) = await start_naps(backend, 50)
        assert backend._engine.runs == {}
        assert (await backend.get(workflow_id)).steps["a"].status == "waiting"
        (cause,) = await backend.why(workflow_id)
        assert cause.kind == "timer"
        watching = asyncio.create_task(collect(backend, workflow_id))
        waiting = asyncio.create_task(backend.wait(workflow_id))
        clock.advance(60)
        assert (await waiting).status == "succeeded"
        assert (await watching)[-1] == "workflow.succeeded"


async def collect(backend: EmbeddedBackend, workflow_id: str) -> list[str]:
    """The types of all events of a workflow, to its end."""
    return [event.type async for event in backend.watch(workflow_id)]


async def test_opening_loads_nothing_that_only_waits(tmp_path: Path) -> None:
    """A thousand that wait cost nothing at the next opening, and what became due meanwhile goes on at once."""
    clock = ManualClock()
    kinds = {"test": ScriptedKind(nap)}
    async with EmbeddedBackend(tmp_path, kinds=kinds, clock=clock, synchronous="NORMAL") as backend:
        await asyncio.gather(*(backend.start(NAP, {"seconds": 1000}) for _ in range(1000)))
        (soon,) = await start_naps(backend, 50)
        while len(await backend._reader.unparked()):
            await anything(backend)
    clock.advance(60)
    async with EmbeddedBackend(tmp_path, kinds=kinds, clock=clock, max_busy=10) as backend:
        assert (await backend.wait(soon, 20)).status == "succeeded"
        assert len(backend._engine.runs) == 0
        assert len(await backend.unfinished()) == 1000
        clock.advance(1000)
        for workflow_id in await backend.unfinished():
            assert (await backend.wait(workflow_id, 50)).status == "succeeded"


async def anything(backend: EmbeddedBackend) -> None:
    """Until something more is durable."""
    async with asyncio.timeout(20):
        async for _ in backend.watch(from_position=1):
            return


async def leave_unfinished(folder: Path, kinds: dict[str, Any], gate: Gate, *ids: str) -> None:
    """Begin workflows whose first step runs when the engine closes."""
    backend = EmbeddedBackend(folder, kinds={**kinds, "test": ScriptedKind(gate)})
    async with backend:
        for workflow_id in ids:
            await backend.start(define({"a": {}}), workflow_id=workflow_id)
            await gate.arrival()
        await backend.close(drain_s=0)


async def test_an_engine_takes_up_the_oldest_first_and_only_so_many(tmp_path: Path) -> None:
    """The others follow as there is room; one that is asked for comes before its turn."""
    ids = [f"w{number}" for number in range(6)]
    await leave_unfinished(tmp_path, {}, Gate(), *ids)
    gate = Gate()
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind(gate)}, max_busy=2) as backend:
        assert sorted([(await gate.arrival()).workflow_id, (await gate.arrival()).workflow_id]) == ["w0", "w1"]
        assert backend._engine.runs.keys() == {"w0", "w1"}
        (cause,) = await backend.why("w5")
        assert cause.kind == "turn"
        await backend.cancel("w5")
        assert (await backend.wait("w5")).status == "cancelled"
        assert backend._engine.runs.keys() == {"w0", "w1"}
        gate.open()
        states = [await backend.wait(workflow_id, 20) for workflow_id in ids]
    assert [state.status for state in states] == ["succeeded"] * 5 + ["cancelled"]


async def test_who_waits_for_one_that_cannot_go_on_is_told_so(tmp_path: Path) -> None:
    """Whether the engine has come to it already or not."""
    await leave_unfinished(tmp_path, {}, Gate(), "one", "two")
    async with EmbeddedBackend(tmp_path, kinds={}, max_busy=1) as backend:
        for workflow_id in ("two", "one", "two"):
            with pytest.raises(UnknownStepKind):
                await backend.wait(workflow_id, 20)
        (cause,) = await backend.why("one")
        assert cause.kind == "not_resumed"


async def test_what_is_left_alone_is_not_woken(tmp_path: Path) -> None:
    """With `resume="none"` time passes for earlier workflows only when they are taken up; new ones rest and wake."""
    clock = ManualClock()
    kinds = {"test": ScriptedKind(nap)}
    async with EmbeddedBackend(tmp_path, kinds=kinds, clock=clock) as backend:
        old, asked = await start_naps(backend, 50, 50)
    async with EmbeddedBackend(tmp_path, kinds=kinds, clock=clock, resume="none", max_idle=0) as backend:
        (new,) = await start_naps(backend, 100)
        clock.advance(200)
        assert (await backend.wait(new, 20)).status == "succeeded"
        await backend.take_up(asked)
        clock.advance(0)
        assert (await backend.wait(asked, 20)).status == "succeeded"
        with pytest.raises(WorkflowNotResumed):
            await backend.wait(old)
        assert (await backend.get(old)).steps["a"].status == "waiting"
        assert await backend.publish({"type": "any"}) == 0


async def test_children_are_taken_up_with_their_parent(tmp_path: Path) -> None:
    """An engine that leaves workflows alone goes on with a whole family when it is asked for the parent."""
    gate = Gate()
    body = {"name": "child", "steps": {"c": {"kind": "test"}}}
    family = define({"a": {"kind": "workflow", "body": body, "with": {"inputs": {}}}})
    backend = EmbeddedBackend(tmp_path, kinds={**builtin_step_kinds(), "test": ScriptedKind(gate)})
    async with backend:
        await backend.start(family, workflow_id="parent")
        await gate.arrival()
        await backend.close(drain_s=0)
    kinds = {**builtin_step_kinds(), "test": ScriptedKind()}
    async with EmbeddedBackend(tmp_path, kinds=kinds, resume="none") as backend:
        await backend.take_up("parent")
        assert (await backend.wait("parent", 20)).status == "succeeded"
        assert await backend.unfinished() == []


async def test_a_place_of_a_concurrency_key_is_held_over_the_end_of_the_engine(tmp_path: Path) -> None:
    """A later workflow of the key waits, although the one that holds it waits itself and is not in memory at first."""
    kinds = {**builtin_step_kinds(), "test": ScriptedKind()}
    steps = {"a": {"kind": "signal", "with": {"name": "go"}}, "b": {"needs": ["a"]}}
    definition = define(steps, concurrency={"key": "one"})
    async with EmbeddedBackend(tmp_path, kinds=kinds, max_idle=0) as backend:
        await backend.start(definition, workflow_id="first")
        async for event in backend.watch("first"):
            if event.type == "step.waiting":
                break
    async with EmbeddedBackend(tmp_path, kinds=kinds, max_idle=0) as backend:
        await backend.start(definition, workflow_id="second")
        await backend.signal("second", "go")
        other = await backend.start(define({"b": {}}))
        assert (await backend.wait(other.workflow_id, 20)).status == "succeeded"
        assert (await backend.get("second")).steps["a"].status == "scheduled"
        await backend.signal("first", "go")
        for workflow_id in ("first", "second"):
            assert (await backend.wait(workflow_id, 20)).status == "succeeded"
        states = [await backend.get(workflow_id) for workflow_id in ("first", "second")]
    first_end, second_begin = (states[0].finished_at, states[1].steps["a"].started_at)
    assert first_end is not None
    assert second_begin is not None
    assert first_end <= second_begin


async def test_the_time_of_a_whole_workflow_is_up_although_it_rests(tmp_path: Path) -> None:
    """Its `timeout_s` is heeded in the journal, in this engine and in the next one."""
    clock = ManualClock()
    definition = define({"a": {"with": {"seconds": 5000}}}, timeout_s=100)
    kinds = {"test": ScriptedKind(nap)}
    async with EmbeddedBackend(tmp_path, kinds=kinds, clock=clock, max_idle=0) as backend:
        for workflow_id in ("here", "there"):
            await backend.start(definition, workflow_id=workflow_id)
            async for event in backend.watch(workflow_id):
                if event.type == "step.waiting":
                    break
            if workflow_id == "here":
                clock.advance(99)
                assert (await backend.get("here")).status == "running"
                clock.advance(2)
                state = await backend.wait("here", 20)
                assert (state.status, (state.error or {})["code"]) == ("failed", "workflow.timed-out")
    clock.advance(200)
    async with EmbeddedBackend(tmp_path, kinds=kinds, clock=clock) as backend:
        assert (await backend.wait("there", 20)).status == "failed"


async def test_commands_at_the_same_moment_find_one_workflow(tmp_path: Path) -> None:
    """However many ask for one that rests, it is loaded once, and every command counts."""
    kinds = builtin_step_kinds()
    definition = define({"a": {"kind": "signal", "with": {"name": "never"}}})
    async with EmbeddedBackend(tmp_path, kinds=kinds, max_idle=0) as backend:
        started = await backend.start(definition)
        async for event in backend.watch(started.workflow_id):
            if event.type == "step.waiting":
                break
        async with asyncio.timeout(20):
            while backend._engine.runs:  # it is laid down once that it rests is durable
                await backend.list()
        seqs = await asyncio.gather(*(backend.signal(started.workflow_id, "other", n) for n in range(50)))
        state = await backend.get(started.workflow_id)
        assert len(state.signals) == 50
        assert sorted(seqs) == list(range(state.seq - 49, state.seq + 1))
        with pytest.raises(ValueError, match="at least 1"):
            EmbeddedBackend(tmp_path, kinds=kinds, max_busy=0)
