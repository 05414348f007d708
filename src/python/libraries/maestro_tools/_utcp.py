"""A UTCP manual as a tool source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_tools._environment import passed
from maestro_tools._errors import ServerUnavailable, ToolsError, UnknownTool
from maestro_tools._masking import Masker
from maestro_tools._owner import Owner, limit
from maestro_tools._pins import Guard
from maestro_tools._quiet import import_quietly
from maestro_tools._sources import Utcp
from maestro_tools._tools import Tool, ToolResult

if TYPE_CHECKING:
    from maestro_tools._manual import Entry
    from maestro_tools._utcp_calls import Calls


class UtcpConnection:
    """A ToolSource over one UTCP manual; reads it on first use."""

    def __init__(
        self,
        name: str,
        source: Utcp,
        base_dir: Path,
        *,
        idle_s: float | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._guard = guard
        self._name = name
        self._source = source
        self._base_dir = base_dir
        self._owner: Owner[_Manual] = Owner(self._open, name=name, idle_s=idle_s)

    async def list_tools(self) -> tuple[Tool, ...]:
        """Every tool of the manual, ordered by name."""

        async def work(manual: _Manual) -> tuple[Tool, ...]:
            return tuple(entry.contract.tool for entry in manual.entries.values())

        return await self._owner.run(work)

    async def call_tool(
        self,
        tool: str,
        arguments: Mapping[str, object],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> ToolResult:
        """Call one tool. UTCP has no place for an idempotency key, so it is not sent."""

        async def work(manual: _Manual) -> ToolResult:
            entry = manual.entries.get(tool)
            if entry is None:
                raise UnknownTool(self._name, tool, manual.entries)
            if self._guard is not None:
                self._guard.check(entry.contract.tool)
            entry.contract.check_arguments(arguments)
            value = await manual.calls.call(f"{self._name}.{tool}", entry.template, arguments)
            entry.contract.check_output(value)
            return ToolResult(value)

        async with limit(timeout_s or self._source.limits.call_timeout_s, f"{self._name}.{tool}"):
            return await self._owner.run(work)

    async def close(self) -> None:
        """End what is running; bounded."""
        await self._owner.close()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[_Manual]:
        source = self._source
        await asyncio.to_thread(import_quietly, "maestro_tools._manual", "maestro_tools._utcp_calls")
        from maestro_tools._manual import load_manual
        from maestro_tools._utcp_calls import Calls

        entries = await asyncio.to_thread(load_manual, self._name, source, self._base_dir)
        masker = Masker([*source.variables.values(), *passed(source.pass_env).values()])
        calls = Calls(
            base_dir=self._base_dir,
            pass_env=source.pass_env,
            max_result_bytes=source.limits.max_result_bytes,
            masker=masker,
        )
        try:
            yield _Manual(entries, calls)
        finally:
            await calls.close()


class _Manual:
    """A manual in use. Nothing is connected, so nothing can be lost."""

    answered = True

    def __init__(self, entries: dict[str, Entry], calls: Calls) -> None:
        self.entries = entries
        self.calls = calls
        self.lost = asyncio.Event()

    def loss(self) -> ToolsError:
        return ServerUnavailable("the manual was closed")
