"""How a session with an MCP server is opened, and what of the protocol the SDK leaves to extensions: tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import metadata
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import mcp.types as types
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.client.session import ClientSession
from mcp.shared.message import SessionMessage
from pydantic import ConfigDict

from maestro_tools._desk import Desk
from maestro_tools._tasks import EXTENSION

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams


class RawResult(types.Result):
    """A result that is kept as it came."""

    model_config = ConfigDict(extra="allow")

    @property
    def wire(self) -> dict[str, Any]:
        """What came."""
        return self.model_dump(by_alias=True, mode="json")


class CreateTask(RawResult):
    """The answer to tools/call that says: this goes on as a task."""

    result_type: Literal["task"] = "task"


class TaskRequest(types.Request[dict[str, Any], str]):
    """tasks/get, tasks/update or tasks/cancel; over HTTP the task's id is its Mcp-Name."""

    method: str
    params: dict[str, Any]

    name_param = "taskId"


class Tasks(ClientExtension):
    """Tells servers that they may answer with tasks."""

    identifier = EXTENSION

    def claims(self) -> Sequence[ResultClaim[Any]]:
        """The result of a call that becomes a task; whoever calls drives it."""
        return (ResultClaim(result_type="task", model=CreateTask, resolve=_undriven),)


class _Completing:
    """A stream of answers in which one that does not say what kind of result it holds holds a complete one.

    The protocol of 2026-07-28 wants clients to take it so; the SDK refuses it.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def last_context(self) -> Any:
        """The context that the last message was sent in; the SDK looks for it."""
        return getattr(self._stream, "last_context", None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        return self._completed(await self._stream.__anext__())

    async def receive(self) -> SessionMessage | Exception:
        """The next message."""
        return self._completed(await self._stream.receive())

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stream.__aexit__(kind, error, trace)

    @staticmethod
    def _completed(item: SessionMessage | Exception) -> SessionMessage | Exception:
        message = item.message if isinstance(item, SessionMessage) else None
        if isinstance(message, types.JSONRPCResponse) and isinstance(message.result, dict):
            message.result.setdefault("resultType", "complete")
        return item


@asynccontextmanager
async def _completing(transport: AbstractAsyncContextManager[TransportStreams]) -> AsyncIterator[TransportStreams]:
    async with transport as (read, write):
        yield _Completing(read), write


async def _undriven(claimed: CreateTask, context: ClaimContext) -> types.CallToolResult:
    raise AssertionError("calls are made on the session, which hands a task out")


@asynccontextmanager
async def open_session(
    transport: AbstractAsyncContextManager[TransportStreams], mode: str, changed: asyncio.Event, desk: Desk | None
) -> AsyncIterator[ClientSession]:
    """Negotiate an era over a transport (`auto`, or `legacy` at once), and hold the session.

    `changed` is set when the server says that its list of tools has changed; questions go to `desk`, and without one
    the server is told that nobody can be asked.
    """

    async def notice(message: types.ServerNotification | Exception) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            changed.set()

    client = Client(
        _completing(transport),
        mode=mode,
        message_handler=notice,
        client_info=types.Implementation(name="maestro-tools", version=_own_version()),
        elicitation_callback=None if desk is None else desk.elicit,
        extensions=[Tasks()],
        cache=None,
    )
    async with client:
        yield client.session


def _own_version() -> str:
    try:
        return metadata.version("maestro-tools")
    except metadata.PackageNotFoundError:
        # Run from the repository, where nothing is installed.
        return "unreleased"
