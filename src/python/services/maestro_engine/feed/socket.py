"""`/ws`: one socket, several subscriptions; first history, then live, each event exactly as it is stored.

Where callers sign in, a socket does so by its `Authorization` header or, as a browser's cannot have one, by its first
message: `{"type": "authenticate", "token": …}`.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from starlette.websockets import WebSocket, WebSocketDisconnect

from maestro_core_auth import Authenticator, AuthError, MissingCredentials, Principal
from maestro_core_auth.fastapi import CLOSE_BY_CODE
from maestro_engine.feed.hub import Hub, TooManyReaders
from maestro_workflow_engine import Event, ExecutionBackend, SlowReader, WorkflowError

GOING_AWAY = 1001
MESSAGE_TOO_BIG = 1009
TRY_AGAIN_LATER = 1013
BAD_MESSAGE = 4400
SLOW_READER = 4008


class Subscribe(BaseModel):
    """Follow one workflow from `from_seq`, or all of them from `from_position`.

    By default one workflow is followed from its beginning, and all of them from now on.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["subscribe"]
    workflow_id: str | None = Field(None, min_length=1, max_length=200)
    from_seq: int | None = Field(None, ge=1, le=2**53)
    from_position: int | None = Field(None, ge=0, le=2**53)

    @model_validator(mode="after")
    def _place_fits(self) -> Self:
        if self.workflow_id is None and self.from_seq is not None:
            raise ValueError("from_seq needs a workflow_id; all workflows go by from_position")
        if self.workflow_id is not None and self.from_position is not None:
            raise ValueError("from_position is for all workflows; one goes by from_seq")
        return self


class Unsubscribe(BaseModel):
    """Stop following; without a workflow, the subscription to all of them."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["unsubscribe"]
    workflow_id: str | None = Field(None, min_length=1, max_length=200)


_COMMAND: TypeAdapter[Subscribe | Unsubscribe] = TypeAdapter(
    Annotated[Subscribe | Unsubscribe, Field(discriminator="type")]
)


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """How much one socket may ask for, and how slowly it may read."""

    max_message_bytes: int
    max_subscriptions: int
    buffer_events: int
    send_timeout_s: float
    heartbeat_s: float


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Why a socket is closed; the reason is at most 123 bytes (RFC 6455)."""

    code: int
    reason: str


_STOPPING = Goodbye(GOING_AWAY, "the engine is stopping")


class SocketSession:
    """One open socket. Everything that it sends passes `_send`, so that messages never mix."""

    def __init__(
        self,
        socket: WebSocket,
        backend: ExecutionBackend,
        limits: SocketLimits,
        check_still: Callable[[], Awaitable[None]],
    ) -> None:
        self._socket = socket
        self._backend = backend
        self._limits = limits
        self._check_still = check_still
        self._sending = asyncio.Lock()
        self._subscriptions: dict[str | None, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._end: asyncio.Future[Goodbye | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serve an accepted socket until the client leaves, the engine stops, or the client breaks a rule."""
        for part in (self._read(), self._beat(), self._await_stop()):
            self._spawn(part)
        try:
            goodbye = await self._end
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if goodbye is not None:
            await _say_goodbye(self._socket, goodbye)

    def _spawn(self, part: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(part)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None or self._end.done():
            return
        if isinstance(error, WebSocketDisconnect):
            self._end.set_result(None)
        else:
            self._end.set_exception(error)

    def _leave(self, goodbye: Goodbye | None) -> None:
        if not self._end.done():
            self._end.set_result(goodbye)

    async def _await_stop(self) -> None:
        await self._socket.app.drainer.stopping.wait()
        self._leave(_STOPPING)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._limits.heartbeat_s)
            try:
                await self._check_still()
            except AuthError as error:
                return self._leave(_not_let_in(error))
            await self._send({"type": "feed.heartbeat", "at": datetime.now(UTC).isoformat().replace("+00:00", "Z")})

    async def _send(self, message: Mapping[str, object]) -> None:
        async with self._sending:
            await self._socket.send_text(json.dumps(message, separators=(",", ":")))

    async def _complain(self, code: str, detail: str, workflow_id: str | None = None) -> None:
        await self._send({"type": "feed.error", "code": code, "detail": detail, "workflow_id": workflow_id})

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return self._leave(None)
            text = message.get("text")
            if text is None:
                await self._complain("feed.bad-json", "A message is JSON text.")
                return self._leave(Goodbye(BAD_MESSAGE, "a message is JSON text"))
            if len(text) > self._limits.max_message_bytes:
                return self._leave(Goodbye(MESSAGE_TOO_BIG, "message too big"))
            try:
                command = _COMMAND.validate_json(text)
            except ValidationError as wrong:
                first = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
                if first["type"] == "json_invalid":
                    await self._complain("feed.bad-json", first["msg"])
                    return self._leave(Goodbye(BAD_MESSAGE, "a message is JSON text"))
                where = ".".join(str(part) for part in first["loc"][1:])
                what = first["msg"].removeprefix("Value error, ")
                await self._complain("feed.bad-message", f"{where}: {what}" if where else what)
                continue
            await (self._subscribe(command) if isinstance(command, Subscribe) else self._unsubscribe(command))

    async def _subscribe(self, command: Subscribe) -> None:
        key = command.workflow_id
        if key in self._subscriptions:
            return await self._complain("feed.already-subscribed", "Unsubscribe first to start elsewhere.", key)
        if len(self._subscriptions) >= self._limits.max_subscriptions:
            detail = f"One socket follows at most {self._limits.max_subscriptions} workflows."
            return await self._complain("feed.too-many-subscriptions", detail, key)
        await self._send({**command.model_dump(exclude_none=True), "type": "feed.subscribed"})
        self._subscriptions[key] = self._spawn(self._pump(command))
        return None

    async def _unsubscribe(self, command: Unsubscribe) -> None:
        task = self._subscriptions.pop(command.workflow_id, None)
        if task is None:
            return await self._complain("feed.not-subscribed", "There is no such subscription.", command.workflow_id)
        task.cancel()
        await asyncio.wait([task])
        await self._send({**command.model_dump(exclude_none=True), "type": "feed.unsubscribed"})
        return None

    async def _pump(self, command: Subscribe) -> None:
        """Send events until the workflow ends; a client that does not take them is asked to come back later."""
        key = command.workflow_id
        try:
            async for event in self._events(command):
                try:
                    async with asyncio.timeout(self._limits.send_timeout_s):
                        await self._send(event.as_json())
                except TimeoutError:
                    return self._leave(_come_back(key, event.position if key is None else event.seq))
        except SlowReader as slow:
            return self._leave(_come_back(key, slow.resume_from))
        except WorkflowError as error:
            await self._complain(error.code, str(error), key)
        else:
            await self._send({"type": "feed.ended", "workflow_id": key})
        finally:
            if self._subscriptions.get(key) is asyncio.current_task():
                del self._subscriptions[key]
        return None

    def _events(self, command: Subscribe) -> AsyncIterator[Event]:
        return self._backend.watch(
            command.workflow_id,
            from_seq=command.from_seq or 1,
            from_position=command.from_position,
            buffer=self._limits.buffer_events,
        )


def _come_back(key: str | None, place: int) -> Goodbye:
    """The reason names where to go on: `from_seq` of one workflow, `from_position` of all."""
    return Goodbye(SLOW_READER, f"slow reader; resume_{'from_position' if key is None else 'from_seq'}={place}")


class Door:
    """Lets in those who may read: `permission` of the policy is what they need.

    Who has not said who he is waits at the door for `within_s`, and takes no place from those who are in.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        permission: str,
        check_still: Callable[[Principal], Awaitable[None]],
        *,
        within_s: float,
        max_waiting: int = 50,
    ) -> None:
        self._authenticator = authenticator
        self._permission = permission
        self._within_s = within_s
        self._waiting = Hub(max_readers=max_waiting)
        self.check_still = check_still

    async def admit(self, socket: WebSocket) -> Principal:
        """Find out whose an accepted socket is; raises AuthError, TooManyReaders, or _Stopping."""
        try:
            principal = await self._authenticator.authenticate(socket.scope)
        except MissingCredentials:
            with self._waiting.admitted():
                principal = await self._first_message(socket)
        self._authenticator.authorize(principal, self._permission)
        return principal

    async def _first_message(self, socket: WebSocket) -> Principal:
        asking = asyncio.ensure_future(
            self._authenticator.authenticate_first_message(socket.scope, socket.receive, within_s=self._within_s)
        )
        stopping = asyncio.ensure_future(socket.app.drainer.stopping.wait())
        try:
            await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise _Stopping
            return asking.result()
        finally:
            for task in (asking, stopping):
                task.cancel()
            await asyncio.wait({asking, stopping})


class _Stopping(Exception):
    """The engine stops while somebody is at the door."""


def feed_routes(backend: ExecutionBackend, hub: Hub, limits: SocketLimits, door: Door) -> APIRouter:
    """The route `/ws`."""
    routes = APIRouter()

    @routes.websocket("/ws")
    async def follow(socket: WebSocket) -> None:
        # Accepted in any case: a close code can only be told to a client whose socket was.
        await socket.accept()
        try:
            reader = await door.admit(socket)
            with hub.admitted():
                await SocketSession(socket, backend, limits, lambda: door.check_still(reader)).run()
        except TooManyReaders as error:
            await _say_goodbye(socket, Goodbye(TRY_AGAIN_LATER, str(error)[:120]))
        except AuthError as error:
            await _say_goodbye(socket, _not_let_in(error))
        except _Stopping:
            await _say_goodbye(socket, _STOPPING)

    return routes


def _not_let_in(error: AuthError) -> Goodbye:
    return Goodbye(CLOSE_BY_CODE[error.code], error.code)


async def _say_goodbye(socket: WebSocket, goodbye: Goodbye) -> None:
    """Close a socket, unless its client has left or does not listen."""
    with contextlib.suppress(TimeoutError, WebSocketDisconnect):
        async with asyncio.timeout(1.0):
            await socket.close(goodbye.code, goodbye.reason)
