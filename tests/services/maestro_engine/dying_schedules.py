"""A process that starts what a schedule has missed, and is killed in the middle of it."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from services.maestro_engine.scheduling import T0, Desk, SetClock, desk_in

POINTS = ("decide", "start", "started")
MISSED = 5


async def live(folder: Path, point: str, moment: str, at_call: int) -> None:
    """Make a schedule, let five of its times pass, and die before or after the n-th call of `point`."""
    clock = SetClock(T0)
    async with desk_in(folder, clock) as desk:
        id_ = await desk.add(every_s=60, catch_up="all", overlap="allow")
        _die(desk, point, moment, at_call)
        clock.advance(MISSED * 60)
        await desk.until_states(id_, *["started"] * MISSED)


def _die(desk: Desk, point: str, moment: str, at_call: int) -> None:
    owner: Any = desk.backend if point == "start" else desk.store
    call: Callable[..., Awaitable[Any]] = getattr(owner, point)
    calls = 0

    async def deadly(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at_call and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = await call(*arguments, **more)
        if calls == at_call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, point, deadly)


def main() -> None:
    """`folder point moment call`."""
    folder, point, moment, at_call = sys.argv[1:]
    asyncio.run(live(Path(folder), point, moment, int(at_call)))


def after_it_was_killed() -> SetClock:
    """The clock at the time of its death, and some minutes later."""
    return SetClock(T0 + timedelta(minutes=MISSED, seconds=30))
