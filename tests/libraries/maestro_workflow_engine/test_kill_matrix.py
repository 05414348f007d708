"""SIGKILL right before and right after the journal's writes, over the whole conformance suite; then another start.

A sample by default; MAESTRO_FUZZ=long has every write of every scenario, and MAESTRO_KILL_TABLE names a file that the
table is written to (`build-support/bin/kill-matrix` does both).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from libraries.maestro_workflow_engine import kill_matrix, kill_recovery, kill_table

from kit.processes import import_path

IS_LONG = os.environ.get("MAESTRO_FUZZ") == "long"
KILLS_PER_SCENARIO = 0 if IS_LONG else 1
PATIENCE_S = 3_600 if IS_LONG else 110


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What happened in all the kills, by scenario."""
    folder = tmp_path_factory.mktemp("kills")
    done = subprocess.run(
        [sys.executable, kill_matrix.__file__, str(folder), str(KILLS_PER_SCENARIO)],
        env={**os.environ, "PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    table = os.environ.get("MAESTRO_KILL_TABLE")
    if table:
        Path(table).write_text(kill_table.page(rows), encoding="utf-8")
    return rows


def test_every_scenario_was_played_and_killed(report: list[dict[str, Any]]) -> None:
    """Each of them passes when nobody kills it, and most kills hit: two writes may have become one."""
    assert [row["scenario"] for row in report] == kill_matrix.scenarios()
    assert [row["scenario"] for row in report if not row["whole"]] == []
    cases = [case for row in report for case in row["cases"]]
    assert [row["scenario"] for row in report if row["writes"] and not row["cases"]] == []
    assert sum(case["killed"] for case in cases) > 0.8 * len(cases)
    assert {case["moment"] for case in cases} == {"before", "after"}


def test_nothing_acknowledged_is_lost_and_nothing_that_ended_is_repeated(report: list[dict[str, Any]]) -> None:
    """After the next start every workflow comes to its end, and every history replays."""
    faults = [
        f"{row['scenario']}, {case['moment']} write {case['number']}: {fault}"
        for row in report
        for case in row["cases"]
        for fault in case["faults"]
    ]
    assert faults == []
    assert sum(case["acknowledged"] for row in report for case in row["cases"]) > len(report)
    assert sum(case["ended"] for row in report for case in row["cases"]) > 0


async def test_the_matrix_objects_to_what_is_wrong(tmp_path: Path) -> None:
    """An acknowledgement that the journal does not have, a changed event, an ended attempt that is repeated."""
    log, status = kill_matrix.played("test_what_was_in_flight_runs_again_with_the_same_key", tmp_path / "w", 3, "after")
    (journal,) = (tmp_path / "w" / "data").rglob("journal.db")
    assert status
    rows = kill_recovery.durable_events(journal)
    workflow, seq = rows[-1][:2]
    in_flight = {"step": "b", "attempt": 1}
    changed = [*rows, (workflow, seq + 1, "step.succeeded", in_flight)]
    lines = [*log.lines(), {"workflow": workflow, "seq": seq + 2, "what": "pause"}, {"limit": "mail"}]
    found = await kill_recovery.recovered({journal: changed}, lines)
    assert found["faults"] == [
        "what was durable has changed",
        f"{workflow}/b/1 was repeated",
        f"pause of {workflow} was acknowledged and is lost",
        "limit mail is lost",
    ]
