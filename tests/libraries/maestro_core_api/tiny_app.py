"""A tiny service that does what the tests of the edge tell it, and the clients that talk to it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx2
from fastapi import APIRouter, Query, WebSocket
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse

from maestro_core_api import ApiSettings, BaseAPI, ProblemTable, ProblemType, create_api, problems

TABLE = ProblemTable(
    {
        "thing.not-found": 404,
        "thing.busy": ProblemType(503, "Thing busy", "Somebody else works on it."),
        "thing.invalid": ProblemType(422, part="definition"),
        "thing.unknown-colour": 422,
    }
)


class Coded(Exception):
    """An error of some library: no base class of ours, only a code."""

    def __init__(self, code: str, text: str = "what is wrong", **more: Any) -> None:
        super().__init__(text)
        self.code = code
        vars(self).update(more)


class Thing(BaseModel):
    """What the tiny service keeps."""

    name: str
    weight: float = 1.0
    tags: list[str] = []


@dataclass
class Doings:
    """What a test tells the service to do, and what it learns."""

    error: Exception | None = None
    go: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)


def tiny_routes(doings: Doings) -> APIRouter:
    routes = APIRouter(prefix="/api/things")

    @routes.get("/broken", responses=problems(404))
    async def read_broken() -> Thing:
        """Raise what the test wants."""
        assert doings.error is not None
        raise doings.error

    @routes.post("", status_code=201)
    async def make_thing(thing: Thing) -> Thing:
        """Make a thing."""
        return thing

    @routes.get("")
    async def list_things(limit: Annotated[int, Query(ge=1, le=9)] = 3) -> list[Thing]:
        """List things."""
        return [Thing(name="a")] * limit

    @routes.get("/slow")
    async def read_slowly() -> Thing:
        """Answer when the test says so."""
        doings.arrived.set()
        try:
            await doings.go.wait()
        finally:
            doings.left.set()
        return Thing(name="late")

    @routes.post("/raw")
    async def read_raw(request: Request) -> int:
        """Count the bytes of the body."""
        doings.arrived.set()
        try:
            return len(await request.body())
        finally:
            doings.left.set()

    @routes.get("/stream")
    async def read_stream() -> StreamingResponse:
        """Two parts, the second when the test says so."""

        async def parts() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await doings.go.wait()
            yield b"data: 2\n\n"

        return StreamingResponse(parts(), media_type="text/event-stream")

    @routes.get("/teapot")
    async def read_teapot(status: int = 418) -> Thing:
        """Refuse as the framework's users do."""
        raise HTTPException(status, headers={"X-Why": "because"})

    @routes.websocket("/socket")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(f"you said {await socket.receive_text()}")
        await socket.close()

    return routes


def tiny_app(doings: Doings | None = None, **more: Any) -> BaseAPI:
    """The tiny service; further keywords are those of create_api, or of its settings."""
    chosen = {name: more.pop(name) for name in list(more) if name in ApiSettings.model_fields}
    routers = [*more.pop("routers", ()), tiny_routes(doings or Doings())]
    return create_api(
        ApiSettings(**chosen), title="Tiny", version="1.2.3", routers=routers, **{"problems": TABLE, **more}
    )


def client_of(app: Any, client: tuple[str, int] = ("127.0.0.1", 4711)) -> httpx2.AsyncClient:
    """A client that calls the app without a server; errors of the app come as they would to a server."""
    transport = httpx2.ASGITransport(app, client=client)
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost:8000")


def check_problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an answer that is a problem as RFC 9457 has it."""
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:maestro:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem
