"""Whose requests are answered at all, and which pages may read the answers."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maestro_core_api._problem import DEFAULT_PROBLEMS, problem_response
from maestro_core_api._problem_table import ProblemTable

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_SAFE_METHODS = frozenset({"GET", "HEAD", "QUERY"})
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def host_name(authority: str) -> str | None:
    """The name in `name:port`, lower case and without brackets; None when it is not an authority."""
    parts = _authority(authority)
    return parts[0] if parts else None


def _authority(text: str) -> tuple[str, int | None] | None:
    """Name and port; None when it is not an authority."""
    try:
        parts = urlsplit(f"//{text}")
        if parts.username is not None or parts.path or parts.query or parts.fragment or not parts.hostname:
            return None
        return parts.hostname, parts.port
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose requests are answered: the `Host` that they ask for and the `Origin` of the page that sends them.

    A page of another site can make a browser send requests to loopback; refusing foreign hosts and origins is what
    keeps it from using a service there (DNS rebinding, cross-site WebSocket). `any_port` trusts the pages that any
    port of those hosts serves: a dashboard that is developed beside its service.
    """

    hosts: Collection[str] = field(default=LOOPBACK_NAMES)
    origins: Collection[str] = field(default=())
    any_port: bool = False

    def may_ask(self, host: str | None) -> bool:
        """Whether a request that names `host` is for this service."""
        return host is not None and host_name(host) in self.hosts

    def may_read(self, origin: str) -> bool:
        """Whether a page at `origin` may read answers although it comes from elsewhere (CORS)."""
        if origin in self.origins:
            return True
        scheme, separator, authority = origin.partition("://")
        known_scheme = bool(separator) and scheme in _DEFAULT_PORTS
        return self.any_port and known_scheme and host_name(authority) in self.hosts

    def may_act(self, origin: str, host: str) -> bool:
        """Whether a page at `origin` may send commands to `host`: the service's own pages, and those that may read."""
        scheme, separator, authority = origin.partition("://")
        page, asked = _authority(authority), _authority(host)
        if separator and scheme in _DEFAULT_PORTS and page is not None and asked is not None:
            # Whoever ends TLS before us leaves no other way to know the scheme than the page's own.
            default = _DEFAULT_PORTS[scheme]
            if (page[0], page[1] or default) == (asked[0], asked[1] or default):
                return True
        return self.may_read(origin)


class Gate:
    """Refuses a request with a foreign `Host` or `Origin`, an address that cannot be read, or too large headers."""

    def __init__(
        self, app: ASGIApp, *, trust: Trust, max_header_bytes: int = 32_768, table: ProblemTable = DEFAULT_PROBLEMS
    ) -> None:
        self._app = app
        self._trust = trust
        self._max_header_bytes = max_header_bytes
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None if scope["type"] == "lifespan" else self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await problem_response(scope, self._table[refusal[0]], refusal[1])(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})

    def _refusal(self, scope: Scope) -> tuple[str, str] | None:
        """Code and detail of the reason to refuse."""
        raw: list[tuple[bytes, bytes]] = scope["headers"]
        address_bytes = len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
        if address_bytes + sum(len(name) + len(value) for name, value in raw) > self._max_header_bytes:
            return "request.headers-too-large", f"Address and headers are larger than {self._max_header_bytes} bytes."
        if broken := _broken_address(scope):
            return "request.malformed", broken
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) > 1:
            return "request.malformed", "There is more than one Host header."
        if not hosts or not self._trust.may_ask(hosts[0]):
            return "request.untrusted-host", "The Host header names no host of this service; allowed_hosts adds one."
        acts = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if acts and not all(self._trust.may_act(origin, hosts[0]) for origin in headers.getlist("origin")):
            return "request.untrusted-origin", "Pages of this origin may not call here; allowed_origins adds one."
        return None


def _broken_address(scope: Scope) -> str | None:
    """What is wrong with the percent-encoding of path or query; servers decode it in silence to something else."""
    for part, raw in (("path", scope.get("raw_path") or b""), ("query", scope.get("query_string", b""))):
        if _BROKEN_ESCAPE.search(raw):
            return f"A % in the {part} is not followed by two hexadecimal digits."
        try:
            unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            return f"The {part} is not UTF-8."
    return None


class Cors:
    """Lets pages of trusted origins read answers (CORS); with a Trust that names none, no page of elsewhere can."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        trust: Trust,
        methods: Collection[str] = ("DELETE", "GET", "PATCH", "POST", "PUT"),
        request_headers: Collection[str] = (),
        response_headers: Collection[str] = (),
    ) -> None:
        self._app = app
        self._trust = trust
        self._exposed = ", ".join(sorted({*_EXPOSED, *response_headers}))
        self._preflight = {
            "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
            "Access-Control-Allow-Headers": ", ".join(sorted({*_ACCEPTED, *request_headers})),
            "Access-Control-Max-Age": "600",
            "Vary": "Origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        origin = headers.get("origin")
        if origin is None:
            await self._app(scope, receive, send)
            return
        trusted = self._trust.may_read(origin)
        if trusted and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            allowed = self._preflight | {"Access-Control-Allow-Origin": origin}
            await Response(status_code=204, headers=allowed)(scope, receive, send)
            return

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                answered.add_vary_header("Origin")
                if trusted:
                    answered["Access-Control-Allow-Origin"] = origin
                    answered["Access-Control-Expose-Headers"] = self._exposed
            await send(message)

        await self._app(scope, receive, send_readable)


_ACCEPTED = {
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "X-Request-Id",
    "traceparent",
}
_EXPOSED = {
    "Deprecation",
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Sunset",
    "X-Request-Id",
}
