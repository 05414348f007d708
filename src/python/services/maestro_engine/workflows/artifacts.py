"""What workflows have kept: found through the workflow that names it, read whole or in part."""

import codecs
from collections.abc import AsyncIterator, Iterator
from itertools import islice

from maestro_engine.workflows.contract import ArtifactEntry, ArtifactPage
from maestro_engine.workflows.errors import BadCursor, NoText, UnknownArtifact
from maestro_workflow_engine import ArtifactRef, ExecutionBackend, ItemState, WorkflowState

_Decoder = codecs.getincrementaldecoder("utf-8")
_CONTROLS = frozenset(map(chr, [*range(32), 127])) - set("\t\n\f\r\x1b")
"""What stands in no text; a program's colours, which begin with an escape, do."""


class Artifacts:
    """Only what a workflow names can be had through it, also when the store holds more."""

    def __init__(self, backend: ExecutionBackend) -> None:
        self._backend = backend

    async def page(self, workflow_id: str, limit: int, cursor: str | None) -> ArtifactPage:
        """What the workflow names, in the order of its steps; raises BadCursor."""
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
            raise BadCursor
        start = int(cursor or 0)
        found = list(islice(_entries(await self._backend.get(workflow_id)), start, start + limit + 1))
        return ArtifactPage(items=found[:limit], next=str(start + limit) if len(found) > limit else None)

    async def one(self, workflow_id: str, sha256: str) -> ArtifactRef:
        """An artifact that the workflow names; raises UnknownArtifact for any other."""
        for found, _, _ in named(await self._backend.get(workflow_id)):
            if found.sha256 == sha256:
                return found
        raise UnknownArtifact(workflow_id, sha256)

    async def text(self, artifact: ArtifactRef, max_bytes: int) -> str:
        """Its beginning, as text; raises NoText, ArtifactNotFound, ArtifactUnreadable."""
        parts = self._backend.artifact_bytes(artifact.sha256, 0, max_bytes)
        data = b"".join([part async for part in parts])
        is_cut = len(data) < artifact.size_bytes
        try:
            # Where it is cut, half a character may stand at the end.
            text = _Decoder().decode(data, final=not is_cut).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise NoText(artifact.sha256) from error
        if _CONTROLS.intersection(text):
            raise NoText(artifact.sha256)
        return text

    async def content(self, artifact: ArtifactRef, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`; raises ArtifactNotFound or ArtifactUnreadable, most of them at once."""
        async for _ in self._backend.artifact_bytes(artifact.sha256, start, min(start + 1, end)):
            pass  # who is missing is told before the answer has begun
        return self._backend.artifact_bytes(artifact.sha256, start, end)


def named(state: WorkflowState) -> Iterator[tuple[ArtifactRef, str | None, int | None]]:
    """Every artifact that a workflow names, with the step and the item that it is of; its outputs are of none."""
    for step_id, step in state.steps.items():
        yield from ((found, step_id, None) for found in _of_run(step))
        for item, run in enumerate(step.items or ()):
            yield from ((found, step_id, item) for found in _of_run(run))
    if isinstance(state.outputs, ArtifactRef):
        yield state.outputs, None, None


def _of_run(run: ItemState) -> Iterator[ArtifactRef]:
    yield from run.artifacts
    if isinstance(run.output, ArtifactRef):
        yield run.output


def _entries(state: WorkflowState) -> Iterator[ArtifactEntry]:
    for found, step, item in named(state):
        yield ArtifactEntry(
            sha256=found.sha256,
            size_bytes=found.size_bytes,
            media_type=found.media_type,
            name=found.name,
            step=step,
            item=item,
        )
