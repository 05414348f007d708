"""Bytes on a raw socket: no request becomes two, and nobody who waits or fails takes the place of those who renew."""

import socket
import threading

import pytest

from maestro_service_registry import NotAllowed, Registration, RegistryClient, RegistryServer, TooMany

HEAD = b"POST /v1/instances HTTP/1.1\r\nHost: localhost\r\n"
SECOND = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def exchange(server: RegistryServer, sent: bytes) -> bytes:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as link:
        link.sendall(sent)
        link.shutdown(socket.SHUT_WR)
        answer = b""
        while part := link.recv(65_536):
            answer += part
    return answer


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 0\r\nContent-Length: 46\r\n",
        b"Content-Length: 46\r\nContent-Length: 0\r\n",
        b"Content-Length: 0, 0\r\n",
        b"Content-Length: " + b"9" * 5000 + b"\r\n",
        b"Content-Length: +0\r\n",
        b"Content-Length : 46\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"no header at all\r\nContent-Length: 46\r\n",
        b" Content-Length: 46\r\n",
    ],
)
def test_a_request_of_doubtful_length_is_the_last_one(headers: bytes) -> None:
    """What a proxy would read otherwise is refused, and nothing after it on this connection is answered."""
    with RegistryServer() as server:
        answer = exchange(server, HEAD + headers + b"\r\n" + SECOND)
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.count(b"HTTP/1.1") == 1, answer


def test_good_requests_share_a_connection() -> None:
    """The other half of the test above: it is the doubt that ends a connection."""
    with RegistryServer() as server:
        assert exchange(server, SECOND * 2).count(b"HTTP/1.1 200") == 2


def test_who_waits_does_not_keep_out_who_renews() -> None:
    """Three quarters of the connections may wait; the next one is told to come again, and renewals go on."""
    with RegistryServer(max_connections=4) as server:
        client = RegistryClient(server.url)
        lease = client.register(Registration("orders", "a", "http://a"), "the holder's own key")
        revision = client.snapshot().revision
        assert all(server._http.may_wait.acquire(blocking=False) for _ in range(3))
        with pytest.raises(TooMany, match="as many wait") as refused:
            client.changes(revision, wait_s=20)
        assert refused.value.retry_after_s == 1.0
        client.renew(lease)
        assert client.changes(revision).changes == ()
        server._http.may_wait.release()
        assert client.changes(revision, wait_s=0.01).changes == ()
        assert client.changes(revision, wait_s=0.01).changes == (), "given back after each wait"


def test_a_system_without_threads_costs_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that could not be served is free again for the next."""
    with RegistryServer(max_connections=1) as server:
        real, calls = threading.Thread.start, iter([True] * 3)

        def start(thread: threading.Thread) -> None:
            if next(calls, False):
                raise RuntimeError("can't start new thread")
            real(thread)

        monkeypatch.setattr(threading.Thread, "start", start)
        for _ in range(3):
            assert exchange(server, b"") == b""
        assert exchange(server, SECOND).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("token", ["sixteen characters\n", " sixteen characters", "sixteen\x00characters", "é" * 16])
def test_a_token_that_no_header_can_bring_is_refused(token: str) -> None:
    with pytest.raises(NotAllowed, match="at least 16 visible"):
        RegistryServer(access_token=token)
