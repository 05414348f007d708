"""A small HTTP service with a UTCP manual, on a free loopback port."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class ExampleService:
    """Where the service is, and the manual that says what it can do."""

    url: str
    manual: dict[str, Any]


@contextmanager
def example_service() -> Iterator[ExampleService]:
    """Serve from threads of this process until the end of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield ExampleService(url, _manual(url))
    finally:
        server.ending.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.ending = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer by path; the last part of a path with two is its argument."""
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        match parts.path.split("/")[1:]:
            case ["echo"]:
                self._json(200, {"text": query["text"]})
            case ["fail"]:
                self._json(422, {"error": query["text"]})
            case ["sleep"]:
                assert isinstance(self.server, _Server)
                self.server.ending.wait(float(query["seconds"]))
                self._json(200, {"text": "slept"})
            case ["status", code]:
                self._json(int(code), {"error": "not now"}, {"Retry-After": "7"})
            case ["big"]:
                self._send(200, b"x" * int(query["size_bytes"]), {"Content-Type": "text/plain"})
            case ["seen"] | ["seen", _]:
                self._json(200, {"path": self.path, "headers": dict(self.headers)})
            case ["inward"]:
                self._send(302, b"", {"Location": "http://169.254.169.254/latest/meta-data"})
            case ["squeezed"]:
                headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
                self._send(200, gzip.compress(b"x" * 1000), headers)
            case ["broken"]:
                self._send(200, b"{", {"Content-Type": "application/json"})
            case _:
                self._send(204, b"", {})

    def do_POST(self) -> None:
        """Say what was sent."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._json(200, {"body": body.decode(), "content_type": self.headers.get("Content-Type")})

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""

    def _json(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _manual(url: str) -> dict[str, Any]:
    text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    seconds = {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]}
    tools = [("echo", text, text), ("fail", text, text), ("sleep", seconds, None)]
    return {
        "utcp_version": "1.0.1",
        "manual_version": "1.0.0",
        "tools": [
            {
                "name": name,
                "description": f"The tool {name}.",
                "inputs": inputs,
                **({"outputs": outputs} if outputs else {}),
                "tool_call_template": {"call_template_type": "http", "url": f"{url}/{name}", "http_method": "GET"},
            }
            for name, inputs, outputs in tools
        ],
    }
