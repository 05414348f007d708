"""How the way in keeps account of what callers did."""

from starlette.requests import Request

from maestro_core_auth import Principal
from maestro_engine.audit.service import AuditTrail


async def account(
    audit: AuditTrail, request: Request, caller: Principal, action: str, object: str, **details: object
) -> None:
    """Keep account of a command that was carried out, before its caller hears so.

    The command has asked `audit.check()` first: a caller who is told that no account can be kept may come again.
    """
    await audit.record(
        actor=caller.subject,
        action=action,
        object=object,
        details={"key_id": caller.credential_id, **details} if caller.credential_id else details,
        request_id=request.scope.get("state", {}).get("request_id"),
    )
