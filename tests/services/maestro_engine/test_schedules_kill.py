"""Exactly one start for each nominal time, wherever a kill comes in between."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from services.maestro_engine.dying_schedules import MISSED, POINTS, after_it_was_killed
from services.maestro_engine.scheduling import desk_in, nominal

from kit.processes import import_path


def killed(folder: Path, point: str, moment: str, at_call: int) -> None:
    """Run the process to its death."""
    program = "from services.maestro_engine.dying_schedules import main; main()"
    words = [sys.executable, "-c", program, str(folder), point, moment, str(at_call)]
    done = subprocess.run(words, env={"PYTHONPATH": import_path()}, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize("at_call", [1, 3])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_anywhere_leaves_one_start_for_each_time(
    tmp_path: Path, point: str, moment: str, at_call: int
) -> None:
    """Killed before or after the decision is written, a workflow is started, or that is noted: each comes once."""
    killed(tmp_path, point, moment, 1 if point == "decide" else at_call)
    async with desk_in(tmp_path, after_it_was_killed()) as desk:
        row = desk.schedules.named("it")
        runs = await desk.until_states(row.id, *["started"] * MISSED)
        assert nominal(runs) == [1, 2, 3, 4, 5]
        ids = [run.workflow_id for run in runs]
        assert sorted(map(str, ids)) == sorted(await desk.workflows())
        for workflow_id in ids:
            assert (await desk.backend.wait(str(workflow_id), 10)).status == "succeeded"
        assert desk.schedules.named("it").starts == MISSED
