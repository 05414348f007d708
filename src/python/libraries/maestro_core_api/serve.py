"""Serves an app with uvicorn: a port that is told clearly, limits on slow clients, and an end that a signal begins."""

try:
    import uvicorn
except ImportError as error:
    raise ImportError("maestro_core_api.serve needs the extra: pip install 'maestro-core-api[serve]'") from error

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator

from maestro_core_api._api import BaseAPI
from maestro_core_api._errors import CannotServe
from maestro_core_api._serve_protocol import PatientProtocol
from maestro_core_api._settings import ApiSettings

INTERRUPTED = 130
"""The exit status after a second signal."""

_DEAD_PEER_MS = 30_000
_CUT_OFF_S = 1


def bound_socket(settings: ApiSettings) -> socket.socket:
    """A listening socket. Raises CannotServe for a port in use and for an address that is not of this machine."""
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


def _why_not(settings: ApiSettings, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {settings.port} on {settings.host} is in use. Stop what runs there, or choose another port: "
            f"{settings.port + 1 if settings.port < 65_535 else 8000}, or 0 for a free one."
        )
    if error.errno == errno.EACCES:
        return f"port {settings.port} is reserved for the system; choose one above 1023."
    return f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}."


class ApiServer(uvicorn.Server):
    """uvicorn that leaves signals to `serve`, and ends the app's lifespan however it is stopped."""

    def __init__(self, app: BaseAPI, *, on_started: Callable[[], None] = lambda: None) -> None:
        settings = app.settings
        super().__init__(
            uvicorn.Config(
                app,
                http=PatientProtocol.waiting(settings.head_timeout_s, app.problems),
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="on",
                ws_max_size=settings.max_message_bytes,
                timeout_keep_alive=max(1, round(settings.keep_alive_s)),
                # Beyond this the server does not read on; up to it, `Gate` answers with a problem.
                h11_max_incomplete_event_size=2 * settings.max_header_bytes,
                timeout_graceful_shutdown=_CUT_OFF_S,
            )
        )
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:  # uvicorn's way to say that the lifespan failed, which it has logged
            raise CannotServe("the app did not start; the log says why") from error
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn leaves the lifespan open then, and its end would be an error in the log
            await self.lifespan.shutdown()


async def serve(
    app: BaseAPI,
    listener: socket.socket,
    *,
    on_started: Callable[[], None] = lambda: None,
    on_stopping: Callable[[], None] = lambda: None,
    after: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM; the exit status.

    The first signal turns readiness to no, keeps answering for `drain_delay_s`, and lets what is in flight finish
    within `drain_s`; then `after` runs, for what outlives requests. A second signal ends all that at once, and the
    status is INTERRUPTED. Raises CannotServe when the app does not start.
    """
    server = ApiServer(app, on_started=on_started)
    stopper = _Stopper(server, app, on_stopping)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopper.on_signal)
    try:
        try:
            await _finished(server.serve(sockets=[listener]), stopper.hurried, _CUT_OFF_S)
        finally:
            if after is not None:
                await _finished(after(), stopper.hurried, 0)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        await stopper.end()
    return INTERRUPTED if stopper.hurried.is_set() else 0


class _Stopper:
    """Turns signals into an end: the first asks everyone to finish, the second leaves at once."""

    def __init__(self, server: uvicorn.Server, app: BaseAPI, on_stopping: Callable[[], None]) -> None:
        self._server = server
        self._app = app
        self._on_stopping = on_stopping
        self._goodbye: asyncio.Task[None] | None = None
        self.hurried = asyncio.Event()

    def on_signal(self) -> None:
        """Stop; a second time, stop at once."""
        if self._goodbye is None:
            self._on_stopping()
            self._app.drainer.stopping.set()
            self._goodbye = asyncio.create_task(self._leave())
        else:
            self._server.should_exit = self._server.force_exit = True
            self._app.drainer.cut()
            self.hurried.set()

    async def end(self) -> None:
        """Leave no task behind."""
        if self._goodbye is not None:
            self._goodbye.cancel()
            await asyncio.wait({self._goodbye})

    async def _leave(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._app.settings.drain_delay_s):
                await self.hurried.wait()
        if not await self._app.drain():
            self._app.drainer.cut()
        self._server.should_exit = True


async def _finished(work: Awaitable[None], hurried: asyncio.Event, grace_s: float) -> None:
    """Wait for work; from a second signal on only `grace_s` longer, then it is cancelled. Raises what it raised."""
    working = asyncio.ensure_future(work)
    hurry = asyncio.create_task(hurried.wait())
    try:
        await asyncio.wait({working, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await asyncio.wait({working}, timeout=grace_s)
    finally:
        hurry.cancel()
        working.cancel()
        await asyncio.wait({working, hurry})
    if not working.cancelled():
        working.result()


__all__ = ["INTERRUPTED", "ApiServer", "address_of", "bound_socket", "serve"]
