"""A real engine on a free loopback port, in the loop of the test, with step kinds that do what the test tells them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from maestro_core_api import BaseAPI
from maestro_core_api.serve import ApiServer, address_of, bound_socket
from maestro_core_auth import SqliteAuthStore, init_admin
from maestro_engine.app import create_app
from maestro_engine.feed.hub import Hub
from maestro_engine.parts import Parts, open_parts
from maestro_engine.settings import EngineSettings
from maestro_workflow_engine import ExecutionBackend, StepCall, builtin_step_kinds
from maestro_workflow_engine.testing import Flaky, Gate, ScriptedKind, fails


def speak_out(call: StepCall) -> object:
    raise Flaky(f"cannot use {call.arguments}", retryable=False)


async def write_artifact(call: StepCall) -> object:
    reference = await call.artifacts.put(b"<script>alert(1)</script>", "page.html", "text/html")
    return {"artifacts": {"page": reference.as_json()}}


class VacantHub(Hub):
    """A hub that tells when the last reader has left."""

    def __init__(self, *, max_readers: int) -> None:
        super().__init__(max_readers=max_readers)
        self._vacant = asyncio.Event()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold one place, and tell when all are free again."""
        self._vacant.clear()
        try:
            with super().admitted():
                yield
        finally:
            if not self.readers:
                self._vacant.set()

    async def vacant(self) -> None:
        """Wait until no reader is left."""
        await asyncio.wait_for(self._vacant.wait(), 20)


@dataclass
class Engine:
    """A running engine, and what a test needs of it."""

    url: str
    app: BaseAPI
    parts: Parts
    hub: VacantHub
    http: httpx2.AsyncClient
    gate: Gate = field(default_factory=Gate)

    @property
    def backend(self) -> ExecutionBackend:
        return self.parts.backend

    async def start(self, definition: dict[str, Any] | str, **more: Any) -> str:
        """The id of a workflow that was started over HTTP."""
        answer = await self.http.post("/api/workflows", json={"definition": definition, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def add_user(self, subject: str, role: str) -> str:
        """The key of a new user that was added over HTTP."""
        answer = await self.http.post("/api/access/users", json={"subject": subject, "role": role})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["issued"]["secret"])

    async def entries(self, **filters: str) -> list[dict[str, Any]]:
        """The newest entries of the audit log, read over HTTP."""
        answer = await self.http.get("/api/audit", params={"limit": "500", **filters})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def socket(self, **options: Any) -> "connect":
        """A connection to /ws, to be entered."""
        return connect(f"ws{self.url.removeprefix('http')}/ws", **options)


StartEngine = Callable[..., AbstractAsyncContextManager[Engine]]
"""Starts an engine with other settings: `async with start_engine(max_readers=1) as engine`."""


@asynccontextmanager
async def running(data_dir: Path, **settings: Any) -> AsyncIterator[Engine]:
    options: dict[str, Any] = {"port": 0, "data_dir": data_dir, "synchronous": "NORMAL", "drain_s": 0.0, **settings}
    chosen = EngineSettings(**options)
    gate = Gate()
    kinds = {
        "echo": ScriptedKind(),
        "gate": ScriptedKind(gate),
        "flaky": ScriptedKind(fails(1)),
        "broken": ScriptedKind(fails(99, retryable=False)),
        **{name: builtin_step_kinds()[name] for name in ("approval", "event", "signal", "sleep", "workflow")},
        "loud": ScriptedKind(speak_out),
        "artifact": ScriptedKind(write_artifact),
    }
    hub = VacantHub(max_readers=chosen.max_readers)
    started = asyncio.Event()
    key = await first_key(chosen) if chosen.signs_in else None
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with bound_socket(chosen) as listener:
        url = address_of(listener)
        async with open_parts(chosen, kinds) as parts:
            app = create_app(chosen, parts, hub=hub)
            server = ApiServer(app, on_started=started.set)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await asyncio.wait_for(started.wait(), 10)
            try:
                async with httpx2.AsyncClient(base_url=url, headers=headers) as http:
                    yield Engine(url, app, parts, hub, http, gate)
            finally:
                app.drainer.stopping.set()
                server.should_exit = True
                await serving


async def first_key(settings: EngineSettings) -> str:
    """The key of a first admin."""
    async with SqliteAuthStore(settings.users_file) as store:
        return (await init_admin(store)).secret


def bearer(key: str) -> dict[str, str]:
    """The header by which a key is shown."""
    return {"Authorization": f"Bearer {key}"}


def one_step(kind: str = "echo", **step: Any) -> dict[str, Any]:
    """A definition with the one step `only`."""
    return {"name": "sample", "steps": {"only": {"kind": kind, "with": {"x": 1}, **step}}}


async def received(socket: ClientConnection) -> dict[str, Any]:
    """The next message of a socket."""
    message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 10))
    return message
