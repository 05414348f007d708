"""`/api/audit`: what is in the audit log, and the proof of it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import PlainTextResponse

from maestro_core_api import problems
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import AUDIT
from maestro_engine.audit.contract import AuditCheckpoint, AuditEntryView, AuditPage
from maestro_engine.audit.service import AuditTrail, Outcome
from maestro_engine.http.times import When

_Name = Annotated[str | None, Query(min_length=1, max_length=512)]
Cursor = Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="`next` of the page before.")]


Seq = Annotated[int, Path(ge=0, le=10**15)]


def audit_routes(trail: AuditTrail, auth: FastAPIAuth) -> APIRouter:
    """The routes below `/api/audit`."""
    routes = APIRouter(prefix="/api/audit", tags=["audit"], dependencies=[auth.require(AUDIT)])

    @routes.get("", responses=problems(401, 403), response_description="A page, newest first.")
    async def list_audit_entries(
        actor: _Name = None,
        action: _Name = None,
        object: _Name = None,
        outcome: Outcome | None = None,
        since: When | None = None,
        until: When | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Cursor = None,
    ) -> AuditPage:
        """List what happened: by whom, to what, with which outcome, from when (included) until when (not)."""
        entries = await trail.page(
            actor=actor,
            action=action,
            object=object,
            outcome=outcome,
            since=since,
            until=until,
            after=None if cursor is None else int(cursor),
            limit=limit,
        )
        items = [
            AuditEntryView.model_validate(
                {
                    **{name: getattr(entry, name) for name in ("seq", "at", "actor", "action", "object", "outcome")},
                    "details": dict(entry.details),
                    "request_id": entry.context.get("request_id"),
                }
            )
            for entry in entries
        ]
        return AuditPage(items=items, next=str(items[-1].seq) if len(items) == limit else None)

    @routes.get("/checkpoint", responses=problems(401, 403), response_description="As of now.")
    async def read_audit_checkpoint() -> AuditCheckpoint:
        """Sign the log as it is now."""
        return AuditCheckpoint(note=await trail.checkpoint(), public_key=trail.public_key)

    @routes.get(
        "/{seq}/proof",
        responses={
            200: {"description": "c2sp.org/tlog-proof: the entry, its path, and the signed checkpoint."},
            **problems(401, 403, 404),
        },
        response_class=PlainTextResponse,
    )
    async def read_audit_proof(seq: Seq) -> PlainTextResponse:
        """Prove that an entry is in the log that the newest checkpoint signs."""
        return PlainTextResponse((await trail.proof(seq)).text())

    return routes
