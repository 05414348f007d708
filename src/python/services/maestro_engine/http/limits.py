"""`/api/limits`: what may run at once and per time; `/api/approvals`: what waits for people; `/api/events`: news."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from maestro_core_api import problems
from maestro_core_auth import Principal
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import LIMIT_MANAGE, READ, SIGNAL
from maestro_engine.audit.service import AuditTrail
from maestro_engine.control.contract import (
    Delivered,
    LimitName,
    LimitOrder,
    Limits,
    LimitView,
    PublishedEvent,
    WaitingPage,
)
from maestro_engine.control.service import ControlService
from maestro_engine.http.audited import account
from maestro_engine.workflows.errors import BadCursor
from maestro_workflow_engine import ExecutionBackend


def limit_routes(backend: ExecutionBackend, auth: FastAPIAuth, audit: AuditTrail) -> APIRouter:
    """The routes below `/api/limits`."""
    routes = APIRouter(prefix="/api/limits", tags=["limits"])

    @routes.get("", dependencies=[auth.require(READ)], responses=problems(401, 403))
    async def list_limits() -> Limits:
        """List the flow limits that are set, by name."""
        return Limits(items=[LimitView.model_validate(each, from_attributes=True) for each in await backend.limits()])

    @routes.put("/{name}", responses=problems(401, 403))
    async def set_limit(
        name: Annotated[LimitName, Path()],
        order: LimitOrder,
        request: Request,
        caller: Annotated[Principal, auth.require(LIMIT_MANAGE)],
    ) -> LimitView:
        """Set a flow limit, durably and at once: more or fewer attempts begin from now on."""
        await audit.check()
        await backend.set_limit(order.named(name))
        await account(audit, request, caller, "limit.set", name, **order.model_dump())
        return LimitView(name=name, **order.model_dump())

    @routes.delete("/{name}", status_code=204, responses=problems(401, 403), response_class=Response)
    async def delete_limit(
        name: Annotated[LimitName, Path()],
        request: Request,
        caller: Annotated[Principal, auth.require(LIMIT_MANAGE)],
    ) -> Response:
        """Forget a flow limit; what definitions say holds again."""
        await audit.check()
        await backend.delete_limit(name)
        await account(audit, request, caller, "limit.delete", name)
        return Response(status_code=204)

    return routes


def inbox_routes(service: ControlService, backend: ExecutionBackend, auth: FastAPIAuth, audit: AuditTrail) -> APIRouter:
    """What waits for people, and what the world tells workflows."""
    routes = APIRouter(prefix="/api", tags=["inbox"])

    @routes.get("/waiting", dependencies=[auth.require(READ)], responses=problems(400, 401, 403))
    async def list_waiting(
        kind: Annotated[
            str, Query(pattern=r"^[a-z][a-z_-]{0,63}$", description="What is waited for: approval, signal, event …")
        ] = "approval",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before.")] = None,
    ) -> WaitingPage:
        """List what waits for an answer, over all workflows, the oldest first."""
        try:
            return await service.waiting(kind=kind, limit=limit, cursor=cursor)
        except ValueError as error:
            raise BadCursor from error

    @routes.post("/events", responses=problems(401, 403))
    async def publish_event(
        event: PublishedEvent, request: Request, caller: Annotated[Principal, auth.require(SIGNAL)]
    ) -> Delivered:
        """Give an event to every step that waits for one like it."""
        await audit.check()
        runs = await backend.publish(event.model_dump(mode="json"))
        await account(audit, request, caller, "event.publish", event.id, type=event.type, runs=runs)
        return Delivered(runs=runs)

    return routes
