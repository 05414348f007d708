"""Whose requests are answered, and which pages may read the answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_core_api.tiny_app import check_problem, client_of, tiny_app

from maestro_core_api import Trust
from maestro_core_api._gate import host_name

PREFLIGHT = {"Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::2]", "a@localhost", "", "localhost/x"],
)
async def test_a_foreign_host_is_refused(host: str) -> None:
    """A name that an attacker points at loopback gets nothing (DNS rebinding)."""
    async with client_of(tiny_app()) as client:
        check_problem(await client.get("/api/health/live", headers={"Host": host}), 421, "request.untrusted-host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:9"])
async def test_loopback_hosts_are_answered(host: str) -> None:
    """Every way of naming this machine works, with any port (a tunnel changes it)."""
    async with client_of(tiny_app()) as client:
        assert (await client.get("/api/health/live", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "file://localhost",
        "localhost",
        "http://localhost:4200",
    ],
)
async def test_cors_is_off_and_a_page_of_another_origin_cannot_act(origin: str) -> None:
    """By default no page from elsewhere may command, ask whether it could, or read; not even of another local port."""
    async with client_of(tiny_app()) as client:
        answer = await client.post("/api/things", json={"name": "a"}, headers={"Origin": origin})
        check_problem(answer, 403, "request.untrusted-origin")
        assert (await client.options("/api/things", headers={"Origin": origin, **PREFLIGHT})).status_code == 403
        read = await client.get("/api/things", headers={"Origin": origin})
        assert not [name for name in read.headers if name.startswith("access-control")]


async def test_the_services_own_pages_can_act() -> None:
    """Same host and port as was asked for, whatever ended TLS before; a default port need not be named."""
    async with client_of(tiny_app(allowed_hosts=("maestro.lan",))) as client:
        for host, origin in (
            ("localhost:8000", "http://localhost:8000"),
            ("maestro.lan", "https://maestro.lan"),
            ("maestro.lan:443", "https://maestro.lan"),
            ("MAESTRO.lan", "http://maestro.lan:80"),
        ):
            headers = {"Host": host, "Origin": origin}
            answer = await client.post("/api/things", json={"name": "a"}, headers=headers)
            assert answer.status_code == 201, (host, origin)
        foreign = {"Host": "maestro.lan", "Origin": "http://maestro.lan:8080"}
        assert (await client.post("/api/things", json={"name": "a"}, headers=foreign)).status_code == 403


async def test_an_allowed_origin_can_read_and_act() -> None:
    """The settings name it; it may read the headers that clients need, on errors too."""
    origin = {"Origin": "https://dash.example"}
    async with client_of(tiny_app(allowed_origins=("https://dash.example",), max_body_bytes=1024)) as client:
        asked = await client.options("/api/things", headers={**origin, **PREFLIGHT})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, "https://dash.example")
        assert "Idempotency-Key" in asked.headers["access-control-allow-headers"]
        for body, status in (({"name": "a"}, 201), ({}, 422), ({"name": "a" * 2000}, 413)):
            answer = await client.post("/api/things", json=body, headers=origin)
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (
                status,
                "https://dash.example",
            )
            assert "Location" in answer.headers["access-control-expose-headers"]
            assert "Origin" in answer.headers["vary"]
        other = await client.get("/api/things", headers={"Origin": "http://dash.example"})
        assert "access-control-allow-origin" not in other.headers
        assert "Origin" in other.headers["vary"]


async def test_pages_of_any_port_can_be_trusted() -> None:
    """A dashboard that is developed on a port beside the service, when the setting says so."""
    origin = {"Origin": "http://localhost:4200"}
    async with client_of(tiny_app(trust_any_port=True)) as client:
        done = await client.post("/api/things", json={"name": "a"}, headers=origin)
        assert (done.status_code, done.headers["access-control-allow-origin"]) == (201, origin["Origin"])
        assert (
            await client.post("/api/things", json={}, headers={"Origin": "http://evil.example:4200"})
        ).status_code == 403


@pytest.mark.parametrize(
    "path", ["/api/%zz", "/api/%", "/api/%f", "/api/%ff", "/api/things?limit=%zz", "/api/things?a=%c3"]
)
async def test_an_address_that_cannot_be_read_is_refused(path: str) -> None:
    """Servers would decode it in silence to something that nobody asked for."""
    raw_path, _, query = path.partition("?")
    answered = await asked_with(tiny_app(), raw_path=raw_path.encode(), query_string=query.encode())
    assert answered == 400


async def test_two_hosts_are_refused() -> None:
    """Two parts of a chain that read different ones would disagree about whose request it is."""
    twice = [(b"host", b"localhost"), (b"host", b"evil.example")]
    assert await asked_with(tiny_app(), headers=twice) == 400
    assert await asked_with(tiny_app(), headers=[]) == 421


async def asked_with(app: Any, **changed: Any) -> int:
    """The status that the app answers to a scope which no client would send."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/things",
        "raw_path": b"/api/things",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    } | changed
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


@given(st.text(max_size=40))
def test_no_host_but_the_named_ones_is_trusted(text: str) -> None:
    """Whatever stands in a Host header, only the listed names pass, with or without a port."""
    if Trust(hosts=frozenset({"localhost"})).may_ask(text):
        assert text.lower().removesuffix(":").split(":")[0] == "localhost"


@given(st.text(max_size=60), st.text(max_size=60))
def test_reading_hosts_and_origins_never_fails(origin: str, host: str) -> None:
    """Any text is either an authority or it is not; both are answers."""
    assert host_name(host) is None or isinstance(host_name(host), str)
    assert Trust().may_act(origin, host) in (True, False)
    assert not Trust().may_read(origin)
