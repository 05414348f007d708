"""What the engine does for a caller: start from a definition or a template, and find what a workflow made."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from maestro_engine.templates.service import Template, Templates
from maestro_engine.workflows.contract import Started, StartWorkflow, WorkflowPage, WorkflowStatus, WorkflowSummaryView
from maestro_engine.workflows.errors import BadCursor, KeySpent
from maestro_workflow_engine import (
    JSON,
    ExecutionBackend,
    WorkflowDefinition,
    WorkflowExists,
    WorkflowState,
)
from maestro_workflow_engine import Started as Place

NO_LABELS: Mapping[str, str] = MappingProxyType({})
NO_INPUTS: Mapping[str, JSON] = MappingProxyType({})


class WorkflowService:
    """Starts workflows and finds artifacts; every other question goes to the backend as it is."""

    def __init__(self, backend: ExecutionBackend, templates: Templates) -> None:
        self._backend = backend
        self._templates = templates

    async def start(
        self, order: StartWorkflow, *, by: str, key: str | None = None, labels: Mapping[str, str] = NO_LABELS
    ) -> Started:
        """Start what is ordered; raises InvalidDefinition, InvalidInputs or TemplateError and stores nothing then.

        `labels` are kept beside those of the order. The same `key` of the same caller starts one workflow for as long
        as that is kept: again, it gives the same, or raises KeySpent where the order is another.
        """
        template = await self._templates.named(order.template) if order.template else None
        definition = template.definition if template else await self._templates.parsed(order.definition)
        workflow_id = None if key is None else _id_of(by, key)
        try:
            started = await self._backend.start(
                definition,
                order.inputs,
                workflow_id=workflow_id,
                template=template.name if template else None,
                version=template.version if template else None,
                labels={**order.labels, **labels},
                base_dir=template.base_dir if template else None,
                priority=order.priority,
                budget=order.budget,
                by=by,
            )
            version = template.version if template else None
        except WorkflowExists:
            if workflow_id is None:
                raise
            state = await self._started_before(workflow_id, template, definition, order)
            started, version = Place(workflow_id, state.seq), state.version
        url = f"/api/workflows/{started.workflow_id}"
        return Started(
            id=started.workflow_id,
            seq=started.seq,
            name=definition.name,
            template=template.name if template else None,
            version=version,
            url=url,
            events_url=f"{url}/events",
        )

    def read(self, definition: Mapping[str, object] | str) -> WorkflowDefinition:
        """A definition as it comes over the wire: an object, or the text of a YAML file; raises InvalidDefinition.

        A large one takes a while: call it off the event loop.
        """
        return self._templates.read(definition)

    async def _started_before(
        self, workflow_id: str, template: Template | None, definition: WorkflowDefinition, order: StartWorkflow
    ) -> WorkflowState:
        """The workflow that this order has started, by a request whose answer was lost in a crash, or is long ago."""
        state = await self._backend.get(workflow_id)
        is_same = state.inputs == definition.resolve_inputs(order.inputs) and state.template == (
            template.name if template else None
        )
        # By a bare name another version may be the latest by now: the workflow stays on its own.
        if is_same and template is None:
            is_same = (await self._backend.definition(workflow_id)).digest == definition.digest
        if not is_same:
            raise KeySpent(workflow_id)
        return state

    async def list(
        self,
        *,
        status: WorkflowStatus | None = None,
        name: str | None = None,
        template: str | None = None,
        labels: Mapping[str, str] = NO_LABELS,
        inputs: Mapping[str, JSON] = NO_INPUTS,
        parent: str | None = None,
        started_after: datetime | None = None,
        started_before: datetime | None = None,
        limit: int,
        cursor: str | None,
    ) -> WorkflowPage:
        """A page of workflows that fit everything given, newest first; raises BadCursor."""
        try:
            page = await self._backend.list(
                status=status,
                name=name,
                template=template,
                labels=labels or None,
                inputs=inputs or None,
                parent=parent,
                started_after=started_after,
                started_before=started_before,
                limit=limit,
                after=cursor,
            )
        except ValueError as error:
            raise BadCursor from error
        items = [WorkflowSummaryView.model_validate(each, from_attributes=True) for each in page.items]
        return WorkflowPage(items=items, next=page.next)


def _id_of(by: str, key: str) -> str:
    digest = hashlib.sha256(f"{by}\0{key}".encode()).hexdigest()
    return f"key-{digest[:40]}"
