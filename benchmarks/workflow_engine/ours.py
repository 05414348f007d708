"""Maestro's embedded backend in the four cases; one process, one fresh folder, prints the seconds that a case took."""

import asyncio
import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from maestro_workflow_engine import EmbeddedBackend, StepCall, WorkflowDefinition, parse_definition
from workflow_engine.cases import CHAIN_STEPS, FAN_OUT_STEPS, MANY_STEPS_EACH, MANY_WORKFLOWS


class Increment:
    """Takes `{"n": x}` and answers `{"n": x + 1}`, or the count of what it is given."""

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterable[tuple[str, str]]:
        return ()

    async def run(self, call: StepCall) -> object:
        given = call.arguments["n"]
        if isinstance(given, list):
            return {"n": len(given)}
        assert isinstance(given, int)
        return {"n": given + 1}

    async def close(self) -> None:
        return None


KINDS = {"increment": Increment()}


def chain_of(steps: int) -> WorkflowDefinition:
    """A workflow of `steps` steps, each taking the number of the one before."""
    plan: dict[str, object] = {"s0": {"kind": "increment", "with": {"n": 0}}}
    for i in range(1, steps):
        plan[f"s{i}"] = {"kind": "increment", "with": {"n": f"${{{{ steps.s{i - 1}.output.n }}}}"}}
    return parse_definition({"name": f"chain-{steps}", "steps": plan}, kinds=KINDS)


def fan_out_of(steps: int) -> WorkflowDefinition:
    """A workflow of `steps` parallel steps and one that joins them."""
    plan = {
        "each": {"kind": "increment", "map": {"items": f"${{{{ range({steps}) }}}}"}, "with": {"n": "${{ item }}"}},
        "join": {"kind": "increment", "with": {"n": "${{ steps.each.output }}"}},
    }
    return parse_definition({"name": f"fan-out-{steps}", "steps": plan}, kinds=KINDS)


async def run(case: str, folder: Path) -> float:
    """Seconds that the case took, after one small warm-up workflow (but for `start`, which has none)."""
    async with EmbeddedBackend(folder, kinds=KINDS, max_parallel=64, synchronous="FULL") as backend:

        async def finish(definition: WorkflowDefinition) -> object:
            started = await backend.start(definition)
            state = await backend.wait(started.workflow_id)
            assert state.status == "succeeded", state.error
            return state

        if case == "start":
            await finish(chain_of(1))
            return time.time()
        await finish(chain_of(3))
        begun_at = time.perf_counter()
        if case == "chain":
            await finish(chain_of(CHAIN_STEPS))
        elif case == "fan-out":
            await finish(fan_out_of(FAN_OUT_STEPS))
        else:
            definition = chain_of(MANY_STEPS_EACH)
            await asyncio.gather(*(finish(definition) for _ in range(MANY_WORKFLOWS)))
        return time.perf_counter() - begun_at


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def bytes_per_step(folder: Path) -> tuple[float, float]:
    """What one step of a chain adds to the files, once they are closed, and what it adds as payload."""
    definition = chain_of(CHAIN_STEPS)
    sizes = []
    for each in (chain_of(3), definition):
        async with EmbeddedBackend(folder, kinds=KINDS, synchronous="FULL") as backend:
            started = await backend.start(each)
            state = await backend.wait(started.workflow_id)
        sizes.append(_size_bytes(folder))
    outputs = [json.dumps(step.output) for step in state.steps.values()]
    payload = len(json.dumps(definition.document)) + sum(map(len, outputs))
    return (sizes[1] - sizes[0]) / CHAIN_STEPS, payload / CHAIN_STEPS


if __name__ == "__main__":
    print(asyncio.run(run(sys.argv[1], Path(sys.argv[2]))))
