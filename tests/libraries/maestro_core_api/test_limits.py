"""How big and how slow a request may be."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_core_api.running import running
from libraries.maestro_core_api.tiny_app import Doings, check_problem, client_of, tiny_app

from maestro_core_api import BodyLimit, StrictJson


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 1024


async def test_a_body_beyond_the_limit_is_refused_also_when_it_does_not_say_its_size() -> None:
    """413 for a declared length and for a stream that never says how long it is; what fits passes."""
    async with running(max_body_bytes=4096) as service:
        for path in ("/api/things", "/api/things/raw"):
            declared = await service.http.post(path, content=b"x" * 4097)
            check_problem(declared, 413, "request.body-too-large")
            streamed = await service.http.post(path, content=chunks(64))
            assert "4096" in check_problem(streamed, 413, "request.body-too-large")["detail"]
        assert (await service.http.post("/api/things/raw", content=chunks(4))).json() == 4096


@pytest.mark.parametrize("declared", ["99999999999999999999999999", "5000"])
async def test_a_length_is_believed_before_anything_is_read(declared: str) -> None:
    """Whoever announces too much is refused at once, however absurd the number."""
    reached = False

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal reached
        reached = True

    async with client_of(BodyLimit(app, max_body_bytes=4096)) as client:
        answer = await client.post("/", content=b"x", headers={"Content-Length": declared})
    assert (answer.status_code, reached) == (413, False)


async def test_an_app_that_hides_the_end_of_a_body_does_not_change_the_answer() -> None:
    """Whatever the app makes of the error while reading, the client is told of the limit."""

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        try:
            while (await receive()).get("more_body"):
                continue
        except Exception as error:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(error).encode()})

    async with client_of(BodyLimit(stubborn, max_body_bytes=2000)) as client:
        assert (await client.post("/", content=chunks(4))).status_code == 413


async def test_headers_beyond_the_limit_are_refused() -> None:
    """431 tells the limit; far beyond it the server does not even read on."""
    async with running(max_header_bytes=8192) as service:
        answer = await service.http.get("/api/things", headers={f"X-Filler-{n}": "x" * 1000 for n in range(9)})
        check_problem(answer, 431, "request.headers-too-large")
        beyond = await service.http.get("/api/things", headers={"X-Filler": "x" * 100_000})
        assert (beyond.status_code, beyond.json()["code"]) == (431, "request.headers-too-large")
        assert (await service.http.get("/api/things")).status_code == 200


async def test_a_slow_service_is_503_and_its_work_is_ended() -> None:
    """Nobody waits for ever, and what nobody waits for stops; the client is not told to send it again by itself."""
    doings = Doings()
    async with client_of(tiny_app(doings, request_timeout_s=0.05)) as client:
        problem = check_problem(await client.get("/api/things/slow"), 503, "service.too-slow")
    assert "0.05" in problem["detail"]
    assert doings.left.is_set()


async def test_a_client_that_does_not_send_its_body_is_408() -> None:
    """A body that trickles holds nothing open longer than any other request."""
    async with running(request_timeout_s=0.5) as service:
        head = b"POST /api/things/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nConnection: close\r\n\r\n"
        answer = await service.raw(head, b"only this")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"request.too-slow" in answer
        assert service.doings.left.is_set()


async def test_an_answer_that_has_begun_may_take_longer() -> None:
    """The limit is for the beginning: a stream goes on after it."""
    async with running(request_timeout_s=0.5) as service, service.http.stream("GET", "/api/things/stream") as answer:
        parts = answer.aiter_bytes()
        assert await anext(parts) == b"data: 1\n\n"
        await _passed(0.7)
        service.doings.go.set()
        assert await anext(parts) == b"data: 2\n\n"


async def _passed(span_s: float) -> None:
    """Wait until the loop's own clock has gone so far."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(span_s, done.set)
    await done.wait()


JSON_TEXTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda held: st.lists(held, max_size=3) | st.dictionaries(st.text(max_size=5), held, max_size=3),
    max_leaves=10,
)


@given(JSON_TEXTS, st.booleans())
async def test_json_that_is_json_passes_unchanged(value: Any, ascii_only: bool) -> None:
    """Finite numbers and whole characters are never refused, nor changed."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    seen = bytearray()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            seen.extend(message.get("body", b""))
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with client_of(StrictJson(app)) as client:
        answer = await client.post("/", content=body, headers={"Content-Type": "application/merge-patch+json; a=b"})
    assert (answer.status_code, bytes(seen)) == (204, body)
