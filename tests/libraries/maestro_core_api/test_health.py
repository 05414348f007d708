"""Whether the service lives and is ready, and who may know why not."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI
from libraries.maestro_core_api.tiny_app import client_of, tiny_app

from maestro_core_api import Drain
from maestro_core_api._health import health_routes

LOOPBACK = ("127.0.0.1", 4711)
STRANGER = ("203.0.113.9", 4711)


@dataclass
class Report:
    """What monitoring gives."""

    ready: bool = True

    def as_json(self) -> dict[str, Any]:
        return {"checks": {"journal": "ok" if self.ready else "disk full on /srv/secret"}}


@dataclass
class Parts:
    """Readiness that a test changes."""

    ready: bool = True
    error: Exception | None = None
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def report(self) -> Report:
        if self.error is not None:
            raise self.error
        await self.answers.wait()
        return Report(self.ready)


def parts(**state: Any) -> Parts:
    made = Parts(**state)
    made.answers.set()
    return made


async def test_a_service_without_parts_is_live_and_ready() -> None:
    """Both say so, with the version of the contract."""
    async with client_of(tiny_app()) as client:
        live, ready = await client.get("/api/health/live"), await client.get("/api/health/ready")
    assert (live.status_code, live.json()) == (200, {"status": "live", "version": "1.2.3"})
    assert (ready.status_code, ready.json()["ready"], ready.headers["cache-control"]) == (200, True, "no-store")


async def test_a_part_that_fails_is_503_with_the_reason_for_neighbours_only() -> None:
    """A load balancer reads the status; the inside is for loopback, not for whoever asks."""
    app = tiny_app(readiness=parts(ready=False))
    async with client_of(app, LOOPBACK) as near, client_of(app, STRANGER) as far:
        told = await near.get("/api/health/ready")
        assert (told.status_code, told.json()["status"]) == (503, "not-ready")
        assert told.json()["report"]["checks"]["journal"].startswith("disk full")
        assert (await near.get("/api/health/live")).status_code == 200
        withheld = await far.get("/api/health/ready")
        assert (withheld.status_code, withheld.json()["report"]) == (503, None)
        assert "disk" not in withheld.text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_who_comes_through_a_proxy_is_no_neighbour(header: str) -> None:
    """Behind a proxy on this machine everybody comes from loopback."""
    async with client_of(tiny_app(readiness=parts(ready=False)), LOOPBACK) as client:
        answer = await client.get("/api/health/ready", headers={header: "127.0.0.1"})
    assert answer.json()["report"] is None


@pytest.mark.parametrize(
    ("client", "networks", "sees"),
    [
        (("10.1.2.3", 1), ("10.0.0.0/8",), True),
        (("::ffff:10.1.2.3", 1), ("10.0.0.0/8",), True),
        (("::1", 1), ("127.0.0.0/8", "::1/128"), True),
        (("127.0.0.1", 1), ("10.0.0.0/8",), False),
        (("testclient", 1), ("0.0.0.0/0", "::/0"), False),
        (("10.1.2.3", 1), (), False),
    ],
)
async def test_networks_of_neighbours_can_be_named(
    client: tuple[str, int], networks: tuple[str, ...], sees: bool
) -> None:
    """The setting says whose probes may see the inside."""
    app = tiny_app(readiness=parts(), health_detail_for=networks)
    async with client_of(app, client) as asking:
        assert ((await asking.get("/api/health/ready")).json()["report"] is not None) is sees


async def test_a_report_that_fails_is_the_answer_no(caplog: pytest.LogCaptureFixture) -> None:
    """503, not a fault; the text of the error is in the log and not in the answer."""
    app = tiny_app(readiness=parts(error=RuntimeError("password hunter2")))
    async with client_of(app, LOOPBACK) as client:
        answer = await client.get("/api/health/ready")
    assert (answer.status_code, answer.json()["report"]) == (503, {"error": "the report failed"})
    assert "hunter2" not in answer.text
    assert "health.report_failed" in [record.getMessage() for record in caplog.records]


async def test_a_report_that_never_comes_is_the_answer_no() -> None:
    """A probe is answered in bounded time whatever hangs behind it."""
    app = FastAPI()
    routes = health_routes("/api", "1.0.0", Drain(), readiness=Parts(), timeout_s=0.01, detail_for=["127.0.0.0/8"])
    app.include_router(routes)
    async with client_of(app, LOOPBACK) as client:
        answer = await client.get("/api/health/ready")
    assert (answer.status_code, answer.json()["report"]) == (503, {"error": "no report within 0.01 s"})


async def test_a_service_that_stops_is_not_ready_and_still_answers() -> None:
    """A load balancer looks elsewhere first; requests that come meanwhile are served, on a last connection."""
    app = tiny_app(readiness=parts())
    app.drainer.stopping.set()
    async with client_of(app, LOOPBACK) as client:
        answer = await client.get("/api/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "stopping")
        served = await client.get("/api/things")
        assert (served.status_code, served.headers["connection"]) == (200, "close")
        assert (await client.get("/api/health/live")).status_code == 200
