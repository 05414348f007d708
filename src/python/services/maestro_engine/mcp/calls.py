"""`tools/call`: start a workflow, and stay with it as far as the client can."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.types import CallToolRequestParams, CallToolResult, ElicitRequest, InputRequiredResult

from maestro_core_auth import Principal
from maestro_engine.mcp.asking import Asking, asking
from maestro_engine.mcp.places import Places
from maestro_engine.mcp.requests import approvals
from maestro_engine.mcp.results import Results, told
from maestro_engine.mcp.runs import Rising, Runs
from maestro_engine.mcp.tasks import Tasks, waits_for
from maestro_engine.mcp.tools import TemplateTool
from maestro_workflow_engine import InvalidInputs, WorkflowState

FindTool = Callable[[Principal, str], Awaitable[TemplateTool]]
"""The tool of a name that a caller may start; raises MCPError."""

_LEAVING = "the MCP client left"


class Calls:
    """Answers with the result, a task, a question to the client, or the word where the workflow goes on."""

    def __init__(
        self,
        runs: Runs,
        results: Results,
        tasks: Tasks,
        places: Places,
        tool: FindTool,
        *,
        wait_s: float,
        direct_s: float,
    ) -> None:
        self._runs = runs
        self._results = results
        self._tasks = tasks
        self._places = places
        self._tool = tool
        self._wait_s = wait_s
        self._direct_s = direct_s

    async def call(
        self, ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult | dict[str, Any]:
        """A call; with `request_state`, which was checked before, one that goes on with the workflow it began."""
        who = asking(ctx)
        tool = await self._tool(who.caller, params.name)
        with self._places.taken():
            if params.request_state is not None:
                workflow_id = params.request_state
            else:
                try:
                    with anyio.CancelScope(shield=True):
                        workflow_id = await self._runs.start(tool, params.arguments or {}, who)
                except InvalidInputs as error:  # for the model to see and correct
                    return told(str(error), None, is_error=True)
            try:
                return await self._stay(ctx, params, who, workflow_id)
            except anyio.get_cancelled_exc_class():
                if who.cancels_with_request and not who.stopping.is_set():
                    await self._runs.cancel(workflow_id, who, _LEAVING)
                raise

    async def _stay(
        self, ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams, who: Asking, workflow_id: str
    ) -> CallToolResult | InputRequiredResult | dict[str, Any]:
        within_s = self._direct_s if who.has_tasks else self._wait_s
        responses: dict[str, Any] = {
            key: each.model_dump(mode="json", by_alias=True) for key, each in (params.input_responses or {}).items()
        }
        progress = Rising(ctx.session.report_progress)
        while True:
            state = await self._runs.follow(workflow_id, within_s=within_s, stopping=who.stopping, progress=progress)
            if state.is_finished:
                return await self._results.of(state)
            if who.has_tasks:
                return await self._tasks.created(workflow_id, who)
            answered = await self._runs.answer(workflow_id, approvals(state), responses, who)
            if not answered:
                return self._standing(state, who)
            responses = {key: each for key, each in responses.items() if key not in answered}

    def _standing(self, state: WorkflowState, who: Asking) -> CallToolResult | InputRequiredResult:
        """What is said of a workflow that has not ended."""
        waiting = approvals(state)
        mine = [each for each in waiting if who.can_elicit and each.is_for(who.caller)]
        if mine:
            asked = {each.key: ElicitRequest.model_validate(each.as_request()) for each in mine}
            return InputRequiredResult(input_requests=dict(asked), request_state=state.id)
        if waiting:
            return told(waits_for(state.id, waiting), state.id, is_error=True)
        if who.is_modern:
            return InputRequiredResult(request_state=state.id)
        return told(
            f"Workflow {state.id} has not ended yet and goes on. Look at it later: `maestro show {state.id}`.",
            state.id,
            is_error=True,
        )
