"""What can be asked of an embedded backend."""

import asyncio
import builtins
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._embedded._engine import Engine
from maestro_workflow_engine._embedded._facets import ALWAYS, Search, can_be_searched, facets_of
from maestro_workflow_engine._embedded._parking import Parking
from maestro_workflow_engine._embedded._reader import ALL, Reader, WorkflowRow
from maestro_workflow_engine._embedded._values import microseconds
from maestro_workflow_engine._errors import EngineClosed, WaitTimedOut
from maestro_workflow_engine._events import Event
from maestro_workflow_engine._hub import follow
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._parse import parse_definition
from maestro_workflow_engine._ports import FlowLimit, Page, WaitingPage
from maestro_workflow_engine._state import UNFINISHED, WorkflowState, WorkflowStatus, snapshot

_KEPT_DEFINITIONS: Final = 64


class Questions:
    """Reads from the memory of the engine what runs, and from the journal the rest."""

    _engine: Engine
    _parking: Parking
    _reader: Reader

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._definitions: OrderedDict[str, WorkflowDefinition] = OrderedDict()
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
        return await self._stored_state(await self._reader.workflow(workflow_id))

    async def state_at(self, workflow_id: str, seq: int) -> WorkflowState:
        """The state after its first `seq` events; raises WorkflowNotFound, ValueError beyond the last one."""
        self._check_open()
        row = await self._reader.workflow(workflow_id)
        state = await self._stored_state(row, up_to=max(seq, 0))
        if state.seq != seq:
            raise ValueError(f"seq is from 0 to that of the last event: workflow {workflow_id!r} has no event {seq}")
        return state

    async def definition(self, workflow_id: str) -> WorkflowDefinition:
        """What the workflow was started with; its state has what it has migrated to. Raises WorkflowNotFound."""
        self._check_open()
        return await self._definition((await self._reader.workflow(workflow_id)).digest)

    async def list(
        self,
        *,
        status: WorkflowStatus | None = None,
        name: str | None = None,
        template: str | None = None,
        labels: Mapping[str, str] | None = None,
        inputs: Mapping[str, JSON] | None = None,
        parent: str | None = None,
        started_after: datetime | None = None,
        started_before: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """Workflows that fit everything given, the newest first; pages stay stable while others start.

        `labels` and `inputs` must be among those of the workflow; inputs are found by values that are no list or object
        and at most 256 characters long. `started_after` is itself included, `started_before` is not. Raises ValueError
        for a bad `after` and for values that nothing can be found by.
        """
        self._check_open()
        for what, value in (inputs or {}).items():
            if not can_be_searched(value):
                raise ValueError(f"inputs: {what[:64]!r} is a list, an object or too long, so nothing is found by it")
        facets = facets_of(
            status=status, name=name, template=template, parent=parent, labels=labels or {}, inputs=inputs or {}
        )
        span = _span(started_after, started_before)
        before = {} if after is None else {"before_key": _cursor(after)}
        return await self._reader.page(Search(facets, *span, **before), _page_size(limit))

    async def waiting(self, *, kind: str | None = None, limit: int = 50, after: str | None = None) -> WaitingPage:
        """Runs that wait for an answer, of all workflows, the oldest first; `kind` as in the `on` of Wait."""
        self._check_open()
        return await self._reader.inbox(kind, 0 if after is None else _cursor(after), _page_size(limit))

    async def limits(self) -> builtins.list[FlowLimit]:
        """All flow limits that are set, by name."""
        self._check_open()
        return await self._reader.limits()

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
        ending = self._engine.ending(workflow_id)  # before looking, so that no end is missed
        run = self._engine.runs.get(workflow_id)
        try:
            if run is None:
                state = await self.get(workflow_id)
                if state.is_finished:
                    return state
                await self._check_goes_on(workflow_id)
            await asyncio.wait_for(ending, timeout_s)
        except TimeoutError as error:
            raise WaitTimedOut(workflow_id, timeout_s or 0.0) from error
        finally:
            ending.cancel()
        if run is not None and run.state.is_finished:  # else it has left memory meanwhile, and come back as another
            return snapshot(run.state)
        return await self.get(workflow_id)

    async def _check_goes_on(self, workflow_id: str) -> None:
        """Raises why this engine will not bring an unfinished workflow to its end."""
        if workflow_id in self._engine.runs:
            return
        row = await self._reader.workflow(workflow_id)
        left = self._parking.why_left(workflow_id, row.key)
        if left is not None:
            raise left

    async def artifact(self, sha256: str) -> Path:
        """The file of an artifact, for reading; raises ArtifactNotFound."""
        self._check_open()
        return await asyncio.to_thread(self._store.path, sha256)

    def artifact_bytes(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The content of an artifact up to `end` (None: all), in parts; raises ArtifactNotFound, ArtifactUnreadable."""
        self._check_open()
        return self._store.artifact_bytes(sha256, start, end)

    async def unfinished(self) -> builtins.list[str]:
        """The ids of workflows that have not ended, the oldest first."""
        self._check_open()
        return [row.id for row in await self._reader.unfinished()]

    async def _stored_state(self, row: WorkflowRow, *, up_to: int = ALL) -> WorkflowState:
        """The state as the journal has it, after its first events."""
        definition = await self._definition(row.digest)
        lookup = await self._lookup(row) if row.is_migrated else None
        return await self._reader.state(row.id, definition, lookup, up_to=up_to)

    async def _lookup(self, row: WorkflowRow) -> Callable[[str], WorkflowDefinition]:
        """Gives the definitions that a workflow has migrated to."""
        documents = await self._reader.documents(row.id)
        return {digest: self._parsed(digest, document) for digest, document in documents.items()}.__getitem__

    async def _definition(self, digest: str) -> WorkflowDefinition:
        known = self._definitions.get(digest)
        return self._parsed(digest, None if known else await self._reader.document(digest))

    def _parsed(self, digest: str, document: Any) -> WorkflowDefinition:
        known = self._definitions.get(digest)
        if known is not None:
            self._definitions.move_to_end(digest)
            return known
        definition = parse_definition(document)
        self._keep_definition(definition)
        return definition

    def _keep_definition(self, definition: WorkflowDefinition) -> None:
        self._definitions[definition.digest] = definition
        if len(self._definitions) > _KEPT_DEFINITIONS:
            self._definitions.popitem(last=False)


async def _never() -> bool:
    return False


def _page_size(limit: int) -> int:
    if not 1 <= limit <= 1000:
        raise ValueError("limit is from 1 to 1000")
    return limit


def _cursor(after: str) -> int:
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise ValueError("after is not the `next` of an earlier page")
    return int(after)


def _span(after: datetime | None, before: datetime | None) -> tuple[int, int]:
    """A span of time, its first and its last microsecond."""
    for at in (after, before):
        if at is not None and at.tzinfo is None:
            raise ValueError("started_after and started_before need a time zone")
    first = -ALWAYS if after is None else microseconds(after)
    return first, ALWAYS if before is None else microseconds(before) - 1
