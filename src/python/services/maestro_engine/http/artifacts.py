"""`/api/workflows/{id}/artifacts`: list them, download them whole or in part, look at the beginning of a text."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final, cast
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Send

from maestro_core_api import ETag, Verdict, problems, verdict
from maestro_engine.http.ranges import NotSatisfiable, range_of
from maestro_engine.workflows.artifacts import Artifacts
from maestro_engine.workflows.contract import ArtifactPage
from maestro_workflow_engine import ArtifactRef

MAX_PREVIEW_BYTES: Final = 256 << 10

_WorkflowId = Annotated[str, Path(min_length=1, max_length=200)]
_Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
_OCTETS: Final[dict[str, Any]] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The bytes, as a download; or the beginning of a text.",
        "content": {**_OCTETS, "text/plain": {"schema": {"type": "string"}}},
    },
    206: {"description": "The part that was asked for.", "content": _OCTETS},
    304: {"description": "The caller has it."},
    **problems(400, 401, 403, 404, 406, 416),
}


def artifact_routes(routes: APIRouter, artifacts: Artifacts) -> None:
    """Add the routes of artifacts to those of workflows."""

    @routes.get("/{workflow_id}/artifacts", responses=problems(400, 401, 403, 404))
    async def list_artifacts(
        workflow_id: _WorkflowId,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before.")] = None,
    ) -> ArtifactPage:
        """List what a workflow has kept so far, in the order of its steps."""
        return await artifacts.page(workflow_id, limit, cursor)

    @routes.get("/{workflow_id}/artifacts/{sha256}", responses=_ANSWERS, response_class=StreamingResponse)
    async def read_artifact(
        workflow_id: _WorkflowId,
        sha256: _Sha256,
        preview: Annotated[
            int | None,
            Query(
                ge=1, le=MAX_PREVIEW_BYTES, description="So many bytes from the beginning, as text; 406 for no text."
            ),
        ] = None,
        asked: Annotated[
            str | None, Header(alias="Range", max_length=1000, description="One range of bytes; several are all of it.")
        ] = None,
        if_range: Annotated[str | None, Header(max_length=200)] = None,
        if_none_match: Annotated[str | None, Header(max_length=8000)] = None,
    ) -> Response:
        """Download an artifact that the workflow names, or a part of it; never shown as a page."""
        artifact = await artifacts.one(workflow_id, sha256)
        if preview is not None:
            return await _previewed(artifacts, artifact, preview)
        tag = ETag(sha256)
        if verdict("GET", if_match=None, if_none_match=if_none_match, current=tag) is Verdict.NOT_MODIFIED:
            raise HTTPException(304, headers={"ETag": str(tag)})
        return await _downloaded(artifacts, artifact, asked if if_range in (None, str(tag)) else None)


async def _previewed(artifacts: Artifacts, artifact: ArtifactRef, max_bytes: int) -> Response:
    text = await artifacts.text(artifact, max_bytes)
    headers = {"X-Content-Type-Options": "nosniff", "X-Size-Bytes": str(artifact.size_bytes)}
    return PlainTextResponse(text, headers=headers)


async def _downloaded(artifacts: Artifacts, artifact: ArtifactRef, asked: str | None) -> Response:
    size_bytes = artifact.size_bytes
    try:
        part = range_of(asked, size_bytes)
    except NotSatisfiable as error:
        raise HTTPException(
            416, f"The artifact has {size_bytes} bytes.", headers={"Content-Range": f"bytes */{size_bytes}"}
        ) from error
    start, end = part or (0, size_bytes)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": _as_download(artifact.name or artifact.sha256),
        "Content-Length": str(end - start),
        "ETag": str(ETag(artifact.sha256)),
        "X-Content-Type-Options": "nosniff",
        "X-Media-Type": artifact.media_type,
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size_bytes}"
    content = await artifacts.content(artifact, start, end)
    return _Download(content, 200 if part is None else 206, headers, media_type="application/octet-stream")


class _Download(StreamingResponse):
    """Closes what it reads from, also when the client leaves early."""

    async def stream_response(self, send: Send) -> None:
        async with aclosing(cast(AsyncGenerator[bytes, None], self.body_iterator)):
            await super().stream_response(send)


def _as_download(name: str) -> str:
    encoded = quote(name)
    return f'attachment; filename="{name}"' if encoded == name else f"attachment; filename*=utf-8''{encoded}"
