"""What a workflow came to, as the result of a tool call."""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)

from maestro_engine.workflows.errors import UnknownArtifact
from maestro_workflow_engine import JSON, ArtifactNotFound, ArtifactRef, ExecutionBackend, WorkflowState

WORKFLOW: Final = "maestro/workflow"
"""In `_meta` of a result: the id of the workflow."""
MAX_RESULT_BYTES: Final = 4 * 1024 * 1024
"""Of the outputs as JSON, and of the artifacts that are sent with them."""

_NAMED_ANEW: Final = {"audio/x-wav": "audio/wav"}
"""What files are guessed to be, and what clients call that."""

FindArtifact = Callable[[str, str], Awaitable[ArtifactRef]]
"""The artifact that a workflow names, by id and digest; raises UnknownArtifact. `Artifacts.one` is one."""


class Results:
    """Makes results of ended workflows."""

    def __init__(self, backend: ExecutionBackend, artifact: FindArtifact) -> None:
        self._backend = backend
        self._artifact = artifact

    async def of(self, state: WorkflowState) -> CallToolResult:
        """The result of an ended workflow; raises MCPError where it is too large to send, or gone."""
        if state.status != "succeeded":
            return told(_why(state), state.id, is_error=True)
        outputs = await self._outputs(state)
        structured = outputs if isinstance(outputs, Mapping) else None
        content = await self._content(state.id, structured) if structured else [_text(json.dumps(outputs))]
        return CallToolResult(content=content, structured_content=structured, _meta={WORKFLOW: state.id})

    async def _outputs(self, state: WorkflowState) -> JSON:
        if not isinstance(state.outputs, ArtifactRef):
            return state.outputs
        if state.outputs.size_bytes > MAX_RESULT_BYTES:
            raise MCPError(
                INTERNAL_ERROR,
                f"the outputs of workflow {state.id} are too large for a result: {state.outputs.size_bytes} bytes",
                {"workflow": state.id, "sha256": state.outputs.sha256},
            )
        try:
            outputs: JSON = json.loads(await self._bytes(state.outputs.sha256))
        except ArtifactNotFound as error:
            raise MCPError(INTERNAL_ERROR, f"the outputs of workflow {state.id} are not there any more") from error
        return outputs

    async def _content(self, workflow_id: str, outputs: Mapping[str, JSON]) -> list[ContentBlock]:
        """Artifacts as what they are; before them the rest: one text alone as it is, anything else as JSON."""
        rest, media, left_bytes = dict(outputs), list[ContentBlock](), MAX_RESULT_BYTES
        for name, value in outputs.items():
            if not isinstance(value, Mapping) or not {"sha256", "media_type"} <= value.keys():
                continue
            try:
                reference = await self._artifact(workflow_id, str(value["sha256"]))
                if reference.size_bytes > left_bytes:
                    continue
                block = _block(reference, await self._bytes(reference.sha256))
            except (UnknownArtifact, ArtifactNotFound):
                continue  # it only looks like one, or its bytes are gone: then its description is all there is
            left_bytes -= reference.size_bytes
            media.append(block)
            del rest[name]
        if not rest:
            return media
        only = next(iter(rest.values())) if len(rest) == 1 else None
        return [_text(only if isinstance(only, str) else json.dumps(rest, ensure_ascii=False)), *media]

    async def _bytes(self, sha256: str) -> bytes:
        return b"".join([part async for part in self._backend.artifact_bytes(sha256)])


def told(text: str, workflow_id: str | None, *, is_error: bool) -> CallToolResult:
    """A result that is one text."""
    return CallToolResult(
        content=[_text(text)], is_error=is_error, _meta={WORKFLOW: workflow_id} if workflow_id else None
    )


def _text(text: str) -> TextContent:
    return TextContent(text=text)


def _block(reference: ArtifactRef, data: bytes) -> ContentBlock:
    kind, encoded = _NAMED_ANEW.get(reference.media_type, reference.media_type), base64.b64encode(data).decode()
    if kind.startswith("image/"):
        return ImageContent(data=encoded, mime_type=kind)
    if kind.startswith("audio/"):
        return AudioContent(data=encoded, mime_type=kind)
    uri = f"maestro://artifacts/{reference.sha256}"
    if kind.startswith("text/") or kind == "application/json":
        text = data.decode("utf-8", "replace")
        return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=kind, text=text))
    return EmbeddedResource(resource=BlobResourceContents(uri=uri, mime_type=kind, blob=encoded))


def _why(state: WorkflowState) -> str:
    if state.status == "cancelled":
        return f"Workflow {state.id} was cancelled" + (f": {state.reason}" if state.reason else ".")
    error: Mapping[str, Any] = state.error or {}
    place = f" at step {state.failed_step}" if state.failed_step else ""
    return f"Workflow {state.id} failed{place}: {error.get('message', 'no reason was given')} ({error.get('code')})"
