"""Drives an ASGI app by hand, one connection at a time."""

from collections.abc import Iterable
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser
from starlette.types import ASGIApp, Message

Headers = Iterable[tuple[str, str]]


class Connection:
    """A client of an ASGI app that says what it is told to, and keeps what it hears."""

    def __init__(
        self, path: str, *, method: str = "GET", headers: Headers = (), type: str = "http", **more: Any
    ) -> None:
        self.scope: dict[str, Any] = {
            "type": type,
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"secret=hunter2",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
            "server": ("shop.example", 80),
            "client": ("192.0.2.7", 5000),
            "state": {},
            **more,
        }
        if type == "websocket":
            del self.scope["method"]
        self.said: list[Message] = []
        self.heard: list[Message] = []

    async def receive(self) -> Message:
        """The next thing that was said; after that, the client is gone."""
        if self.said:
            return self.said.pop(0)
        return (
            {"type": "http.disconnect"}
            if self.scope["type"] == "http"
            else {"type": "websocket.disconnect", "code": 1006}
        )

    async def send(self, message: Message) -> None:
        """Keep what the app says."""
        self.heard.append(message)

    async def run(self, app: ASGIApp, *said: Message) -> "Connection":
        """Run the app on this connection to its end."""
        self.said = list(said) or [{"type": "http.request", "body": b"", "more_body": False}]
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(next(message["status"] for message in self.heard if message["type"].endswith("response.start")))

    @property
    def body(self) -> bytes:
        """The whole body of the answer."""
        return b"".join(message.get("body", b"") for message in self.heard)

    def header(self, name: str) -> str:
        """One header of the answer; empty when it is not there."""
        start = next(message for message in self.heard if message["type"] == "http.response.start")
        value: bytes = dict(start["headers"]).get(name.encode(), b"")
        return value.decode()


def openmetrics_families(text: str) -> list[Metric]:
    """What a scraper reads: the strict OpenMetrics parser of prometheus-client."""
    return list(parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # has no types
