"""The tiny service on a real server and a free loopback port, in the loop of the test; and raw connections to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from libraries.maestro_core_api.tiny_app import Doings, tiny_app

from maestro_core_api import BaseAPI
from maestro_core_api.serve import ApiServer, address_of, bound_socket


@dataclass
class Running:
    """A service that runs, and what a test needs of it."""

    app: BaseAPI
    url: str
    doings: Doings
    http: httpx2.AsyncClient
    server: ApiServer

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def raw(self, *parts: bytes, within_s: float = 10.0) -> bytes:
        """All that comes back for these bytes until the server hangs up."""
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                return await reader.read()
            finally:
                writer.close()
                await writer.wait_closed()


@asynccontextmanager
async def running(doings: Doings | None = None, **more: Any) -> AsyncIterator[Running]:
    """The tiny service; keywords as for `tiny_app`."""
    doings = doings or Doings()
    app = tiny_app(doings, port=0, **more)
    started = asyncio.Event()
    with bound_socket(app.settings) as listener:
        server = ApiServer(app, on_started=started.set)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await asyncio.wait_for(started.wait(), 10)
        url = address_of(listener)
        try:
            async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
                yield Running(app, url, doings, http, server)
        finally:
            doings.go.set()
            server.should_exit = True
            await serving
