"""The end of a service: it says that it is going, lets what runs finish, and does not wait for ever."""

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maestro_core_api._problem import DEFAULT_PROBLEMS, problem_response
from maestro_core_api._problem_table import ProblemTable


class Drain:
    """Knows the requests and sockets in flight; shared by the middleware that counts them and whoever ends the service.

    `stopping` is for streams and sockets: they end when it is set, and begin anew elsewhere.
    """

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.is_cut = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: list[asyncio.Task[object] | None] = []

    @property
    def in_flight(self) -> int:
        """Requests that are being answered, and open sockets."""
        return len(self._tasks)

    async def wait(self, timeout_s: float) -> bool:
        """Say that the end has begun and wait for what is in flight; whether all of it finished in time."""
        self.stopping.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def cut(self) -> None:
        """Cancel what is still in flight: a request whose answer has not begun is told to come back elsewhere."""
        self.stopping.set()
        self.is_cut = True
        for task in self._tasks:
            if task is not None:
                task.cancel()

    def enter(self, task: asyncio.Task[object] | None) -> None:
        """Count one more."""
        self._tasks.append(task)
        self._idle.clear()

    def leave(self, task: asyncio.Task[object] | None) -> None:
        """Count one less."""
        self._tasks.remove(task)
        if not self._tasks:
            self._idle.set()


class InFlight:
    """Counts what is in flight, and while the service ends asks clients to open another connection next time."""

    def __init__(self, app: ASGIApp, *, drain: Drain, table: ProblemTable = DEFAULT_PROBLEMS) -> None:
        self._app = app
        self._drain = drain
        self._problem = table["service.unavailable"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        is_http_1 = scope["type"] == "http" and scope.get("http_version", "1.1").startswith("1")
        began = False

        async def send_last(message: Message) -> None:
            nonlocal began
            began = True
            if message["type"] == "http.response.start" and is_http_1 and self._drain.stopping.is_set():
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        task = asyncio.current_task()
        self._drain.enter(task)
        try:
            await self._app(scope, receive, send_last)
        except asyncio.CancelledError:
            if not self._drain.is_cut or task is None:
                raise
            task.uncancel()  # it was cancelled to get here, and here it ends
            if scope["type"] == "http" and not began:
                stopping = problem_response(scope, self._problem, "The service is stopping; ask it again elsewhere.")
                await stopping(scope, receive, send_last)
        finally:
            self._drain.leave(task)
