"""Bytes that no client sends, to a real server: each is answered in bounds, and the next request is served."""

import pytest
from libraries.maestro_core_api.running import Running, running

HEAD = b"GET /api/things HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", None, None),
        (b"nonsense\r\n\r\n", 400, "request.malformed"),
        (b"GET /api/\x00things HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "request.malformed"),
        (
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n",
            431,
            "request.headers-too-large",
        ),
        (HEAD + b"Host: localhost\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n", 431, "request.headers-too-large"),
        (HEAD + b"\r\n", 400, "request.malformed"),
        (HEAD + b"Host: localhost\r\nHost: evil.example\r\n\r\n", 400, "request.malformed"),
        (HEAD + b"Connection: close\r\nHost: localhost\r\n X-Folded: a\r\n\r\n", 421, "request.untrusted-host"),
        (HEAD + b"Host: localhost\r\nX: \x00\r\n\r\n", 400, "request.malformed"),
        (b"GET /api/%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400, "request.malformed"),
        (b"GET /api/%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400, "request.malformed"),
        (
            b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            404,
            "request.unknown-path",
        ),
        (
            b"TRACE /api/things HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            405,
            "request.method-not-allowed",
        ),
        (b"BREW /api/things HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 501, "request.unknown-method"),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404, "request.unknown-path"),
        (b"GET / HTTP/1.0\r\n\r\n", 421, "request.untrusted-host"),
        (
            b"POST /api/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            400,
            "request.malformed",
        ),
        (b"POST /api/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\nhello", 400, "request.malformed"),
        (b"POST /api/things HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\nhello", None, None),
        (
            b"POST /api/things/raw HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
            None,
            None,
        ),
    ],
)
async def test_what_no_client_sends_is_answered_and_forgotten(
    sent: bytes, status: int | None, code: str | None
) -> None:
    """A problem, or nothing but the end of the connection; never a fault of the service."""
    async with running(head_timeout_s=0.5, max_header_bytes=8192) as service:
        answer = await service.raw(sent)
        if status is not None:
            assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:300]
            assert (code or "").encode() in answer
            assert b"application/problem+json" in answer
        assert b" 500 " not in answer.split(b"\r\n")[0]
        await is_well(service)


async def test_a_head_that_trickles_is_ended() -> None:
    """Slow loris: a connection that never completes its request line is told 408 and closed."""
    async with running(head_timeout_s=0.2) as service:
        answer = await service.raw(b"GET /api/thi", b"ngs HTTP/1.1\r\nHost: loc")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"request.too-slow" in answer
        await is_well(service)


async def test_a_connection_that_says_nothing_is_ended() -> None:
    """Nothing was asked, so nothing is answered."""
    async with running(head_timeout_s=0.2) as service:
        assert await service.raw() == b""
        await is_well(service)


async def test_a_body_that_trickles_after_its_answer_is_ended() -> None:
    """A refused upload that goes on drop by drop holds no connection open."""
    async with running(head_timeout_s=0.2, keep_alive_s=1, max_body_bytes=1024) as service:
        head = b"POST /api/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n"
        answer = await service.raw(head, b"a drop")
        assert answer.startswith(b"HTTP/1.1 413 ")
        await is_well(service)


async def test_requests_that_come_all_at_once_are_answered_in_order() -> None:
    """Pipelining: the limit for slow heads does not count the answers before."""
    async with running(head_timeout_s=0.5) as service:
        one = HEAD + b"Host: localhost\r\nX-Request-Id: r%d\r\n%s\r\n"
        sent = b"".join(one % (number, b"Connection: close\r\n" if number == 4 else b"") for number in range(5))
        answer = await service.raw(sent)
        assert [answer.count(b"x-request-id: r%d" % number) for number in range(5)] == [1] * 5
        assert answer.count(b"HTTP/1.1 200 OK") == 5


async def is_well(service: Running) -> None:
    assert (await service.http.get("/api/things")).status_code == 200
