"""LangGraph with SQLite checkpoints in the four cases; one process, one fresh folder, prints the seconds of a case.

Durable as it can be: `durability="sync"` (a checkpoint is written before the next step begins) on a file in WAL mode,
which the checkpointer sets itself, with `synchronous=FULL`.
"""

import operator
import sqlite3
import sys
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from workflow_engine.cases import CHAIN_STEPS, FAN_OUT_STEPS, MANY_STEPS_EACH, MANY_WORKFLOWS

PARALLEL = 64


class Chain(TypedDict):
    """How far a chain is, and how far it goes."""

    n: int
    steps: int


class FanOut(TypedDict):
    """What the parallel steps gave."""

    found: Annotated[list[int], operator.add]
    n: int


def chain(saver: SqliteSaver) -> Any:
    """One node that comes again until the chain is long enough: leaner here than a thousand nodes."""
    graph = StateGraph(Chain)
    graph.add_node("increment", lambda state: {"n": state["n"] + 1})
    graph.add_edge(START, "increment")
    graph.add_conditional_edges("increment", lambda state: "increment" if state["n"] < state["steps"] else END)
    return graph.compile(checkpointer=saver)


def fan_out(saver: SqliteSaver) -> Any:
    """Parallel steps, and one that joins them."""
    graph = StateGraph(FanOut)
    graph.add_node("increment", lambda given: {"found": [given["n"] + 1]})
    graph.add_node("join", lambda state: {"n": len(state["found"])})
    graph.add_conditional_edges(START, lambda _: [Send("increment", {"n": i}) for i in range(FAN_OUT_STEPS)])
    graph.add_edge("increment", "join")
    graph.add_edge("join", END)
    return graph.compile(checkpointer=saver)


def config(name: str, steps: int) -> Any:
    """What one run is called, and how many steps it may take."""
    return {"configurable": {"thread_id": name}, "recursion_limit": steps + 10, "max_concurrency": PARALLEL}


def run(case: str, folder: Path) -> float:
    """Seconds that the case took, after one small warm-up workflow (but for `start`, which has none)."""
    connection = sqlite3.connect(folder / "langgraph.sqlite", check_same_thread=False)
    saver = SqliteSaver(connection)
    saver.setup()
    connection.execute("PRAGMA synchronous=FULL")
    chains = chain(saver)

    def finish(name: str, steps: int) -> None:
        found = chains.invoke({"n": 0, "steps": steps}, config(name, steps), durability="sync")
        assert found["n"] == steps

    try:
        if case == "start":
            finish("one", 1)
            return time.time()
        finish("warm", 3)
        begun_at = time.perf_counter()
        if case == "chain":
            finish("chain", CHAIN_STEPS)
        elif case == "fan-out":
            found = fan_out(saver).invoke({"found": [], "n": 0}, config("fan-out", 2), durability="sync")
            assert found["n"] == FAN_OUT_STEPS
        else:
            given: list[Any] = [{"n": 0, "steps": MANY_STEPS_EACH}] * MANY_WORKFLOWS
            configs = [config(f"many-{i}", MANY_STEPS_EACH) for i in range(MANY_WORKFLOWS)]
            assert all(found["n"] == MANY_STEPS_EACH for found in chains.batch(given, configs, durability="sync"))
        return time.perf_counter() - begun_at
    finally:
        connection.close()


if __name__ == "__main__":
    print(run(sys.argv[1], Path(sys.argv[2])))
