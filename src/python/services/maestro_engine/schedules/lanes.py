"""Starts that were decided, on their way to become workflows: those of the calendar, and each backfill by itself."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from maestro_engine.schedules.overlap import Turn, turn
from maestro_engine.schedules.starter import Starter
from maestro_engine.schedules.store import RunRow, ScheduleRow, ScheduleStore
from maestro_workflow_engine import Clock, EngineClosed

_ASK_AGAIN: Final = timedelta(seconds=60)
_MAX_REASON: Final = 1000
_CANCELLED: Final = "a later start of its schedule takes its place"

_log: Final = logging.getLogger("maestro_engine")


class Lanes:
    """Starts what may start, and asks to be called again (`wake`) when a workflow ends that others wait for."""

    def __init__(
        self,
        store: ScheduleStore,
        starter: Starter,
        clock: Clock,
        wake: Callable[[str, datetime | None], None],
    ) -> None:
        self._store = store
        self._starter = starter
        self._clock = clock
        self._wake = wake
        self._watches: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Wait for no workflow any more."""
        for task in self._watches.values():
            task.cancel()
        await asyncio.gather(*self._watches.values(), return_exceptions=True)

    async def waiting(self, schedule: ScheduleRow) -> int:
        """How many starts by the calendar have been decided and not become workflows."""
        return len([run for run in await self._store.open_runs(schedule.id) if run.kind == "schedule" and _waits(run)])

    async def start_now(self, schedule: ScheduleRow, run: RunRow) -> None:
        """Start one whatever else runs; one that cannot start has failed, and raises why."""
        try:
            await self._begin(schedule, run)
        except Exception as error:
            await self._store.mark([run], "failed", _reason(error))
            raise

    async def go_on(self, schedule: ScheduleRow) -> bool:
        """Start what may start, and give whether there was anything to do; raises what may be tried again."""
        runs = await self._store.open_runs(schedule.id)
        running = await self._still_running([run for run in runs if run.is_awaited])
        waiting = [run for run in runs if _waits(run)]
        for run in [run for run in waiting if run.kind == "manual"]:
            await self._try(schedule, run)
        own = [run for run in waiting if run.kind == "schedule" and not schedule.settings["paused"]]
        its = [run for run in running if run.backfill is None]
        settings = schedule.settings
        taken = turn(settings["overlap"], own, is_running=bool(its), max_queued=settings["max_queued"])
        await self._take(schedule, taken, its)
        backfilled = [run for run in [*running, *waiting] if run.backfill is not None]
        for _, lane in itertools.groupby(sorted(backfilled, key=_lane), key=_lane):
            await self._go_on_with(schedule, list(lane))
        return bool(own or backfilled)

    async def _go_on_with(self, schedule: ScheduleRow, lane: Sequence[RunRow]) -> None:
        """Start as many of one backfill as may run at once."""
        running, waiting = [run for run in lane if run.is_awaited], [run for run in lane if _waits(run)]
        (backfill,) = await self._store.backfills(schedule.id, lane[0].backfill)
        free = max(0, backfill.max_parallel - len(running))
        await self._take(schedule, Turn(start=waiting[:free], queue=waiting[free:]), running, is_counted=True)

    async def _take(
        self, schedule: ScheduleRow, taken: Turn[RunRow], running: Sequence[RunRow], *, is_counted: bool = False
    ) -> None:
        if taken.skip:
            await self._store.mark(taken.skip, "skipped", taken.reason)
        if fresh := [run for run in taken.queue if run.state != "queued"]:
            await self._store.mark(fresh, "queued", None)
        if taken.cancels_running:
            for run in running:
                await self._starter.cancel(schedule, str(run.workflow_id), _CANCELLED)
        begun = [workflow_id for run in taken.start if (workflow_id := await self._try(schedule, run)) is not None]
        if taken.queue or is_counted:
            for workflow_id in [*begun, *(str(run.workflow_id) for run in running)]:
                self._watch(schedule.id, workflow_id)
            if not begun and not running:
                self._wake(schedule.id, None)  # none could start, so none will end: the next may try

    async def _try(self, schedule: ScheduleRow, run: RunRow) -> str | None:
        """Start one and give its workflow, or None when it can never start; raises what may be tried again."""
        try:
            return await self._begin(schedule, run)
        except Exception as error:
            if getattr(error, "retryable", False):
                raise
            _log.error("schedule.start_failed name=%s nominal_at=%s: %s", schedule.name, run.nominal_at, error)
            await self._store.mark([run], "failed", _reason(error))
            return None

    async def _begin(self, schedule: ScheduleRow, run: RunRow) -> str:
        workflow_id = await self._starter.start(schedule, run)
        is_awaited = run.kind == "backfill" or schedule.settings["overlap"] != "allow"
        await self._store.started(schedule.id, run, workflow_id, is_awaited=is_awaited, at=self._clock.now())
        return workflow_id

    async def _still_running(self, runs: Sequence[RunRow]) -> list[RunRow]:
        ended = [run for run in runs if await self._starter.has_ended(str(run.workflow_id))]
        if ended:
            await self._store.ended(ended)
        return [run for run in runs if run not in ended]

    def _watch(self, schedule: str, workflow_id: str) -> None:
        if workflow_id not in self._watches:
            watched = self._watched(schedule, workflow_id)
            self._watches[workflow_id] = asyncio.create_task(watched, name=f"end of {workflow_id}")

    async def _watched(self, schedule: str, workflow_id: str) -> None:
        again: datetime | None = None
        try:
            await self._starter.end_of(workflow_id)
        except EngineClosed:
            return
        except Exception as error:  # it was not taken up at the start, or was deleted: ask again later
            _log.warning("schedule.cannot_wait workflow=%s: %s", workflow_id, error)
            again = self._clock.now() + _ASK_AGAIN
        finally:
            del self._watches[workflow_id]
        self._wake(schedule, again)


def _waits(run: RunRow) -> bool:
    return run.state in ("pending", "queued")


def _lane(run: RunRow) -> str:
    return run.backfill or ""


def _reason(error: Exception) -> str:
    return f"{getattr(error, 'code', type(error).__name__)}: {error}"[:_MAX_REASON]
