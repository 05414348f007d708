"""One open MCP connection: how it is made, what can be asked over it, and what its failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import anyio
import mcp.types as types
from mcp import MCPError
from mcp.client.session import ClientSession
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from maestro_tools._desk import Desk
from maestro_tools._errors import (
    InputRequired,
    ResultTooLarge,
    ServerMisbehaved,
    ServerUnavailable,
    TaskLost,
    ToolFailed,
    ToolsError,
)
from maestro_tools._http import EXCHANGE, Exchange
from maestro_tools._masking import Masker
from maestro_tools._mcp_session import CreateTask, RawResult, TaskRequest
from maestro_tools._questions import Ask, Asked, Question, read_question
from maestro_tools._schemas import Contract
from maestro_tools._stdio import TOO_LARGE_CODE
from maestro_tools._tasks import TaskState, read_questions, read_task
from maestro_tools._tools import Tool, ToolResult, canonical_json

Outcome = ToolResult | Asked | TaskState
"""How a call came back: with its result, with questions, or as a task that goes on by itself."""

IDEMPOTENCY_KEY_META = "maestro/idempotency-key"

_MOST_PAGES = 1000
_MOST_TOOLS = 10_000
_ALIVE_S = 5.0
_SDK_STREAM_ENDED = "SSE stream "
_REFUSALS = (401, 403)
_STATUSES_WITHOUT_MESSAGE = (*_REFUSALS, 429, 502, 503, 504)
_LARGEST_STATE_BYTES = 24 * 1024
_MOST_ADDRESSES = 16
# What the SDK raises when a request gets no answer that it takes.
_FAILURES = (MCPError, ValidationError, RuntimeError, anyio.ClosedResourceError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What goes with a call beside its arguments: its key, the answers to earlier questions, and who can be asked."""

    idempotency_key: str | None = None
    responses: Mapping[str, Any] | None = None
    state: str | None = None
    ask: Ask | None = None
    on_crowd: Callable[[], None] = lambda: None


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
        desk: Desk,
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
        self._desk = desk
        self._changed = changed
        self._explain = explain
        self._fault: ToolsError | None = None
        self._contracts: dict[str, Contract] | None = None
        self._as_tasks: set[str] = set()

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
            except _FAILURES as error:
                self._fail(error, exchange)
            self.answered = True
            for item in page.tools:
                if item.name in found:
                    raise ServerMisbehaved(f"{self._name} lists the tool {item.name!r} twice")
                found[item.name] = Contract(self._tool(item))
            cursor = page.next_cursor
            if cursor is None:
                break
            if cursor in cursors or len(cursors) >= _MOST_PAGES or len(found) > _MOST_TOOLS:
                raise ServerMisbehaved(f"{self._name} lists its tools without end ({len(found)} so far)")
            cursors.add(cursor)
        self._contracts = dict(sorted(found.items()))
        return self._contracts

    async def contract(self, tool: str, *, anew: bool = False) -> Contract | None:
        """One tool; the list is fetched when it is not known, the server said that it changed, or `anew`."""
        known = self._contracts
        if known is None or tool not in known or self._changed.is_set() or anew:
            known = await self.contracts()
        return known.get(tool)

    def known(self) -> tuple[str, ...]:
        """Names of the tools as last listed."""
        return tuple(self._contracts or ())

    async def call(self, contract: Contract, arguments: Mapping[str, Any], turn: Turn) -> Outcome:
        """Call one tool. Raises what the failure means."""
        label = f"{self._name}.{contract.tool.name}"
        if contract.tool.name in self._as_tasks:
            raise ToolFailed(
                f"{label} runs only as a task as the protocol of 2025-11-25 had it, which is not supported"
            )
        exchange = Exchange()
        EXCHANGE.set(exchange)
        with self._desk.calling(label, turn.ask, turn.on_crowd) as caller:
            try:
                answer = await self._send(contract.tool.name, arguments, turn)
            except _FAILURES as error:
                if isinstance(error, MCPError) and error.code == types.URL_ELICITATION_REQUIRED:
                    return self._asked_by_error(label, error)
                if isinstance(error, MCPError) and caller.fault is not None and not self.lost.is_set():
                    raise caller.fault from None
                self._fail(error, exchange)
        self.answered = True
        if isinstance(answer, types.InputRequiredResult):
            return self._asked(label, answer)
        if isinstance(answer, CreateTask):
            return read_task(label, answer.wire)
        assert isinstance(answer, types.CallToolResult), "the session is given no other claim"
        if answer.is_error and caller.fault is not None:
            raise caller.fault
        return self._result(label, answer)

    async def task(self, tool: str, task: str) -> TaskState:
        """How a task stands."""
        label = f"{self._name}.{tool}"
        raw = await self._about_task(label, "tasks/get", {"taskId": task})
        shown: dict[str, Any] = {
            key: self._masker.mask_all(raw[key]) for key in ("inputRequests", "statusMessage") if key in raw
        }
        return read_task(label, {**raw, **shown}, task)

    async def answer_task(self, tool: str, task: str, responses: Mapping[str, Any]) -> None:
        """Give a task the answers to what it asked, by the keys of its questions; giving them twice does no harm."""
        await self._about_task(f"{self._name}.{tool}", "tasks/update", {"taskId": task, "inputResponses": responses})

    async def cancel_task(self, tool: str, task: str) -> None:
        """Ask the server to end a task; it says only that it heard."""
        await self._about_task(f"{self._name}.{tool}", "tasks/cancel", {"taskId": task})

    async def task_result(self, tool: str, state: TaskState) -> ToolResult:
        """The result of a task that has ended, held against what its tool declares now, if it still is there."""
        label = f"{self._name}.{tool}"
        if state.result is None:
            raise ToolFailed(f"{label}: {self._masker.excerpt(state.failure)}")
        try:
            answer = types.CallToolResult.model_validate(state.result, by_name=False)
        except ValidationError as error:
            said = self._masker.excerpt(str(error))
            raise ServerMisbehaved(f"{label} ended its task with what is no result: {said}") from None
        result = self._result(label, answer)
        contract = await self.contract(tool)
        if contract is not None and contract.tool.output_schema:
            contract.check_output(answer.structured_content)
        return result

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

    def _tool(self, item: types.Tool) -> Tool:
        notes = item.annotations.model_dump(by_alias=True, mode="json", exclude_none=True) if item.annotations else {}
        tool = Tool(self._name, item.name, item.description or "", item.input_schema, item.output_schema, notes)
        try:
            canonical_json(tool.definition).encode()
        except (ValueError, RecursionError):
            raise ServerMisbehaved(f"{self._name} declares the tool {item.name!r} with what is no JSON") from None
        if item.execution is not None and item.execution.task_support == "required" and not self._is_modern:
            self._as_tasks.add(item.name)
        return tool

    async def _send(self, tool: str, arguments: Mapping[str, Any], turn: Turn) -> types.Result:
        meta: types.RequestParamsMeta | None = None
        if turn.idempotency_key is not None:
            meta = {IDEMPOTENCY_KEY_META: turn.idempotency_key}  # type: ignore[assignment]  # the spec leaves it open
        responses = None
        if turn.responses is not None and self._is_modern:
            responses = {key: types.ElicitResult.model_validate(given) for key, given in turn.responses.items()}
        for resend in (True, False):
            try:
                return await self._session.call_tool(
                    tool,
                    dict(arguments),
                    input_responses=responses,  # type: ignore[arg-type]  # one arm of its union: mappings are invariant
                    request_state=turn.state,
                    meta=meta,
                    allow_input_required=True,
                    allow_claimed=True,
                )
            except MCPError as error:
                # The tool's schema changed since it was listed, and with it the headers that its arguments go into.
                if error.code != types.HEADER_MISMATCH or not resend:
                    raise
                await self.contracts()
        raise AssertionError("unreachable: the second round returns or raises")

    @property
    def _is_modern(self) -> bool:
        return self._session.protocol_version in MODERN_PROTOCOL_VERSIONS

    async def _about_task(self, label: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        exchange = Exchange()
        EXCHANGE.set(exchange)
        try:
            answer = await self._session.send_request(TaskRequest(method=method, params=params), RawResult)
        except _FAILURES as error:
            if isinstance(error, MCPError) and error.code == types.INVALID_PARAMS:
                said = self._masker.excerpt(error.error.message)
                raise TaskLost(
                    f"{label}: the server does not know task {params['taskId']!r} any more: {said}"
                ) from None
            self._fail(error, exchange)
        self.answered = True
        return answer.wire

    def _asked(self, label: str, answer: types.InputRequiredResult) -> Asked:
        state = answer.request_state
        if state is not None and len(state.encode()) > _LARGEST_STATE_BYTES:
            raise ServerMisbehaved(f"{label} asks with a requestState larger than {_LARGEST_STATE_BYTES} bytes")
        requests = answer.model_dump(by_alias=True, mode="json", exclude_none=True).get("inputRequests")
        return Asked(read_questions(label, self._masker.mask_all(requests)), state)

    def _asked_by_error(self, label: str, error: MCPError) -> Asked:
        """The questions of an older server that refuses a call until somebody was at an address."""
        data = error.error.data
        asked = data.get("elicitations") if isinstance(data, Mapping) else None
        if not isinstance(asked, list) or not 0 < len(asked) <= _MOST_ADDRESSES:
            raise ServerMisbehaved(f"{label} sends a person to no address, or to more than {_MOST_ADDRESSES}") from None
        questions: list[Question] = []
        for index, item in enumerate(asked):
            given = {**item, "mode": "url"} if isinstance(item, Mapping) else item
            questions.append(read_question(label, str(index), self._masker.mask_all(given)))
        return Asked(tuple(questions), is_error=True)

    def _result(self, label: str, answer: types.CallToolResult) -> ToolResult:
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
        if error.code == types.MISSING_REQUIRED_CLIENT_CAPABILITY:
            return InputRequired(f"{self._name} asks for input, or for more than it can be given here: {said}")
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


def _value(structured: Any, content: tuple[Mapping[str, Any], ...]) -> Any:
    if structured is not None:
        return structured
    if not content:
        return None
    return _text(content) if all(block.get("type") == "text" for block in content) else list(content)


def _text(content: tuple[Mapping[str, Any], ...]) -> str:
    return "\n".join(str(block["text"]) for block in content if block.get("type") == "text")
