"""Maestro's embedded engine beside DBOS in one run, both on SQLite with `synchronous=FULL`; prints a table with ratios.

Every figure is the median of fresh processes on fresh folders. The engines take turns, so that a slow moment of the
machine hits all alike. The rate of bare SQLite commits on the same disk, measured with each run, is a chain's ceiling.
"""

import argparse
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from workflow_engine.cases import CASES, Case

ENGINES = {
    "maestro": ("workflow_engine.ours", []),
    "dbos": ("workflow_engine.peer_dbos", ["delete"]),
    "dbos-wal": ("workflow_engine.peer_dbos", ["wal"]),
}
TIMEOUT_S = 180


def measure(engine: str, case: Case, parent: Path) -> float:
    """Seconds for one run of `case` in a process and a folder of its own."""
    module, arguments = ENGINES[engine]
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        launched_at = time.time()
        done = subprocess.run(
            [sys.executable, "-m", module, case.name, folder, *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(p) for p in sys.path if p)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        raise SystemExit(f"{engine} failed in {case.name}:\n{done.stderr[-3000:]}")
    seconds = float(done.stdout.split()[-1])
    return seconds - launched_at if case.name == "start" else seconds


def bare_commits_per_s(parent: Path, commits: int = 1_000) -> float:
    """Single-row commits a second of SQLite itself: WAL, synchronous=FULL."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        connection = sqlite3.connect(Path(folder) / "bare.sqlite", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, data TEXT)")
        begun_at = time.perf_counter()
        for i in range(commits):
            connection.execute("INSERT INTO rows VALUES (?, ?)", (i, "x" * 100))
        seconds = time.perf_counter() - begun_at
        connection.close()
    return commits / seconds


def report(case: Case, seconds: dict[str, list[float]]) -> None:
    """Print one line for each engine; the ratio says how many times longer than ours it took."""
    own = statistics.median(seconds["maestro"])
    for engine, found in seconds.items():
        middle = statistics.median(found)
        ratio = "" if engine == "maestro" else f"{middle / own:8.1f}x"
        if case.name == "start":
            figures = f"{middle:>12.3f} s{min(found):>10.3f}{max(found):>10.3f}"
        else:
            median, lowest, highest = (case.steps / value for value in (middle, max(found), min(found)))
            figures = f"{median:>8.0f} st/s{lowest:>10.0f}{highest:>10.0f}"
        print(f"{case.name:<10}{engine:<10}{figures}{ratio:>9}", flush=True)


def options() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description="Maestro's embedded engine beside DBOS, on SQLite.")
    parser.add_argument("--runs", type=int, default=5, help="runs of each engine in each case (default 5)")
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append", help="only this; repeatable")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="its disk is what is measured")
    return parser.parse_args()


def main() -> None:
    """Run what was asked for."""
    asked = options()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"SQLite {sqlite3.sqlite_version}, dbos {version('dbos')}")
    print("durability: synchronous=FULL everywhere; maestro and dbos-wal use WAL, dbos its default rollback journal")
    print(f"{'case':<10}{'engine':<10}{'median':>14}{'lowest':>10}{'highest':>10}{'ratio':>9}")
    for case in CASES:
        if asked.case and case.name not in asked.case:
            continue
        print(f"-- {case.title}")
        seconds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
        bare = []
        for _ in range(asked.runs):
            bare.append(bare_commits_per_s(asked.folder))
            for engine, found in seconds.items():
                found.append(measure(engine, case, asked.folder))
        report(case, seconds)
        print(f"{case.name:<10}bare SQLite, one row a commit, WAL and FULL: {statistics.median(bare):.0f} commits/s")


if __name__ == "__main__":
    main()
