"""`subscriptions/listen`: a stream that tells when the tools change and how tasks stand."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.types import INVALID_PARAMS, SubscriptionsListenRequestParams, SubscriptionsListenResult
from pydantic import BaseModel

from maestro_core_auth import AuthError, Principal
from maestro_engine.mcp.asking import Asking, asking
from maestro_engine.mcp.handles import UnknownTask
from maestro_engine.mcp.places import Places
from maestro_engine.mcp.tasks import MAX_TASK_ID_CHARS, Tasks
from maestro_workflow_engine import ExecutionBackend, SlowReader, WorkflowNotFound, WorkflowState

MAX_TASKS: Final = 100
"""On one stream."""

_CHANGES_A_TASK: Final = frozenset(
    {"step.waiting", "step.answered", "step.skipped", "step.cancelled"}
    | {f"workflow.{end}" for end in ("succeeded", "failed", "cancelled")}
)

_log: Final = logging.getLogger("maestro_engine")

Stamp = Callable[[Principal], Awaitable[object]]
"""Says what tools a caller sees, as something that is another when they are others."""
StillMay = Callable[[Principal], Awaitable[None]]
"""Raises AuthError for who may not listen any more."""


class _Notice(BaseModel):
    method: str
    params: dict[str, Any]


class Listen:
    """Serves one stream per call, until the client leaves, may read no more, or the engine stops."""

    def __init__(
        self,
        backend: ExecutionBackend,
        tasks: Tasks,
        stamp: Stamp,
        check_still: StillMay,
        places: Places,
        *,
        look_every_s: float,
        check_every_s: float,
    ) -> None:
        self._backend = backend
        self._tasks = tasks
        self._stamp = stamp
        self._check_still = check_still
        self._places = places
        self._look_every_s = look_every_s
        self._check_every_s = check_every_s

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Say first what will be told, and then tell it."""
        who, meta = asking(ctx), {SUBSCRIPTION_ID_META_KEY: ctx.request_id}
        workflows = self._workflows(who, getattr(params.notifications, "taskIds", None))
        hears_tools = params.notifications.tools_list_changed is True

        async def tell(method: str, said: dict[str, Any]) -> None:
            notice: Any = _Notice(method=method, params={**said, "_meta": meta})
            await ctx.session.send_notification(notice, related_request_id=ctx.request_id)

        honoured: dict[str, Any] = {"toolsListChanged": True} if hears_tools else {}
        if workflows:
            honoured["taskIds"] = list(workflows)
        with self._places.taken():
            seen = await self._stamp(who.caller) if hears_tools else None
            await tell("notifications/subscriptions/acknowledged", {"notifications": honoured})
            async with anyio.create_task_group() as group:
                if hears_tools:
                    group.start_soon(self._tell_tools, who, seen, tell)
                for workflow_id in workflows.values():
                    group.start_soon(self._tell_task, who, workflow_id, tell)
                group.start_soon(self._leave_when_shut_out, who, group.cancel_scope)
                await who.stopping.wait()
                group.cancel_scope.cancel()
        return SubscriptionsListenResult(_meta=meta)

    def _workflows(self, who: Asking, task_ids: object) -> dict[str, str]:
        """The workflow behind each handle; handles of nobody or of somebody else are left out."""
        if task_ids is None:
            return {}
        who.need_tasks()
        if not isinstance(task_ids, list) or len(task_ids) > MAX_TASKS:
            raise MCPError(INVALID_PARAMS, f"notifications.taskIds is a list of at most {MAX_TASKS} handles")
        found: dict[str, str] = {}
        for task_id in task_ids:
            if not isinstance(task_id, str) or len(task_id) > MAX_TASK_ID_CHARS:
                raise MCPError(INVALID_PARAMS, "notifications.taskIds holds something that is no handle")
            try:
                found[task_id] = self._tasks.workflow_of(who, task_id)
            except UnknownTask:
                continue
        return found

    async def _tell_tools(self, who: Asking, seen: object, tell: Callable[..., Awaitable[None]]) -> None:
        while True:
            await anyio.sleep(self._look_every_s)
            now = await self._stamp(who.caller)
            if now != seen:
                seen = now
                await tell("notifications/tools/list_changed", {})

    async def _tell_task(self, who: Asking, workflow_id: str, tell: Callable[..., Awaitable[None]]) -> None:
        """Tell how the task stands, now and whenever that changes, until it has ended."""
        told, seq = None, 0
        while True:
            try:
                state = await self._backend.get(workflow_id)
                told, seq = await self._told(state, who, told, tell), state.seq
                if state.is_finished:
                    return
                async for event in self._backend.watch(workflow_id, from_seq=seq + 1):
                    if event.type in _CHANGES_A_TASK:
                        told = await self._told(await self._backend.get(workflow_id), who, told, tell)
                return
            except SlowReader:
                continue  # what was missed is in the state
            except WorkflowNotFound:
                return

    async def _told(
        self, state: WorkflowState, who: Asking, told: object, tell: Callable[..., Awaitable[None]]
    ) -> object:
        task = await self._tasks.detailed(state, who)
        stands = (task["status"], tuple(task.get("inputRequests", ())))
        if stands != told:
            await tell("notifications/tasks", task)
        return stands

    async def _leave_when_shut_out(self, who: Asking, scope: anyio.CancelScope) -> None:
        while True:
            await anyio.sleep(self._check_every_s)
            try:
                await self._check_still(who.caller)
            except AuthError as error:
                _log.info("mcp.listener_shut_out subject=%s: %s", who.caller.subject, error)
                scope.cancel()
