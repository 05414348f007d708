"""`POST /api/workflows/{id}/export`: a workflow as one signed file."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from maestro_core_api import problems
from maestro_core_auth import Principal
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import READ
from maestro_engine.audit.service import AuditTrail
from maestro_engine.http.audited import account
from maestro_engine.workflows.contract import ExportWorkflow
from maestro_engine.workflows.export import Exports

_ZIP = "application/zip"


def export_routes(exports: Exports, auth: FastAPIAuth, audit: AuditTrail) -> APIRouter:
    """The one route of this file."""
    routes = APIRouter(prefix="/api/workflows", tags=["workflows"])
    content: dict[str, Any] = {
        "description": "The bundle, as a download; `maestro replay FILE` reads it.",
        "content": {_ZIP: {"schema": {"type": "string", "format": "binary"}}},
    }

    @routes.post(
        "/{workflow_id}/export",
        responses={200: content, **problems(401, 403, 404, 409)},
        response_class=Response,
    )
    async def export_workflow(
        workflow_id: Annotated[str, Path(min_length=1, max_length=200)],
        request: Request,
        caller: Annotated[Principal, auth.require(READ)],
        order: ExportWorkflow | None = None,
    ) -> Response:
        """Export a workflow with its definitions and events, redacted and signed, to be looked at elsewhere."""
        await audit.check()
        asked = order or ExportWorkflow()
        bundle = await exports.bundle(workflow_id, asked)
        said = {"redact": asked.redact, "values": len(asked.values), "artifacts": asked.artifacts}
        await account(audit, request, caller, "workflow.export", workflow_id, **said)
        name = "".join(char if char.isalnum() or char in "-_." else "_" for char in workflow_id)
        headers = {"Content-Disposition": f'attachment; filename="{name}.maestro.zip"'}
        return Response(bundle, media_type=_ZIP, headers=headers)

    return routes
