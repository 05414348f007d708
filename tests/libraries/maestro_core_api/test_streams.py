"""Streams, sockets and heads pass everything at the edge, on a real server."""

import asyncio

import httpx2
import pytest
from libraries.maestro_core_api.running import running
from libraries.maestro_core_api.tiny_app import Doings, client_of, tiny_app
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


async def test_a_stream_passes_part_by_part() -> None:
    """The first part is there before the second is made: nothing at the edge waits for the whole."""
    async with running() as service, service.http.stream("GET", "/api/things/stream") as answer:
        assert answer.headers["x-content-type-options"] == "nosniff"
        parts = answer.aiter_bytes()
        assert await anext(parts) == b"data: 1\n\n"
        service.doings.go.set()
        assert [part async for part in parts] == [b"data: 2\n\n"]


async def test_head_is_get_without_its_body() -> None:
    """The same status and headers; a stream is not waited for."""
    async with running() as service:
        got, asked = await service.http.get("/api/things"), await service.http.head("/api/things")
        assert (asked.status_code, asked.content) == (200, b"")
        changing = {"date", "x-request-id"}
        assert {n: v for n, v in asked.headers.items() if n not in changing} == {
            n: v for n, v in got.headers.items() if n not in changing
        }
        stream = await service.http.head("/api/things/stream")
        assert (stream.status_code, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert (await service.http.head("/api/nothing")).status_code == 404
        assert (await service.http.head("/api/things/raw")).status_code == 405


async def test_a_client_that_leaves_in_the_middle_of_its_body_does_no_harm() -> None:
    """The handler ends, no fault is logged as ours, and the next request is served."""
    async with running() as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"POST /api/things/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        await asyncio.wait_for(service.doings.arrived.wait(), 10)
        writer.transport.abort()
        await asyncio.wait_for(service.doings.left.wait(), 10)
        assert (await service.http.get("/api/things")).status_code == 200
        del reader


async def test_a_socket_passes_the_gate() -> None:
    """A WebSocket of a trusted host and page is opened, and its messages go through."""
    async with running() as service, connect(f"ws{service.url.removeprefix('http')}/api/things/socket") as socket:
        await socket.send("hello")
        assert await socket.recv() == "you said hello"


@pytest.mark.parametrize(("headers", "status"), [({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403)])
async def test_a_socket_of_a_foreign_page_is_refused(headers: dict[str, str], status: int) -> None:
    """Browsers do not ask before they open one, so the gate has to (cross-site WebSocket hijacking)."""
    async with running() as service:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws{service.url.removeprefix('http')}/api/things/socket", additional_headers=headers):
                raise AssertionError("it was opened")
    assert refused.value.response.status_code == status
    assert b"request.untrusted-origin" in (refused.value.response.body or b"")


async def test_answers_carry_the_headers_that_keep_browsers_careful() -> None:
    """On data, errors and refusals alike; a page keeps the policy that it sets itself."""
    async with client_of(tiny_app(Doings(error=RuntimeError()))) as client:
        answers: list[httpx2.Response] = [
            await client.get("/api/things"),
            await client.get("/api/things/broken"),
            await client.get("/api/things", headers={"Host": "evil.example"}),
        ]
        for answer in answers:
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'; base-uri 'none'")
            assert "server" not in answer.headers
        page = await client.get("/api/docs")
        assert "style-src 'sha256-" in page.headers["content-security-policy"]
