"""What a person may do to a running workflow, beyond what the engine itself checks."""

import asyncio
from typing import Any

from maestro_core_auth import Principal
from maestro_engine.control.contract import Decide, Migrate, Rerun, WaitingPage, WaitingView
from maestro_engine.control.errors import NoSuchEvent, NotAsked
from maestro_engine.workflows.contract import Started
from maestro_engine.workflows.service import WorkflowService
from maestro_workflow_engine import ExecutionBackend, ItemState, MigrationPlan, StepNotFound, WorkflowState

_EVERYTHING = "admin"
"""The role that may answer every approval."""


class ControlService:
    """Commands that need more than the backend: definitions that are read first, and approvals that name people."""

    def __init__(self, backend: ExecutionBackend, workflows: WorkflowService) -> None:
        self._backend = backend
        self._workflows = workflows

    async def rerun(self, workflow_id: str, order: Rerun, by: str) -> Started:
        """Run a workflow again.

        Raises InvalidDefinition, InvalidInputs, NoSuchEvent, StepNotFound, WorkflowNotFound.
        """
        definition = None
        if order.definition is not None:
            definition = await asyncio.to_thread(self._workflows.read, order.definition)
        if order.at_seq is not None:
            await self.state_at(workflow_id, order.at_seq)
        started = await self._backend.rerun(
            workflow_id,
            from_steps=order.from_steps,
            definition=definition,
            inputs=order.inputs,
            at_seq=order.at_seq,
            by=by,
        )
        state = await self._backend.get(started.workflow_id)
        url = f"/api/workflows/{state.id}"
        return Started(
            id=state.id,
            seq=started.seq,
            name=state.name,
            template=state.template,
            version=state.version,
            url=url,
            events_url=f"{url}/events",
        )

    async def migrate(self, workflow_id: str, order: Migrate, by: str) -> MigrationPlan:
        """Go on with another definition; raises InvalidDefinition, MigrationRefused, WorkflowNotFound."""
        definition = await asyncio.to_thread(self._workflows.read, order.definition)
        return await self._backend.migrate(workflow_id, definition, rerun=order.rerun, dry_run=order.dry_run, by=by)

    async def answer(self, workflow_id: str, step: str, value: Any, *, item: int | None, caller: Principal) -> int:
        """Answer what a step waits for; raises NotAsked when an approval is for others."""
        self._check_asked(await self._run(workflow_id, step, item), caller)
        return await self._backend.answer(workflow_id, step, value, item=item, by=caller.subject)

    async def decide(self, workflow_id: str, step: str, order: Decide, caller: Principal) -> int:
        """Approve or reject; raises as `answer` does."""
        value: dict[str, Any] = {"approved": order.approved, "data": order.data}
        if order.comment is not None:
            value["comment"] = order.comment
        return await self.answer(workflow_id, step, value, item=order.item, caller=caller)

    async def state_at(self, workflow_id: str, seq: int) -> WorkflowState:
        """The workflow after one of its events; raises NoSuchEvent, WorkflowNotFound."""
        try:
            return await self._backend.state_at(workflow_id, seq)
        except ValueError as error:
            raise NoSuchEvent(workflow_id, seq) from error

    async def _run(self, workflow_id: str, step: str, item: int | None) -> ItemState:
        state = await self._backend.get(workflow_id)
        try:
            return state.place((step, item))
        except (KeyError, IndexError):
            raise StepNotFound(workflow_id, step, item) from None

    def _check_asked(self, run: ItemState, caller: Principal) -> None:
        on = run.wait.on if run.wait is not None else None
        to = on.get("to") if on is not None and on["kind"] == "approval" else None
        if isinstance(to, list) and to:
            names = {caller.subject, *caller.roles}
            if _EVERYTHING not in names and names.isdisjoint(str(name) for name in to):
                raise NotAsked([str(name) for name in to])

    async def waiting(self, *, kind: str | None, limit: int, cursor: str | None) -> WaitingPage:
        """Runs that wait for an answer; raises ValueError for a cursor that is not one."""
        page = await self._backend.waiting(kind=kind, limit=limit, after=cursor)
        items = [WaitingView.model_validate(each, from_attributes=True) for each in page.items]
        return WaitingPage(items=items, next=page.next)
