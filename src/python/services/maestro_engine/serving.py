"""The server process: binds the port, serves until a signal, and leaves every workflow finished or resumable."""

import asyncio
import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from maestro_engine.feed.hub import Hub
from maestro_engine.settings import EngineSettings
from maestro_workflow_engine import ExecutionBackend

INTERRUPTED = 130
_DEAD_PEER_MS = 30_000
_GRACE_S = 5


class CannotServe(Exception):
    """The engine cannot listen as it was told; the message says what to do."""


def bound_socket(settings: EngineSettings) -> socket.socket:
    """A listening socket. Raises CannotServe for a port in use, an address that is not ours, or one beyond loopback."""
    if not (settings.is_loopback or settings.allow_remote):
        raise CannotServe(
            f"host {settings.host} is not an address of this machine alone, and the engine has no sign-in yet: "
            "whoever reaches it could run commands here. Use 127.0.0.1, or set MAESTRO_ENGINE_ALLOW_REMOTE=true."
        )
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        raise CannotServe(_why_not(settings, error)) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A reader that stops reading for good would otherwise hold its connection for ever: the kernel ends it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_PEER_MS)
    return listener


def address_of(listener: socket.socket) -> str:
    """The address as a person types it into a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _why_not(settings: EngineSettings, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {settings.port} on {settings.host} is in use. Stop what runs there, or choose another port: "
            "--port 8001, or --port 0 for a free one."
        )
    if error.errno == errno.EACCES:
        return f"port {settings.port} is reserved for the system; choose one above 1023 with --port."
    return f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}."


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: `Stopper` decides what a signal means."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn leaves the lifespan open then, and its end would be an error in the log
            await self.lifespan.shutdown()


class Stopper:
    """Turns signals into an end: the first asks everyone to finish, the second leaves at once."""

    def __init__(self, server: uvicorn.Server, hub: Hub) -> None:
        self._server = server
        self._hub = hub
        self._goodbye: asyncio.Task[None] | None = None
        self.hurried = asyncio.Event()

    def on_signal(self) -> None:
        """Stop; a second time, stop at once."""
        if self._goodbye is None:
            _say("Stopping: running steps may finish; Ctrl-C again stops at once.")
            self._goodbye = asyncio.create_task(self._leave())
        else:
            self._server.should_exit = self._server.force_exit = True
            self.hurried.set()

    async def _leave(self) -> None:
        self._hub.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await self._hub.emptied.wait()
        self._server.should_exit = True


async def serve(
    app: FastAPI,
    hub: Hub,
    backend: ExecutionBackend,
    listener: socket.socket,
    settings: EngineSettings,
    on_started: Callable[[], None],
) -> int:
    """Serve until a signal, then close the backend; returns the exit status."""
    server = server_of(app, settings, on_started)
    stopper = Stopper(server, hub)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopper.on_signal)
    try:
        await server.serve(sockets=[listener])
    finally:
        hurried = await _close(backend, stopper.hurried, settings.drain_s)
    return INTERRUPTED if hurried else 0


def server_of(app: FastAPI, settings: EngineSettings, on_started: Callable[[], None]) -> uvicorn.Server:
    """The server for an app; `on_started` is called once it answers."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="websockets-sansio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        ws_max_size=settings.max_message_bytes,
        # Beyond this the server does not read on; up to it, `Gate` answers with a problem document.
        h11_max_incomplete_event_size=2 * settings.max_header_bytes,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return _Server(config, on_started)


async def _close(backend: ExecutionBackend, hurried: asyncio.Event, drain_s: float) -> bool:
    """Close the backend, running steps drained; whether that was cut short."""
    closing = asyncio.create_task(backend.close(drain_s))
    hurry = asyncio.create_task(hurried.wait())
    await asyncio.wait({closing, hurry}, return_when=asyncio.FIRST_COMPLETED)
    if hurry.done():
        closing.cancel()
    hurry.cancel()
    await asyncio.wait({closing, hurry})
    if not closing.cancelled():
        closing.result()
    return hurried.is_set()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
