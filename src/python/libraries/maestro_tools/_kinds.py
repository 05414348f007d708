"""What the step kinds share: they check their steps, share connections, and fit the engine by shape alone."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from maestro_tools._errors import InvalidArguments, InvalidSource, ServerUnavailable, UnknownSource, did_you_mean
from maestro_tools._open import open_source
from maestro_tools._source_reader import parse_source, timeout_problem
from maestro_tools._sources import Source
from maestro_tools._tools import ToolSource, canonical_json
from maestro_tools._waits import Call

_IDLE_S = 300.0
_MOST_IDLE = 64


@dataclass(slots=True)
class Shared:
    """A connection, and how many steps are using it; one that `is_taken` is left to the step that took it."""

    connection: ToolSource
    key: str
    users: int = 0
    is_taken: bool = False


class ToolKind:
    """Runs `with: {server: NAME, tool: NAME, arguments: {…}, timeout_s: …}` (`source:` for utcp and openapi).

    Steps whose source has the same name, configuration and folder share one connection. One that was not used for
    five minutes is closed, as is the one least recently used when more than 64 stand idle; `close` closes all.
    """

    def __init__(
        self, *, key: str, kinds: tuple[type[Source], ...], idle_s: float = _IDLE_S, may_ask: bool = False
    ) -> None:
        self._key = key
        self._kinds = kinds
        self._idle_s = idle_s
        self._may_ask = may_ask
        # The least recently used first.
        self._open: dict[tuple[str, int], Shared] = {}
        # Sources over whose connections calls go one at a time: see `ask_alone`.
        self._alone: set[str] = set()
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
        self.refuse_wrong(call)
        async with self.borrowed(call) as shared:
            result = await shared.connection.call_tool(
                call.arguments["tool"],
                call.arguments.get("arguments", {}),
                timeout_s=call.arguments.get("timeout_s", call.timeout_s),
                idempotency_key=call.idempotency_key,
            )
        return result.value

    def refuse_wrong(self, call: Call) -> None:
        """Raises InvalidArguments with every problem of a step whose expressions are known now."""
        if problems := [f"with{path} {message}" for path, message in self.check(call.arguments, call.tools)]:
            raise InvalidArguments("; ".join(problems))

    @asynccontextmanager
    async def borrowed(self, call: Call) -> AsyncIterator[Shared]:
        """A connection to the source of a step."""
        shared = await self._borrow(call.arguments[self._key], call)
        try:
            yield shared
        finally:
            shared.users -= 1
            shared.is_taken = False

    def ask_alone(self, shared: Shared) -> None:
        """From now on, calls to this source go one at a time over each connection, of which there are then several.

        For servers that ask in the middle of a call without saying which call it is.
        """
        self._alone.add(shared.key)

    async def close(self) -> None:
        """Close every connection; no process is left."""
        self._closed = True
        async with self._opening:
            await asyncio.gather(*(shared.connection.close() for shared in self._open.values()))
            self._open.clear()

    async def _borrow(self, name: str, call: Call) -> Shared:
        key = canonical_json([name, call.tools[name], str(call.base_dir)])
        async with self._opening:
            if self._closed:
                raise ServerUnavailable("the step kind is closed", retryable=False)
            place = next((key, number) for number in itertools.count() if self._is_free((key, number)))
            shared = self._open.pop(place, None) or await self._new(name, key, call)
            self._open[place] = shared
            shared.users += 1
            return shared

    def _is_free(self, place: tuple[str, int]) -> bool:
        shared = self._open.get(place)
        return shared is None or not (shared.is_taken or (shared.users > 0 and place[0] in self._alone))

    async def _new(self, name: str, key: str, call: Call) -> Shared:
        source = parse_source(name, call.tools[name])
        if source is None:
            raise UnknownSource(name, call.tools)
        idle = [place for place, shared in self._open.items() if shared.users == 0]
        for place in idle[: max(0, len(idle) - _MOST_IDLE + 1)]:
            await self._open.pop(place).connection.close()
        base_dir = call.base_dir.absolute()
        return Shared(await open_source(name, source, base_dir, idle_s=self._idle_s, may_ask=self._may_ask), key)

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


def _unknown_yet(value: object) -> bool:
    return isinstance(value, str) and "${{" in value
