"""SIGKILL right before and right after every journal write of a sample workflow; then the process is started again."""

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
import asyncio, json, os, signal, sys
from pathlib import Path
from maestro_workflow_engine import EmbeddedBackend, parse_definition
from maestro_workflow_engine.testing import CountingBackend, ScriptedKind, dying_backend

DEFINITION = parse_definition({
    "name": "sample",
    "inputs": {"deep": {"type": "boolean", "default": False}},
    "steps": {
        "list": {"kind": "log", "with": {"give": [1, 2, 3, 4]}},
        "each": {
            "kind": "log",
            "map": {"items": "${{ steps.list.output }}", "max_parallel": 2},
            "with": {"give": "${{ item * 10 }}"},
        },
        "flaky": {
            "kind": "log",
            "needs": ["list"],
            "with": {"give": "at last", "failures": 2},
            "retry": {"max_attempts": 3, "initial_delay_s": 0.001},
        },
        "deep": {"kind": "log", "needs": ["flaky"], "when": "${{ inputs.deep }}"},
        "large": {"kind": "log", "needs": ["deep"], "with": {"give": "x", "times": 20000}},
        "nap": {"kind": "nap", "needs": ["list"]},
        "join": {
            "kind": "log",
            "with": {
                "give": ["${{ steps.each.output }}", "${{ steps.flaky.output }}", "${{ len(steps.large.output) }}"],
            },
            "needs": ["nap"],
        },
        "last": {"kind": "log", "with": {"give": "${{ steps.join.output }}"}},
    },
    "outputs": {"all": "${{ steps.last.output }}"},
})


def kinds(log):
    def note(word, call):
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{word} {call.idempotency_key}\\n".encode())
        os.fsync(file)
        os.close(file)

    async def run(call):
        note("begin", call)
        await asyncio.sleep(0)
        if call.attempt <= call.arguments.get("failures", 0):
            raise RuntimeError("not yet")
        note("end", call)
        return call.arguments["give"] * call.arguments.get("times", 1)

    from maestro_workflow_engine import Wait
    nap = ScriptedKind(lambda call: Wait(0.002) if call.due_at is None else None)
    return {"log": ScriptedKind(run), "nap": nap}


async def work(backend_type, folder):
    async with backend_type(folder / "data", kinds=kinds(folder / "log")) as backend:
        if not (await backend.list()).items:
            await backend.start(DEFINITION, workflow_id="w")
        state = await backend.wait("w", 30)
        (folder / "result").write_text(json.dumps([state.status, state.outputs]))
        if backend_type is CountingBackend:
            (folder / "commits").write_text(str(len(backend.transactions)))


def forked(backend_type, folder):
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(work(backend_type, folder))
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def durable(folder):
    import sqlite3
    connection = sqlite3.connect(folder / "data" / "journal.db")
    rows = connection.execute("SELECT type, data FROM events ORDER BY position").fetchall()
    connection.close()
    return [[type_, json.loads(data)] for type_, data in rows]


base = Path(sys.argv[1])
(base / "whole").mkdir()
assert forked(CountingBackend, base / "whole") == 0
commits = int((base / "whole" / "commits").read_text())
cases = []
for moment in ("before", "after"):
    for number in range(1, commits + 3):
        folder = base / f"{moment}-{number}"
        folder.mkdir()
        status = forked(dying_backend(number, moment=moment), folder)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or status == 0, status
        log = folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        events = durable(folder)
        assert forked(EmbeddedBackend, folder) == 0
        cases.append({
            "name": folder.name, "killed": killed, "log": lines, "events": events,
            "log_after": log.read_text().splitlines()[len(lines):], "events_after": durable(folder),
            "result": json.loads((folder / "result").read_text()),
        })
whole = json.loads((base / "whole" / "result").read_text())
print(json.dumps({"commits": commits, "whole": whole, "cases": cases}))
"""

SUCCEEDED, FAILED = 5, 6


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


def key_of(data: dict[str, Any]) -> str:
    """The idempotency key of the attempt that an event is about."""
    where = data["step"] if "item" not in data else f"{data['step']}[{data['item']}]"
    return f"w/{where}/{data['attempt']}"


def ended(events: list[Any]) -> set[str]:
    """Attempts whose end is durable."""
    return {key_of(data) for type_, data in events if type_ in (SUCCEEDED, FAILED)}


def test_every_write_was_hit(report: Any) -> None:
    """The process died at each transaction of the workflow, on either side of it."""
    assert report["commits"] >= 12
    killed = [case["name"] for case in report["cases"] if case["killed"]]
    assert len(killed) >= 2 * (report["commits"] - 3)
    assert {"before-1", "after-1"} <= set(killed)


def test_the_result_is_the_same_after_every_crash(report: Any) -> None:
    """Wherever it was, the workflow ends as it does without a crash."""
    assert report["whole"] == ["succeeded", {"all": [[10, 20, 30, 40], "at last", 20000]}]
    for case in report["cases"]:
        assert case["result"] == report["whole"], case["name"]


def test_no_finished_step_runs_again(report: Any) -> None:
    """An attempt whose end was durable at the crash never begins again."""
    for case in report["cases"]:
        again = {line.partition(" ")[2] for line in case["log_after"] if line.startswith("begin")}
        assert not again & ended(case["events"]), case["name"]


def test_what_was_in_flight_is_repeated_at_most_once_with_the_same_key(report: Any) -> None:
    """Every attempt begins once, or twice when it was under way at the crash; none is left out."""
    wanted = {"w/list/1", "w/flaky/1", "w/flaky/2", "w/flaky/3", "w/large/1", "w/join/1", "w/last/1"}
    wanted |= {f"w/each[{item}]/1" for item in range(4)}
    for case in report["cases"]:
        before = Counter(line.partition(" ")[2] for line in case["log"] if line.startswith("begin"))
        after = Counter(line.partition(" ")[2] for line in case["log_after"] if line.startswith("begin"))
        assert set(before) | set(after) == wanted, case["name"]
        assert max(before.values(), default=1) == 1, case["name"]
        assert max(after.values(), default=1) == 1, case["name"]


def test_what_was_durable_stays(report: Any) -> None:
    """The journal is only ever added to."""
    for case in report["cases"]:
        assert case["events_after"][: len(case["events"])] == case["events"], case["name"]
