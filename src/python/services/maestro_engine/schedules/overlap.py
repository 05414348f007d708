"""What becomes of starts that are due while earlier ones still run. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from maestro_engine.schedules.contract import Overlap

_T = TypeVar("_T")

STILL_RUNS: Final = "an earlier start still runs"
QUEUE_FULL: Final = "as many starts wait as may"
SUPERSEDED: Final = "a later start takes its place"


@dataclass(frozen=True, slots=True)
class Turn(Generic[_T]):
    """Which of those that wait start now, which go on waiting, which never start and why."""

    start: Sequence[_T] = ()
    queue: Sequence[_T] = ()
    skip: Sequence[_T] = ()
    reason: str = ""
    cancels_running: bool = False


def turn(overlap: Overlap, waiting: Sequence[_T], *, is_running: bool, max_queued: int) -> Turn[_T]:
    """What becomes of `waiting`, the earliest first, when an earlier start runs or none does."""
    if not waiting:
        return Turn()
    if overlap == "allow":
        return Turn(start=waiting)
    if overlap == "cancel_running":
        newest, older = waiting[-1:], waiting[:-1]
        if is_running:
            return Turn(queue=newest, skip=older, reason=SUPERSEDED, cancels_running=True)
        return Turn(start=newest, skip=older, reason=SUPERSEDED)
    start, rest = ((), waiting) if is_running else (waiting[:1], waiting[1:])
    if overlap == "skip":
        return Turn(start=start, skip=rest, reason=STILL_RUNS)
    return Turn(start=start, queue=rest[:max_queued], skip=rest[max_queued:], reason=QUEUE_FULL)
