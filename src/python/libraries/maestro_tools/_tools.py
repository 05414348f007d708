"""A tool, its result, and the port that every source of tools stands behind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Tool:
    """What a source says about one of its tools; schemas are JSON Schema, None when not declared."""

    source: str
    name: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)

    @property
    def definition(self) -> dict[str, Any]:
        """Everything that the source declares, as plain data."""
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "annotations": self.annotations,
        }

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the definition; another digest is another tool."""
        return digest_of(self.definition)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered.

    `value` is the structured content where there is any, otherwise the text, otherwise the content blocks; always
    JSON-able. `content` holds the blocks as they came (empty for a UTCP tool, whose answer is `value` alone).
    """

    value: Any
    content: tuple[Mapping[str, Any], ...] = ()
    is_error: bool = False


class ToolSource(Protocol):
    """One connection to somebody's tools. `maestro_tools.testing` holds the suite that any of them must pass."""

    async def list_tools(self) -> tuple[Tool, ...]:
        """Every tool, ordered by name."""
        ...

    async def call_tool(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> ToolResult:
        """Call one tool; None for `timeout_s` means the source's own limit."""
        ...

    async def close(self) -> None:
        """Release everything, in bounded time; a second call does nothing."""
        ...


def digest_of(definition: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON of a tool's definition."""
    return hashlib.sha256(canonical_json(definition).encode(errors="surrogatepass")).hexdigest()


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces. Raises ValueError or TypeError when it is not JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
