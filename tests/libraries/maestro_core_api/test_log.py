"""One line in the log for every request, and no secret in it."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from libraries.maestro_core_api.tiny_app import Doings, client_of, tiny_app
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from maestro_core_logging.testing import assert_no_secret, captured

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def lines(logged: Any) -> list[dict[str, Any]]:
    return [record for record in logged if record["event"] == "http.request_answered"]


async def test_a_request_leaves_one_line() -> None:
    """What was asked, what was answered, how long it took, and the ids by which it is found."""
    with captured() as logged:
        async with client_of(tiny_app()) as client:
            headers = {"X-Request-Id": "abc-123", "traceparent": TRACE}
            answer = await client.get("/api/things?limit=2&limit=3&x=", headers=headers)
    (line,) = lines(logged)
    assert (line["method"], line["path"], line["status"]) == ("GET", "/api/things", 200)
    assert (line["request_id"], line["trace_id"]) == ("abc-123", "0af7651916cd43dd8448eb211c80319c")
    assert line["query_names"] == ["limit", "x"]
    assert line["size_bytes"] == len(answer.content)
    assert line["took_ms"] >= 0
    assert answer.headers["x-request-id"] == "abc-123"


async def test_no_secret_of_a_request_is_in_the_log() -> None:
    """Headers, cookies, bodies and values of the query are not logged at all, under whatever name they come."""
    secret = "s3cr3t-hunter2"
    with captured() as logged:
        async with client_of(tiny_app(Doings(error=RuntimeError("fault")))) as client:
            headers = {"Authorization": f"Bearer {secret}", "Cookie": f"session={secret}", "X-Api-Key": secret}
            query = f"?token={secret}&harmless={secret}&{secret}"
            for path in ("/api/things", "/api/things/broken", "/api/nothing"):
                await client.get(path + query, headers=headers)
            await client.post("/api/things" + query, json={"name": [secret]}, headers=headers)
            await client.post("/api/things" + query, content=secret, headers=headers)
    assert len(lines(logged)) == 5
    assert_no_secret(logged, secret)


async def test_probes_are_quiet_while_all_is_well() -> None:
    """A live and ready service is probed all day; only what goes wrong is worth a line."""

    class Sick:
        async def report(self) -> Any:
            raise RuntimeError("no")

    with captured(level="INFO") as logged:
        async with client_of(tiny_app()) as client:
            await client.get("/api/health/live")
            await client.get("/api/health/ready")
        assert lines(logged) == []
        async with client_of(tiny_app(readiness=Sick())) as client:
            await client.get("/api/health/ready")
        assert [line["status"] for line in lines(logged)] == [503]


class SignedIn:
    """What sign-in of another library leaves in the scope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["state"]["principal"] = SimpleNamespace(subject="user:7")
        await self._app(scope, receive, send)


async def test_the_line_says_who_asked() -> None:
    """The subject of the principal, when something inside has found one."""
    with captured() as logged:
        async with client_of(tiny_app(middleware=[Middleware(SignedIn)])) as client:
            await client.get("/api/things")
            await client.head("/api/things")
    assert [line["subject"] for line in lines(logged)] == ["user:7", "user:7"]


@pytest.mark.parametrize("given_id", ["a" * 129, "spaces here", "<script>", ""])
async def test_a_strange_request_id_is_replaced(given_id: str) -> None:
    """What could do harm in a log is not repeated."""
    async with client_of(tiny_app()) as client:
        answer = await client.get("/api/things", headers={"X-Request-Id": given_id})
    assert answer.headers["x-request-id"] not in ("", given_id)


async def test_refusals_and_faults_leave_a_line_too() -> None:
    """What the gate refuses, what is too large, and what fails: each is one line with its status."""
    with captured() as logged:
        async with client_of(tiny_app(Doings(error=RuntimeError("fault")), max_body_bytes=1024)) as client:
            await client.get("/api/things", headers={"Host": "evil.example"})
            await client.post("/api/things", content=b"x" * 2000)
            await client.get("/api/things/broken")
    assert [line["status"] for line in lines(logged)] == [421, 413, 500]
    failed = [record for record in logged if record["event"] == "http.request_failed"]
    assert [record["request_id"] for record in failed] == [lines(logged)[2]["request_id"]]
    assert logging.getLevelName(logging.ERROR).lower() == failed[0]["level"]
