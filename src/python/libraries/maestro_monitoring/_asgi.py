"""The shapes of ASGI, the headers of a request, and its route as a template."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
RouteOf: TypeAlias = Callable[[Scope], str | None]

UNMATCHED = "__unmatched__"
OTHER_METHOD = "_OTHER"
KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})

_PARAMETER = re.compile(r"\{(\w+)(?::[^}]*)?\}")


def header(scope: Scope, name: bytes) -> str:
    """All values of one header, joined as HTTP has it; empty when there is none."""
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name)


def method_of(scope: Scope) -> str:
    """The method if it is a known one, otherwise `_OTHER`; a WebSocket begins with GET."""
    method = scope.get("method", "GET")
    return method if method in KNOWN_METHODS else OTHER_METHOD


def route_template(scope: Scope) -> str | None:
    """The route that Starlette or FastAPI chose, as in `/orders/{id}`; None while or when there is none.

    Ask when the app has answered. The prefix of a mount is part of it; its own parameters are put back as `{name}`.
    """
    path = _own_path(scope)
    if path is None:
        return None
    if "app_root_path" not in scope:  # set by the first mount on the way
        return path
    own = set(_PARAMETER.findall(path))
    mounted = scope["root_path"].removeprefix(scope["app_root_path"]).split("/")
    for name, value in scope["path_params"].items():
        if name not in own and str(value) in mounted:
            mounted[mounted.index(str(value))] = f"{{{name}}}"
        elif name not in own:
            return "/{mount}" + path  # a parameter that is only part of a segment: never guess, never show it raw
    return "/".join(mounted) + path


def _own_path(scope: Scope) -> str | None:
    """The template of the innermost route, without the mounts above it."""
    route = scope.get("route")
    # FastAPI keeps the prefix of an included router beside the route, which it shares with other inclusions.
    context = scope.get("fastapi", {}).get("effective_route_context")
    if context is not None and context.original_route is route:
        route = context
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    if not isinstance(path, str):
        return None
    is_mount = hasattr(route, "routes") and path.endswith("/{path}")
    return "/{path}" if is_mount else path
