"""Rate, errors and duration of requests: right for answers, streams, sockets, exceptions and clients that go away."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from fastapi import FastAPI
from libraries.maestro_monitoring.connections import Connection
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from maestro_monitoring import UNMATCHED, Metrics, RequestMetrics
from maestro_monitoring.testing import MetricsRecorder

DURATION = "http_server_request_duration_seconds"
WHOLE = {"type": "http.request", "body": b"", "more_body": False}


class Ticking:
    """A clock that the app under test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Measured:
    """An app with the middleware around it, and what it counted."""

    def __init__(self, app: Callable[[Scope, Receive, Send], object], **options: object) -> None:
        self.metrics = Metrics()
        self.clock = Ticking()
        self.app = RequestMetrics(app, metrics=self.metrics, monotonic=self.clock, **options)  # type: ignore[arg-type]  # any options
        self.seen = MetricsRecorder(self.metrics)

    def durations(self) -> dict[tuple[str, ...], float]:
        """(method, status, route) -> how many."""
        return self.seen.changed(f"{DURATION}_count")

    @property
    def open(self) -> tuple[float, float]:
        """Requests in flight, open streams."""
        return self.seen.delta("http_server_active_requests"), self.seen.delta("maestro_http_open_streams")


async def test_a_request_is_counted_under_its_template_with_status_and_sizes() -> None:
    """Method, route and status label the duration; the bytes are those that really passed."""

    async def order(request: Request) -> Response:
        measured.clock.now_s += 0.2
        return Response(b"y" * 500, status_code=201, headers={"x": (await request.body()).decode()})

    measured = Measured(Starlette(routes=[Route("/orders/{id}", order, methods=["POST"])]))
    for number in range(3):
        said: list[Message] = [
            {"type": "http.request", "body": b"ab", "more_body": True},
            {"type": "http.request", "body": b"c"},
        ]
        answer = await Connection(f"/orders/{number}", method="POST").run(measured.app, *said)
        assert (answer.status, answer.header("x")) == (201, "abc")
    labels = {"http_request_method": "POST", "http_route": "/orders/{id}", "http_response_status_code": "201"}
    assert measured.durations() == {("POST", "201", "/orders/{id}"): 3.0}
    assert measured.seen.delta(f"{DURATION}_sum", **labels) == pytest.approx(0.6)
    assert measured.seen.delta("http_server_request_body_size_bytes_sum", **labels) == 9
    assert measured.seen.delta("http_server_response_body_size_bytes_sum", **labels) == 1_500
    assert measured.open == (0, 0)


async def test_strangers_cannot_make_series() -> None:
    """Unknown paths share one route, unknown methods one method; no raw path is ever a label."""
    measured = Measured(Starlette(routes=[Route("/", PlainTextResponse("ok"))]))
    for number in range(50):
        await Connection(f"/admin/{number}.php", method=f"BREW{number}").run(measured.app)
    assert measured.durations() == {("_OTHER", "404", UNMATCHED): 50.0}


async def test_fastapi_is_measured_by_template_too() -> None:
    """Also its own 422, which has a route."""
    app = FastAPI()

    @app.get("/items/{item}")
    async def _item(item: int) -> int:
        return item

    measured = Measured(app)
    await Connection("/items/7").run(measured.app)
    await Connection("/items/seven").run(measured.app)
    assert measured.durations() == {("GET", "200", "/items/{item}"): 1.0, ("GET", "422", "/items/{item}"): 1.0}


async def test_an_exception_is_counted_by_type_and_as_500_and_goes_on() -> None:
    """The server makes a 500 of it; the type is a label, the text is not."""

    async def broken(request: Request) -> Response:
        raise ZeroDivisionError("password=hunter2")

    measured = Measured(Starlette(routes=[Route("/broken", broken)]))
    with pytest.raises(ZeroDivisionError):
        await Connection("/broken").run(measured.app)
    assert measured.durations() == {("GET", "500", "/broken"): 1.0}
    assert measured.seen.changed("maestro_http_exceptions_total") == {("ZeroDivisionError", "/broken"): 1.0}
    assert measured.open == (0, 0)


async def test_an_app_that_raises_before_its_answer_or_never_answers_counts_as_500() -> None:
    """There is no status, and a server sends 500."""

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError

    for app in (silent, raising):
        measured = Measured(app)
        try:
            await Connection("/x").run(measured.app)
        except KeyError:
            assert app is raising
        assert measured.durations() == {("GET", "500", UNMATCHED): 1.0}


async def test_a_client_that_goes_away_is_counted_as_such() -> None:
    """Before an answer: 499. In the middle of one: the status that was sent. Both count as a disconnect."""

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    async def halfway(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await waits(scope, receive, send)

    async def cancelled(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    for app, status in ((waits, "499"), (halfway, "200"), (cancelled, "499")):
        measured = Measured(app)
        try:
            await Connection("/x").run(measured.app)
        except asyncio.CancelledError:
            assert app is cancelled
        assert measured.durations() == {("GET", status, UNMATCHED): 1.0}
        assert measured.seen.delta("maestro_http_disconnects_total") == 1
        assert measured.seen.delta("maestro_http_exceptions_total") == 0


async def test_what_runs_after_the_answer_is_not_part_of_its_duration() -> None:
    """Background tasks run when the last byte has gone; the request is not in flight any more."""
    during: list[tuple[float, float]] = []

    async def later() -> None:
        during.append(measured.open)
        measured.clock.now_s += 60.0

    async def quick(request: Request) -> Response:
        measured.clock.now_s += 0.1
        return PlainTextResponse("ok", background=BackgroundTask(later))

    measured = Measured(Starlette(routes=[Route("/quick", quick)]))
    await Connection("/quick").run(measured.app)
    assert measured.seen.delta(f"{DURATION}_sum") == pytest.approx(0.1)
    assert during == [(0, 0)]


async def test_an_event_stream_lasts_until_its_start_and_is_open_until_its_end() -> None:
    """An hour of events is no slow request; while it is open, it is a stream and not in flight."""
    during: list[tuple[float, float]] = []

    async def events(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            during.append(measured.open)
            measured.clock.now_s += 3_600.0
            yield b"data: 2\n\n"

        measured.clock.now_s += 0.3
        return StreamingResponse(body(), media_type="text/event-stream")

    measured = Measured(Starlette(routes=[Route("/events", events)]))
    hung_up = asyncio.Event()
    connection = Connection("/events")

    async def receive() -> dict[str, object]:
        await hung_up.wait()
        return {"type": "http.disconnect"}

    await measured.app(connection.scope, receive, connection.send)
    assert connection.body == b"data: 1\n\ndata: 2\n\n"
    assert measured.seen.delta(f"{DURATION}_sum") == pytest.approx(0.3)
    assert measured.durations() == {("GET", "200", "/events"): 1.0}
    assert during == [(0, 1)]
    assert measured.open == (0, 0)
    assert measured.seen.delta("maestro_http_disconnects_total") == 0
    assert measured.seen.delta("http_server_response_body_size_bytes_count") == 0


async def test_a_websocket_lasts_until_it_is_accepted_and_is_open_until_it_ends() -> None:
    """Its status is 101; the hour that it is used for is no duration."""
    during: list[tuple[float, float]] = []

    async def talk(socket: WebSocket) -> None:
        measured.clock.now_s += 0.05
        await socket.accept()
        during.append(measured.open)
        measured.clock.now_s += 3_600.0
        await socket.close()
        during.append(measured.open)  # what the app still does is no open socket

    measured = Measured(Starlette(routes=[WebSocketRoute("/talk/{room}", talk)]))
    await Connection("/talk/7", type="websocket").run(measured.app, {"type": "websocket.connect"})
    assert measured.durations() == {("GET", "101", "/talk/{room}"): 1.0}
    assert measured.seen.delta(f"{DURATION}_sum") == pytest.approx(0.05)
    assert during == [(0, 1), (0, 0)]
    assert measured.open == (0, 0)


async def test_a_websocket_whose_client_goes_is_open_until_the_app_is_done() -> None:
    """There is no closing then; its end is the end of the app, and no disconnect of a request."""

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        with pytest.raises(WebSocketDisconnect):
            await socket.receive_text()
        assert measured.open == (0, 1)

    measured = Measured(Starlette(routes=[WebSocketRoute("/talk", talk)]))
    await Connection("/talk", type="websocket").run(measured.app, {"type": "websocket.connect"})
    assert measured.open == (0, 0)
    assert measured.seen.delta("maestro_http_disconnects_total") == 0


async def test_a_websocket_that_is_refused_counts_with_the_status_of_the_refusal() -> None:
    """403 when it is closed before it was accepted, the given one for a denial response, 500 for an exception."""

    async def closes(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 1008, "reason": ""})

    async def denies(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError

    for app, status in ((closes, "403"), (denies, "401"), (breaks, "500")):
        measured = Measured(app)
        try:
            await Connection("/x", type="websocket").run(measured.app, {"type": "websocket.connect"})
        except KeyError:
            assert app is breaks
        assert measured.durations() == {("GET", status, UNMATCHED): 1.0}
        assert measured.open == (0, 0)


async def test_every_message_passes_unchanged_and_at_once() -> None:
    """Nothing is buffered: each chunk has reached the client before the app makes the next one."""
    connection = Connection("/x")
    chunks: list[int] = []

    async def chunked(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() is WHOLE
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(5):
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": number < 4})
            chunks.append(len(connection.heard))

    await connection.run(Measured(chunked).app, WHOLE)
    assert chunks == [2, 3, 4, 5, 6]


async def test_skipped_paths_and_other_scopes_pass_unmeasured() -> None:
    """A scrape does not measure itself, and lifespan is no request."""
    scopes: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope["type"])

    measured = Measured(app, skip_paths=["/metrics"])
    await Connection("/metrics").run(measured.app)
    await Connection("/x", type="lifespan").run(measured.app)
    assert scopes == ["http", "lifespan"]
    assert measured.durations() == {}


async def test_a_file_that_the_server_sends_itself_ends_the_answer() -> None:
    """The extension `http.response.pathsend` hands the file over; its size is not known here."""

    async def sends(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/srv/file"})
        assert measured.open == (0, 0)

    measured = Measured(sends)
    await Connection("/file").run(measured.app)
    assert measured.durations() == {("GET", "200", UNMATCHED): 1.0}
