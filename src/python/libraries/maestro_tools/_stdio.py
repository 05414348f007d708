"""MCP messages over a process's stdin and stdout, one JSON text a line, with bounds on what a server may send."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, jsonrpc_message_adapter

from maestro_tools._errors import ServerMisbehaved, ServerUnavailable, ToolsError
from maestro_tools._masking import Masker
from maestro_tools._process import Process, within

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

# In the range that MCP leaves to implementations; only ever made here, for a result that was not read.
TOO_LARGE_CODE = -32018

_STRAY_LINES = 100
_STRAYS_SHOWN = 3
_LAST_WORDS_S = 1.0
_HEAD_BYTES = 256
_RESPONSE_ID = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*,')


class StdioChannel:
    """Carries the messages of one server process, and notices at once when it can carry no more.

    `fault` then says why; None while all is well.
    """

    def __init__(self, name: str, process: Process, *, max_message_bytes: int, masker: Masker) -> None:
        self.fault: ToolsError | None = None
        self._name = name
        self._process = process
        self._max_message_bytes = max_message_bytes
        self._masker = masker
        self._strays = 0
        self._first_strays: list[str] = []

    @asynccontextmanager
    async def streams(self, on_loss: asyncio.Event) -> AsyncIterator[TransportStreams]:
        """The pair of streams that an MCP session drives; leaving stops the process. Sets `on_loss` at the end."""
        to_session, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        to_server, from_session = anyio.create_memory_object_stream[SessionMessage](0)
        pumps = [
            asyncio.create_task(self._read(to_session, on_loss), name="maestro-tools stdout"),
            asyncio.create_task(self._write(from_session), name="maestro-tools stdin"),
        ]
        try:
            yield from_server, to_server
        finally:
            for pump in pumps:
                pump.cancel()
            try:
                await self._process.stop()
            finally:
                for stream in (to_session, from_server, to_server, from_session):
                    stream.close()
            await asyncio.wait(pumps)

    def describe(self) -> str:
        """What the server said that was no message, for an error text; empty when nothing."""
        said = " | ".join(self._first_strays)
        return f"; its stdout holds what is no message: {said}" if said else ""

    async def _read(self, to_session: MemoryObjectSendStream[SessionMessage | Exception], lost: asyncio.Event) -> None:
        with to_session:
            try:
                await self._read_lines(to_session)
                await within(_LAST_WORDS_S, self._process.finished())
                self.fault = ServerUnavailable(f"{self._name} {self._process.describe_exit()}{self.describe()}")
            except ToolsError as fault:
                self.fault = fault
                self._process.kill()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self.fault = ServerUnavailable(f"{self._name}: the connection was closed")
            finally:
                lost.set()

    async def _read_lines(self, to_session: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        line = bytearray()
        while chunk := await self._process.read():
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                line += end
                await self._refuse_oversized(line, to_session)
                if (message := self._parse(bytes(line))) is not None:
                    await to_session.send(message)
                line.clear()
            line += rest
            await self._refuse_oversized(line, to_session)

    async def _refuse_oversized(
        self, line: bytearray, to_session: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        """Give up on a server whose message is too large, and tell the call it belongs to, if that can be seen."""
        if len(line) <= self._max_message_bytes:
            return
        size = f"a message larger than {self._max_message_bytes} bytes (max_result_bytes)"
        if (head := _RESPONSE_ID.match(bytes(line[:_HEAD_BYTES]))) is None:
            raise ServerMisbehaved(f"{self._name} was stopped: it sent {size}")
        error = ErrorData(code=TOO_LARGE_CODE, message=f"the answer is {size}")
        await to_session.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=int(head[1]), error=error)))
        raise ServerUnavailable(f"{self._name} was stopped: it answered another call with {size}")

    def _parse(self, line: bytes) -> SessionMessage | None:
        if not line.strip():
            return None
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            self._strays += 1
            if len(self._first_strays) < _STRAYS_SHOWN:
                self._first_strays.append(self._masker.excerpt(line.decode(errors="replace"), 200))
            if self._strays > _STRAY_LINES:
                raise ServerMisbehaved(
                    f"{self._name} was stopped after {self._strays} lines without a message{self.describe()}"
                ) from None
            return None
        self._strays = 0
        return SessionMessage(message)

    async def _write(self, from_session: MemoryObjectReceiveStream[SessionMessage]) -> None:
        with from_session:
            async for item in from_session:
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                try:
                    await self._process.write(text.encode() + b"\n")
                except ConnectionError:
                    # The reading side sees the same end, and knows more about it.
                    return
