"""DBOS on SQLite in the four cases; one process, one fresh folder, prints the seconds that a case took.

The third argument is SQLite's journal mode: DBOS itself sets none, so `delete` is its default; `wal` is set on the
file before DBOS opens it.
"""

import asyncio
import sqlite3
import sys
import time
from pathlib import Path

from dbos import DBOS, DBOSConfig

from workflow_engine.cases import CHAIN_STEPS, FAN_OUT_STEPS, MANY_STEPS_EACH, MANY_WORKFLOWS


@DBOS.step()
def increment(given: dict[str, int]) -> dict[str, int]:
    return {"n": given["n"] + 1}


@DBOS.step()
async def increment_in_parallel(given: dict[str, int]) -> dict[str, int]:
    return {"n": given["n"] + 1}


@DBOS.step()
async def join(given: list[dict[str, int]]) -> dict[str, int]:
    return {"n": len(given)}


@DBOS.workflow()
def chain(steps: int) -> int:
    value = {"n": 0}
    for _ in range(steps):
        value = increment(value)
    return value["n"]


@DBOS.workflow()
async def fan_out(steps: int) -> int:
    return (await join(list(await asyncio.gather(*(increment_in_parallel({"n": i}) for i in range(steps))))))["n"]


def run(case: str, folder: Path, journal_mode: str) -> float:
    """Seconds that the case took, after one small warm-up workflow (but for `start`, which has none)."""
    database = folder / "dbos.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute(f"PRAGMA journal_mode={journal_mode}")
    connection.close()
    config: DBOSConfig = {
        "name": "benchmark",
        "system_database_url": f"sqlite:///{database}",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    try:
        if case == "start":
            assert chain(1) == 1
            return time.time()
        chain(3)
        begun_at = time.perf_counter()
        if case == "chain":
            assert chain(CHAIN_STEPS) == CHAIN_STEPS
        elif case == "fan-out":
            assert asyncio.run(fan_out(FAN_OUT_STEPS)) == FAN_OUT_STEPS
        else:
            handles = [DBOS.start_workflow(chain, MANY_STEPS_EACH) for _ in range(MANY_WORKFLOWS)]
            assert all(handle.get_result() == MANY_STEPS_EACH for handle in handles)
        return time.perf_counter() - begun_at
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    print(run(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
