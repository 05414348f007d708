"""One story in which every kind of record is written, for tests in which the world fails at any of them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from libraries.maestro_workflow_engine.kill_recovery import durable_events, recovered

from maestro_workflow_engine import EmbeddedBackend, StepKind, Wait, builtin_step_kinds, parse_definition
from maestro_workflow_engine._embedded._journal import Journal, Record
from maestro_workflow_engine.testing import ManualClock, ScriptedKind, fails

PATIENCE_S = 20.0
T: dict[str, Any] = {"kind": "test"}
FIRST = {
    "name": "first",
    "budget": {"calls": 1},
    "steps": {
        "fan": {**T, "map": {"items": [1, 2]}, "with": {"x": "${{ item }}"}, "compensate": {"kind": "test"}},
        "loop": {**T, "repeat": {"until": "${{ iteration >= 2 }}", "max_iterations": 3}, "needs": ["fan"]},
        "poor": {**T, "cost": {"calls": 2}, "needs": ["loop"]},
        "no": {**T, "when": False},
        "told": {"kind": "signal", "with": {"name": "go"}, "needs": ["poor"]},
        "bad": {"kind": "bad", "needs": ["told"], "retry": {"max_attempts": 2, "initial_delay_s": 10}},
    },
    "finally": {"last": T},
}
LATE = {"name": "late", "timeout_s": 50, "steps": {"a": {"kind": "never"}, "b": {**T, "needs": ["a"]}}}
OTHER = {"name": "other", "timeout_s": 5_000, "steps": {"a": {"kind": "never"}, "c": T}}


def kinds() -> dict[str, StepKind]:
    """What the steps of the story are made of."""
    return {
        **builtin_step_kinds(),
        "test": ScriptedKind(),
        "bad": ScriptedKind(fails(9)),
        "never": ScriptedKind(lambda call: Wait(None, {"kind": "task", "id": "x"})),
    }


async def tell(backend: EmbeddedBackend, clock: ManualClock, done: list[dict[str, Any]]) -> None:
    """The story; `done` gets what was acknowledged. Raises what the backend raises when the world fails."""

    def note(workflow: str, seq: int, what: str) -> None:
        done.append({"workflow": workflow, "seq": seq, "what": what})

    first = await backend.start(parse_definition(FIRST), workflow_id="first")
    note("first", first.seq, "start")
    note("first", await backend.pause("first"), "pause")
    note("first", await backend.resume("first"), "resume")
    note("first", await backend.set_priority("first", 3), "set_priority")
    await seen(backend, "first", "step.waiting", "poor")
    note("first", await backend.set_budget("first", {"calls": 9}), "set_budget")
    await seen(backend, "first", "step.waiting", "told")
    note("first", await backend.signal("first", "go", 1), "signal")
    await seen(backend, "first", "step.failed", "bad")
    clock.advance(60)
    assert (await backend.wait("first", PATIENCE_S)).status == "failed"
    again = await backend.rerun("first", new_id="again")
    note("again", again.seq, "rerun")
    await seen(backend, "again", "step.failed", "bad")
    note("again", await backend.cancel("again", "enough"), "cancel")
    assert (await backend.wait("again", PATIENCE_S)).status == "cancelled"
    for name in ("late", "moved"):
        started = await backend.start(parse_definition(LATE), workflow_id=name)
        note(name, started.seq, "start")
        await seen(backend, name, "step.waiting", "a")
    await backend.migrate("moved", parse_definition(OTHER))
    note("moved", await backend.skip("moved", "a"), "skip")
    assert (await backend.wait("moved", PATIENCE_S)).status == "succeeded"
    clock.advance(60)
    assert (await backend.wait("late", PATIENCE_S)).status == "failed"


async def seen(backend: EmbeddedBackend, workflow_id: str, type_: str, step: str) -> None:
    """Wait for an event to be durable."""
    async with asyncio.timeout(PATIENCE_S):
        async for event in backend.watch(workflow_id):
            if event.type == type_ and event.data.get("step") == step:
                return
    raise AssertionError(f"the workflow ended without {type_} {step}")


def backend_with(commit: Callable[[Journal, list[Record], Callable[[], None]], None]) -> type[EmbeddedBackend]:
    """A backend that commits by way of a function, which is given what would really do it."""

    class ThatJournal(Journal):
        def commit(self, records: list[Record]) -> None:
            commit(self, records, lambda: super(ThatJournal, self).commit(records))

    class ThatBackend(EmbeddedBackend):
        journal_type = ThatJournal

    return ThatBackend


async def check_after(folder: Path, done: list[dict[str, Any]]) -> set[str]:
    """Nothing acknowledged is lost, what ended is not repeated, all histories replay; the types of events so far."""
    rows = durable_events(folder / "journal.db")
    names = {"kinds": sorted(kinds())}
    found = await recovered({folder / "journal.db": rows}, [names, *done])
    assert found["faults"] == []
    return {row[2] for row in rows}
