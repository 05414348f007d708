"""Ctrl-C, once and twice, in a real process."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from maestro_workflow_engine import EmbeddedBackend, builtin_step_kinds, parse_definition

PROGRAM = """
import asyncio, sys
from pathlib import Path
from maestro_workflow_engine import EmbeddedBackend, builtin_step_kinds, parse_definition

command = "echo $$ > $PIDS/pid; while [ ! -e $PIDS/go ]; do sleep 0.01; done"
DEFINITION = parse_definition({"name": "slow", "steps": {
    "slow": {"kind": "shell", "with": {"command": command, "env": {"PIDS": sys.argv[1]}}},
    "after": {"kind": "shell", "with": {"command": "true"}, "needs": ["slow"]},
}})

async def main():
    async with EmbeddedBackend(Path(sys.argv[1]) / "data", kinds=builtin_step_kinds()) as backend:
        await backend.start(DEFINITION, workflow_id="w")
        try:
            async for event in backend.watch("w"):
                if event.type == "step.started":
                    print("started", flush=True)
        except asyncio.CancelledError:
            # From the loop: by then this task drains, and the next interrupt cannot hit it in the middle of a line.
            asyncio.get_running_loop().call_soon(lambda: print("stopping", flush=True))
            raise

asyncio.run(main())
"""


def types_in(folder: Path) -> list[int]:
    """The numbers of the types of all events."""
    connection = sqlite3.connect(folder / "data" / "journal.db")
    try:
        return [type_ for (type_,) in connection.execute("SELECT type FROM events ORDER BY position")]
    finally:
        connection.close()


def alive_in_group(group: str) -> list[str]:
    """The processes of a group that are no zombies."""
    alive = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = file.read_text().rpartition(")")[2].split()[:3]
            if its_group == group and state != "Z":
                alive.append(file.parent.name)
    return alive


@pytest.mark.parametrize("times", [1, 2])
async def test_an_interrupted_engine_leaves_its_workflows_resumable(tmp_path: Path, times: int) -> None:
    """The first Ctrl-C drains, the second stops; no child is left, nothing is failed, and the next engine goes on."""
    process = subprocess.Popen(  # noqa: ASYNC220 - a process that is interrupted must not be a child of this loop
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{PROGRAM}", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        if times == 1:
            (tmp_path / "go").touch()
        else:
            process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in complaint
    assert "never awaited" not in complaint
    assert alive_in_group((tmp_path / "pid").read_text().strip()) == []
    # started, scheduled, step started; when the step was let finish: succeeded, and the next one scheduled
    assert types_in(tmp_path) == ([0, 1, 3, 5, 1] if times == 1 else [0, 1, 3])
    (tmp_path / "go").touch()
    async with EmbeddedBackend(tmp_path / "data", kinds=builtin_step_kinds()) as backend:
        assert (await backend.wait("w", 20)).status == "succeeded"


async def test_steps_that_are_stopped_before_their_first_turn_hold_nobody_up(tmp_path: Path) -> None:
    """As when the disk is full while many steps begin: closing does not wait for steps that never ran."""
    definition = parse_definition({"name": "n", "steps": {"a": {"kind": "sleep", "with": {"seconds": 0}}}})
    backend = EmbeddedBackend(tmp_path, kinds=builtin_step_kinds(), stop_grace_s=15)
    async with backend:
        await backend.start(definition)
        # The start is told before the loop comes to the step that follows from it: nothing may be awaited in between.
        assert len(asyncio.all_tasks()) > 1
        backend._engine.runner.halt()
        async with asyncio.timeout(10):
            await backend.close()


async def test_closing_twice_is_fine(tmp_path: Path) -> None:
    """The second time nothing is left to do."""
    backend = EmbeddedBackend(tmp_path, kinds=builtin_step_kinds())
    async with backend:
        started = await backend.start(
            parse_definition({"name": "n", "steps": {"a": {"kind": "sleep", "with": {"seconds": 0}}}})
        )
        await backend.wait(started.workflow_id)
        await backend.close()
        await backend.close()
