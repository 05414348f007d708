"""Schedules: what callers do with them, and the loop that starts what is due."""

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from maestro_engine.schedules.clock import SystemClock
from maestro_engine.schedules.contract import NewBackfill, ScheduleSpec
from maestro_engine.schedules.errors import (
    BackfillRefused,
    ScheduleChanged,
    ScheduleExists,
    UnknownBackfill,
    UnknownSchedule,
    UnknownTimeZone,
)
from maestro_engine.schedules.lanes import Lanes
from maestro_engine.schedules.planner import Span, due
from maestro_engine.schedules.starter import Starter
from maestro_engine.schedules.store import BackfillRow, RunRow, ScheduleRow, ScheduleStore, State
from maestro_engine.schedules.timing import has_other_times, plan_of
from maestro_engine.templates.service import Templates
from maestro_workflow_engine import Clock, ExecutionBackend

_RECHECK_S: Final = 60.0
"""So long it sleeps at most: a clock that was set meanwhile is noticed then."""
_RETRY: Final = timedelta(seconds=5)
_MISSED: Final = "it was missed: nothing could start at the time"
_PAUSED: Final = "the schedule was paused"
_GIVEN_UP: Final = "the backfill was cancelled"

_log: Final = logging.getLogger("maestro_engine")


class Schedules:
    """All schedules of one engine; inside `async with` they start workflows, while `store` and `backend` are open.

    What is to start is written before it starts, under an id that follows from the schedule and the nominal time: a
    crash at any moment leaves exactly one workflow for each nominal time that was decided to start.
    """

    def __init__(
        self, store: ScheduleStore, backend: ExecutionBackend, templates: Templates, *, clock: Clock | None = None
    ) -> None:
        self._store = store
        self._templates = templates
        self._clock: Clock = clock or SystemClock()
        self._starter = Starter(backend, templates)
        self._lanes = Lanes(store, self._starter, self._clock, self._wake)
        self._rows: dict[str, ScheduleRow] = {}
        self._by_name: dict[str, str] = {}
        self._busy: set[str] = set()
        self._wakes: dict[str, datetime] = {}
        self._woken = asyncio.Event()
        self._changing = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None
        self._failures: dict[str, Exception] = {}
        self._seen_at = self._clock.now()

    async def __aenter__(self) -> Self:
        """Go on with what was to start; raises DatabaseUnavailable."""
        for row in await self._store.all():
            self._keep(row)
        self._busy = await self._store.has_open()
        self._seen_at = self._clock.now()
        self._wakes = dict.fromkeys(self._rows, self._seen_at)
        self._loop = asyncio.create_task(self._run(), name="schedules")
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait({self._loop})
        await self._lanes.close()

    async def probe(self) -> None:
        """Raise what keeps schedules from starting, until they can again."""
        for failure in self._failures.values():
            raise failure

    # --- commands ---

    async def add(self, name: str, spec: ScheduleSpec) -> ScheduleRow:
        """Make a schedule; raises ScheduleExists, and what starting it would raise."""
        async with self._templates.changing, self._changing:
            if name in self._by_name:
                raise ScheduleExists(name)
            now = self._clock.now()
            settings = await self._starter.check(name, spec.as_kept(), now)
            row = ScheduleRow(secrets.token_hex(4), name, settings, 1, now, now, now)
            plan_of(row)
            await self._store.put(row)
            self._keep(row)
            self._wake(row.id)
            return row

    async def change(self, name: str, spec: ScheduleSpec, *, version: str | None = None) -> ScheduleRow:
        """Give a schedule other settings; raises UnknownSchedule, ScheduleChanged, and what starting it would raise."""
        async with self._templates.changing, self._changing:
            row = self._of_version(name, version)
            settings = await self._starter.check(name, spec.as_kept(), self._clock.now())
            return await self._change(row, settings)

    async def set_paused(self, name: str, paused: bool) -> ScheduleRow:
        """Start nothing by the calendar until it is resumed, or go on; again is fine. Raises UnknownSchedule."""
        async with self._changing:
            row = self.named(name)
            if row.settings["paused"] == paused:
                return row
            return await self._change(row, {**row.settings, "paused": paused})

    async def delete(self, name: str, *, version: str | None = None) -> None:
        """Forget a schedule with its history; its workflows go on. Raises UnknownSchedule, ScheduleChanged."""
        async with self._changing:
            row = self._of_version(name, version)
            await self._store.delete(row.id)
            del self._rows[row.id], self._by_name[name]
            self._wakes.pop(row.id, None)
            self._failures.pop(row.id, None)

    async def run_now(self, name: str, *, request: str | None = None) -> RunRow:
        """Start a workflow at once, whatever else runs; the same `request` again gives the same.

        Raises UnknownSchedule, and what starting raises.
        """
        async with self._changing:
            row = self.named(name)
            run = await self._store.add_manual(row.id, request, self._clock.now().replace(microsecond=0))
            if run.state == "pending":
                await self._lanes.start_now(row, run)
            return await self._store.run(run.id)

    async def backfill(self, name: str, order: NewBackfill, *, by: str, request: str | None = None) -> BackfillRow:
        """Start workflows for times of the past; the same `request` again gives the same.

        Raises UnknownSchedule, BackfillRefused.
        """
        async with self._changing:
            row, now = self.named(name), self._clock.now()
            times = _times_of(row, order, now)
            wanted = BackfillRow(
                secrets.token_hex(4), order.from_at, order.to_at, order.max_parallel, now, by, {}, running=0
            )
            id_ = await self._store.add_backfill(row.id, wanted, times, request)
            self._busy.add(row.id)
            self._wake(row.id)
            return (await self._store.backfills(row.id, id_))[0]

    async def cancel_backfill(self, name: str, backfill: str) -> None:
        """Start no more of a backfill; what runs goes on. Raises UnknownSchedule, UnknownBackfill."""
        async with self._changing:
            row = self.named(name)
            if not await self._store.backfills(row.id, backfill):
                raise UnknownBackfill(name, backfill)
            await self._store.give_up(row.id, backfill, _GIVEN_UP)

    # --- questions ---

    def named(self, name: str) -> ScheduleRow:
        """A schedule by its name; raises UnknownSchedule."""
        if name not in self._by_name:
            raise UnknownSchedule(name)
        return self._rows[self._by_name[name]]

    def page(self, *, after: str, limit: int) -> list[ScheduleRow]:
        """The next schedules by name."""
        names = sorted(name for name in self._by_name if name > after)[:limit]
        return [self.named(name) for name in names]

    def next_at(self, row: ScheduleRow) -> datetime | None:
        """When it starts next; None while it is paused, when it has ended, and when its time zone is not there."""
        if row.settings["paused"]:
            return None
        try:
            plan = plan_of(row)
        except UnknownTimeZone:
            return None
        return due(plan, row.decided_until, self._clock.now(), runs_left=_runs_left(row), at_most=0).next_at

    def upcoming(self, name: str, limit: int) -> list[tuple[datetime, datetime]]:
        """The next nominal times and when they are due, as if nothing held them up; raises UnknownSchedule."""
        row = self.named(name)
        plan, left, now = plan_of(row), _runs_left(row), self._clock.now()
        most = limit if left is None else min(limit, left)
        found: list[tuple[datetime, datetime]] = []
        nominal = plan.after(max(row.decided_until, now - plan.jitter))
        while nominal is not None and len(found) < most:
            if (due_at := plan.due_at(nominal)) > now:
                found.append((nominal, due_at))
            nominal = plan.after(nominal)
        return found

    async def runs(self, name: str, *, before: int | None, state: State | None, limit: int) -> list[RunRow]:
        """What was started and what was not, the newest decision first; raises UnknownSchedule."""
        return await self._store.runs(self.named(name).id, before=before, state=state, limit=limit)

    async def backfills(self, name: str) -> list[BackfillRow]:
        """The backfills of a schedule, the newest first; raises UnknownSchedule."""
        return await self._store.backfills(self.named(name).id)

    async def users_of(self, template: str) -> list[str]:
        """The schedules that start a template, by name."""
        return sorted(
            row.name for row in self._rows.values() if row.settings.get("template", "").partition("@")[0] == template
        )

    # --- the loop ---

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            now = self._clock.now()
            if now < self._seen_at:  # the clock was set back: whoever was to be woken later may be due before
                self._wakes = dict.fromkeys(self._rows, now)
            self._seen_at = now
            ready = [id_ for id_, at in self._wakes.items() if at <= now]
            for id_ in ready:
                if self._wakes.pop(id_, None) is not None:
                    await self._advance(id_)
            if not ready:
                await self._sleep()

    async def _sleep(self) -> None:
        soonest = min(self._wakes.values(), default=None)
        if soonest is None:
            await self._woken.wait()
            return
        delay_s = (soonest - self._clock.now()).total_seconds()
        call_off = self._clock.call_later(min(max(delay_s, 0.0), _RECHECK_S), self._woken.set)
        try:
            await self._woken.wait()
        finally:
            call_off()

    async def _advance(self, id_: str) -> None:
        """Decide and start what is due of one schedule; what goes wrong with one keeps no other from starting."""
        async with self._changing:
            try:
                await self._advance_one(id_)
                self._failures.pop(id_, None)
            except Exception as error:
                if getattr(error, "retryable", False):
                    self._failures[id_] = error
                    _log.error("schedule.waits id=%s: %s", id_, error)
                else:  # the fault of this schedule alone, which does not make the engine unfit
                    _log.exception("schedule.failed id=%s", id_)
                self._wake(id_, self._clock.now() + _RETRY)

    async def _advance_one(self, id_: str) -> None:
        row = self._rows.get(id_)
        if row is None:
            return
        is_paused = row.settings["paused"]
        now = self._clock.now()
        if not is_paused:
            decided = due(plan_of(row), row.decided_until, now, runs_left=await self._runs_left(row))
            if decided.starts or decided.missed:
                await self._store.decide(id_, decided.starts, decided.missed, decided.last, reason=_MISSED, now=now)
                row = self._rows[id_] = replace(row, decided_until=decided.last)
                self._busy.add(id_)
        if id_ in self._busy:
            is_busy = await self._lanes.go_on(row)
            row = self._rows[id_] = replace(row, starts=await self._store.starts(id_))
            if not is_busy:
                self._busy.discard(id_)
        if not is_paused:  # asked again, since a start that has failed leaves its place to the next
            left = await self._runs_left(row)
            next_at = due(plan_of(row), row.decided_until, now, runs_left=left, at_most=0).next_at
            if next_at is not None:
                self._wake(id_, next_at)

    async def _runs_left(self, row: ScheduleRow) -> int | None:
        """How many more may be decided to start."""
        waiting = await self._lanes.waiting(row) if row.settings["max_runs"] and row.id in self._busy else 0
        return _runs_left(row, waiting)

    def _wake(self, id_: str, at: datetime | None = None) -> None:
        at = at or self._clock.now()
        self._wakes[id_] = min(self._wakes.get(id_, at), at)
        self._woken.set()

    def _keep(self, row: ScheduleRow) -> None:
        self._rows[row.id] = row
        self._by_name[row.name] = row.id

    def _of_version(self, name: str, version: str | None) -> ScheduleRow:
        row = self.named(name)
        if version is not None and version != version_of(row):
            raise ScheduleChanged(name)
        return row

    async def _change(self, row: ScheduleRow, settings: Mapping[str, Any]) -> ScheduleRow:
        now = self._clock.now()
        changed = replace(row, settings=settings, version=row.version + 1, updated_at=now)
        plan_of(changed)
        if row.settings["paused"] and not settings["paused"]:
            await self._store.decide(row.id, (), _passed(row, now), now, reason=_PAUSED, now=now)
            changed = replace(changed, decided_until=now)
        if has_other_times(row.settings, settings):
            changed = replace(changed, decided_until=now)
        await self._store.put(changed)
        self._keep(changed)
        self._busy.add(row.id)
        self._wake(row.id)
        return changed


def version_of(row: ScheduleRow) -> str:
    """What names the settings of a schedule as they are: the schedule after it of the same name has others."""
    return f"{row.id}.{row.version}"


def _runs_left(row: ScheduleRow, waiting: int = 0) -> int | None:
    most = row.settings["max_runs"]
    return None if most is None else max(0, most - row.starts - waiting)


def _passed(row: ScheduleRow, now: datetime) -> Span | None:
    """The times that have gone by since the last decision."""
    plan = plan_of(row)
    first, last = plan.after(row.decided_until), plan.until(now)
    return Span(first, last) if first is not None and last is not None and first <= last else None


def _times_of(row: ScheduleRow, order: NewBackfill, now: datetime) -> Sequence[datetime]:
    if order.to_at < order.from_at or order.to_at > now:
        raise BackfillRefused("a backfill goes from an earlier to a later time of the past")
    times: list[datetime] = []
    for nominal in plan_of(row).between(order.from_at, order.to_at):
        if len(times) == order.max_runs:
            raise BackfillRefused(
                f"the schedule names more than {order.max_runs} times there: raise max_runs, or take a shorter range"
            )
        times.append(nominal)
    if not times:
        raise BackfillRefused("the schedule names no time there")
    return times
