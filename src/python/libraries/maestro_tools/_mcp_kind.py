"""The step kind `mcp`: one tool call that may stop for a person, or go on as a task, and outlives us meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from maestro_tools._errors import (
    InputRequired,
    SecretAsked,
    ServerMisbehaved,
    ServerUnavailable,
    TaskLost,
    ToolsError,
    ToolTimedOut,
)
from maestro_tools._kinds import ToolKind
from maestro_tools._questions import Ask, Asked, Question
from maestro_tools._source_reader import parse_source
from maestro_tools._sources import McpCommand, McpUrl
from maestro_tools._talk import Talk, TaskMemo
from maestro_tools._tasks import TaskState, poll_delay_s
from maestro_tools._tools import ToolResult
from maestro_tools._turns import OpenCall
from maestro_tools._waits import Call, Wait, answer_of, memo_of

if TYPE_CHECKING:
    from maestro_tools._mcp import McpConnection
    from maestro_tools._mcp_link import Outcome

_IDLE_S = 300.0
_MOST_OPEN = 64
_MOST_FAILURES = 20
_TTL_GRACE_S = 60.0
_log = logging.getLogger("maestro_tools")


class McpKind(ToolKind):
    """Runs `with: {server: NAME, tool: NAME, arguments: {…}, timeout_s: …}` as one tool call.

    It returns a Wait while a person is asked (`on.kind` is approval) and while the server works on a task (task).
    """

    def __init__(self, *, idle_s: float = _IDLE_S, now: Callable[[], float] = time.time) -> None:
        """`now` gives seconds since 1970: how old a task is must hold over a restart."""
        super().__init__(key="server", kinds=(McpCommand, McpUrl), idle_s=idle_s, may_ask=True)
        self._now = now
        # By idempotency key: the attempt that the call belongs to.
        self._calls: dict[str, OpenCall[Outcome]] = {}

    async def run(self, call: Call) -> object:
        """Make the call, or go on with it; the value of the result, or a Wait. Raises a ToolsError."""
        self.refuse_wrong(call)
        label = _label(call)
        talk = Talk.from_memo(memo_of(call))
        if talk.questions:
            answer = answer_of(call)
            if answer is None:
                return self._question(call, talk)
            try:
                talk = talk.answered(label, answer.value)
            except ValueError as error:
                return self._question(call, talk.again(label), str(error))
            if talk.questions:
                return self._question(call, talk)
        if talk.task is not None:
            return await self._poll(call, talk, talk.task)
        return await self._go_on(call, talk)

    async def abandon(self, call: Call) -> None:
        """The step was cancelled or skipped while it waited: tell the server, as well as that goes; bounded."""
        talk = Talk.from_memo(memo_of(call))
        if (opened := self._calls.pop(call.idempotency_key, None)) is not None:
            await opened.end()
        if talk.task is not None:
            async with self.borrowed(call) as shared:
                await _mcp(shared.connection).give_up_task(call.arguments["tool"], talk.task.id)

    async def close(self) -> None:
        """End every call that is held open, then close every connection; no process is left."""
        while self._calls:
            _key, opened = self._calls.popitem()
            await opened.end()
        await super().close()

    async def _go_on(self, call: Call, talk: Talk) -> object:
        """Make the call with what it was told so far, or answer the one that is open."""
        label, key = _label(call), call.idempotency_key
        opened = self._calls.pop(key, None)
        if opened is not None and not opened.is_over and talk.is_open:
            opened.answer(talk.said[-1][1])
        else:
            if opened is not None:
                await opened.end()
            opened = OpenCall(lambda ask: self._begin(call, talk, ask), talk.said, name=label)
        outcome = await opened.next()
        if isinstance(outcome, Question):
            try:
                talk = talk.asked_in_call(label, outcome)
                wait = self._question(call, talk)
            except ToolsError:
                await opened.end()
                raise
            await self._keep(key, opened)
            return wait
        if isinstance(outcome, ToolResult):
            return outcome.value
        if isinstance(outcome, Asked):
            talk = talk.asked(label, outcome)
            return self._question(call, talk) if talk.questions else talk.pause()
        talk = talk.became(outcome, self._now())
        return self._task_wait(call, talk, 0.0 if outcome.is_over else poll_delay_s(outcome.poll_s, 0.0))

    async def _keep(self, key: str, opened: OpenCall[Outcome]) -> None:
        """Hold a call open; beyond so many the oldest is ended, to be made again when its answer comes."""
        self._calls[key] = opened
        while len(self._calls) > _MOST_OPEN:
            await self._calls.pop(next(iter(self._calls))).end()

    async def _begin(self, call: Call, talk: Talk, ask: Ask) -> Outcome:
        from maestro_tools._mcp_link import Turn

        async with self.borrowed(call) as shared:

            async def asking(question: Question) -> dict[str, Any]:
                # Nobody else's call goes over this connection while a person thinks: see Desk.
                shared.is_taken = True
                self.ask_alone(shared)
                return await ask(question)

            turn = Turn(
                idempotency_key=call.idempotency_key,
                responses=None if talk.is_open or talk.is_error else talk.responses or None,
                state=talk.state,
                ask=asking,
                on_crowd=lambda: self.ask_alone(shared),
            )
            return await _mcp(shared.connection).begin(
                call.arguments["tool"], call.arguments.get("arguments", {}), turn, timeout_s=_limit(call)
            )

    async def _poll(self, call: Call, talk: Talk, task: TaskMemo) -> object:
        """Give the task its answers, if there are any, and look how it stands; not to reach it is no end of it."""
        label, tool = _label(call), call.arguments["tool"]
        age_s = max(0.0, self._now() - task.since)
        async with self.borrowed(call) as shared:
            connection = _mcp(shared.connection)
            try:
                if talk.responses:
                    await connection.answer_task(tool, task.id, talk.responses)
                    talk = talk.told()
                state = await connection.task(tool, task.id)
                if state.is_over:
                    return (await connection.end_task(tool, state)).value
                talk = talk.polled(label, state)
            except (ServerUnavailable, ToolTimedOut) as error:
                return self._poll_later(call, talk, error)
            except (InputRequired, SecretAsked, ServerMisbehaved):
                await connection.give_up_task(tool, task.id)
                raise
        if talk.questions:
            return self._question(call, talk)
        if state.ttl_s is not None and age_s > state.ttl_s + _TTL_GRACE_S:
            raise TaskLost(f"{label}: its task has outlived its {state.ttl_s:g} s on the server without an end")
        return self._task_wait(call, talk, poll_delay_s(state.poll_s, age_s), state)

    def _poll_later(self, call: Call, talk: Talk, error: ToolsError) -> Wait:
        assert talk.task is not None
        failures = talk.task.failures + 1
        if failures > _MOST_FAILURES or not error.retryable:
            raise error
        _log.warning("%s: its task cannot be asked about, time %d in a row: %s", _label(call), failures, error)
        delay_s = max(error.retry_after_s or 0.0, poll_delay_s(talk.task.poll_s, 20.0 * 2**failures))
        return self._task_wait(call, replace(talk, task=replace(talk.task, failures=failures)), delay_s)

    def _task_wait(self, call: Call, talk: Talk, seconds: float, state: TaskState | None = None) -> Wait:
        assert talk.task is not None
        on = {"kind": "task", "source": call.arguments["server"], "tool": call.arguments["tool"], "task": talk.task.id}
        if state is not None and state.message:
            on["message"] = state.message
        return Wait(seconds, on, talk.memo())

    def _question(self, call: Call, talk: Talk, problem: str | None = None) -> Wait:
        name = call.arguments["server"]
        return talk.question(name, call.arguments["tool"], _address(name, call.tools[name]), problem)


def _label(call: Call) -> str:
    return f"{call.arguments['server']}.{call.arguments['tool']}"


def _limit(call: Call) -> float | None:
    limit: float | None = call.arguments.get("timeout_s", call.timeout_s)
    return limit


def _address(name: str, config: object) -> str:
    """Where the server is, to be shown to a person: the host, or the program."""
    source = parse_source(name, config)
    if isinstance(source, McpUrl):
        return urlsplit(source.url).hostname or ""
    return Path(source.command[0]).name if isinstance(source, McpCommand) else ""


def _mcp(connection: object) -> McpConnection:
    # This kind opens sources of MCP alone.
    return cast("McpConnection", connection)
