"""The registry over HTTP: the common promises through a real server, who may ask, and what hostile clients get."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from maestro_service_registry import (
    InvalidRequest,
    NotAllowed,
    Registration,
    Registry,
    RegistryClient,
    RegistryServer,
    TooMany,
    UnknownInstance,
    Unreachable,
)
from maestro_service_registry.testing import ManualClock, RegistryConformance

KEY = "the holder's own key"
ORDERS = Registration("orders", "a", "http://127.0.0.1:80", ttl_s=60)


class TestOverHttp(RegistryConformance):
    """Every promise, through a client and a server; its clock is moved from here."""

    @contextlib.contextmanager
    def registry(self) -> Iterator[Registry]:
        self.clock = ManualClock()
        with RegistryServer() as server:
            server.registry._clock = self.clock  # the server takes no clock: nobody but a test has one
            yield RegistryClient(server.url)

    def let_leases_end(self, registry: Registry) -> None:
        self.clock.advance(61)


@pytest.fixture(scope="module")
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as running:
        yield running


def ask(server: RegistryServer, method: str, target: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """One request as it stands; the status and the document."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    with contextlib.closing(connection):
        connection.putrequest(method, target, skip_host="Host" in headers)
        if body is not None:
            headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body)
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "application/json"
        return answer.status, json.loads(answer.read())


GOOD = {"service": "orders", "instance": "a", "url": "http://a", "key": KEY}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "body: is not JSON"),
        (b"[1]", "body: is not a JSON object"),
        (b"\xff\xfe", "body: is not JSON"),
        (b"[" * 30_000, "body: is not JSON"),
        (json.dumps(GOOD | {"service": 7}).encode(), "service: is not a string"),
        (json.dumps(GOOD | {"service": "a/../b"}).encode(), "service: "),
        (json.dumps(GOOD | {"ttl_s": "1"}).encode(), "ttl_s: is not a number"),
        (json.dumps(GOOD | {"ttl_s": True}).encode(), "ttl_s: is not a number"),
        (json.dumps(GOOD | {"ttl_s": float("nan")}).encode(), "ttl_s: "),
        (json.dumps(GOOD | {"ttl_s": 10**400}).encode(), "ttl_s: "),
        (json.dumps(GOOD | {"labels": ["x"]}).encode(), "labels: is not an object"),
        (json.dumps(GOOD | {"labels": {"a": {"b": "c"}}}).encode(), "labels.a: "),
        (json.dumps(GOOD | {"key": "short"}).encode(), "key: "),
        (json.dumps(GOOD | {"probe": {"path": "/", "port": 22}}).encode(), "probe.port: unknown"),
        (json.dumps(GOOD | {"probe": "/"}).encode(), "probe: is not an object"),
        (json.dumps(GOOD | {"contract": 1.2}).encode(), "contract: is not a string"),
        (json.dumps(GOOD | {"surprise": 1}).encode(), "surprise: unknown"),
        (json.dumps({}).encode(), "service: missing"),
    ],
)
def test_a_hostile_registration_is_refused_with_what_is_wrong(
    server: RegistryServer, body: bytes, problem: str
) -> None:
    status, document = ask(server, "POST", "/v1/instances", body)
    assert (status, document["code"]) == (400, "registry.invalid-request")
    assert any(each.startswith(problem) for each in document["problems"]), document
    assert "own key" not in json.dumps(document)
    assert server.registry.snapshot().instances == ()


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/instances/orders", 404),
        ("GET", "/v1/instances/orders/none", 404),
        ("GET", "/v1/instances/..%2f..%2fetc/passwd", 404),
        ("GET", "/v1/instances/%00/%ff", 404),
        ("GET", "/v1/instances?surprise=1", 400),
        ("GET", "/v1/instances?contract=latest", 400),
        ("GET", "/v1/instances?label.=x", 400),
        ("GET", "/v1/instances?" + "&".join(f"label.a{number}=1" for number in range(99)), 400),
        ("GET", "/v1/changes?after=-1", 400),
        ("GET", "/v1/changes?after=nan", 400),
        ("GET", "/v1/changes?after=1e999", 400),
        ("GET", "/v1/changes?wait_s=inf", 400),
        ("GET", "/v1/changes?&&", 400),
        ("POST", "/v1/instances/orders/a", 404),
        ("PUT", "/v1/instances/orders/a", 400),
        ("DELETE", "/v1/instances/orders/a", 400),
        ("DELETE", "/v1/instances", 404),
    ],
)
def test_a_hostile_address_is_refused(server: RegistryServer, method: str, target: str, status: int) -> None:
    found, document = ask(server, method, target, b"" if method in ("PUT", "DELETE") else None)
    assert found == status, document
    assert document["code"].startswith("registry.")


@pytest.mark.parametrize("length", ["65537", "-1", "1_000", "٣", "999999999999999999999"])
def test_a_body_beyond_the_limit_is_not_read(server: RegistryServer, length: str) -> None:
    status, document = ask(server, "POST", "/v1/instances", b"", Content_Length=length.encode().decode("latin-1"))
    assert (status, document["problems"]) == (400, ["body: at most 65536 bytes"])


def test_a_body_without_a_length_is_refused(server: RegistryServer) -> None:
    status, document = ask(server, "POST", "/v1/instances", None, Transfer_Encoding="chunked")
    assert (status, document["problems"]) == (400, ["body: send it with a Content-Length"])


def test_pages_of_other_sites_get_nothing(server: RegistryServer) -> None:
    """A browser on this machine that shows a foreign page, or a name that leads here, is no program of this machine."""
    for headers in ({"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example"}, {"Origin": "https://evil.example"}):
        status, document = ask(server, "GET", "/v1/instances", None, **headers)
        assert (status, document["code"]) == (401, "registry.not-allowed")


def test_what_is_no_http_ends_the_connection_and_nothing_else(server: RegistryServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    for noise in (b"\x00" * 70_000 + b"\n", b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n", b"\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=10) as link, contextlib.suppress(ConnectionError):
            link.sendall(noise)
            link.shutdown(socket.SHUT_WR)
            while link.recv(4096):
                pass
    assert ask(server, "GET", "/v1/health")[0] == 200


def test_beyond_loopback_a_token_is_needed() -> None:
    with pytest.raises(NotAllowed, match="can be reached from other machines"):
        RegistryServer(host="0.0.0.0")
    with pytest.raises(NotAllowed, match="at least 16"):
        RegistryServer(host="0.0.0.0", access_token="short")


def test_with_a_token_every_request_has_to_bring_it() -> None:
    """Nothing is told without it, and it is in no error and no repr."""
    token = "a token that is long enough"
    with RegistryServer(host="0.0.0.0", access_token=token) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        good = RegistryClient(url, access_token=token)
        good.register(ORDERS, KEY)
        for wrong in (None, "", token + "x", token[:-1], "b" * len(token)):
            client = RegistryClient(url, access_token=wrong)
            with pytest.raises(NotAllowed) as refused:
                client.snapshot()
            assert token not in str(refused.value) + repr(client) + repr(good)
        assert ask(RegistryServerAt(url), "GET", "/v1/instances", Authorization=f"Basic {token}")[0] == 401
        assert good.get("orders", "a").url == ORDERS.url


class RegistryServerAt(RegistryServer):
    """Only an address, for `ask`."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url


def test_connections_beyond_the_limit_are_refused_and_the_rest_goes_on() -> None:
    with RegistryServer(max_connections=2) as server:
        host, port = server.url.removeprefix("http://").split(":")
        held = [socket.create_connection((host, int(port)), timeout=10) for _ in range(2)]
        for link in held:
            link.sendall(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert link.recv(4096).startswith(b"HTTP/1.1 200")
        with pytest.raises(Unreachable):
            RegistryClient(server.url).snapshot()
        for link in held:
            link.close()


def test_a_full_registry_tells_a_client() -> None:
    with RegistryServer() as server:
        server.registry._max_instances = 0
        with pytest.raises(TooMany, match="holds 0 instances"):
            RegistryClient(server.url).register(ORDERS, KEY)


def test_a_stopping_server_ends_the_waits(server: RegistryServer) -> None:
    """Whoever waits for changes gets an error at once, and the server does not wait for them."""
    with RegistryServer() as stopping:
        client = RegistryClient(stopping.url)
        revision = client.snapshot().revision
    with pytest.raises(Unreachable):
        client.changes(revision, wait_s=60)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b'HTTP/1.1 200 OK\r\n\r\n{"revision": "1", "items": [], "lost": false}',
        b'HTTP/1.1 200 OK\r\n\r\n{"revision": 1, "items": [{}], "lost": false}',
        b'HTTP/1.1 200 OK\r\n\r\n{"revision": 1, "items": [3], "lost": false}',
        b"HTTP/1.1 500 Oops\r\n\r\n<html>",
        b'HTTP/1.1 404 Not Found\r\n\r\n{"detail": "Not Found"}',
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n{}",
    ],
)
def test_a_server_that_is_no_registry_is_told_as_such(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = RegistryClient(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_s=5)

        def serve_once() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(65_536)
                link.sendall(answer)

        import threading

        thread = threading.Thread(target=serve_once)
        thread.start()
        with pytest.raises(Unreachable, match=r"does not answer|sends too"):
            client.changes(0)
        thread.join(10)


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = RegistryClient(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.1)
        with pytest.raises(Unreachable, match="TimeoutError"):
            client.get("orders", "a")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:80", "ftp://a", "http://", "http://user:secret@a", "http://a/?b", "http://a#b"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="url: "):
        RegistryClient(url)


def test_an_unknown_instance_is_unknown_over_http_too(server: RegistryServer) -> None:
    with pytest.raises(UnknownInstance, match="no instance 'none' of 'orders'"):
        RegistryClient(server.url).get("orders", "none")
