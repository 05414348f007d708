"""For tests with tools: servers that behave, servers that misbehave, and the suite that every ToolSource must pass."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maestro_tools import _fake_modern_server, _fake_server
from maestro_tools._conformance import ToolSourceSuite
from maestro_tools._example_service import ExampleService, example_service

__all__ = [
    "BEHAVIOURS",
    "ExampleService",
    "ToolSourceSuite",
    "example_http_server",
    "example_server",
    "example_service",
    "fake_modern_server",
    "fake_server",
]

# What `fake_server` can do wrong, beside "good". Its tools do more: hang, die, flood, big, break-schema.
BEHAVIOURS: Mapping[str, str] = {
    "good": "speaks the protocol of 2025-11-25, and behaves",
    "chatter": "writes a few lines to stdout that are no messages, then behaves",
    "dies-at-probe": "ends when asked in the new protocol, and behaves in the old",
    "dies-at-start": "writes to stderr, and ends with code 3",
    "endless-pages": "never comes to the end of its list of tools",
    "flood": "writes to stdout without end, and without a line",
    "garbage": "writes lines to stdout without end that are no messages",
    "loud-stderr": "writes four megabytes to stderr, then behaves",
    "same-name-twice": "lists two tools of one name",
    "silent": "reads everything and never answers",
    "stubborn": "ignores the end of its input and SIGTERM, and has a child that does too",
}


def fake_server(behaviour: str = "good", **config: Any) -> dict[str, Any]:
    """The source of a server that needs the standard library alone; `config` is added to its `mcp` section."""
    if behaviour not in BEHAVIOURS:
        raise ValueError(f"no such behaviour: {behaviour!r}; there are: {', '.join(BEHAVIOURS)}")
    return {"mcp": {"command": [sys.executable, "-I", "-S", str(_fake_server.__file__), behaviour], **config}}


def fake_modern_server(**config: Any) -> dict[str, Any]:
    """The source of a server of the protocol of 2026-07-28 with tasks and questions; `_fake_modern_server` says more.

    It keeps `server.json` in its working folder, the `base_dir` of whoever calls unless `config` has a `cwd`.
    """
    return {"mcp": {"command": [sys.executable, "-I", "-S", str(_fake_modern_server.__file__)], **config}}


def example_server(**config: Any) -> dict[str, Any]:
    """The source of a server made with the MCP SDK, over stdio; it speaks the protocol of 2026-07-28."""
    return {"mcp": {"command": _EXAMPLE, "env": _example_environment(), **config}}


@contextmanager
def example_http_server() -> Iterator[str]:
    """The same server over Streamable HTTP, in a process of its own on a free loopback port; gives its address."""
    process = subprocess.Popen(
        [*_EXAMPLE, "http"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_example_environment()},
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


_EXAMPLE = [sys.executable, "-m", "maestro_tools._example_server"]


def _example_environment() -> dict[str, str]:
    """A child finds this package, and the SDK, where we found them."""
    own = str(Path(__file__).parent.parent)
    return {"PYTHONPATH": os.pathsep.join([own, *(entry for entry in sys.path if entry)])}
