"""What every request passes before it reaches a route: who it is for, how big and how slow it may be, and its name."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maestro_core_logging import get_logger, request_context
from maestro_engine.http.problems import problem_response

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_log = get_logger("maestro_engine")
_SAFE_METHODS = frozenset({"GET", "HEAD"})


def host_name(authority: str) -> str | None:
    """The name in `name:port`, lower case and without brackets; None when it is not an authority."""
    try:
        parts = urlsplit(f"//{authority}")
        if parts.username is not None or parts.path or parts.query or parts.fragment:
            return None
        parts.port  # noqa: B018 - raises when it is not a port
        return parts.hostname
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose requests are answered: the `Host` that they ask for and the `Origin` of the page that sends them.

    A page of another site can make a browser send requests to loopback; refusing foreign hosts and origins is what
    keeps it from starting workflows (DNS rebinding, cross-site WebSocket).
    """

    hosts: Collection[str] = field(default=LOOPBACK_NAMES)
    origins: Collection[str] = field(default=())

    def may_ask(self, host: str | None) -> bool:
        """Whether a request that names `host` is for this engine."""
        return host is not None and host_name(host) in self.hosts

    def may_come_from(self, origin: str) -> bool:
        """Whether a page at `origin` may send commands and read answers."""
        if origin in self.origins:
            return True
        scheme, separator, authority = origin.partition("://")
        return bool(separator) and scheme in {"http", "https"} and host_name(authority) in self.hosts


class Named:
    """Gives every request an id, in the answer and in every log record; answers 500 for what nobody expected."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with request_context(request_id=headers.get("x-request-id"), traceparent=headers.get("traceparent")) as request:
            scope.setdefault("state", {})["request_id"] = request.request_id
            if scope["type"] == "http":
                await self._answer(scope, receive, send, request.request_id)
            else:
                await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        began_s = time.perf_counter()
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception:
            _log.exception("http.request_failed", method=scope["method"], path=scope["path"])
            if status:  # the answer has begun: cutting it off is all that tells the client
                raise
            detail = "Something went wrong here; the log of the engine has it under this request_id."
            await problem_response(scope, "engine.fault", detail, status=500)(scope, receive, send_named)
        took_ms = round((time.perf_counter() - began_s) * 1000, 1)
        _log.info("http.request_answered", method=scope["method"], path=scope["path"], status=status, took_ms=took_ms)


class Gate:
    """Refuses a request with a foreign `Host` or `Origin`, or with headers beyond the limit."""

    def __init__(self, app: ASGIApp, *, trust: Trust, max_header_bytes: int) -> None:
        self._app = app
        self._trust = trust
        self._max_header_bytes = max_header_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None if scope["type"] == "lifespan" else self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})

    def _refusal(self, scope: Scope) -> Response | None:
        raw: list[tuple[bytes, bytes]] = scope["headers"]
        if sum(len(name) + len(value) for name, value in raw) > self._max_header_bytes:
            detail = f"The headers are larger than {self._max_header_bytes} bytes."
            return problem_response(scope, "request.headers-too-large", detail)
        headers = Headers(scope=scope)
        if not self._trust.may_ask(headers.get("host")):
            detail = "The Host header names no host of this engine; the setting allowed_hosts adds one."
            return problem_response(scope, "request.untrusted-host", detail)
        origin = headers.get("origin")
        acts = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if origin is not None and acts and not self._trust.may_come_from(origin):
            detail = "Pages of this origin may not use the engine; the setting allowed_origins adds one."
            return problem_response(scope, "request.untrusted-origin", detail)
        return None


class BodyLimit:
    """Refuses a body beyond the limit: at once when its length is declared, otherwise when it has come too far."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        detail = f"The body is larger than {self._max_body_bytes} bytes."
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self._max_body_bytes:
            await problem_response(scope, "request.body-too-large", detail)(scope, receive, send)
            return
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise HTTPException(413, detail)
            return message

        await self._app(scope, receive_bounded, send)


class Deadline:
    """Ends a request that has not begun to answer in time; an answer that has begun may stream on."""

    def __init__(self, app: ASGIApp, *, timeout_s: float) -> None:
        self._app = app
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._timeout_s) as deadline:

                async def send_in_time(message: Message) -> None:
                    deadline.reschedule(None)
                    await send(message)

                await self._app(scope, receive, send_in_time)
        except TimeoutError:
            if not deadline.expired():
                raise
            detail = f"The request was not complete within {self._timeout_s:g} seconds."
            await problem_response(scope, "request.too-slow", detail)(scope, receive, send)


class Cors:
    """Lets pages of trusted origins read answers, so that a dashboard may be served from another port (CORS)."""

    def __init__(self, app: ASGIApp, *, trust: Trust) -> None:
        self._app = app
        self._trust = trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None:
            await self._app(scope, receive, send)
            return
        trusted = self._trust.may_come_from(origin)
        asked = Headers(scope=scope).get("access-control-request-method")
        if scope["method"] == "OPTIONS" and asked is not None and trusted:
            await Response(status_code=204, headers=_PREFLIGHT | {"Access-Control-Allow-Origin": origin})(
                scope, receive, send
            )
            return

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                if trusted:
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = "Location, X-Request-Id"
            await send(message)

        await self._app(scope, receive, send_readable)


_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Content-Type, Last-Event-ID, X-Request-Id",
    "Access-Control-Max-Age": "600",
    "Vary": "Origin",
}
