"""Rate, errors and duration of HTTP requests, as a pure ASGI middleware that buffers nothing."""

import asyncio
import time
from collections.abc import Callable, Collection

from maestro_monitoring._asgi import (
    KNOWN_METHODS,
    OTHER_METHOD,
    UNMATCHED,
    ASGIApp,
    Message,
    Receive,
    RouteOf,
    Scope,
    Send,
    method_of,
    route_template,
)
from maestro_monitoring._contract import SIZE_BYTES
from maestro_monitoring._labels import Label
from maestro_monitoring._metrics import GaugeSeries, Metrics

# The client went away before there was an answer: no server ever sent this status, so it is known as nginx has it.
CLIENT_CLOSED = "499"
_METHOD = Label("http_request_method", KNOWN_METHODS, OTHER_METHOD)


class RequestMeters:
    """What is measured of requests: the names of OpenTelemetry's HTTP conventions, as Prometheus writes them."""

    def __init__(self, metrics: Metrics) -> None:
        answered = (_METHOD, "http_route", "http_response_status_code")
        self.duration = metrics.histogram(
            "http_server_request_duration_seconds",
            "From the request to the end of its answer; for streams and WebSockets, to the start of it.",
            labels=answered,
        )
        self.request_size = metrics.histogram(
            "http_server_request_body_size_bytes",
            "Bytes of the request body that the app has read.",
            labels=answered,
            buckets=SIZE_BYTES,
        )
        self.response_size = metrics.histogram(
            "http_server_response_body_size_bytes",
            "Bytes of the answer's body, without streams.",
            labels=answered,
            buckets=SIZE_BYTES,
        )
        self.active = metrics.gauge(
            "http_server_active_requests", "Requests without a complete answer, without streams.", labels=(_METHOD,)
        )
        self.streams = metrics.gauge(
            "maestro_http_open_streams",
            "Open event streams and WebSockets.",
            labels=("http_route", Label("kind", frozenset({"sse", "websocket"}))),
        )
        self.exceptions = metrics.counter(
            "maestro_http_exceptions_total",
            "Exceptions that left the app.",
            labels=("http_route", "error_type"),
        )
        self.disconnects = metrics.counter(
            "maestro_http_disconnects_total",
            "Clients that went away before their answer was complete.",
            labels=("http_route",),
        )


class RequestMetrics:
    """ASGI middleware: measures each request under the template of its route, and under `__unmatched__` without one."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        skip_paths: Collection[str] = (),
        route_of: RouteOf = route_template,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._meters = RequestMeters(metrics)
        self._skip_paths = frozenset(skip_paths)
        self._route_of = route_of
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on, and measure it."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._skip_paths:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self._meters, scope, self._route_of, self._monotonic, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            exchange.ended()


class _Exchange:
    """One request and its answer: answered at most once, and ended exactly once."""

    __slots__ = (
        "_active",
        "_answered",
        "_begun_s",
        "_complete",
        "_disconnected",
        "_meters",
        "_method",
        "_monotonic",
        "_receive",
        "_received_bytes",
        "_route_of",
        "_scope",
        "_send",
        "_sent_bytes",
        "_status",
        "_stream",
    )

    def __init__(
        self,
        meters: RequestMeters,
        scope: Scope,
        route_of: RouteOf,
        monotonic: Callable[[], float],
        receive: Receive,
        send: Send,
    ) -> None:
        self._meters = meters
        self._scope = scope
        self._route_of = route_of
        self._monotonic = monotonic
        self._receive = receive
        self._send = send
        self._method = method_of(scope)
        self._begun_s = monotonic()
        self._received_bytes = self._sent_bytes = 0
        self._status: str | None = None
        self._stream: GaugeSeries | None = None
        self._answered = self._complete = self._disconnected = False
        self._active = meters.active.labels(self._method)
        self._active.inc()

    async def receive(self) -> Message:
        """What comes from the client, unchanged."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._received_bytes += len(message.get("body", b""))
        elif message["type"] == "http.disconnect" and not self._complete:
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """What goes to the client, unchanged, and noted once it has gone."""
        await self._send(message)
        match message["type"]:
            case "http.response.start":
                self._status = str(message["status"])
                if _is_event_stream(message):
                    self._open_stream("sse")
            case "http.response.body" | "websocket.http.response.body":
                self._sent_bytes += len(message.get("body", b""))
                if not message.get("more_body", False):
                    self._finish()
            case "http.response.pathsend":
                self._finish()
            case "websocket.http.response.start":
                self._status = str(message["status"])
            case "websocket.accept":
                self._status = "101"
                self._open_stream("websocket")
            case "websocket.close":
                # Closed before it was accepted: servers answer 403.
                self._status = self._status or "403"
                self._finish()

    def failed(self, error: BaseException) -> None:
        """An exception left the app; a cancellation is the going of the client, or of the whole server."""
        if isinstance(error, asyncio.CancelledError):
            self._disconnected = self._disconnected or not self._complete
        elif isinstance(error, Exception):
            self._meters.exceptions.labels(self._route(), type(error).__name__).inc()

    def ended(self) -> None:
        """The app has returned or raised."""
        if self._disconnected and not self._complete and self._stream is None:
            self._meters.disconnects.labels(self._route()).inc()
        if self._status is None:
            self._status = CLIENT_CLOSED if self._disconnected else "500"
        self._finish()

    def _open_stream(self, kind: str) -> None:
        self._answer()
        self._stream = self._meters.streams.labels(self._route(), kind)
        self._stream.inc()

    def _finish(self) -> None:
        if self._complete:
            return
        self._complete = True
        if self._stream is not None:
            self._stream.dec()
            return
        labels = self._answer()
        self._meters.request_size.labels(*labels).observe(self._received_bytes)
        self._meters.response_size.labels(*labels).observe(self._sent_bytes)

    def _answer(self) -> tuple[str, str, str]:
        labels = (self._method, self._route(), self._status or "500")
        if not self._answered:
            self._answered = True
            self._active.dec()
            self._meters.duration.labels(*labels).observe(max(0.0, self._monotonic() - self._begun_s))
        return labels

    def _route(self) -> str:
        return self._route_of(self._scope) or UNMATCHED


def _is_event_stream(message: Message) -> bool:
    headers = message.get("headers", ())
    return any(
        name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in headers
    )
