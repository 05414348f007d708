"""The end: readiness says no first, what runs may finish, and nobody waits for ever."""

import asyncio

from libraries.maestro_core_api.running import running
from libraries.maestro_core_api.tiny_app import Doings, check_problem, client_of, tiny_app


async def test_what_is_in_flight_finishes() -> None:
    """drain() returns when the last answer is out, and says that all finished."""
    async with running() as service:
        asking = asyncio.create_task(service.http.get("/api/things/slow"))
        await asyncio.wait_for(service.doings.arrived.wait(), 10)
        assert service.app.drainer.in_flight == 1
        draining = asyncio.create_task(service.app.drain())
        ready = await service.http.get("/api/health/ready")
        assert (ready.status_code, ready.json()["status"], draining.done()) == (503, "stopping", False)
        service.doings.go.set()
        assert await asyncio.wait_for(draining, 10) is True
        assert (await asking).json()["name"] == "late"
        assert service.app.drainer.in_flight == 0


async def test_it_does_not_wait_for_ever() -> None:
    """After drain_s it says that something is left."""
    doings = Doings()
    app = tiny_app(doings, drain_s=0.01)
    async with client_of(app) as client:
        asking = asyncio.create_task(client.get("/api/things/slow"))
        await doings.arrived.wait()
        assert await app.drain() is False
        doings.go.set()
        assert (await asking).status_code == 200


async def test_what_does_not_finish_is_cut_off_with_a_word() -> None:
    """The client is told 503 in place of a broken connection, and the route's work is cancelled."""
    async with running() as service:
        asking = asyncio.create_task(service.http.get("/api/things/slow"))
        await asyncio.wait_for(service.doings.arrived.wait(), 10)
        service.app.drainer.cut()
        problem = check_problem(await asking, 503, "service.unavailable")
        assert "stopping" in problem["detail"]
        assert service.doings.left.is_set()


async def test_an_idle_service_ends_at_once() -> None:
    """Nothing in flight, nothing to wait for; a second call changes nothing."""
    app = tiny_app()
    assert await app.drain(timeout_s=60) is True
    assert await app.drain(timeout_s=60) is True
    assert app.drainer.stopping.is_set()
