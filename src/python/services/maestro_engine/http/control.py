"""Commands to running workflows below `/api/workflows/{id}`: each is audited, and stored when it is answered."""

from collections.abc import Awaitable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import JSONResponse, Response

from maestro_core_api import problems
from maestro_core_auth import Principal
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import ANSWER, CONTROL, DELETE, READ, SIGNAL, START
from maestro_engine.audit.service import AuditTrail
from maestro_engine.control.contract import (
    AnswerStep,
    Causes,
    CauseView,
    Decide,
    Done,
    Migrate,
    MigrationView,
    Pause,
    Rerun,
    RetryStep,
    SendSignal,
    SetBudget,
    SetPriority,
    SkipStep,
    StepName,
)
from maestro_engine.control.service import ControlService
from maestro_engine.http.audited import account
from maestro_engine.http.links import linked
from maestro_engine.workflows.contract import Started, WorkflowView
from maestro_workflow_engine import ExecutionBackend

WorkflowId = Annotated[str, Path(min_length=1, max_length=200)]
Step = Annotated[StepName, Path()]
_PREFIX = "/api/workflows/{workflow_id}"
_BY_ID = {"workflow_id": "/id"}


class _Commands:
    """Asks the audit log first, lets the command happen, and keeps account of it before the answer."""

    def __init__(self, audit: AuditTrail) -> None:
        self._audit = audit

    async def done(
        self,
        request: Request,
        caller: Principal,
        action: str,
        workflow_id: str,
        command: Awaitable[int],
        **said: object,
    ) -> Done:
        """Carry a command out, and say up to which event it is stored."""
        try:
            await self._audit.check()
        except BaseException:
            if hasattr(command, "close"):
                command.close()
            raise
        seq = await command
        await account(self._audit, request, caller, f"workflow.{action}", workflow_id, **said)
        return Done(id=workflow_id, seq=seq)


def control_routes(
    service: ControlService, backend: ExecutionBackend, auth: FastAPIAuth, audit: AuditTrail
) -> APIRouter:
    """The routes of this file."""
    routes = APIRouter(prefix=_PREFIX, tags=["control"])
    commands = _Commands(audit)
    _whole_routes(routes, commands, backend, auth)
    _setting_routes(routes, commands, backend, auth)
    _step_routes(routes, commands, service, backend, auth)
    _again_routes(routes, service, auth, audit)
    _question_routes(routes, service, backend, auth)
    _delete_route(routes, backend, auth, audit)
    return routes


def _whole_routes(routes: APIRouter, commands: _Commands, backend: ExecutionBackend, auth: FastAPIAuth) -> None:
    answers = problems(401, 403, 404, 409)

    @routes.post("/pause", responses=answers)
    async def pause_workflow(
        workflow_id: WorkflowId,
        request: Request,
        caller: Annotated[Principal, auth.require(CONTROL)],
        order: Pause | None = None,
    ) -> Done:
        """Start nothing more until it is resumed; what runs may end. Pausing again changes nothing."""
        reason = order.reason if order is not None else None
        command = backend.pause(workflow_id, reason, by=caller.subject)
        return await commands.done(request, caller, "pause", workflow_id, command, reason=reason)

    @routes.post("/resume", responses=answers)
    async def resume_workflow(
        workflow_id: WorkflowId, request: Request, caller: Annotated[Principal, auth.require(CONTROL)]
    ) -> Done:
        """Go on after a pause. Resuming again changes nothing."""
        command = backend.resume(workflow_id, by=caller.subject)
        return await commands.done(request, caller, "resume", workflow_id, command)

    @routes.post("/signals", responses=answers)
    async def send_signal(
        workflow_id: WorkflowId,
        order: SendSignal,
        request: Request,
        caller: Annotated[Principal, auth.require(SIGNAL)],
    ) -> Done:
        """Tell a workflow something; it is kept until a step waits for it."""
        command = backend.signal(workflow_id, order.name, order.payload, signal_id=order.id, by=caller.subject)
        return await commands.done(request, caller, "signal", workflow_id, command, name=order.name)


def _setting_routes(routes: APIRouter, commands: _Commands, backend: ExecutionBackend, auth: FastAPIAuth) -> None:
    answers = problems(401, 403, 404, 409)

    @routes.put("/budget", responses=answers)
    async def set_budget(
        workflow_id: WorkflowId, order: SetBudget, request: Request, caller: Annotated[Principal, auth.require(CONTROL)]
    ) -> Done:
        """Set the limits of the budget; steps that wait for it go on as far as there is room."""
        budget = {unit: amount for unit, amount in order.model_dump().items() if amount is not None}
        command = backend.set_budget(workflow_id, budget, by=caller.subject)
        return await commands.done(request, caller, "set-budget", workflow_id, command, **budget)

    @routes.put("/priority", responses=answers)
    async def set_priority(
        workflow_id: WorkflowId,
        order: SetPriority,
        request: Request,
        caller: Annotated[Principal, auth.require(CONTROL)],
    ) -> Done:
        """Set the priority: steps of higher ones begin first."""
        command = backend.set_priority(workflow_id, order.priority, by=caller.subject)
        return await commands.done(request, caller, "set-priority", workflow_id, command, priority=order.priority)


def _step_routes(
    routes: APIRouter, commands: _Commands, service: ControlService, backend: ExecutionBackend, auth: FastAPIAuth
) -> None:
    answers = problems(401, 403, 404, 409)

    @routes.post("/steps/{step}/answer", responses=answers)
    async def answer_step(
        workflow_id: WorkflowId,
        step: Step,
        order: AnswerStep,
        request: Request,
        caller: Annotated[Principal, auth.require(ANSWER)],
    ) -> Done:
        """Answer what a step waits for, in the shape that it asks for."""
        command = service.answer(workflow_id, step, order.value, item=order.item, caller=caller)
        return await commands.done(request, caller, "answer", workflow_id, command, step=step, item=order.item)

    @routes.post("/steps/{step}/approval", responses=answers)
    async def decide_approval(
        workflow_id: WorkflowId,
        step: Step,
        order: Decide,
        request: Request,
        caller: Annotated[Principal, auth.require(ANSWER)],
    ) -> Done:
        """Approve or reject."""
        command = service.decide(workflow_id, step, order, caller)
        said = {"step": step, "item": order.item, "approved": order.approved, "comment": order.comment}
        return await commands.done(request, caller, "approval", workflow_id, command, **said)

    @routes.post("/steps/{step}/retry", responses=answers)
    async def retry_step(
        workflow_id: WorkflowId,
        step: Step,
        request: Request,
        caller: Annotated[Principal, auth.require(CONTROL)],
        order: RetryStep | None = None,
    ) -> Done:
        """Try a retrying step at once."""
        item = order.item if order is not None else None
        command = backend.retry(workflow_id, step, item=item, by=caller.subject)
        return await commands.done(request, caller, "retry", workflow_id, command, step=step, item=item)

    @routes.post("/steps/{step}/skip", responses=answers)
    async def skip_step(
        workflow_id: WorkflowId,
        step: Step,
        request: Request,
        caller: Annotated[Principal, auth.require(CONTROL)],
        order: SkipStep | None = None,
    ) -> Done:
        """Count a step, or one item of it, as done; what it was doing is stopped."""
        asked = order or SkipStep()
        command = backend.skip(
            workflow_id, step, item=asked.item, output=asked.output, reason=asked.reason, by=caller.subject
        )
        said = {"step": step, "item": asked.item, "reason": asked.reason}
        return await commands.done(request, caller, "skip", workflow_id, command, **said)


def _again_routes(routes: APIRouter, service: ControlService, auth: FastAPIAuth, audit: AuditTrail) -> None:
    @routes.post(
        "/rerun",
        status_code=201,
        responses={
            **linked(201, read_workflow=_BY_ID, cancel_workflow=_BY_ID, read_events=_BY_ID),
            **problems(401, 403, 404),
        },
        response_model=Started,
        response_description="A new workflow; `Location` is its address.",
    )
    async def rerun_workflow(
        workflow_id: WorkflowId,
        request: Request,
        caller: Annotated[Principal, auth.require(START)],
        order: Rerun | None = None,
    ) -> JSONResponse:
        """Run a workflow again as a new one, which reuses what has not changed; with `at_seq`, fork it."""
        await audit.check()
        asked = order or Rerun()
        started = await service.rerun(workflow_id, asked, caller.subject)
        said = {"of": workflow_id, "from_steps": asked.from_steps, "at_seq": asked.at_seq}
        await account(audit, request, caller, "workflow.rerun", started.id, **said)
        return JSONResponse(started.model_dump(), status_code=201, headers={"Location": started.url})

    @routes.post("/migrate", responses=problems(401, 403, 404, 409))
    async def migrate_workflow(
        workflow_id: WorkflowId, order: Migrate, request: Request, caller: Annotated[Principal, auth.require(CONTROL)]
    ) -> MigrationView:
        """Go on with another definition; with `dry_run`, only say what would become of each step."""
        await audit.check()
        plan = await service.migrate(workflow_id, order, caller.subject)
        if not order.dry_run:
            await account(audit, request, caller, "workflow.migrate", workflow_id, **plan.as_json())
        return MigrationView.model_validate(plan, from_attributes=True)


def _question_routes(routes: APIRouter, service: ControlService, backend: ExecutionBackend, auth: FastAPIAuth) -> None:
    @routes.get("/why", dependencies=[auth.require(READ)], responses=problems(401, 403, 404))
    async def explain_workflow(workflow_id: WorkflowId) -> Causes:
        """Say why each unfinished step has not ended yet, with the causes of the causes."""
        causes = await backend.why(workflow_id)
        return Causes(items=[CauseView.model_validate(cause.as_json()) for cause in causes])

    @routes.get(
        "/definition",
        dependencies=[auth.require(READ)],
        responses=problems(401, 403, 404),
        response_description="The document as it was given, which a start takes again.",
    )
    async def read_definition(workflow_id: WorkflowId) -> dict[str, Any]:
        """Read the definition that a workflow runs: the one it was started with, or the one it has migrated to."""
        current = (await backend.get(workflow_id)).definition or await backend.definition(workflow_id)
        return dict(current.document)

    @routes.get(
        "/states/{seq}",
        dependencies=[auth.require(READ)],
        responses=problems(401, 403, 404),
        response_model=WorkflowView,
        response_description="The workflow as of that event.",
    )
    async def read_past_state(workflow_id: WorkflowId, seq: Annotated[int, Path(ge=1, le=2**53)]) -> JSONResponse:
        """Read a workflow as it was after one of its events."""
        return JSONResponse((await service.state_at(workflow_id, seq)).as_json())


def _delete_route(routes: APIRouter, backend: ExecutionBackend, auth: FastAPIAuth, audit: AuditTrail) -> None:
    @routes.delete("", status_code=204, responses=problems(401, 403, 404, 409), response_class=Response)
    async def delete_workflow(
        workflow_id: WorkflowId, request: Request, caller: Annotated[Principal, auth.require(DELETE)]
    ) -> Response:
        """Forget a workflow that has ended, with its events; the audit log keeps that it was there."""
        await audit.check()
        await backend.delete(workflow_id)
        await account(audit, request, caller, "workflow.delete", workflow_id)
        return Response(status_code=204)
