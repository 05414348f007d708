"""MCP over Streamable HTTP: a real server, and answers that are none."""

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from maestro_tools import (
    InvalidSource,
    ResultTooLarge,
    ServerMisbehaved,
    ServerUnavailable,
    ToolCatalogue,
    ToolsError,
)
from maestro_tools._retry_after import retry_after_s
from maestro_tools.testing import example_http_server


class OldServer(ThreadingHTTPServer):
    """Streamable HTTP in the protocol of 2025-11-25, with sessions; a tool for each way to answer badly."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), OldHandler)
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.session = "one"
        self.refusal: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mcp"


class OldHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: OldServer

    def do_GET(self) -> None:
        self.answer(405)

    def do_DELETE(self) -> None:
        self.server.seen.append(("DELETE", "", dict(self.headers)))
        self.answer(200)

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(("POST", message["method"], dict(self.headers)))
        if self.server.refusal is not None:
            self.answer(self.server.refusal, b"<html>no</html>", {"Retry-After": "3", "Content-Type": "text/html"})
        elif "id" not in message:
            self.answer(202)
        elif message["method"] == "initialize":
            answer = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "old", "version": "1"},
            }
            self.result(message, answer, {"Mcp-Session-Id": self.server.session})
        elif message["method"] == "server/discover":
            self.error(message, -32601, "Method not found")
        elif self.headers.get("Mcp-Session-Id") != self.server.session:
            self.answer(404)
        elif message["method"] == "tools/list":
            names = ["big", "break-off", "echo", "squeeze", "token"]
            self.result(message, {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]})
        else:
            self.call(message)

    def call(self, message: dict[str, Any]) -> None:
        match message["params"]["name"]:
            case "big":
                # Without a length, so that only reading shows how much it is.
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(b"x" * 1_000_000)
                self.close_connection = True
            case "break-off":
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"{")
                self.close_connection = True
            case "squeeze":
                body = gzip.compress(b"x" * 1000)
                self.answer(200, body, {"Content-Type": "application/json", "Content-Encoding": "gzip"})
            case "token":
                self.error(message, -32000, f"the token {self.headers['X-Token']} is old")
            case _:
                self.result(message, {"content": [{"type": "text", "text": "echo"}]})

    def result(self, message: dict[str, Any], result: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.message({"jsonrpc": "2.0", "id": message["id"], "result": result}, headers)

    def error(self, message: dict[str, Any], code: int, text: str) -> None:
        self.message({"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": text}})

    def message(self, message: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.answer(200, json.dumps(message).encode(), {"Content-Type": "application/json", **(headers or {})})

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def running(server: OldServer) -> Iterator[OldServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def old() -> Iterator[OldServer]:
    with running(OldServer()) as server:
        yield server


def at(url: str, **config: Any) -> ToolCatalogue:
    return ToolCatalogue({"web": {"mcp": {"url": url, **config}}})


async def test_session_of_the_old_era_is_opened_and_ended(old: OldServer) -> None:
    """The era is found out, the session named in every request, and given back at the end."""
    async with at(old.url) as tools:
        assert (await tools.call("web", "echo")).value == "echo"
    methods = [method for _, method, _ in old.seen]
    assert methods == ["server/discover", "initialize", "notifications/initialized", "tools/list", "tools/call", ""]
    assert old.seen[-1][0] == "DELETE"
    assert all(headers["mcp-session-id"] == "one" for _, _, headers in old.seen[2:])


async def test_session_that_the_server_forgot_is_opened_again(old: OldServer) -> None:
    """The call in between fails, worth a retry; and the era is not asked for again."""
    async with at(old.url) as tools:
        await tools.call("web", "echo")
        old.session = "two"
        with pytest.raises(ServerUnavailable, match="ended the session") as caught:
            await tools.call("web", "echo")
        assert caught.value.retryable
        assert (await tools.call("web", "echo")).value == "echo"
    assert [method for _, method, _ in old.seen].count("server/discover") == 1


@pytest.mark.parametrize(
    ("tool", "kind", "message", "retryable"),
    [
        ("big", ResultTooLarge, "larger than max_result_bytes", False),
        ("break-off", ServerUnavailable, "RemoteProtocolError", True),
        ("squeeze", ServerUnavailable, "compressed answer", True),
    ],
)
async def test_answer_that_is_none_fails_its_call(
    old: OldServer, tool: str, kind: type[ToolsError], message: str, retryable: bool
) -> None:
    """Clearly, and the next call finds the server again."""
    async with at(old.url, max_result_bytes=100_000) as tools:
        with pytest.raises(kind, match=message) as caught:
            await tools.call("web", tool)
        assert caught.value.retryable is retryable
        assert (await tools.call("web", "echo")).value == "echo"


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (403, False), (429, True), (503, True)])
async def test_refusal_names_its_status(old: OldServer, status: int, retryable: bool) -> None:
    """Whether a retry helps, and after how long, is the server's word."""
    async with at(old.url) as tools:
        await tools.call("web", "echo")
        old.refusal = status
        with pytest.raises(ServerUnavailable, match=str(status)) as caught:
            await tools.call("web", "echo")
        assert caught.value.retryable is retryable
        assert caught.value.retry_after_s == 3.0


async def test_refusal_of_the_handshake_names_its_status(old: OldServer) -> None:
    """A wrong token is no riddle."""
    old.refusal = 401
    async with at(old.url) as tools:
        with pytest.raises(ServerUnavailable, match="web answered with HTTP status 401") as caught:
            await tools.list_tools()
    assert not caught.value.retryable


async def test_header_takes_its_secret_from_a_named_variable(old: OldServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reaches the server, and not the error that repeats it."""
    monkeypatch.setenv("TOKEN", "hunter2hunter2")
    async with at(old.url, headers={"X-Token": "Bearer ${TOKEN}"}, pass_env=["TOKEN"]) as tools:
        with pytest.raises(ToolsError) as caught:
            await tools.call("web", "token")
    assert all(headers["X-Token"] == "Bearer hunter2hunter2" for _, _, headers in old.seen)
    assert "hunter2" not in str(caught.value)
    assert "is old" in str(caught.value)


async def test_header_is_one_line_whatever_its_variable_holds(old: OldServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which header, and not what is in it."""
    monkeypatch.setenv("TOKEN", "hunter2hunter2\r\nX-Admin: yes")
    async with at(old.url, headers={"X-Token": "Bearer ${TOKEN}"}, pass_env=["TOKEN"]) as tools:
        with pytest.raises(InvalidSource, match="/web/mcp/headers/X-Token: must be one line of ASCII") as caught:
            await tools.list_tools()
    assert "hunter2" not in str(caught.value)
    assert old.seen == []


async def test_header_with_an_undeclared_variable_is_refused(old: OldServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what `pass_env` names may leave our environment."""
    monkeypatch.setenv("CLOUD_SECRET", "hunter2hunter2")
    async with at(old.url, headers={"X": "${CLOUD_SECRET}"}) as tools:
        with pytest.raises(InvalidSource, match="/web/mcp/headers: variable 'CLOUD_SECRET' is not declared"):
            await tools.list_tools()
    assert old.seen == []


async def test_server_that_is_not_there(old: OldServer) -> None:
    """Worth a retry."""
    with running(OldServer()) as gone:
        url = gone.url
    async with at(url) as tools:
        with pytest.raises(ServerUnavailable, match="web cannot be reached: ConnectError") as caught:
            await tools.list_tools()
    assert caught.value.retryable


async def test_server_that_accepts_and_says_nothing() -> None:
    """Connecting is bounded."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with at(f"http://127.0.0.1:{port}/mcp", startup_timeout_s=0.2) as tools:
            with pytest.raises(ServerUnavailable, match="connecting did not end within 0"):
                await tools.list_tools()
        server.close()
        await server.wait_closed()


async def test_what_is_no_mcp_server_is_named(service: Any) -> None:
    """A web page at that address is no tool server."""
    async with at(f"{service.url}/nothing") as tools:
        with pytest.raises((ServerMisbehaved, ServerUnavailable), match="web"):
            await tools.list_tools()


async def test_death_of_the_server_fails_what_is_in_flight() -> None:
    """Worth a retry, as is every call until the server is back."""
    with example_http_server() as url:
        tools = at(url)
        assert "2026-07-28" in str((await tools.call("web", "about")).value)
        waiting = asyncio.create_task(tools.call("web", "sleep", {"seconds": 60}))
        await tools.call("web", "echo", {"text": "it is on its way"})
    with pytest.raises(ServerUnavailable) as caught:
        await waiting
    assert caught.value.retryable
    with pytest.raises(ServerUnavailable):
        await tools.call("web", "echo", {"text": "nobody is there"})
    await tools.close()


def test_retry_after_is_read_in_seconds() -> None:
    """Its date form, and nonsense, are left alone."""
    assert retry_after_s("7") == 7.0
    assert retry_after_s("999999999") == 86400.0
    assert [retry_after_s(odd) for odd in (None, "", "-1", "soon", "²", "Wed, 21 Oct 2026 07:28:00 GMT")] == [None] * 6
