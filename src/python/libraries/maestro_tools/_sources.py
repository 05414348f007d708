"""Where tools come from: the `tools:` section of a workflow, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

DEFAULT_MAX_RESULT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds a connection and each call over it."""

    startup_timeout_s: float = 60.0
    call_timeout_s: float = 60.0
    max_result_bytes: int = DEFAULT_MAX_RESULT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinning:
    """What the tools of a source are held to, and what happens when one is not that."""

    pins: Mapping[str, str] = field(default_factory=dict)
    lock: str | None = None
    on_drift: Literal["block", "warn", "allow"] = "block"

    @property
    def is_given(self) -> bool:
        """Whether there is anything to hold them to."""
        return bool(self.pins) or self.lock is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class McpCommand:
    """An MCP server that we start ourselves and speak to over its stdin and stdout."""

    command: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    pass_env: tuple[str, ...]
    cwd: str | None
    limits: Limits
    pinning: Pinning = Pinning()


@dataclass(frozen=True, slots=True, kw_only=True)
class McpUrl:
    """An MCP server that runs elsewhere, reached over Streamable HTTP."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    pass_env: tuple[str, ...]
    limits: Limits
    pinning: Pinning = Pinning()


@dataclass(frozen=True, slots=True, kw_only=True)
class Utcp:
    """A UTCP manual: the path of a JSON file, or the manual itself."""

    manual: str | Mapping[str, Any]
    variables: Mapping[str, str] = field(repr=False)
    pass_env: tuple[str, ...]
    limits: Limits
    pinning: Pinning = Pinning()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenApi:
    """An OpenAPI document: the path of a JSON or YAML file, an address, or the document itself.

    `auth` holds a credential for each security scheme of the document that it names.
    """

    document: str | Mapping[str, Any]
    base_url: str | None
    headers: Mapping[str, str] = field(repr=False)
    auth: Mapping[str, str] = field(repr=False)
    pass_env: tuple[str, ...]
    limits: Limits
    pinning: Pinning = Pinning()


Source = McpCommand | McpUrl | Utcp | OpenApi
