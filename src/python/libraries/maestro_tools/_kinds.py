"""The step kinds `mcp` and `utcp`: they fit the engine by shape, and know nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from maestro_tools._errors import InvalidArguments, InvalidSource, ServerUnavailable, UnknownSource, did_you_mean
from maestro_tools._open import open_source
from maestro_tools._sources import McpCommand, McpUrl, Source, Utcp, parse_source, timeout_problem
from maestro_tools._tools import ToolSource, canonical_json

_IDLE_S = 300.0
_MOST_IDLE = 64


class Call(Protocol):
    """What a kind needs to know of one attempt at a step."""

    @property
    def idempotency_key(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def tools(self) -> Mapping[str, Any]: ...
    @property
    def timeout_s(self) -> float | None: ...
    @property
    def base_dir(self) -> Path: ...


@dataclass(slots=True)
class _Shared:
    """A connection, and how many steps are using it."""

    connection: ToolSource
    users: int = 0


class ToolKind:
    """Runs `with: {server: NAME, tool: NAME, arguments: {…}, timeout_s: …}` (`source:` for utcp) as one tool call.

    Steps whose source has the same name, configuration and folder share one connection. One that was not used for
    five minutes is closed, as is the one least recently used when more than 64 stand idle; `close` closes all.
    """

    def __init__(self, *, key: str, kinds: tuple[type[Source], ...], idle_s: float = _IDLE_S) -> None:
        self._key = key
        self._kinds = kinds
        self._idle_s = idle_s
        # The least recently used first.
        self._open: dict[str, _Shared] = {}
        self._opening = asyncio.Lock()
        self._closed = False

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """What is wrong with a step before it runs: JSON Pointers below `with`, and what to do."""
        known = (self._key, "tool", "arguments", "timeout_s")
        for key in arguments:
            if key not in known:
                yield f"/{key}", f"is not known here{did_you_mean(key, known)}"
        for key in (self._key, "tool"):
            value = arguments.get(key)
            if not isinstance(value, str) or not value:
                yield f"/{key}", "must be given, as a string"
        given = arguments.get("arguments", {})
        if not isinstance(given, Mapping) and not _unknown_yet(given):
            yield "/arguments", "must be a mapping"
        limit = arguments.get("timeout_s")
        if limit is not None and not _unknown_yet(limit) and (problem := timeout_problem(limit)):
            yield "/timeout_s", problem
        name = arguments.get(self._key)
        if isinstance(name, str) and name and not _unknown_yet(name):
            for message in self._source_problems(name, tools):
                yield f"/{self._key}", message

    async def run(self, call: Call) -> object:
        """Make the call; the step's output is the value of the result. Raises a ToolsError."""
        if problems := [f"with{path} {message}" for path, message in self.check(call.arguments, call.tools)]:
            raise InvalidArguments("; ".join(problems))
        shared = await self._borrow(call.arguments[self._key], call)
        try:
            result = await shared.connection.call_tool(
                call.arguments["tool"],
                call.arguments.get("arguments", {}),
                timeout_s=call.arguments.get("timeout_s", call.timeout_s),
                idempotency_key=call.idempotency_key,
            )
        finally:
            shared.users -= 1
        return result.value

    async def close(self) -> None:
        """Close every connection; no process is left."""
        self._closed = True
        async with self._opening:
            await asyncio.gather(*(shared.connection.close() for shared in self._open.values()))
            self._open.clear()

    async def _borrow(self, name: str, call: Call) -> _Shared:
        key = canonical_json([name, call.tools[name], str(call.base_dir)])
        async with self._opening:
            if self._closed:
                raise ServerUnavailable("the step kind is closed", retryable=False)
            shared = self._open.pop(key, None) or await self._new(name, call)
            self._open[key] = shared
            shared.users += 1
            return shared

    async def _new(self, name: str, call: Call) -> _Shared:
        source = parse_source(name, call.tools[name])
        if source is None:
            raise UnknownSource(name, call.tools)
        idle = [key for key, shared in self._open.items() if shared.users == 0]
        for key in idle[: max(0, len(idle) - _MOST_IDLE + 1)]:
            await self._open.pop(key).connection.close()
        return _Shared(await open_source(name, source, call.base_dir.absolute(), idle_s=self._idle_s))

    def _source_problems(self, name: str, tools: Mapping[str, object]) -> Iterator[str]:
        if name not in tools:
            yield f"names the source {name!r}, which the section tools does not have{did_you_mean(name, tools)}"
            return
        try:
            source = parse_source(name, tools[name], static=True)
        except InvalidSource as error:
            for problem in error.problems:
                yield f"names a source that is not right: tools{problem}"
            return
        if source is not None and not isinstance(source, self._kinds):
            yield f"names the source {name!r}, which is of another kind"


def tool_step_kinds() -> dict[str, ToolKind]:
    """The step kinds of this package by name: `mcp` and `utcp`."""
    return {
        "mcp": ToolKind(key="server", kinds=(McpCommand, McpUrl)),
        "utcp": ToolKind(key="source", kinds=(Utcp,)),
    }


def _unknown_yet(value: object) -> bool:
    return isinstance(value, str) and "${{" in value
