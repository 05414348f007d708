"""What can be asked of an embedded backend."""

import asyncio
import builtins
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._embedded._engine import Engine
from maestro_workflow_engine._embedded._reader import Reader
from maestro_workflow_engine._errors import EngineClosed, WaitTimedOut, WorkflowError, WorkflowNotResumed
from maestro_workflow_engine._events import Event
from maestro_workflow_engine._hub import follow
from maestro_workflow_engine._parse import parse_definition
from maestro_workflow_engine._ports import Page
from maestro_workflow_engine._state import UNFINISHED, WorkflowState, WorkflowStatus, snapshot

_KEPT_DEFINITIONS: Final = 64


class Questions:
    """Reads from the memory of the engine what runs, and from the journal the rest."""

    _engine: Engine
    _reader: Reader

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._definitions: OrderedDict[str, WorkflowDefinition] = OrderedDict()
        self._held_back: dict[str, WorkflowError] = {}
        """Unfinished workflows that this engine cannot run, and why."""
        self._is_open = False

    def _check_open(self) -> None:
        if not self._is_open:
            raise EngineClosed

    async def get(self, workflow_id: str) -> WorkflowState:
        """The state as it is durable now; raises WorkflowNotFound."""
        self._check_open()
        run = self._engine.runs.get(workflow_id)
        if run is not None:
            state = snapshot(run.state)
            await self._engine.durable(run, state.seq)
            return state
        remembered = self._engine.remembered.get(workflow_id)
        if remembered is not None:
            return snapshot(remembered)
        row = await self._reader.workflow(workflow_id)
        return await self._reader.state(workflow_id, await self._definition(row.digest))

    async def definition(self, workflow_id: str) -> WorkflowDefinition:
        """What the workflow was started with; raises WorkflowNotFound."""
        self._check_open()
        run = self._engine.runs.get(workflow_id)
        if run is not None:
            return run.definition
        return await self._definition((await self._reader.workflow(workflow_id)).digest)

    async def list(
        self,
        *,
        status: WorkflowStatus | None = None,
        name: str | None = None,
        template: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """Workflows, the newest first; pages stay stable while others start. Raises ValueError for a bad `after`."""
        self._check_open()
        if not 1 <= limit <= 1000:
            raise ValueError("limit is from 1 to 1000")
        if after is not None and not (after.isascii() and after.isdigit() and len(after) < 19):
            raise ValueError("after is not the `next` of an earlier page")
        before_key = None if after is None else int(after)
        return await self._reader.page(status=status, name=name, template=template, limit=limit, before_key=before_key)

    async def events(self, workflow_id: str, *, from_seq: int = 1, limit: int = 1000) -> builtins.list[Event]:
        """Its durable events from `from_seq` on, in order; raises WorkflowNotFound."""
        self._check_open()
        if limit < 1:
            raise ValueError("limit is at least 1")
        return await self._reader.events(workflow_id, from_seq, limit)

    def watch(
        self,
        workflow_id: str | None = None,
        *,
        from_seq: int = 1,
        from_position: int | None = None,
        buffer: int = 1000,
    ) -> AsyncIterator[Event]:
        """Durable events, history first, then live: no gap, no repeat.

        Of one workflow from `from_seq` on, until it ends; of all from `from_position` on (None: from now on). Raises
        SlowReader when more than `buffer` live events wait for the reader, EngineClosed when the backend closes.
        """
        self._check_open()
        reader = self._reader
        if workflow_id is None:
            start = self._engine.durable_position + 1 if from_position is None else from_position
            return follow(
                self._engine.hub, None, start=start, bound=buffer, read=reader.events_of_all, has_ended=_never
            )

        async def read(from_seq: int, limit: int) -> builtins.list[Event]:
            return await reader.events(workflow_id, from_seq, limit)

        async def has_ended() -> bool:
            return (await reader.workflow(workflow_id)).status not in UNFINISHED

        return follow(self._engine.hub, workflow_id, start=from_seq, bound=buffer, read=read, has_ended=has_ended)

    async def wait(self, workflow_id: str, timeout_s: float | None = None) -> WorkflowState:
        """The state once the workflow has ended; raises WaitTimedOut, WorkflowNotFound, WorkflowNotResumed."""
        self._check_open()
        run = self._engine.runs.get(workflow_id)
        if run is not None:
            try:
                await asyncio.wait_for(run.done.wait(), timeout_s)
            except TimeoutError as error:
                raise WaitTimedOut(workflow_id, timeout_s or 0.0) from error
        state = await self.get(workflow_id)
        if not state.is_finished:  # and will not be, in this engine
            raise self._why_unfinished(workflow_id)
        return state

    def _why_unfinished(self, workflow_id: str) -> WorkflowError:
        if self._engine.failure is not None:
            return self._engine.failure
        if not self._is_open or self._engine.is_closing:
            return EngineClosed()
        return self._held_back.get(workflow_id) or WorkflowNotResumed(workflow_id)

    async def artifact(self, sha256: str) -> Path:
        """The file of an artifact, for reading; raises ArtifactNotFound."""
        self._check_open()
        return await asyncio.to_thread(self._store.path, sha256)

    async def unfinished(self) -> builtins.list[str]:
        """The ids of workflows that have not ended, the oldest first."""
        self._check_open()
        return [row.id for row in await self._reader.unfinished()]

    async def _definition(self, digest: str) -> WorkflowDefinition:
        known = self._definitions.get(digest)
        if known is not None:
            self._definitions.move_to_end(digest)
            return known
        document: Any = await self._reader.document(digest)
        definition = parse_definition(document)
        self._keep_definition(definition)
        return definition

    def _keep_definition(self, definition: WorkflowDefinition) -> None:
        self._definitions[definition.digest] = definition
        if len(self._definitions) > _KEPT_DEFINITIONS:
            self._definitions.popitem(last=False)


async def _never() -> bool:
    return False
