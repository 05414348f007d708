"""The MCP server at `/mcp`: both eras, no session, nothing kept beside the workflows."""

import asyncio
import base64
import binascii
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    CallToolRequestParams,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
)
from starlette.types import Receive, Scope, Send

from maestro_audit_logger import AuditError
from maestro_core_auth import Authenticator, Forbidden, Principal
from maestro_engine.access.policy import ANSWER, CANCEL, READ, START
from maestro_engine.audit.errors import AuditTrailError
from maestro_engine.audit.service import AuditTrail
from maestro_engine.control.errors import ControlError
from maestro_engine.mcp.asking import TASKS, asking, scope_of
from maestro_engine.mcp.calls import Calls
from maestro_engine.mcp.handles import Handles
from maestro_engine.mcp.listen import Listen, StillMay
from maestro_engine.mcp.places import Places
from maestro_engine.mcp.results import FindArtifact, Results
from maestro_engine.mcp.runs import AnswerStep, Runs
from maestro_engine.mcp.tasks import TaskParams, Tasks, UpdateParams
from maestro_engine.mcp.tools import TemplateTool, ToolSource, input_schema, output_schema
from maestro_workflow_engine import ExecutionBackend, WorkflowError

_NAME: Final = "maestro-engine"
_PAGE: Final = 100
_LIST_FRESH_MS: Final = 5000
_STREAMS_AFTER_S: Final = 20.0
"""By then the SDK streams, so that the edge no longer waits for an answer to begin (it begins after 15 s)."""
_MAY: Final = {"tools/call": START, "tasks/update": ANSWER, "tasks/cancel": CANCEL}
"""What a method needs beside workflow:read, which all of them do; a call that answers needs approval:answer too."""

_INSTRUCTIONS: Final = (
    "Every tool is a workflow template; a call starts a durable workflow that goes on when you leave. "
    "Declare io.modelcontextprotocol/tasks to get a handle for long ones."
)


@dataclass(frozen=True, slots=True)
class McpLimits:
    """How long and how many."""

    wait_s: float = 60.0
    """How long a call waits before its client is asked to come again."""
    answer_within_s: float = 30.0
    """Until an answer has to begin, or the edge of the service gives up."""
    direct_s: float = 0.2
    """How long a call of a client with Tasks waits for the result before it becomes a task."""
    poll_interval_s: float = 1.0
    """How often clients should ask for a task."""
    question_s: float = 3600.0
    """How long a question (`requestState`) may be answered."""
    max_waiting: int = 200
    """Calls and streams that wait at once."""
    max_body_bytes: int = 1024 * 1024
    look_every_s: float = 0.5
    """Between looks at the templates while a client listens for changes."""
    check_every_s: float = 15.0
    """Between checks that a listener may still listen."""

    @property
    def silent_s(self) -> float:
        """How long a call may wait without a word."""
        return self.wait_s if self.answer_within_s > _STREAMS_AFTER_S else min(self.wait_s, self.answer_within_s / 2)


class McpDoor:
    """Open it with `async with door.open()`; then it is an ASGI application behind sign-in.

    `scope["state"]["principal"]` is the caller, and `scope["app"].drainer.stopping` is set when waiting has to end.
    """

    def __init__(
        self,
        *,
        backend: ExecutionBackend,
        source: ToolSource,
        answer: AnswerStep,
        artifact: FindArtifact,
        audit: AuditTrail,
        authenticator: Authenticator,
        check_still: StillMay,
        key: bytes,
        version: str,
        limits: McpLimits | None = None,
    ) -> None:
        chosen = limits or McpLimits()
        handles, results = Handles(key), Results(backend, artifact)
        runs, places = Runs(backend, answer, audit, handles), Places(chosen.max_waiting)
        tasks = Tasks(backend, runs, results, handles, poll_interval_s=chosen.poll_interval_s)
        calls = Calls(runs, results, tasks, places, self._tool, wait_s=chosen.silent_s, direct_s=chosen.direct_s)
        listen = Listen(
            backend,
            tasks,
            self._stamp,
            check_still,
            places,
            look_every_s=chosen.look_every_s,
            check_every_s=chosen.check_every_s,
        )
        self.source = source
        self._look_every_s = chosen.look_every_s
        self._stamped: frozenset[tuple[str, str]] = frozenset()
        self._stamped_at = -math.inf
        self._audit = audit
        self._authenticator = authenticator
        self._server = self._made(version, listen)
        self._server.add_request_handler("tools/call", CallToolRequestParams, calls.call)
        self._server.add_request_handler("tasks/get", TaskParams, tasks.get)
        self._server.add_request_handler("tasks/update", UpdateParams, tasks.update)
        self._server.add_request_handler("tasks/cancel", TaskParams, tasks.cancel)
        # From the outside in: errors are translated last, and what may not be done is never looked at.
        question = RequestStateSecurity(
            keys=[handles.derived("request-state")], ttl=chosen.question_s, bind_principal=_subject
        )
        self._server.middleware += [
            _Translated(),
            _Guarded(authenticator, audit),
            RequestStateBoundary(question, default_audience=_NAME),
        ]
        self._manager = StreamableHTTPSessionManager(
            self._server, stateless=True, max_request_body_size=chosen.max_body_bytes
        )

    def _made(self, version: str, listen: Listen) -> Server[Any]:
        server: Server[Any] = Server(
            _NAME,
            version=version,
            title="Maestro engine",
            instructions=_INSTRUCTIONS,
            cache_hints={"tools/list": CacheHint(ttl_ms=_LIST_FRESH_MS)},
            get_tool_input_schema=lambda name: None,  # our schemas mark nothing as a header
            on_list_tools=self._list,
            on_subscriptions_listen=listen,
        )
        server.extensions = {TASKS: {}}
        return server

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take requests until the end of the context, which may be in another task than its beginning."""
        opened, ending = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with self._manager.run():
                opened.set()
                await ending.wait()

        holding = asyncio.create_task(hold())
        await opened.wait()
        try:
            yield
        finally:
            ending.set()
            await holding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._manager.handle_request(scope, receive, send)

    async def _visible(self, caller: Principal) -> list[TemplateTool]:
        """What a caller may start, by name."""
        if not self._authenticator.policy.decide(caller, START).allowed:
            return []
        return sorted(await self.source.tools(), key=lambda tool: tool.name)

    async def _tool(self, caller: Principal, name: str) -> TemplateTool:
        for tool in await self._visible(caller):
            if tool.name == name:
                return tool
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {name[:100]}")

    async def _stamp(self, caller: Principal) -> object:
        """What a caller may start, looked up for all listeners together and not more often than they look."""
        now = time.monotonic()
        if now - self._stamped_at >= self._look_every_s / 2:
            self._stamped_at = now
            self._stamped = frozenset((tool.name, tool.definition.digest) for tool in await self.source.tools())
        return self._stamped if self._authenticator.policy.decide(caller, START).allowed else None

    async def _list(
        self, ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        after = _after(params.cursor) if params is not None and params.cursor is not None else ""
        rest = [tool for tool in await self._visible(asking(ctx).caller) if tool.name > after]
        page = rest[:_PAGE]
        more = base64.urlsafe_b64encode(page[-1].name.encode()).decode() if len(rest) > _PAGE else None
        return ListToolsResult(tools=[_described(tool) for tool in page], next_cursor=more)


class _Translated:
    """Says our errors in the words of JSON-RPC; any other is a fault, of which the log alone has the trace."""

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        try:
            return await call_next(ctx)
        except (WorkflowError, ControlError, AuditError, AuditTrailError) as error:
            said = {"code": error.code, "retryable": error.retryable}
            raise MCPError(INTERNAL_ERROR, str(error), said) from error


class _Guarded:
    """Refuses who may not, and keeps account of that."""

    def __init__(self, authenticator: Authenticator, audit: AuditTrail) -> None:
        self._authenticator = authenticator
        self._audit = audit

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        state = scope_of(ctx)["state"]
        caller: Principal = state["principal"]
        try:
            self._authenticator.authorize(caller, READ)
            self._authenticator.authorize(caller, _MAY.get(ctx.method, READ))
            if (ctx.params or {}).get("inputResponses"):
                self._authenticator.authorize(caller, ANSWER)
        except Forbidden as error:
            await self._audit.refused(
                actor=caller.subject,
                action=f"MCP {ctx.method[:40]}",
                object="/mcp",
                details={"key_id": caller.credential_id or None},
                request_id=state.get("request_id"),
            )
            raise MCPError(INVALID_REQUEST, str(error), {"code": error.code}) from error
        return await call_next(ctx)


def _subject(ctx: ServerRequestContext[Any, Any]) -> str:
    caller: Principal = scope_of(ctx)["state"]["principal"]
    return caller.subject


def _after(cursor: str) -> str:
    try:
        return base64.b64decode(cursor[:200], b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise MCPError(INVALID_PARAMS, "The cursor is not one that this server gave; begin again without one") from None


def _described(tool: TemplateTool) -> Tool:
    definition = tool.definition
    return Tool(
        name=tool.name,
        title=definition.name,
        description=definition.description or f"Runs the workflow template {tool.name}.",
        input_schema=input_schema(definition),
        output_schema=output_schema(definition),
    )
