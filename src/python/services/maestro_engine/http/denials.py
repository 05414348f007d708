"""Keeps account of who was refused: each answer 401 and 403, and each socket closed for the same reasons."""

import logging
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maestro_audit_logger import AuditError
from maestro_engine.audit.service import ANONYMOUS, AuditTrail
from maestro_monitoring import UNMATCHED, route_template

_REFUSED = {401, 403, 4401, 4403}
_MAX_PATH = 300

_log = logging.getLogger("maestro_engine")


class Denials:
    """Writes the entry before the one who was refused hears of it."""

    def __init__(self, app: ASGIApp, *, audit: AuditTrail) -> None:
        self._app = app
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_noted(message: Message) -> None:
            told = message.get("status") if message["type"] == "http.response.start" else None
            if message["type"] == "websocket.close":
                told = message.get("code")
            if told in _REFUSED:
                await self._note(scope, int(told))
            await send(message)

        await self._app(scope, receive, send_noted)

    async def _note(self, scope: Scope, told: int) -> None:
        state = scope.get("state", {})
        principal = state.get("principal")
        client = scope.get("client")
        actor = principal.subject if principal is not None else ANONYMOUS
        action = f"{scope.get('method', 'WS')[:20]} {route_template(scope) or UNMATCHED}"
        try:
            await self._audit.refused(
                actor=actor,
                action=action,
                object=quote(scope["path"])[:_MAX_PATH] or "/",
                details={"status": told, "client": client[0] if client else None},
                request_id=state.get("request_id"),
            )
        except AuditError as error:
            # A refusal stays one: that the disk is full must not open a door, nor look like a fault of the caller.
            _log.error("audit.refusal_lost actor=%s action=%s: %s", actor, action, error)
