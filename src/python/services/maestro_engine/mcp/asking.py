"""Who sends a request, what the client can do, and what it may not: as every handler sees it."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    ElicitationCapability,
    FormElicitationCapability,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.types import Scope

from maestro_core_auth import Principal

TASKS: Final = "io.modelcontextprotocol/tasks"
REQUEST_KEY: Final = "maestro/idempotencyKey"
"""In `_meta` of a call: the same key again is the same workflow."""
CANCEL_WITH_REQUEST: Final = "maestro/cancelWithRequest"
"""In `_meta` of a call: true cancels the workflow when the client leaves before the answer."""

_MAX_KEY_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Asking:
    """One request."""

    caller: Principal
    request_id: str | None
    is_modern: bool
    has_tasks: bool
    can_elicit: bool
    request_key: str | None
    cancels_with_request: bool
    stopping: asyncio.Event
    """Set when the engine stops: whoever waits should answer."""

    def need_tasks(self) -> None:
        """Raise MCPError unless the client has declared the Tasks extension with this request."""
        if not self.has_tasks:
            required: dict[str, object] = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, f"this needs the extension {TASKS}", required)


def asking(ctx: ServerRequestContext[Any, Any]) -> Asking:
    """Who and what is behind a request; raises MCPError for `_meta` that is not as it has to be."""
    scope = scope_of(ctx)
    state = scope["state"]
    declared = ctx.session.client_capabilities
    is_modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
    meta: dict[str, Any] = dict(ctx.meta or {})
    key = meta.get(REQUEST_KEY)
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= _MAX_KEY_CHARS):
        raise MCPError(INVALID_PARAMS, f"_meta[{REQUEST_KEY!r}] is a text of 1 to {_MAX_KEY_CHARS} characters")
    return Asking(
        caller=state["principal"],
        request_id=state.get("request_id"),
        is_modern=is_modern,
        has_tasks=is_modern and declared is not None and TASKS in (declared.extensions or {}),
        can_elicit=is_modern and declared is not None and _takes_forms(declared.elicitation),
        request_key=key,
        cancels_with_request=meta.get(CANCEL_WITH_REQUEST) is True,
        stopping=scope["app"].drainer.stopping,
    )


def scope_of(ctx: ServerRequestContext[Any, Any]) -> Scope:
    """The HTTP request that a message came with."""
    request = ctx.request
    assert isinstance(request, Request), "the door is reached over HTTP alone"
    return request.scope


def _takes_forms(elicitation: ElicitationCapability | None) -> bool:
    """An empty declaration means forms, as it did before there was anything else."""
    if elicitation is None:
        return False
    return isinstance(elicitation.form, FormElicitationCapability) or elicitation.url is None
