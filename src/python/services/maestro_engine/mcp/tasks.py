"""The extension io.modelcontextprotocol/tasks: a task is a workflow, seen through a handle."""

from datetime import UTC, datetime
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import HEADER_MISMATCH, INVALID_PARAMS, METHOD_NOT_FOUND, RequestParams
from pydantic import Field
from starlette.datastructures import Headers

from maestro_engine.mcp.asking import Asking, asking, scope_of
from maestro_engine.mcp.handles import Handles, UnknownTask
from maestro_engine.mcp.requests import Approval, approvals
from maestro_engine.mcp.results import Results
from maestro_engine.mcp.runs import Runs
from maestro_workflow_engine import ExecutionBackend, WorkflowNotFound, WorkflowState

MAX_TASK_ID_CHARS: Final = 512


class TaskParams(RequestParams):
    """Of tasks/get and tasks/cancel."""

    task_id: str = Field(max_length=MAX_TASK_ID_CHARS)


class UpdateParams(TaskParams):
    """Of tasks/update."""

    input_responses: dict[str, Any] = Field(max_length=1000)


class Tasks:
    """Workflows as tasks: nothing is stored beside them, so that a task lives as long as its workflow."""

    def __init__(
        self, backend: ExecutionBackend, runs: Runs, results: Results, handles: Handles, *, poll_interval_s: float
    ) -> None:
        self._backend = backend
        self._runs = runs
        self._results = results
        self._handles = handles
        self._poll_interval_ms = max(1, round(poll_interval_s * 1000))

    async def get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        """tasks/get."""
        who, state = await self._found(ctx, params)
        return await self.detailed(state, who)

    async def update(self, ctx: ServerRequestContext[Any, Any], params: UpdateParams) -> dict[str, Any]:
        """tasks/update: responses to questions that are open; all others are ignored."""
        who, state = await self._found(ctx, params)
        await self._runs.answer(state.id, approvals(state), params.input_responses, who)
        return {}

    async def cancel(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        """tasks/cancel; one that has ended is left as it is."""
        who, state = await self._found(ctx, params)
        if not state.is_finished:
            await self._runs.cancel(state.id, who, "cancelled by the MCP client")
        return {}

    async def created(self, workflow_id: str, who: Asking) -> dict[str, Any]:
        """What tools/call answers in place of a result."""
        state = await self._backend.get(workflow_id)
        return {"resultType": "task", **self._head(state, who), "status": "working"}

    async def detailed(self, state: WorkflowState, who: Asking) -> dict[str, Any]:
        """The whole task as its owner may see it."""
        task = self._head(state, who)
        if state.status == "cancelled":
            return {**task, "status": "cancelled", "statusMessage": state.reason or "The workflow was cancelled."}
        if state.is_finished:
            return {**task, **await self._ended(state)}
        open_questions = approvals(state)
        mine = [each for each in open_questions if who.can_elicit and each.is_for(who.caller)]
        if mine:
            asked = {each.key: each.as_request() for each in mine}
            return {**task, "status": "input_required", "inputRequests": asked, "statusMessage": mine[0].message}
        return {**task, "status": "working", "statusMessage": _standing(state, open_questions)}

    async def _ended(self, state: WorkflowState) -> dict[str, Any]:
        try:
            result = await self._results.of(state)
        except MCPError as error:
            return {
                "status": "failed",
                "statusMessage": error.message,
                "error": error.error.model_dump(mode="json", by_alias=True, exclude_none=True),
            }
        return {"status": "completed", "result": result.model_dump(mode="json", by_alias=True, exclude_none=True)}

    def workflow_of(self, who: Asking, task_id: str) -> str:
        """The workflow behind a handle; raises UnknownTask for one of somebody else too."""
        return self._handles.workflow_of(who.caller.subject, task_id)

    async def _found(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> tuple[Asking, WorkflowState]:
        who = asking(ctx)
        if not who.is_modern:
            raise MCPError(METHOD_NOT_FOUND, "Method not found", ctx.method)
        who.need_tasks()
        if Headers(scope=scope_of(ctx)).get("mcp-name", params.task_id) != params.task_id:
            raise MCPError(HEADER_MISMATCH, "mcp-name header does not match the request body's 'taskId' parameter")
        try:
            return who, await self._backend.get(self.workflow_of(who, params.task_id))
        except (UnknownTask, WorkflowNotFound):
            raise MCPError(INVALID_PARAMS, "There is no such task") from None

    def _head(self, state: WorkflowState, who: Asking) -> dict[str, Any]:
        return {
            "taskId": self._handles.task_id(who.caller.subject, state.id),
            "createdAt": _as_text(state.started_at),
            "lastUpdatedAt": _as_text(state.updated_at),
            "ttlMs": None,
            "pollIntervalMs": self._poll_interval_ms,
        }


def _standing(state: WorkflowState, open_questions: list[Approval]) -> str:
    if open_questions:
        return waits_for(state.id, open_questions)
    running = [step.id for step in state.steps.values() if step.status in ("scheduled", "running")]
    return f"{state.status}: {', '.join(running[:10])}" if running else state.status


def waits_for(workflow_id: str, open_questions: list[Approval]) -> str:
    """Whom a workflow waits for, and where the answer is given."""
    first = open_questions[0]
    asked = ", ".join(str(name) for name in first.on.get("to") or ())
    people = f" by {asked}" if asked else ""
    return (
        f"Workflow {workflow_id} waits for an approval{people} at step {first.step}: {first.message}\n"
        f"Answer it in the dashboard or with `maestro approve {workflow_id}`."
    )


def _as_text(at: datetime | None) -> str:
    return (at or datetime.fromtimestamp(0, UTC)).astimezone(UTC).isoformat().replace("+00:00", "Z")
