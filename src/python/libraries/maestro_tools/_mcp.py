"""MCP servers as tool sources: a command that we start, or an address that we reach."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import anyio
from mcp import MCPError
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from pydantic import ValidationError

from maestro_tools._desk import Desk
from maestro_tools._environment import child_environment, find_program, passed, substitute
from maestro_tools._errors import (
    InputRequired,
    InvalidSource,
    Problem,
    ServerMisbehaved,
    ServerUnavailable,
    ToolsError,
    ToolTimedOut,
    UnknownTool,
)
from maestro_tools._http import EXCHANGE, BoundedClient, Exchange
from maestro_tools._masking import Masker, Tail
from maestro_tools._mcp_link import McpLink, Outcome, Turn, broken_exchange
from maestro_tools._mcp_session import open_session
from maestro_tools._owner import Limit, Owner, limit
from maestro_tools._pins import Guard
from maestro_tools._process import Process, spawn, within
from maestro_tools._questions import Ask, Asked, Question
from maestro_tools._source_reader import header_problem
from maestro_tools._sources import McpCommand, McpUrl
from maestro_tools._stdio import StdioChannel
from maestro_tools._tasks import TaskState, poll_delay_s
from maestro_tools._tools import Tool, ToolResult

T = TypeVar("T")

# What the SDK raises while it opens a session; a group comes from the tasks of a transport.
_FAILURES = (MCPError, ValidationError, RuntimeError, ExceptionGroup, anyio.ClosedResourceError)

_log = logging.getLogger("maestro_tools")

_ASK, _OLD = "auto", "legacy"
_SECRET_WORD = 8
_GOODBYE_S = 2.0


class McpConnection:
    """A ToolSource over one MCP server; connects on first use, and again after a loss."""

    def __init__(
        self,
        name: str,
        source: McpCommand | McpUrl,
        base_dir: Path,
        *,
        idle_s: float | None = None,
        guard: Guard | None = None,
        may_ask: bool = False,
    ) -> None:
        """With `may_ask`, servers are told that they can put questions to a person, and `begin` is used for calls."""
        self._name = name
        self._source = source
        self._base_dir = base_dir
        self._guard = guard
        self._may_ask = may_ask
        # The protocol's era: asked for until the server is known to be of the old one, which may not bear the question.
        self._mode = _ASK
        open_link = self._open_command if isinstance(source, McpCommand) else self._open_url
        self._owner: Owner[McpLink] = Owner(open_link, name=name, idle_s=idle_s)

    async def list_tools(self) -> tuple[Tool, ...]:
        """Every tool, ordered by name; asks the server each time."""

        async def work(link: McpLink) -> tuple[Tool, ...]:
            return tuple(contract.tool for contract in (await link.contracts()).values())

        return await self._bounded("listing tools", work)

    async def call_tool(
        self,
        tool: str,
        arguments: Mapping[str, object],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> ToolResult:
        """Call one tool, and wait for it if the server makes a task of the call.

        `timeout_s` bounds everything, connecting included; without it, connecting and calling have a limit each.
        """
        began = asyncio.get_running_loop().time()
        label = f"{self._name}.{tool}"
        outcome = await self.begin(tool, arguments, Turn(idempotency_key=idempotency_key), timeout_s=timeout_s)
        if isinstance(outcome, ToolResult):
            return outcome
        if isinstance(outcome, Asked):
            raise InputRequired(f"{label} asks for input: nobody can be asked here")
        left_s = timeout_s and max(0.0, began + timeout_s - asyncio.get_running_loop().time())
        async with limit(self._source.limits.call_timeout_s if left_s is None else left_s, label):
            return await self._follow(tool, outcome, began)

    async def begin(
        self, tool: str, arguments: Mapping[str, object], turn: Turn, *, timeout_s: float | None = None
    ) -> Outcome:
        """Call one tool, and come back with whatever the server answers first. No time passes while `turn.ask` asks."""

        async def work(link: McpLink) -> Outcome:
            async with limit(timeout_s or self._source.limits.call_timeout_s, f"{self._name}.{tool}") as inner:
                contract = await link.contract(tool, anew=self._guard is not None and self._guard.is_on)
                if contract is None:
                    raise UnknownTool(self._name, tool, link.known())
                if self._guard is not None:
                    self._guard.check(contract.tool)
                contract.check_arguments(arguments)
                return await link.call(contract, arguments, replace(turn, ask=_stopping(turn.ask, inner, outer)))

        try:
            async with limit(timeout_s, f"{self._name}.{tool}") as outer:
                return await self._owner.run(work)
        except ToolTimedOut:
            if isinstance(self._source, McpCommand):
                # Slow or dead? A process that answers nothing else either is replaced.
                self._owner.check(McpLink.prove_alive)
            raise

    async def task(self, tool: str, task: str) -> TaskState:
        """How a task stands that a call has become, whichever connection the call was made over."""
        return await self._bounded(f"asking about a task of {tool}", lambda link: link.task(tool, task))

    async def answer_task(self, tool: str, task: str, responses: Mapping[str, object]) -> None:
        """Give a task the answers to what it asked."""
        await self._bounded(f"answering a task of {tool}", lambda link: link.answer_task(tool, task, responses))

    async def cancel_task(self, tool: str, task: str) -> None:
        """Ask the server to end a task."""
        await self._bounded(f"cancelling a task of {tool}", lambda link: link.cancel_task(tool, task))

    async def end_task(self, tool: str, state: TaskState) -> ToolResult:
        """The result of a task that has ended. Raises what its failure means."""
        return await self._bounded(f"the result of {tool}", lambda link: link.task_result(tool, state))

    async def close(self) -> None:
        """Close the connection and stop the server's process; bounded."""
        await self._owner.close()

    async def _bounded(self, what: str, work: Callable[[McpLink], Awaitable[T]]) -> T:
        async def bounded(link: McpLink) -> T:
            async with limit(self._source.limits.call_timeout_s, f"{self._name}: {what}"):
                return await work(link)

        return await self._owner.run(bounded)

    async def _follow(self, tool: str, state: TaskState, began: float) -> ToolResult:
        """Wait for the end of a task; when that is cut short, the server is told."""
        try:
            while not state.is_over:
                if state.questions:
                    raise InputRequired(f"{self._name}.{tool} asks for input: nobody can be asked here")
                age_s = asyncio.get_running_loop().time() - began
                await asyncio.sleep(poll_delay_s(state.poll_s, age_s))
                state = await self.task(tool, state.id)
        except (asyncio.CancelledError, InputRequired):
            await self.give_up_task(tool, state.id)
            raise
        if state.status == "completed" and state.result is None:
            state = await self.task(tool, state.id)
        return await self.end_task(tool, state)

    async def give_up_task(self, tool: str, task: str) -> None:
        """Ask the server to end a task that nobody waits for any more; it is only told, and that in bounded time."""
        try:
            await within(_GOODBYE_S, self.cancel_task(tool, task))
        except ToolsError as error:
            _log.warning("%s.%s: task %r could not be cancelled: %s", self._name, tool, task, error)

    @asynccontextmanager
    async def _open_command(self) -> AsyncIterator[McpLink]:
        async with AsyncExitStack() as stack:
            link = await self._start(stack)
            try:
                yield link
            finally:
                link.lost.set()

    async def _start(self, stack: AsyncExitStack) -> McpLink:
        """Start the server and open a session; once more in the old era when it dies of the new one's question."""
        for mode in (_ASK, _OLD) if self._mode == _ASK else (_OLD,):
            async with AsyncExitStack() as attempt:
                try:
                    link = await self._start_as(mode, attempt)
                except _Died as death:
                    if mode == _ASK:
                        continue
                    raise death.fault from None
                stack.push_async_exit(attempt.pop_all())
                return link
        raise AssertionError("unreachable: the last mode returns or raises")

    async def _start_as(self, mode: str, stack: AsyncExitStack) -> McpLink:
        source = self._source
        assert isinstance(source, McpCommand)
        masker = Masker([*source.env.values(), *passed(source.pass_env).values()])
        environment = child_environment(source.env, source.pass_env)
        cwd = self._base_dir / (source.cwd or "")
        program = find_program(source.command[0], environment.get("PATH"), cwd)
        argv = [program, *source.command[1:]]
        process = await spawn(argv, env=environment, cwd=cwd, stderr=Tail(masker), with_stdin=True)
        stack.push_async_callback(process.stop)
        channel = StdioChannel(self._name, process, max_message_bytes=source.limits.max_result_bytes, masker=masker)
        lost, changed, desk = asyncio.Event(), asyncio.Event(), Desk(masker)
        transport = channel.streams(lost)
        try:
            async with limit(source.limits.startup_timeout_s, f"{self._name}: starting"):
                session = await stack.enter_async_context(open_session(transport, mode, changed, self._shown(desk)))
        except ToolTimedOut:
            raise self._silent(channel, process) from None
        except _FAILURES as error:
            self._mode = _ASK
            if isinstance(channel.fault, ServerUnavailable):
                raise _Died(channel.fault) from None
            # The words of the server, which may hold secrets, are no part of the traceback.
            raise channel.fault or _no_session(self._name, masker, error) from None
        self._learn(session)
        return McpLink(self._name, session, masker, desk, lost=lost, changed=changed, explain=lambda: channel.fault)

    def _shown(self, desk: Desk) -> Desk | None:
        return desk if self._may_ask else None

    def _learn(self, session: ClientSession) -> None:
        self._mode = _ASK if session.discover_result is not None else _OLD

    def _silent(self, channel: StdioChannel, process: Process) -> ToolsError:
        """The error of a server that runs but never answers the handshake."""
        self._mode = _ASK
        if channel.fault is not None:
            return channel.fault
        stray, tail = channel.describe(), process.stderr.text()
        message = f"{self._name} did not answer within {self._source.limits.startup_timeout_s:g} s of its start"
        message += stray + (f"; stderr: {tail}" if tail else "")
        return ServerMisbehaved(message) if stray else ServerUnavailable(message)

    @asynccontextmanager
    async def _open_url(self) -> AsyncIterator[McpLink]:
        source = self._source
        assert isinstance(source, McpUrl)
        variables = passed(source.pass_env)
        headers = self._headers(source, variables)
        words = [word for value in headers.values() for word in value.split() if len(word) >= _SECRET_WORD]
        masker = Masker([*variables.values(), *headers.values(), *words, urlsplit(source.url).query])
        limits = source.limits
        exchange = Exchange()
        EXCHANGE.set(exchange)
        changed, desk = asyncio.Event(), Desk(masker)
        async with (
            BoundedClient(headers=headers, max_result_bytes=limits.max_result_bytes) as client,
            AsyncExitStack() as stack,
        ):
            transport = streamable_http_client(
                source.url, http_client=client, max_sse_event_size=limits.max_result_bytes
            )
            try:
                async with limit(limits.startup_timeout_s, f"{self._name}: connecting"):
                    session = await stack.enter_async_context(
                        open_session(transport, self._mode, changed, self._shown(desk))
                    )
            except ToolTimedOut as error:
                self._mode = _ASK
                raise ServerUnavailable(str(error)) from error
            except _FAILURES as error:
                self._mode = _ASK
                broken = broken_exchange(self._name, exchange, masker)
                raise broken or _no_session(self._name, masker, error) from None
            self._learn(session)
            lost = asyncio.Event()
            try:
                yield McpLink(self._name, session, masker, desk, lost=lost, changed=changed, explain=lambda: None)
            finally:
                lost.set()

    def _headers(self, source: McpUrl, variables: Mapping[str, str]) -> dict[str, str]:
        place = f"/{self._name}/mcp/headers"
        try:
            headers: dict[str, str] = substitute(source.headers, variables, bare=False)
        except ValueError as error:
            raise InvalidSource([Problem(place, str(error))]) from error
        # A variable may hold what a workflow may not: the line's end of the file that it came from, say.
        found = [(name, header_problem(name, value)) for name, value in headers.items()]
        if problems := [Problem(f"{place}/{name}", problem) for name, problem in found if problem]:
            raise InvalidSource(problems)
        return headers


def _stopping(ask: Ask | None, *limits: Limit) -> Ask | None:
    """Asks as before; the limits stand still meanwhile, and give the whole time again after it."""
    if ask is None:
        return None

    async def asking(question: Question) -> dict[str, object]:
        for bound in limits:
            bound.stop()
        try:
            return await ask(question)
        finally:
            for bound in limits:
                bound.start()

    return asking


class _Died(Exception):
    """The server's process ended while a session was being opened."""

    def __init__(self, fault: ServerUnavailable) -> None:
        super().__init__(str(fault))
        self.fault = fault


def _no_session(name: str, masker: Masker, error: Exception) -> ToolsError:
    """The error of a server that answers, but not so that a session comes of it."""
    return ServerMisbehaved(f"{name} refused the handshake: {masker.excerpt(str(error))}")
