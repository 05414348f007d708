"""A server span for each request, with the stable HTTP names of OpenTelemetry's semantic conventions."""

from collections.abc import Collection

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from maestro_monitoring._asgi import (
    OTHER_METHOD,
    ASGIApp,
    Message,
    Receive,
    RouteOf,
    Scope,
    Send,
    method_of,
    route_template,
)
from maestro_monitoring._labels import clean_value
from maestro_monitoring._tracing import TRACE_HEADERS, open_span, remote_context

_SCHEMES = ("http", "https", "ws", "wss")


class TraceRequests:
    """ASGI middleware: continues the trace of `traceparent`, names the span after the route, never after the URL.

    Query strings, headers and addresses of clients are not recorded. Where FastAPI traces the request already (its own
    telemetry, with this middleware inside of it), the request passes through and gets no second span.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        provider: TracerProvider | None = None,
        skip_paths: Collection[str] = (),
        route_of: RouteOf = route_template,
    ) -> None:
        self._app = app
        self._provider = provider
        self._skip_paths = frozenset(skip_paths)
        self._route_of = route_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on, inside its span."""
        is_http = scope["type"] in ("http", "websocket")
        # FastAPI's own span of this request, if it has one.
        is_traced = getattr(scope.get("fastapi.telemetry"), "span", None) is not None
        if not is_http or is_traced or scope["path"] in self._skip_paths:
            await self._app(scope, receive, send)
            return
        method = method_of(scope)
        with open_span(
            _span_method(method),
            _attributes(scope, method),
            kind=SpanKind.SERVER,
            context=remote_context(_trace_context_headers(scope)),
            provider=self._provider,
        ) as span:
            try:
                await self._app(scope, receive, _watching(send, span) if span.is_recording() else send)
            finally:
                if span.is_recording() and (route := self._route_of(scope)) is not None:
                    span.set_attribute("http.route", route)
                    span.update_name(f"{_span_method(method)} {route}")


def _span_method(method: str) -> str:
    return "HTTP" if method == OTHER_METHOD else method


def _trace_context_headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in scope["headers"]:
        name = key.decode("latin-1").lower()
        if name in TRACE_HEADERS:
            found.setdefault(name, []).append(value.decode("latin-1"))
    return found


def _attributes(scope: Scope, method: str) -> dict[str, AttributeValue]:
    scheme = scope.get("scheme", "http")
    attributes: dict[str, AttributeValue] = {
        "http.request.method": method,
        "url.scheme": scheme if scheme in _SCHEMES else "http",
        "url.path": clean_value(scope["path"]),
        "network.protocol.version": scope.get("http_version", "1.1"),
    }
    if method == OTHER_METHOD:
        attributes["http.request.method_original"] = clean_value(scope["method"])
    if scope.get("server"):
        address, port = scope["server"]
        attributes["server.address"] = address
        if port is not None:
            attributes["server.port"] = port
    return attributes


def _watching(send: Send, span: Span) -> Send:
    """`send`, with the status of the answer told to the span; the fault of a client is no error of the server."""

    async def watched(message: Message) -> None:
        status: int | None = None
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            status = message["status"]
        elif message["type"] == "websocket.accept":
            status = 101
        if status is not None:
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_attribute("error.type", str(status))
                span.set_status(Status(StatusCode.ERROR))
        await send(message)

    return watched
