"""Retention inside a running engine, and engines that are killed in the middle of it."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from libraries.maestro_workflow_engine import store_kit

from maestro_workflow_engine import (
    ArtifactNotFound,
    EmbeddedBackend,
    Wait,
    WorkflowDefinition,
    WorkflowNotFound,
    parse_definition,
)
from maestro_workflow_engine._embedded._retention import RetentionPolicy
from maestro_workflow_engine.testing import Gate, ManualClock, ScriptedKind, large_output

DAY_S = 86400.0


def define(**steps: dict[str, Any]) -> WorkflowDefinition:
    """Steps of kind `test`."""
    return parse_definition({"name": "n", "steps": {name: {"kind": "test", **step} for name, step in steps.items()}})


async def gone(backend: EmbeddedBackend, clock: ManualClock, workflow_id: str) -> None:
    """Wait until a workflow is forgotten, while seconds pass: nobody knows when retention looks next."""
    async with asyncio.timeout(20):
        while workflow_id in [item.id for item in (await backend.list()).items]:
            clock.advance(1)


async def test_an_engine_forgets_what_ended_a_month_ago(tmp_path: Path) -> None:
    """By default; what sleeps for a year stays, and a definition that went is stored again when it is needed again."""
    clock = ManualClock()
    kinds = {"test": ScriptedKind(), "nap": ScriptedKind(lambda call: Wait(365 * DAY_S) if call.due_at is None else 1)}
    policy = RetentionPolicy(check_every_s=1.0)
    async with EmbeddedBackend(tmp_path, kinds=kinds, clock=clock, retention=policy) as backend:
        sleeps = await backend.start(define(a={"kind": "nap"}), workflow_id="sleeps")
        await backend.wait((await backend.start(define(a={}), workflow_id="old")).workflow_id)
        clock.advance(29 * DAY_S)
        await backend.wait((await backend.start(define(a={}, b={}), workflow_id="young")).workflow_id)
        assert (await backend.get("old")).status == "succeeded"
        clock.advance(1.1 * DAY_S)
        await gone(backend, clock, "old")
        with pytest.raises(WorkflowNotFound):
            await backend.get("old")
        assert [item.id for item in (await backend.list()).items] == ["young", "sleeps"]
        again = await backend.start(define(a={}), workflow_id="old")
        assert (await backend.wait(again.workflow_id, 20)).status == "succeeded"
        clock.advance(335 * DAY_S)
        assert (await backend.wait(sleeps.workflow_id, 20)).status == "succeeded"


async def test_an_engine_that_keeps_everything_still_forgets_on_demand(tmp_path: Path) -> None:
    """`retention=None`: nothing goes by itself."""
    clock = ManualClock()
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}, clock=clock, retention=None) as backend:
        for name in ("a", "b"):
            await backend.wait((await backend.start(define(a={}), workflow_id=name)).workflow_id)
        clock.advance(9999 * DAY_S)
        await backend.delete("a")
        assert [item.id for item in (await backend.list()).items] == ["b"]


async def test_artifacts_go_with_their_workflow_but_not_under_a_running_attempt(tmp_path: Path) -> None:
    """The result of the one is cleared away while the other is still at work with what it has kept."""
    gate, clock = Gate(), ManualClock(datetime.now(UTC))
    kept: list[str] = []

    async def work(call: Any) -> object:
        kept.append((await call.artifacts.put(b"kept early", "early")).sha256)
        return await gate(call)

    kinds = {"test": ScriptedKind(large_output(50_000)), "work": ScriptedKind(work)}
    policy = RetentionPolicy(finished_after_s=DAY_S, artifact_grace_s=DAY_S, check_every_s=1.0)
    async with EmbeddedBackend(tmp_path, kinds=kinds, clock=clock, retention=policy) as backend:
        await backend.start(define(a={"kind": "work"}), workflow_id="works")
        await gate.arrival()
        await backend.wait((await backend.start(define(a={}), workflow_id="old")).workflow_id)
        large = (await backend.get("old")).steps["a"].output.sha256  # type: ignore[union-attr]  # it is a reference
        clock.advance(9 * DAY_S)
        await gone(backend, clock, "old")
        assert await backend.artifact(kept[0])
        gate.open()
        state = await backend.wait("works", 20)
        assert (state.steps["a"].artifacts[0].sha256, state.status) == (kept[0], "succeeded")
        clock.advance(0.5 * DAY_S)
        async with asyncio.timeout(20):
            while await is_kept(backend, large):
                clock.advance(60)
        assert await is_kept(backend, kept[0])


async def is_kept(backend: EmbeddedBackend, sha256: str) -> bool:
    """Whether an artifact is there."""
    try:
        await backend.artifact(sha256)
    except ArtifactNotFound:
        return False
    return True


# One process that forks for each kill: a fresh interpreter for each would take most of the time.
DRIVER = """
import asyncio, json, os, signal, sys
from datetime import timedelta
from pathlib import Path
from libraries.maestro_workflow_engine.store_kit import NOON, Store
from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._embedded._reader import Reader
from maestro_workflow_engine._embedded._retention import Retention, RetentionPolicy
from maestro_workflow_engine.testing import ManualClock

LONG_AGO = NOON - timedelta(days=9)


async def work(folder, number, moment):
    store = Store(folder)
    if not store.rows("SELECT 1 FROM workflows"):
        for each in range(25):
            store.ended(f"w{each}", at=LONG_AGO, labels={"n": str(each % 3)}, name=f"n{each % 2}")
        store.ended("p", at=LONG_AGO)
        store.ended("c", at=LONG_AGO, parent="p")
        store.start("long", at=LONG_AGO)
        store.add("long", *([("signal.received", {"name": "x", "id": "x", "payload": None})] * 2500), at=LONG_AGO)
        store.end("long", at=LONG_AGO)
        store.start("runs", at=LONG_AGO)
    artifacts = ArtifactStore(folder / "artifacts")
    artifacts.prepare()

    async def write(statements):
        if store.writes == number and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await store.write(statements)
        if store.writes == number + 1 and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    reader = Reader(store.path, 5.0)
    retention = Retention(
        reader, artifacts, policy=RetentionPolicy(finished_after_s=86400.0), clock=ManualClock(NOON),
        write=write, forget=lambda ids, digests: None, oldest_attempt_at=lambda: None,
    )
    await retention.sweep()
    await reader.close()
    (folder / "dump").write_text(json.dumps(store.dump(), default=str))
    (folder / "writes").write_text(str(store.writes))
    store.close()


def forked(folder, number, moment):
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(work(folder, number, moment))
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def run(folder, number=-1, moment="never"):
    folder.mkdir(exist_ok=True)
    status = forked(folder, number, moment)
    assert status == 0 or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL), status
    return status != 0


base = Path(sys.argv[1])
assert not run(base / "whole")
writes = int((base / "whole" / "writes").read_text())
cases = []
for moment in ("before", "after"):
    for number in range(writes):
        folder = base / f"{moment}-{number}"
        killed = run(folder, number, moment)
        run(folder)
        cases.append([folder.name, killed, json.loads((folder / "dump").read_text())])
print(json.dumps({"writes": writes, "whole": json.loads((base / "whole" / "dump").read_text()), "cases": cases}))
"""


def test_a_kill_before_or_after_any_delete_costs_nothing(tmp_path: Path) -> None:
    """SIGKILL on either side of every transaction: the next engine ends where one that was not killed has ended."""
    assert store_kit.__name__ in DRIVER, "what the driver imports has to be there"
    script = f"import sys; sys.path[:0] = {sys.path!r}\n{DRIVER}"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["writes"] >= 8
    assert [row[1] for row in report["whole"]["workflows"]] == ["runs"]
    for name, killed, dump in report["cases"]:
        assert killed, name
        assert dump == report["whole"], name
