"""Restate in three of the cases; one process with a server of its own, prints the seconds of a case.

The second argument is the fresh folder, the third the path of `restate-server` (npm: @restatedev/restate-server). The
server has its own settings: one node, its log synced to the disk. Both sides speak HTTP/2 both ways at once.
"""

import asyncio
import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

from workflow_engine.cases import CHAIN_STEPS, FAN_OUT_STEPS, MANY_STEPS_EACH, MANY_WORKFLOWS

UP_WITHIN_S = 30.0
AT_ONCE = 64

service = restate.Service("bench")


def increment(given: int) -> int:
    return given + 1


@service.handler()
async def chain(ctx: restate.Context, steps: int) -> int:
    value = 0
    for _ in range(steps):
        value = await ctx.run_typed("increment", increment, given=value)
    return value


@service.handler()
async def fan_out(ctx: restate.Context, steps: int) -> int:
    futures = [ctx.run_typed("increment", increment, given=i) for i in range(steps)]
    values = [await done for done in await restate.gather(*futures)]
    return await ctx.run_typed("join", lambda: len(values))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened to a moment ago."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def post(port: int, path: str, value: object) -> bytes:
    """What a POST to this machine gives."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", path, json.dumps(value), {"content-type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status} {body[:500]!r}")
        return body
    finally:
        connection.close()


def register(admin: int, endpoint: int) -> None:
    """Tell the server where the service is, as soon as it listens."""
    give_up_at = time.monotonic() + UP_WITHIN_S
    while True:
        try:
            post(admin, "/deployments", {"uri": f"http://127.0.0.1:{endpoint}"})
            return
        except (OSError, RuntimeError, http.client.HTTPException):
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)


def calls(case: str) -> tuple[str, Sequence[int]]:
    """The handler, and the number of steps for each call of it."""
    if case == "chain":
        return "chain", [CHAIN_STEPS]
    return ("fan_out", [FAN_OUT_STEPS]) if case == "fan-out" else ("chain", [MANY_STEPS_EACH] * MANY_WORKFLOWS)


def measured(case: str, ingress: int) -> float:
    """Seconds that the case took, after one small warm-up workflow."""
    handler, steps = calls(case)
    assert json.loads(post(ingress, "/bench/chain", 3)) == 3
    with ThreadPoolExecutor(AT_ONCE) as threads:
        begun_at = time.perf_counter()
        answers = list(threads.map(lambda count: json.loads(post(ingress, f"/bench/{handler}", count)), steps))
        seconds = time.perf_counter() - begun_at
    assert answers == list(steps)
    return seconds


async def run(case: str, folder: Path, server: str) -> float:
    """Serve the steps, start the server, and measure."""
    ingress, admin, node, endpoint = free_ports(4)
    config = Config()
    config.bind = [f"127.0.0.1:{endpoint}"]
    stopped = asyncio.Event()
    serving = asyncio.create_task(serve(restate.app([service]), config, shutdown_trigger=stopped.wait))
    addresses = {"INGRESS__": ingress, "ADMIN__": admin, "": node}
    environment = {f"RESTATE_{room}BIND_ADDRESS": f"127.0.0.1:{port}" for room, port in addresses.items()}
    with (folder / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *[server, "--base-dir", str(folder), "--node-name", "bench"],
            env={**os.environ, **environment, "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}"},
            stdout=log,
            stderr=log,
        )
    try:
        await asyncio.to_thread(register, admin, endpoint)
        return await asyncio.to_thread(measured, case, ingress)
    finally:
        process.terminate()
        await process.wait()
        stopped.set()
        await serving


if __name__ == "__main__":
    print(asyncio.run(run(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
