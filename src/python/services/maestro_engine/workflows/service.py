"""What the engine does for a caller: start from a definition or a template, and find what a workflow made."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from maestro_engine.workflows.contract import Started, StartWorkflow, WorkflowPage, WorkflowStatus, WorkflowSummaryView
from maestro_engine.workflows.errors import BadCursor, UnknownArtifact
from maestro_engine.workflows.templates import TemplateFolder
from maestro_workflow_engine import (
    ArtifactRef,
    ExecutionBackend,
    ItemState,
    StepKind,
    WorkflowDefinition,
    WorkflowState,
    parse_definition,
)
from maestro_yaml_config_parser import Document, load_yaml, load_yaml_file

NO_LABELS: Mapping[str, str] = MappingProxyType({})


class WorkflowService:
    """Starts workflows and finds artifacts; every other question goes to the backend as it is."""

    def __init__(
        self, backend: ExecutionBackend, templates: TemplateFolder, kinds: Mapping[str, StepKind] | None
    ) -> None:
        self._backend = backend
        self._templates = templates
        self._kinds = kinds

    async def start(self, order: StartWorkflow, *, labels: Mapping[str, str] = NO_LABELS) -> Started:
        """Start what is ordered; raises InvalidDefinition, InvalidInputs or UnknownTemplate and stores nothing then.

        `labels` are kept beside those of the order.
        """
        base_dir = self._templates.folder if order.template else None
        # Reading a large definition takes a while: other requests go on meanwhile.
        definition = await asyncio.to_thread(self._definition, order)
        started = await self._backend.start(
            definition,
            order.inputs,
            template=order.template or None,
            labels={**order.labels, **labels},
            base_dir=base_dir,
        )
        url = f"/api/workflows/{started.workflow_id}"
        return Started(
            id=started.workflow_id,
            seq=started.seq,
            name=definition.name,
            template=order.template or None,
            url=url,
            events_url=f"{url}/events",
        )

    def _definition(self, order: StartWorkflow) -> WorkflowDefinition:
        if isinstance(order.definition, dict):
            return parse_definition(order.definition, kinds=self._kinds)
        if order.template:
            path = self._templates.path(order.template)
            return self._parsed(load_yaml_file(path), path.name)
        return self._parsed(load_yaml(order.definition), None)

    def _parsed(self, document: Document, file: str | None) -> WorkflowDefinition:
        return parse_definition(
            document.data,
            positions=document.positions,
            key_positions=document.key_positions,
            file=file,
            kinds=self._kinds,
        )

    async def list(
        self, *, status: WorkflowStatus | None, name: str | None, template: str | None, limit: int, cursor: str | None
    ) -> WorkflowPage:
        """A page of workflows, newest first; raises BadCursor."""
        try:
            page = await self._backend.list(status=status, name=name, template=template, limit=limit, after=cursor)
        except ValueError as error:
            raise BadCursor from error
        items = [WorkflowSummaryView.model_validate(each, from_attributes=True) for each in page.items]
        return WorkflowPage(items=items, next=page.next)

    async def artifact(self, workflow_id: str, sha256: str) -> tuple[ArtifactRef, Path]:
        """A stored value that the workflow names, and where it lies; raises UnknownArtifact for any other."""
        for found in _artifacts(await self._backend.get(workflow_id)):
            if found.sha256 == sha256:
                return found, await self._backend.artifact(sha256)
        raise UnknownArtifact(workflow_id, sha256)


def _artifacts(state: WorkflowState) -> Iterator[ArtifactRef]:
    if isinstance(state.outputs, ArtifactRef):
        yield state.outputs
    for step in state.steps.values():
        yield from _artifacts_of(step)
        for item in step.items or ():
            yield from _artifacts_of(item)


def _artifacts_of(run: ItemState) -> Iterator[ArtifactRef]:
    yield from run.artifacts
    if isinstance(run.output, ArtifactRef):
        yield run.output
