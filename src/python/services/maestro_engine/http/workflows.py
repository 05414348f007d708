"""`/api/workflows`: start, list, read, cancel; events as pages or as a stream; artifacts."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import StringConstraints
from starlette.responses import JSONResponse, Response

from maestro_core_api import idempotent, problems
from maestro_core_auth import Principal
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import CANCEL, READ, START
from maestro_engine.audit.service import AuditTrail
from maestro_engine.http.artifacts import artifact_routes
from maestro_engine.http.audited import account
from maestro_engine.http.links import linked
from maestro_engine.http.times import When
from maestro_engine.observation.service import TRACEPARENT
from maestro_engine.workflows.artifacts import Artifacts
from maestro_engine.workflows.contract import (
    Cancelled,
    CancelWorkflow,
    EventPage,
    Started,
    StartWorkflow,
    WorkflowPage,
    WorkflowStatus,
    WorkflowView,
)
from maestro_engine.workflows.service import WorkflowService
from maestro_monitoring import trace_headers
from maestro_workflow_engine import JSON, ExecutionBackend

WorkflowId = Annotated[str, Path(min_length=1, max_length=200)]
Seq = Annotated[int, Query(ge=1, le=2**53, description="The first event wanted.")]
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", include_in_schema=False)]
StreamOpener = Callable[[str, int], Response]
"""Answers with the events of a workflow from a `seq` on, history first, then live."""

Pair = Annotated[str, StringConstraints(pattern=r"^[^=]{1,128}=.{0,256}$")]
NONE: list[str] = []

_PREFIX = "/api/workflows"
_STREAM = "text/event-stream"
_BY_ID = {"workflow_id": "/id"}


def workflow_routes(
    service: WorkflowService, backend: ExecutionBackend, auth: FastAPIAuth, audit: AuditTrail, open_stream: StreamOpener
) -> APIRouter:
    """The routes below `/api/workflows`."""
    commands = APIRouter(prefix=_PREFIX, tags=["workflows"])
    _command_routes(commands, service, backend, auth, audit)
    questions = APIRouter(prefix=_PREFIX, tags=["workflows"], dependencies=[auth.require(READ)])
    _state_routes(questions, service, backend)
    _event_routes(questions, backend, open_stream)
    artifact_routes(questions, Artifacts(backend))
    routes = APIRouter()
    routes.include_router(commands)
    routes.include_router(questions)
    return routes


def _command_routes(
    routes: APIRouter, service: WorkflowService, backend: ExecutionBackend, auth: FastAPIAuth, audit: AuditTrail
) -> None:
    @routes.post(
        "",
        status_code=201,
        responses={
            **linked(201, read_workflow=_BY_ID, cancel_workflow=_BY_ID, read_events=_BY_ID),
            **problems(401, 403, 404),
        },
        response_model=Started,
        response_description="The workflow is stored and begins; `Location` is its address.",
    )
    @idempotent(required=False)
    async def start_workflow(
        order: StartWorkflow,
        request: Request,
        caller: Annotated[Principal, auth.require(START)],
        key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Start a workflow from a definition or a template."""
        await audit.check()
        trace = trace_headers().get("traceparent")
        labels = {TRACEPARENT: trace} if trace else {}
        started = await service.start(order, by=caller.subject, key=key, labels=labels)
        template = {"template": started.template, "version": started.version}
        await account(audit, request, caller, "workflow.start", started.id, name=started.name, **template)
        return JSONResponse(started.model_dump(), status_code=201, headers={"Location": started.url})

    @routes.post(
        "/{workflow_id}/cancel",
        status_code=202,
        responses=problems(401, 403, 404, 409),
        response_model=Cancelled,
        response_description="The wish is stored; the end comes as an event.",
    )
    async def cancel_workflow(
        workflow_id: WorkflowId,
        request: Request,
        caller: Annotated[Principal, auth.require(CANCEL)],
        order: CancelWorkflow | None = None,
    ) -> Cancelled:
        """Cancel a workflow: nothing new starts, and what runs is stopped. Cancelling again changes nothing."""
        await audit.check()
        reason = order.reason if order is not None else None
        force = order is not None and order.force
        seq = await backend.cancel(workflow_id, reason, by=caller.subject, force=force)
        await account(audit, request, caller, "workflow.cancel", workflow_id, reason=reason, force=force)
        return Cancelled(id=workflow_id, seq=seq)


def _state_routes(routes: APIRouter, service: WorkflowService, backend: ExecutionBackend) -> None:
    @routes.get("", responses=problems(400, 401, 403), response_description="A page, and where the next one begins.")
    async def list_workflows(
        status: WorkflowStatus | None = None,
        name: Annotated[str | None, Query(max_length=200)] = None,
        template: Annotated[str | None, Query(max_length=200)] = None,
        label: Annotated[list[Pair], Query(max_length=8, description="NAME=VALUE; all of them must be there.")] = NONE,
        input: Annotated[
            list[Pair], Query(max_length=8, description="NAME=VALUE, the value as JSON or as text; all must be there.")
        ] = NONE,
        parent: Annotated[
            str | None, Query(max_length=200, description="The workflow that they are children of.")
        ] = None,
        started_after: When | None = None,
        started_before: When | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before.")] = None,
    ) -> WorkflowPage:
        """List workflows that fit everything given, newest first."""
        return await service.list(
            status=status,
            name=name,
            template=template,
            labels=dict(each.split("=", 1) for each in label),
            inputs={key: _value(text) for key, text in (each.split("=", 1) for each in input)},
            parent=parent,
            started_after=started_after,
            started_before=started_before,
            limit=limit,
            cursor=cursor,
        )

    @routes.get(
        "/{workflow_id}",
        responses=problems(401, 403, 404),
        response_model=WorkflowView,
        response_description="The workflow as of `seq`.",
    )
    async def read_workflow(workflow_id: WorkflowId) -> JSONResponse:
        """Read a workflow with its steps."""
        return JSONResponse((await backend.get(workflow_id)).as_json())


def _value(text: str) -> JSON:
    """A value of an input as it was meant: JSON where it is that, else the text itself."""
    try:
        value: JSON = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value


def _event_routes(routes: APIRouter, backend: ExecutionBackend, open_stream: StreamOpener) -> None:
    stream: dict[str, Any] = {
        "description": "A page as JSON, or a stream in which the `id` of each message is its `seq`.",
        "content": {_STREAM: {"schema": {"type": "string"}}},
    }

    @routes.get(
        "/{workflow_id}/events", responses={200: stream, **problems(401, 403, 404, 503)}, response_model=EventPage
    )
    async def read_events(
        workflow_id: WorkflowId,
        from_seq: Seq = 1,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        accept: Annotated[str, Header(include_in_schema=False)] = "",
        last_event_id: Annotated[
            str, Header(pattern=r"^[0-9]{0,15}$", description="With a stream: the seq after which to go on.")
        ] = "",
    ) -> Response:
        """Read a page of events; with `Accept: text/event-stream`, history and then live until the workflow ends."""
        if _STREAM in accept:
            await backend.get(workflow_id)  # an unknown workflow is a 404, not an empty stream
            return open_stream(workflow_id, int(last_event_id) + 1 if last_event_id else from_seq)
        events = await backend.events(workflow_id, from_seq=from_seq, limit=limit)
        next_seq = events[-1].seq + 1 if len(events) == limit else None
        return JSONResponse({"items": [each.as_json() for each in events], "next_from_seq": next_seq})
