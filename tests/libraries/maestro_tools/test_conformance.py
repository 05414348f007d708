"""Every kind of source keeps the promises of a ToolSource."""

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from maestro_tools import ToolSource
from maestro_tools._mcp import McpConnection
from maestro_tools._source_reader import parse_source
from maestro_tools._sources import McpCommand, McpUrl, Utcp
from maestro_tools._utcp import UtcpConnection
from maestro_tools.testing import ExampleService, ToolSourceSuite, example_server, fake_server


def mcp(config: dict[str, Any]) -> ToolSource:
    source = parse_source("served", config)
    assert isinstance(source, McpCommand | McpUrl)
    return McpConnection("served", source, Path.cwd())


def utcp(manual: dict[str, Any]) -> ToolSource:
    source = parse_source("served", {"utcp": {"manual": manual}})
    assert isinstance(source, Utcp)
    return UtcpConnection("served", source, Path.cwd())


class TestMcpOverStdio(ToolSourceSuite):
    """A server made with the SDK, in the protocol of 2026-07-28."""

    def make_source(self) -> ToolSource:
        return mcp(example_server())


class TestMcpOverStdioInTheOldEra(ToolSourceSuite):
    """A server that knows the protocol of 2025-11-25 alone."""

    def make_source(self) -> ToolSource:
        return mcp(fake_server())


class TestMcpOverHttp(ToolSourceSuite):
    """A server made with the SDK, over Streamable HTTP."""

    @pytest.fixture(autouse=True)
    def _served(self, example_url: str) -> None:
        self.url = example_url

    def make_source(self) -> ToolSource:
        return mcp({"mcp": {"url": self.url}})


class TestUtcpOverHttp(ToolSourceSuite):
    """A manual whose tools are called over HTTP."""

    @pytest.fixture(autouse=True)
    def _served(self, service: ExampleService) -> None:
        self.manual = service.manual

    def make_source(self) -> ToolSource:
        return utcp(self.manual)


class TestUtcpCommands(ToolSourceSuite):
    """A manual whose tools are commands."""

    def make_source(self) -> ToolSource:
        python = shlex.quote(sys.executable)
        text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
        seconds = {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]}
        say = "import json, sys; print(json.dumps(dict(text=sys.argv[1])))"
        commands = [
            ("echo", text, text, f"{python} -I -S -c '{say}' UTCP_ARG_text_UTCP_END"),
            ("fail", text, None, "printf '%s' UTCP_ARG_text_UTCP_END >&2; exit 3"),
            ("sleep", seconds, None, "sleep UTCP_ARG_seconds_UTCP_END"),
        ]
        tools = [
            {
                "name": name,
                "inputs": inputs,
                "outputs": outputs,
                "tool_call_template": {"call_template_type": "cli", "commands": [{"command": command}]},
            }
            for name, inputs, outputs, command in commands
        ]
        return utcp({"tools": tools})
