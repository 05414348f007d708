"""Server spans with the stable HTTP names of the semantic conventions, in apps of Starlette and FastAPI."""

import pytest
from fastapi import FastAPI
from libraries.maestro_monitoring.connections import Connection
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from maestro_monitoring import TraceRequests, span, trace_headers
from maestro_monitoring.testing import SpanRecorder

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def _order(request: Request) -> Response:
    with span("packing"):
        return PlainTextResponse(trace_headers()["traceparent"])


async def _teapot(request: Request) -> Response:
    raise HTTPException(418)


async def _busy(request: Request) -> Response:
    return Response(status_code=503)


async def _broken(request: Request) -> Response:
    raise RuntimeError("token=hunter2secret is wrong")


async def _talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


APP = Starlette(
    routes=[
        Route("/orders/{id}", _order),
        Route("/teapot", _teapot),
        Route("/busy", _busy),
        Route("/broken", _broken),
        WebSocketRoute("/talk/{room}", _talk),
    ]
)


def _attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


async def test_a_request_continues_the_trace_of_its_caller() -> None:
    """The parent is the caller's span, tracestate goes along, and spans of the handler hang below the request's."""
    recorder = SpanRecorder()
    app = TraceRequests(APP, provider=recorder.provider)
    headers = [("traceparent", PARENT), ("tracestate", "vendor=1")]
    answer = await Connection("/orders/7", headers=headers).run(app)
    server, inner = recorder.named("GET /orders/{id}"), recorder.named("packing")
    assert server.kind is SpanKind.SERVER
    assert server.parent is not None
    assert server.context is not None
    assert inner.parent is not None
    assert inner.context is not None
    assert f"{server.parent.trace_id:032x}-{server.parent.span_id:016x}" in PARENT
    assert inner.parent.span_id == server.context.span_id
    assert dict(server.context.trace_state) == {"vendor": "1"}
    assert answer.body.decode() == f"00-{inner.context.trace_id:032x}-{inner.context.span_id:016x}-01"


async def test_the_attributes_are_the_stable_ones_and_hold_no_query() -> None:
    """Method, route, status, scheme, path, server, protocol; neither query nor client nor headers."""
    recorder = SpanRecorder()
    await Connection("/orders/7").run(TraceRequests(APP, provider=recorder.provider))
    server = recorder.named("GET /orders/{id}")
    assert _attributes(server) == {
        "http.request.method": "GET",
        "http.route": "/orders/{id}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/orders/7",
        "network.protocol.version": "1.1",
        "server.address": "shop.example",
        "server.port": 80,
    }
    assert "hunter2" not in server.to_json()
    assert "192.0.2.7" not in server.to_json()


@pytest.mark.parametrize(("path", "status", "code"), [("/teapot", 418, "UNSET"), ("/busy", 503, "ERROR")])
async def test_only_the_fault_of_the_server_is_an_error(path: str, status: int, code: str) -> None:
    """A 4xx leaves the span as it is, a 5xx marks it with its status as type."""
    recorder = SpanRecorder()
    await Connection(path).run(TraceRequests(APP, provider=recorder.provider))
    found = recorder.named(f"GET {path}")
    assert found.status.status_code is StatusCode[code]
    assert _attributes(found)["http.response.status_code"] == status
    assert _attributes(found).get("error.type") == ("503" if status == 503 else None)


async def test_an_exception_marks_the_span_and_goes_on() -> None:
    """Its type is the error type, and its text is cleaned."""
    recorder = SpanRecorder()
    with pytest.raises(RuntimeError):
        await Connection("/broken").run(TraceRequests(APP, provider=recorder.provider))
    found = recorder.named("GET /broken")
    assert found.status.status_code is StatusCode.ERROR
    assert _attributes(found)["error.type"] == "RuntimeError"
    assert "hunter2secret" not in found.to_json()


async def test_an_unknown_method_and_an_unknown_path_name_no_span() -> None:
    """The span is called HTTP, or after the method alone; what a stranger wrote stays an attribute."""
    recorder = SpanRecorder()
    app = TraceRequests(APP, provider=recorder.provider)
    await Connection("/nothing/\x00here", method="BREW").run(app)
    await Connection("/nothing").run(app)
    odd, plain = recorder.named("HTTP"), recorder.named("GET")
    assert _attributes(odd)["http.request.method"] == "_OTHER"
    assert _attributes(odd)["http.request.method_original"] == "BREW"
    assert _attributes(odd)["url.path"] == "/nothing/_here"
    assert "http.route" not in _attributes(plain)


async def test_a_websocket_is_one_span() -> None:
    """From the handshake to the end, with status 101."""
    recorder = SpanRecorder()
    app = TraceRequests(APP, provider=recorder.provider)
    await Connection("/talk/7", type="websocket").run(app, {"type": "websocket.connect"})
    assert _attributes(recorder.named("GET /talk/{room}"))["http.response.status_code"] == 101


async def test_skipped_paths_and_other_scopes_have_no_span() -> None:
    """Probes and scrapes would drown everything else."""
    recorder = SpanRecorder()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"] in ("/healthz", "/x")

    traced = TraceRequests(app, provider=recorder.provider, skip_paths=["/healthz"])
    await Connection("/healthz").run(traced)
    await Connection("/x", type="lifespan").run(traced)
    assert recorder.spans == []


def _fastapi(recorder: SpanRecorder) -> FastAPI:
    app = FastAPI(telemetry={"tracer_provider": recorder.provider, "metrics": False, "logs": False})

    @app.get("/items/{item}")
    async def _item(item: int) -> int:
        return item

    return app


async def test_fastapi_that_traces_by_itself_gets_no_second_server_span() -> None:
    """Added as a middleware of FastAPI, whose own telemetry is on: the request passes through."""
    recorder = SpanRecorder()
    app = _fastapi(recorder)
    app.add_middleware(TraceRequests, provider=recorder.provider)
    await Connection("/items/7").run(app)
    assert [found.name for found in recorder.spans if found.kind is SpanKind.SERVER] == ["GET /items/{item}"]


async def test_fastapi_that_only_measures_by_itself_is_traced_here() -> None:
    """Its telemetry may be on without spans."""
    recorder = SpanRecorder()
    meters, told = MeterProvider(shutdown_on_exit=False), []
    app = FastAPI(telemetry={"tracing": False, "meter_provider": meters, "logs": False})

    @app.get("/items")
    async def _items(request: Request) -> None:
        told.append("fastapi.telemetry" in request.scope)

    app.add_middleware(TraceRequests, provider=recorder.provider)
    await Connection("/items").run(app)
    assert told == [True]
    assert [found.name for found in recorder.spans] == ["GET /items"]


async def test_fastapi_without_its_own_tracing_is_traced_here() -> None:
    """The template is the same."""
    recorder = SpanRecorder()
    app = FastAPI(telemetry={"tracing": False})

    @app.get("/items/{item}")
    async def _item(item: int) -> int:
        return item

    app.add_middleware(TraceRequests, provider=recorder.provider)
    await Connection("/items/7").run(app)
    assert [found.name for found in recorder.spans] == ["GET /items/{item}"]
