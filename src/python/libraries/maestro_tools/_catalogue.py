"""Every tool of several sources in one list, and one way to call any of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from maestro_tools._errors import ServerUnavailable, UnknownSource
from maestro_tools._open import open_source
from maestro_tools._source_reader import parse_sources
from maestro_tools._tools import Tool, ToolResult, ToolSource


class ToolCatalogue:
    """The sources of a `tools:` section, connected on first use and closed together.

    `base_dir` is where relative paths begin (default: the working folder). Raises InvalidSource with all problems.
    """

    def __init__(self, sources: Mapping[str, object], base_dir: Path | None = None) -> None:
        self._sources = parse_sources(sources)
        self._base_dir = (base_dir or Path.cwd()).absolute()
        self._open: dict[str, ToolSource] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def list_tools(self, source: str | None = None) -> list[Tool]:
        """Every tool (of one source): in the order of the sources, then by name. Raises if any source cannot answer."""
        names = list(self._sources) if source is None else [source]
        connections = [await self._connection(name) for name in names]
        listed = await asyncio.gather(*(connection.list_tools() for connection in connections))
        return [tool for tools in listed for tool in tools]

    async def call(
        self,
        source: str,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> ToolResult:
        """Call one tool; its arguments and its structured result are held against the schemas it declares.

        Raises ToolFailed when the tool says that it failed, and its siblings under ToolsError for all else.
        """
        connection = await self._connection(source)
        return await connection.call_tool(tool, arguments or {}, timeout_s=timeout_s, idempotency_key=idempotency_key)

    async def close(self) -> None:
        """Close every connection; no process is left. Bounded, and a second call does nothing."""
        self._closed = True
        await asyncio.gather(*(connection.close() for connection in self._open.values()))

    async def _connection(self, name: str) -> ToolSource:
        if self._closed:
            raise ServerUnavailable("the catalogue is closed", retryable=False)
        if name not in self._sources:
            raise UnknownSource(name, self._sources)
        if name not in self._open:
            opened = await open_source(name, self._sources[name], self._base_dir)
            # Another task may have been here meanwhile; a connection that was never used holds nothing.
            self._open.setdefault(name, opened)
        return self._open[name]
