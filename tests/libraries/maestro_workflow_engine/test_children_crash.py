"""SIGKILL right before and right after every journal write of workflows with children, and then another start."""

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from kit.processes import import_path

# One process that forks for each crash: a fresh interpreter for each would take most of the time.
DRIVER = """
import asyncio, itertools, json, os, signal, sys
from pathlib import Path
from maestro_workflow_engine import EmbeddedBackend, builtin_step_kinds, parse_definition
from maestro_workflow_engine.testing import ScriptedKind, dying_backend

LEAF = {"name": "leaf", "inputs": {"x": {"type": "integer"}}, "outputs": {"y": "${{ steps.c.output }}"},
        "steps": {"c": {"kind": "log", "with": {"give": "${{ inputs.x }}"}}}}
MIDDLE = {"name": "middle", "inputs": {"x": {"type": "integer"}}, "outputs": {"y": "${{ steps.b.output.y }}"},
          "steps": {"b": {"kind": "workflow", "body": LEAF, "with": {"inputs": {"x": "${{ inputs.x }}"}}}}}
DEFINITIONS = {
    "ends": parse_definition({
        "name": "ends",
        "steps": {
            "each": {
                "kind": "workflow", "body": MIDDLE, "with": {"inputs": {"x": "${{ item }}"}},
                "map": {"items": [1]},
            },
            "last": {"kind": "log", "with": {"give": "${{ steps.each.output }}"}},
        },
        "outputs": {"all": "${{ steps.last.output }}"},
    }),
    "cancelled": parse_definition({
        "name": "cancelled",
        "steps": {"a": {"kind": "workflow", "with": {"inputs": {}}, "body": {
            "name": "middle", "steps": {"b": {"kind": "workflow", "with": {"inputs": {}}, "body": {
                "name": "leaf", "steps": {"s": {"kind": "signal", "with": {"name": "never"}}},
            }}},
        }}},
    }),
    "skipped": parse_definition({
        "name": "skipped",
        "steps": {
            "a": {"kind": "workflow", "with": {"inputs": {}}, "body": {
                "name": "leaf", "steps": {"s": {"kind": "signal", "with": {"name": "never"}}},
            }},
            "z": {"kind": "log", "needs": ["a"], "with": {"give": 1}},
        },
    }),
}


def kinds(log):
    async def run(call):
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{call.idempotency_key}\\n".encode())
        os.fsync(file)
        os.close(file)
        return call.arguments["give"]

    return {**builtin_step_kinds(), "log": ScriptedKind(run)}


async def reached(backend, depth):
    # The deepest child waits for its signal.
    while True:
        waiting = await backend.waiting(kind="signal")
        if waiting.items:
            return
        async for event in backend.watch(from_position=1):
            if event.type == "step.waiting" and event.data["on"]["kind"] == "signal":
                break


async def work(backend_type, folder, case):
    settings = {"synchronous": "NORMAL", **({"max_idle": 0} if case == "skipped" else {})}  # a SIGKILL needs no more
    async with backend_type(folder / "data", kinds=kinds(folder / "log"), **settings) as backend:
        if not (await backend.list()).items:
            await backend.start(DEFINITIONS[case], workflow_id="w")
        if case != "ends" and not (state := await backend.get("w")).is_finished:
            if state.status == "running" and state.steps["a"].status != "skipped":
                await reached(backend, 2)
            if case == "cancelled":
                await backend.cancel("w")
            elif state.steps["a"].status != "skipped":
                await backend.skip("w", "a")
        state = await backend.wait("w", 30)
        async with asyncio.timeout(30):
            for summary in (await backend.list()).items:
                await backend.wait(summary.id)
        everyone = sorted((each.id, each.status) for each in (await backend.list()).items)
        (folder / "result").write_text(json.dumps([state.status, state.outputs, everyone]))


def forked(backend_type, folder, case):
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(work(backend_type, folder, case))
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def lines(folder):
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


base = Path(sys.argv[1])
report = {}
for case in DEFINITIONS:
    whole = base / case
    whole.mkdir()
    assert forked(EmbeddedBackend, whole, case) == 0
    crashes = []
    for moment in ("before", "after"):
        for number in itertools.count(1):
            folder = base / f"{case}-{moment}-{number}"
            folder.mkdir()
            status = forked(dying_backend(number, moment=moment), folder, case)
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            assert killed or status == 0, status
            before = lines(folder)
            assert forked(EmbeddedBackend, folder, case) == 0, folder.name
            crashes.append({
                "name": folder.name, "killed": killed, "before": before, "after": lines(folder)[len(before):],
                "result": json.loads((folder / "result").read_text()),
            })
            if not killed:
                break
    report[case] = {
        "whole": json.loads((whole / "result").read_text()), "log": lines(whole), "crashes": crashes,
    }
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What happened in all the crashes."""
    folder = tmp_path_factory.mktemp("crashes")
    (folder / "driver.py").write_text(DRIVER)
    done = subprocess.run(
        [sys.executable, str(folder / "driver.py"), str(folder)],
        env={**os.environ, "PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


CASES = ("ends", "cancelled", "skipped")


@pytest.mark.parametrize("case", CASES)
def test_every_gap_was_hit(report: Any, case: str) -> None:
    """The process died at each transaction, on either side of it, until there was none left."""
    names = [crash["name"].removeprefix(f"{case}-") for crash in report[case]["crashes"] if crash["killed"]]
    for moment in ("before", "after"):
        numbers = [int(name.partition("-")[2]) for name in names if name.startswith(moment)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= 5


@pytest.mark.parametrize("case", CASES)
def test_the_family_is_the_same_after_every_crash(report: Any, case: str) -> None:
    """Every child was started once, and ended as it does without a crash; none is left behind."""
    whole = report[case]["whole"]
    assert {status for _, status in whole[2]} <= {"succeeded", "cancelled"}
    assert len(whole[2]) == {"ends": 3, "cancelled": 3, "skipped": 2}[case]
    for crash in report[case]["crashes"]:
        assert crash["result"] == whole, crash["name"]


def test_no_step_of_a_child_is_repeated_but_what_was_in_flight(report: Any) -> None:
    """Each ran once, or twice when it was under way at the crash."""
    wanted = set(report["ends"]["log"])
    assert len(wanted) == 2
    for crash in report["ends"]["crashes"]:
        before, after = Counter(crash["before"]), Counter(crash["after"])
        assert set(before) | set(after) == wanted, crash["name"]
        assert max(before.values(), default=1) == max(after.values(), default=1) == 1, crash["name"]
