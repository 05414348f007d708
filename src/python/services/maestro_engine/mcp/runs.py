"""Workflows on behalf of MCP clients: start one, follow it, answer what it asks, cancel it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import anyio
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

from maestro_core_auth import Principal
from maestro_engine.audit.service import AuditTrail
from maestro_engine.mcp.asking import REQUEST_KEY, Asking
from maestro_engine.mcp.handles import Handles
from maestro_engine.mcp.requests import Approval, answer_in, approvals
from maestro_engine.mcp.tools import TemplateTool
from maestro_engine.observation.service import TRACEPARENT
from maestro_monitoring import trace_headers
from maestro_workflow_engine import (
    ExecutionBackend,
    InvalidAnswer,
    SlowReader,
    StepNotFound,
    StepNotWaiting,
    WorkflowExists,
    WorkflowFinished,
    WorkflowState,
)

VIA: Final = "maestro.via"
"""The label that says by which door a workflow came in."""


class AnswerStep(Protocol):
    """Answers what a step waits for, if the caller is one of those who are asked."""

    async def __call__(self, workflow_id: str, step: str, value: Any, *, item: int | None, caller: Principal) -> int:
        """The seq of it; raises StepNotWaiting, StepNotFound, WorkflowFinished, InvalidAnswer."""
        ...


class Rising:
    """Tells a client of progress, and only of more than it was told before, as the protocol demands."""

    def __init__(self, report: Callable[[float, float | None, str | None], Awaitable[None]]) -> None:
        self._report = report
        self._told = 0

    async def tell(self, count: int, total: int, text: str) -> None:
        """So many steps of so many have ended."""
        if count > self._told:
            self._told = count
            await self._report(count, max(count, total), text)


_STEP_ENDS: Final = frozenset({"step.succeeded", "step.failed", "step.skipped", "step.cancelled"})


class Runs:
    """What callers do with workflows, each command in the audit log before its caller hears of it.

    A client that leaves breaks off what is being done for it, but never a command: what was done is accounted for.
    """

    def __init__(self, backend: ExecutionBackend, answer: AnswerStep, audit: AuditTrail, handles: Handles) -> None:
        self._backend = backend
        self._answer = answer
        self._audit = audit
        self._handles = handles

    async def start(self, tool: TemplateTool, arguments: Mapping[str, object], asking: Asking) -> str:
        """The id of the workflow, durable by now; not to be broken off.

        Raises InvalidInputs, and MCPError for a key of another call.
        """
        await self._audit.check()
        trace = trace_headers().get("traceparent")
        caller, key = asking.caller, asking.request_key
        try:
            started = await self._backend.start(
                tool.definition,
                arguments,
                workflow_id=None if key is None else self._handles.workflow_id(caller.subject, key),
                template=tool.name,
                version=tool.version,
                labels={VIA: "mcp", **({TRACEPARENT: trace} if trace else {})},
                base_dir=tool.base_dir,
                by=caller.subject,
            )
        except WorkflowExists:
            return await self._started_before(tool, arguments, asking)
        name = tool.definition.name
        await self._account(asking, "workflow.start", started.workflow_id, name=name, template=tool.name)
        return started.workflow_id

    async def _started_before(self, tool: TemplateTool, arguments: Mapping[str, object], asking: Asking) -> str:
        workflow_id = self._handles.workflow_id(asking.caller.subject, asking.request_key or "")
        state = await self._backend.get(workflow_id)
        started_with = await self._backend.definition(workflow_id)
        if state.template != tool.name or state.inputs != started_with.resolve_inputs(arguments):
            raise MCPError(INVALID_PARAMS, f"_meta[{REQUEST_KEY!r}] was used for another call")
        return workflow_id

    async def follow(
        self, workflow_id: str, *, within_s: float, stopping: asyncio.Event, progress: Rising
    ) -> WorkflowState:
        """The state once the workflow has ended or asks somebody; at the latest when the time or the engine ends."""
        state = await self._backend.get(workflow_id)
        if state.is_finished or approvals(state):
            return state
        with anyio.move_on_after(within_s):
            async with anyio.create_task_group() as both:
                both.start_soon(_leave_when, stopping, both.cancel_scope)
                await self._watch(state, progress)
                both.cancel_scope.cancel()
        return await self._backend.get(workflow_id)

    async def _watch(self, state: WorkflowState, progress: Rising) -> None:
        done = {step.id for step in state.steps.values() if step.finished_at is not None}
        await progress.tell(len(done), len(state.steps), state.status)
        seq = state.seq
        while True:
            try:
                async for event in self._backend.watch(state.id, from_seq=seq + 1):
                    seq = event.seq
                    if event.type in _STEP_ENDS and event.data.get("item") is None:
                        done.add(event.data["step"])
                        await progress.tell(len(done), len(state.steps), f"{event.type}: {event.data['step']}")
                    if event.type == "step.waiting" and approvals(await self._backend.get(state.id)):
                        return
                return
            except SlowReader:
                continue  # what was missed is read again

    async def answer(
        self, workflow_id: str, waiting: list[Approval], responses: Mapping[str, Any], by: Asking
    ) -> set[str]:
        """Answer those of the waiting approvals that there is a response for; gives the keys of those that were.

        A question that somebody else has answered meanwhile is left as it is. Raises MCPError for a bad response.
        """
        answered = set[str]()
        for approval in waiting:
            if approval.key in responses and approval.is_for(by.caller):
                with anyio.CancelScope(shield=True):
                    if await self._answer_one(workflow_id, approval, responses[approval.key], by):
                        answered.add(approval.key)
        return answered

    async def _answer_one(self, workflow_id: str, approval: Approval, response: object, by: Asking) -> bool:
        try:
            value = answer_in(response)
            if value is None:
                return False
            await self._audit.check()
            await self._answer(workflow_id, approval.step, value, item=approval.item, caller=by.caller)
        except (StepNotWaiting, StepNotFound, WorkflowFinished):
            return False
        except InvalidAnswer as error:
            problems = [{"path": problem.path, "message": problem.message} for problem in error.problems]
            raise MCPError(INVALID_PARAMS, f"inputResponses[{approval.key!r}]: {error}", problems) from error
        except ValueError as error:
            raise MCPError(INVALID_PARAMS, f"inputResponses[{approval.key!r}]: {error}") from error
        await self._account(by, "workflow.answer", workflow_id, step=approval.step, item=approval.item)
        return True

    async def cancel(self, workflow_id: str, asking: Asking, reason: str) -> None:
        """Cancel it; one that has ended is left as it is."""
        with anyio.CancelScope(shield=True):
            await self._audit.check()
            try:
                await self._backend.cancel(workflow_id, reason, by=asking.caller.subject)
            except WorkflowFinished:
                return
            await self._account(asking, "workflow.cancel", workflow_id, reason=reason)

    async def _account(self, asking: Asking, action: str, workflow_id: str, **details: object) -> None:
        key_id = asking.caller.credential_id or None
        await self._audit.record(
            actor=asking.caller.subject,
            action=action,
            object=workflow_id,
            details={"via": "mcp", "key_id": key_id, **details},
            request_id=asking.request_id,
        )


async def _leave_when(stopping: asyncio.Event, scope: anyio.CancelScope) -> None:
    await stopping.wait()
    scope.cancel()
