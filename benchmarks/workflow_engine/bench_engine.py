"""Maestro's embedded engine beside DBOS, LangGraph and Restate in one run, each durable; prints a table with ratios.

Every figure is the median of fresh processes on fresh folders. The engines take turns, so that a slow moment of the
machine hits all alike. The rate of bare SQLite commits on the same disk, measured with each run, is a chain's ceiling.
Restate takes part when `--restate-server` names its server: `npm install @restatedev/restate-server` brings it.
"""

import argparse
import asyncio
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

from workflow_engine import ours
from workflow_engine.cases import CASES, Case

ENGINES = {
    "maestro": ("workflow_engine.ours", []),
    "dbos": ("workflow_engine.peer_dbos", ["delete"]),
    "dbos-wal": ("workflow_engine.peer_dbos", ["wal"]),
    "langgraph": ("workflow_engine.peer_langgraph", []),
    "restate": ("workflow_engine.peer_restate", []),
}
TIMEOUT_S = 180


def measure(engine: str, case: Case, parent: Path, server: Path | None) -> float:
    """Seconds for one run of `case` in a process and a folder of its own."""
    module, arguments = ENGINES[engine]
    if engine == "restate":
        arguments = [str(server)]
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


def journal_bytes_per_step(parent: Path) -> tuple[float, float]:
    """What one step of a chain adds to our files when they are closed, and how much of that is its payload."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        return asyncio.run(ours.bytes_per_step(Path(folder)))


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
    parser = argparse.ArgumentParser(description="Maestro's embedded engine beside its peers.")
    parser.add_argument("--runs", type=int, default=5, help="runs of each engine in each case (default 5)")
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append", help="only this; repeatable")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="its disk is what is measured")
    parser.add_argument("--restate-server", type=Path, help="the path of restate-server; without it, Restate stays out")
    return parser.parse_args()


def main() -> None:
    """Run what was asked for."""
    asked = options()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    peers = ("dbos", "langgraph", "langgraph-checkpoint-sqlite", "restate-sdk")
    print(", ".join([f"SQLite {sqlite3.sqlite_version}", *(f"{peer} {version(peer)}" for peer in peers)]))
    print(f"load of the machine in the last minute: {os.getloadavg()[0]:.1f}")
    print("durability: synchronous=FULL everywhere; all use WAL but dbos, which keeps its default rollback journal;")
    print("langgraph writes each checkpoint before it goes on; restate syncs its log as it does by itself")
    journal, payload = journal_bytes_per_step(asked.folder)
    print(f"journal of a chain: {journal:.0f} bytes a step, of which {payload:.0f} are payload (definition and output)")
    print(f"{'case':<10}{'engine':<10}{'median':>14}{'lowest':>10}{'highest':>10}{'ratio':>9}")
    for case in CASES:
        if asked.case and case.name not in asked.case:
            continue
        print(f"-- {case.title}")
        # Restate's server is always up: there is no start to compare.
        is_there = asked.restate_server is not None and case.name != "start"
        seconds: dict[str, list[float]] = {engine: [] for engine in ENGINES if engine != "restate" or is_there}
        bare = []
        for _ in range(asked.runs):
            bare.append(bare_commits_per_s(asked.folder))
            for engine, found in seconds.items():
                found.append(measure(engine, case, asked.folder, asked.restate_server))
        report(case, seconds)
        ratio = ""
        if case.name == "chain":
            shares = [case.steps / took / commits for took, commits in zip(seconds["maestro"], bare, strict=True)]
            ratio = f"; maestro's chain is {statistics.median(shares):.2f} of that"
        rate = statistics.median(bare)
        print(f"{case.name:<10}bare SQLite, one row a commit, WAL and FULL: {rate:.0f} commits/s{ratio}")


if __name__ == "__main__":
    main()
