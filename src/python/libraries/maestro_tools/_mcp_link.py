"""One open MCP connection: how it is made, what can be asked over it, and what its failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import mcp.types as types
from mcp import Client, MCPError
from mcp.client.session import ClientSession
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from maestro_tools._errors import (
    InputRequired,
    ResultTooLarge,
    ServerMisbehaved,
    ServerUnavailable,
    ToolFailed,
    ToolsError,
)
from maestro_tools._http import EXCHANGE, Exchange
from maestro_tools._masking import Masker
from maestro_tools._schemas import Contract
from maestro_tools._stdio import TOO_LARGE_CODE
from maestro_tools._tools import Tool, ToolResult

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

IDEMPOTENCY_KEY_META = "maestro/idempotency-key"

_MOST_PAGES = 1000
_MOST_TOOLS = 10_000
_ALIVE_S = 5.0
_SDK_STREAM_ENDED = "SSE stream "
_REFUSALS = (401, 403)
_STATUSES_WITHOUT_MESSAGE = (*_REFUSALS, 429, 502, 503, 504)
_WANTS_A_PERSON = (types.MISSING_REQUIRED_CLIENT_CAPABILITY, types.URL_ELICITATION_REQUIRED)


class McpLink:
    """An MCP session in use.

    `lost` is set, by the transport or here, when nothing more can come; `explain` then asks the transport why.
    `changed` is set when the server says that its list of tools has changed.
    """

    def __init__(
        self,
        name: str,
        session: ClientSession,
        masker: Masker,
        *,
        lost: asyncio.Event,
        changed: asyncio.Event,
        explain: Callable[[], ToolsError | None],
    ) -> None:
        self.lost = lost
        self.answered = False
        self._name = name
        self._session = session
        self._masker = masker
        self._changed = changed
        self._explain = explain
        self._fault: ToolsError | None = None
        self._contracts: dict[str, Contract] | None = None

    def loss(self) -> ToolsError:
        """Why the connection was lost, naming the server."""
        return self._fault or self._explain() or ServerUnavailable(f"{self._name}: the connection was closed")

    def lose(self, fault: ToolsError) -> None:
        """Give the connection up."""
        self._fault = self._fault or fault
        self.lost.set()

    async def contracts(self) -> dict[str, Contract]:
        """Every tool that the server offers, by name in order; all pages. Asks anew each time."""
        found: dict[str, Contract] = {}
        cursor: str | None = None
        cursors: set[str] = set()
        exchange = Exchange()
        EXCHANGE.set(exchange)
        self._changed.clear()
        while True:
            try:
                page = await self._session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
            except (MCPError, ValidationError, RuntimeError, anyio.ClosedResourceError) as error:
                self._fail(error, exchange)
            self.answered = True
            for item in page.tools:
                if item.name in found:
                    raise ServerMisbehaved(f"{self._name} lists the tool {item.name!r} twice")
                found[item.name] = Contract(_tool(self._name, item))
            cursor = page.next_cursor
            if cursor is None:
                break
            if cursor in cursors or len(cursors) >= _MOST_PAGES or len(found) > _MOST_TOOLS:
                raise ServerMisbehaved(f"{self._name} lists its tools without end ({len(found)} so far)")
            cursors.add(cursor)
        self._contracts = dict(sorted(found.items()))
        return self._contracts

    async def contract(self, tool: str) -> Contract | None:
        """One tool; the list is fetched when it is not known, or the server said that it changed."""
        known = self._contracts
        if known is None or tool not in known or self._changed.is_set():
            known = await self.contracts()
        return known.get(tool)

    def known(self) -> tuple[str, ...]:
        """Names of the tools as last listed."""
        return tuple(self._contracts or ())

    async def call(self, contract: Contract, arguments: Mapping[str, Any], idempotency_key: str | None) -> ToolResult:
        """Call one tool. Raises what the failure means."""
        meta: types.RequestParamsMeta | None = None
        if idempotency_key is not None:
            meta = {IDEMPOTENCY_KEY_META: idempotency_key}  # type: ignore[assignment]  # the spec leaves it open
        exchange = Exchange()
        EXCHANGE.set(exchange)
        try:
            answer = await self._send(contract.tool.name, arguments, meta)
        except (MCPError, ValidationError, RuntimeError, anyio.ClosedResourceError) as error:
            self._fail(error, exchange)
        self.answered = True
        return self._result(contract, answer)

    async def prove_alive(self) -> None:
        """Give the connection up if the server does not answer even the simplest question."""
        try:
            async with asyncio.timeout(_ALIVE_S):
                if self._session.protocol_version in MODERN_PROTOCOL_VERSIONS:
                    await self._session.send_discover(str(self._session.protocol_version))
                else:
                    await self._session.send_ping()
        except MCPError:
            # An error is an answer. A connection that was closed is noticed where it is read.
            return
        except TimeoutError:
            self.lose(ServerUnavailable(f"{self._name} hangs: it was stopped"))

    async def _send(
        self, tool: str, arguments: Mapping[str, Any], meta: types.RequestParamsMeta | None
    ) -> types.CallToolResult | types.InputRequiredResult:
        for resend in (True, False):
            try:
                return await self._session.call_tool(tool, dict(arguments), meta=meta, allow_input_required=True)
            except MCPError as error:
                # The tool's schema changed since it was listed, and with it the headers that its arguments go into.
                if error.code != types.HEADER_MISMATCH or not resend:
                    raise
                await self.contracts()
        raise AssertionError("unreachable: the second round returns or raises")

    def _result(self, contract: Contract, answer: types.CallToolResult | types.InputRequiredResult) -> ToolResult:
        label = f"{contract.tool.source}.{contract.tool.name}"
        if isinstance(answer, types.InputRequiredResult):
            asked = sorted(str(request.method) for request in (answer.input_requests or {}).values())
            raise InputRequired(
                f"{label} asks for input ({', '.join(asked) or 'more rounds'}): a tool that asks a person while it "
                "runs is not supported"
            )
        content = tuple(block.model_dump(by_alias=True, mode="json", exclude_none=True) for block in answer.content)
        result = ToolResult(_value(answer.structured_content, content), content, answer.is_error)
        if answer.is_error:
            said = self._masker.excerpt(_text(content) or str(result.value))
            raise ToolFailed(f"{label} failed: {said}", result=result)
        return result

    def _fail(self, error: Exception, exchange: Exchange) -> NoReturn:
        """Raise what went wrong, in our words; theirs may hold secrets, so they are no part of the traceback."""
        if isinstance(error, MCPError):
            raise self._meaning(error, exchange) from None
        if self.lost.is_set() or isinstance(error, anyio.ClosedResourceError):
            raise self.loss() from None
        # What the SDK refuses to take from a server: a message or a structured result that breaks its schema.
        raise ServerMisbehaved(f"{self._name}: {self._masker.excerpt(str(error))}") from None

    def _meaning(self, error: MCPError, exchange: Exchange) -> ToolsError:
        said = self._masker.excerpt(error.error.message)
        if error.code == TOO_LARGE_CODE or exchange.too_large:
            return ResultTooLarge(f"{self._name}: the answer is larger than max_result_bytes allows")
        if exchange.status == 404 and error.code == types.INVALID_REQUEST:
            self.lose(ServerUnavailable(f"{self._name} ended the session"))
            return self.loss()
        if (broken := broken_exchange(self._name, exchange, self._masker)) is not None:
            if exchange.failure is not None:
                self.lose(broken)
            return broken
        # A server may use the SDK's code for a closed connection too, so the code alone says little.
        if error.code == types.CONNECTION_CLOSED and self.lost.is_set():
            return self.loss()
        if error.code == types.CONNECTION_CLOSED and error.error.message.startswith(_SDK_STREAM_ENDED):
            return ServerUnavailable(f"{self._name} broke off: {said}")
        self.answered = True
        if error.code in _WANTS_A_PERSON:
            return InputRequired(f"{self._name} asks for input, which is not supported: {said}")
        return ToolFailed(f"{self._name} answered with error {error.code}: {said}")


def broken_exchange(name: str, exchange: Exchange, masker: Masker) -> ServerUnavailable | None:
    """What an HTTP exchange without a proper answer means; None when it had one."""
    if exchange.failure is not None:
        return ServerUnavailable(f"{name} cannot be reached: {masker.excerpt(exchange.failure)}")
    if exchange.status is None or exchange.status < 400:
        return None
    if exchange.status in _STATUSES_WITHOUT_MESSAGE or not exchange.is_json:
        return ServerUnavailable(
            f"{name} answered with HTTP status {exchange.status}",
            retryable=exchange.status in (408, 429) or exchange.status >= 500,
            retry_after_s=exchange.retry_after_s,
        )
    return None


@asynccontextmanager
async def open_session(
    transport: AbstractAsyncContextManager[TransportStreams], mode: str, changed: asyncio.Event
) -> AsyncIterator[ClientSession]:
    """Negotiate an era over a transport (`auto`, or `legacy` at once), and hold the session."""

    async def notice(message: types.ServerNotification | Exception) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            changed.set()

    client = Client(
        transport,
        mode=mode,
        message_handler=notice,
        client_info=types.Implementation(name="maestro-tools", version=_own_version()),
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


def _tool(source: str, item: types.Tool) -> Tool:
    notes = item.annotations.model_dump(by_alias=True, mode="json", exclude_none=True) if item.annotations else {}
    return Tool(source, item.name, item.description or "", item.input_schema, item.output_schema, notes)


def _value(structured: Any, content: tuple[Mapping[str, Any], ...]) -> Any:
    if structured is not None:
        return structured
    if not content:
        return None
    return _text(content) if all(block.get("type") == "text" for block in content) else list(content)


def _text(content: tuple[Mapping[str, Any], ...]) -> str:
    return "\n".join(str(block["text"]) for block in content if block.get("type") == "text")
