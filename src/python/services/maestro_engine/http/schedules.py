"""`/api/schedules`: make, read, change and delete schedules; pause, run now, backfill, look ahead and back."""

import hashlib
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from starlette.responses import JSONResponse

from maestro_core_api import ETag, etag_of, idempotent, preconditions, problems
from maestro_core_auth import Principal
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import SCHEDULE_MANAGE, SCHEDULE_READ
from maestro_engine.audit.service import AuditTrail
from maestro_engine.http.audited import account
from maestro_engine.http.links import linked
from maestro_engine.schedules.contract import (
    BackfillList,
    BackfillView,
    NewBackfill,
    NewSchedule,
    RunState,
    ScheduleName,
    SchedulePage,
    ScheduleRunPage,
    ScheduleRunView,
    ScheduleSpec,
    ScheduleSummaryView,
    ScheduleView,
    UpcomingList,
    UpcomingView,
)
from maestro_engine.schedules.errors import UnknownSchedule
from maestro_engine.schedules.service import Schedules, version_of
from maestro_engine.schedules.store import BackfillRow, RunRow, ScheduleRow
from maestro_engine.schedules.timing import in_short

Name = Annotated[ScheduleName, Path()]
BackfillId = Annotated[str, Path(pattern="^[a-z0-9]{1,32}$")]
RequestKey = Annotated[str | None, Header(alias="Idempotency-Key", include_in_schema=False)]
_DENIED = (401, 403)
_BY_NAME = {"name": "/name"}
_GOES_ON_WITH = (
    "read_schedule",
    "change_schedule",
    "delete_schedule",
    "pause_schedule",
    "resume_schedule",
    "run_schedule",
    "backfill_schedule",
    "list_upcoming_runs",
    "list_schedule_runs",
    "list_backfills",
)
"""What a new schedule can be used for."""


def schedule_routes(schedules: Schedules, auth: FastAPIAuth, audit: AuditTrail) -> APIRouter:
    """The routes below `/api/schedules`."""
    routes = APIRouter(prefix="/api/schedules", tags=["schedules"])
    _question_routes(routes, schedules, auth)
    _history_routes(routes, schedules, auth)
    _setting_routes(routes, schedules, auth, audit)
    _pause_routes(routes, schedules, auth, audit)
    _start_routes(routes, schedules, auth, audit)
    return routes


def _question_routes(routes: APIRouter, schedules: Schedules, auth: FastAPIAuth) -> None:
    may_read = [auth.require(SCHEDULE_READ)]

    @routes.get("", dependencies=may_read, responses=problems(*_DENIED), response_description="A page, by name.")
    async def list_schedules(
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[ScheduleName | None, Query(description="`next` of the page before.")] = None,
    ) -> SchedulePage:
        """List schedules."""
        rows = schedules.page(after=cursor or "", limit=limit + 1)
        items = [_summary(schedules, row) for row in rows[:limit]]
        return SchedulePage(items=items, next=items[-1].name if len(rows) > limit else None)

    @routes.get(
        "/{name}",
        dependencies=may_read,
        responses={200: {"headers": {"ETag": {"schema": {"type": "string"}}}}, **problems(*_DENIED, 404)},
        response_model=ScheduleView,
        response_description="The schedule; `ETag` goes into `If-Match` of a change.",
    )
    async def read_schedule(name: Name) -> JSONResponse:
        """Read a schedule."""
        return _answer(schedules, schedules.named(name))

    @routes.get(
        "/{name}/upcoming",
        dependencies=may_read,
        responses=problems(*_DENIED, 404),
        response_description="The next starts, as if nothing held them up.",
    )
    async def list_upcoming_runs(name: Name, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> UpcomingList:
        """Say when a schedule starts next, also when it is paused."""
        found = schedules.upcoming(name, limit)
        return UpcomingList(items=[UpcomingView(nominal_at=nominal, due_at=due_at) for nominal, due_at in found])


def _history_routes(routes: APIRouter, schedules: Schedules, auth: FastAPIAuth) -> None:
    may_read = [auth.require(SCHEDULE_READ)]

    @routes.get(
        "/{name}/runs",
        dependencies=may_read,
        responses=problems(*_DENIED, 404),
        response_description="The newest first; the last 1,000 are kept.",
    )
    async def list_schedule_runs(
        name: Name,
        state: RunState | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: Annotated[int | None, Query(ge=1, le=2**53, description="`next` of the page before.")] = None,
    ) -> ScheduleRunPage:
        """List what a schedule has started, what it has not, and why."""
        rows = await schedules.runs(name, before=before, state=state, limit=limit + 1)
        items = [_run(row) for row in rows[:limit]]
        return ScheduleRunPage(items=items, next=items[-1].id if len(rows) > limit else None)

    @routes.get("/{name}/backfills", dependencies=may_read, responses=problems(*_DENIED, 404))
    async def list_backfills(name: Name) -> BackfillList:
        """Say how far the backfills of a schedule have come."""
        return BackfillList(items=[_backfill(row) for row in await schedules.backfills(name)])


def _setting_routes(routes: APIRouter, schedules: Schedules, auth: FastAPIAuth, audit: AuditTrail) -> None:
    def current(name: Name) -> ETag | None:
        try:
            return etag_of(version_of(schedules.named(name)))
        except UnknownSchedule:
            return None

    unchanged = Depends(preconditions(current, required=True))

    @routes.post(
        "",
        status_code=201,
        responses={
            **linked(201, **dict.fromkeys(_GOES_ON_WITH, _BY_NAME)),
            **problems(*_DENIED, 404, 409),
        },
        response_model=ScheduleView,
        response_description="The schedule is kept and counts from now on; `Location` is its address.",
    )
    @idempotent(required=False)
    async def add_schedule(
        order: NewSchedule, request: Request, caller: Annotated[Principal, auth.require(SCHEDULE_MANAGE)]
    ) -> JSONResponse:
        """Make a schedule."""
        await audit.check()
        row = await schedules.add(order.name, order)
        await account(audit, request, caller, "schedule.add", row.name, timing=in_short(row.settings))
        return _answer(schedules, row, 201, {"Location": f"/api/schedules/{row.name}"})

    @routes.put(
        "/{name}",
        responses=problems(*_DENIED, 404, 409),
        response_model=ScheduleView,
        response_description="The schedule as of now. Times that were missed before count no more where they changed.",
    )
    async def change_schedule(
        name: Name,
        order: ScheduleSpec,
        request: Request,
        caller: Annotated[Principal, auth.require(SCHEDULE_MANAGE)],
        etag: Annotated[ETag | None, unchanged],
    ) -> JSONResponse:
        """Give a schedule other settings, all of them."""
        await audit.check()
        row = await schedules.change(name, order, version=etag.opaque if etag else None)
        await account(audit, request, caller, "schedule.change", name, timing=in_short(row.settings))
        return _answer(schedules, row)

    @routes.delete("/{name}", status_code=204, responses=problems(*_DENIED, 404))
    async def delete_schedule(
        name: Name,
        request: Request,
        caller: Annotated[Principal, auth.require(SCHEDULE_MANAGE)],
        etag: Annotated[ETag | None, unchanged],
    ) -> None:
        """Delete a schedule with its history. Workflows that it has started go on."""
        await audit.check()
        await schedules.delete(name, version=etag.opaque if etag else None)
        await account(audit, request, caller, "schedule.delete", name)


def _pause_routes(routes: APIRouter, schedules: Schedules, auth: FastAPIAuth, audit: AuditTrail) -> None:
    @routes.post("/{name}/pause", responses=problems(*_DENIED, 404), response_model=ScheduleView)
    async def pause_schedule(
        name: Name, request: Request, caller: Annotated[Principal, auth.require(SCHEDULE_MANAGE)]
    ) -> JSONResponse:
        """Start nothing by the calendar until it is resumed. What is missed meanwhile is not made up for."""
        await audit.check()
        row = await schedules.set_paused(name, True)
        await account(audit, request, caller, "schedule.pause", name)
        return _answer(schedules, row)

    @routes.post("/{name}/resume", responses=problems(*_DENIED, 404), response_model=ScheduleView)
    async def resume_schedule(
        name: Name, request: Request, caller: Annotated[Principal, auth.require(SCHEDULE_MANAGE)]
    ) -> JSONResponse:
        """Go on after a pause."""
        await audit.check()
        row = await schedules.set_paused(name, False)
        await account(audit, request, caller, "schedule.resume", name)
        return _answer(schedules, row)


def _start_routes(routes: APIRouter, schedules: Schedules, auth: FastAPIAuth, audit: AuditTrail) -> None:
    @routes.post(
        "/{name}/run",
        status_code=201,
        responses={**linked(201, read_workflow={"workflow_id": "/workflow_id"}), **problems(*_DENIED, 404, 409)},
        response_description="The workflow has started.",
    )
    @idempotent(required=False)
    async def run_schedule(
        name: Name,
        request: Request,
        caller: Annotated[Principal, auth.require(SCHEDULE_MANAGE)],
        key: RequestKey = None,
    ) -> ScheduleRunView:
        """Start a workflow of a schedule now, whatever else runs. It does not count as one by the calendar."""
        await audit.check()
        run = await schedules.run_now(name, request=_request(caller, key))
        await account(audit, request, caller, "schedule.run", name, workflow=run.workflow_id)
        return _run(run)

    @routes.post(
        "/{name}/backfill",
        status_code=202,
        responses=problems(*_DENIED, 404),
        response_description="Its starts are kept, and begin.",
    )
    @idempotent(required=False)
    async def backfill_schedule(
        name: Name,
        order: NewBackfill,
        request: Request,
        caller: Annotated[Principal, auth.require(SCHEDULE_MANAGE)],
        key: RequestKey = None,
    ) -> BackfillView:
        """Start the workflows of times that are past. A time that was started before is not started again."""
        await audit.check()
        row = await schedules.backfill(name, order, by=caller.subject, request=_request(caller, key))
        about = {"backfill": row.id, "from_at": row.from_at, "to_at": row.to_at}
        await account(audit, request, caller, "schedule.backfill", name, **about)
        return _backfill(row)

    @routes.delete("/{name}/backfills/{backfill}", status_code=204, responses=problems(*_DENIED, 404))
    async def cancel_backfill(
        name: Name,
        backfill: BackfillId,
        request: Request,
        caller: Annotated[Principal, auth.require(SCHEDULE_MANAGE)],
    ) -> None:
        """Start no more of a backfill. What it has started goes on."""
        await audit.check()
        await schedules.cancel_backfill(name, backfill)
        await account(audit, request, caller, "schedule.cancel_backfill", name, backfill=backfill)


def _request(caller: Principal, key: str | None) -> str | None:
    """What the same caller sends again with the same key; the key itself is not kept."""
    return None if key is None else hashlib.sha256(f"{caller.subject}\0{key}".encode()).hexdigest()


def _answer(
    schedules: Schedules, row: ScheduleRow, status: int = 200, headers: dict[str, str] | None = None
) -> JSONResponse:
    next_at = schedules.next_at(row)
    body: dict[str, Any] = {
        "name": row.name,
        "settings": dict(row.settings),
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
        "starts": row.starts,
        "next_at": next_at.isoformat() if next_at else None,
    }
    return JSONResponse(body, status, {"ETag": str(etag_of(version_of(row))), **(headers or {})})


def _summary(schedules: Schedules, row: ScheduleRow) -> ScheduleSummaryView:
    return ScheduleSummaryView(
        name=row.name,
        timing=in_short(row.settings),
        template=row.settings.get("template"),
        paused=row.settings["paused"],
        starts=row.starts,
        next_at=schedules.next_at(row),
    )


def _run(row: RunRow) -> ScheduleRunView:
    return ScheduleRunView.model_validate(asdict(row))


def _backfill(row: BackfillRow) -> BackfillView:
    counts = dict(row.counts)
    pending = counts.pop("pending", 0) + counts.pop("queued", 0)
    return BackfillView(
        id=row.id,
        from_at=row.from_at,
        to_at=row.to_at,
        max_parallel=row.max_parallel,
        created_at=row.created_at,
        created_by=row.created_by,
        total=pending + sum(counts.values()),
        pending=pending,
        running=row.running,
        **{state: counts.get(state, 0) for state in ("started", "skipped", "failed")},
    )
