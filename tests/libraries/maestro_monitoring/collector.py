"""A collector on loopback that takes OTLP over HTTP and decodes it with the protocol's own protobuf classes."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What arrived, and how it answers: 200 by default; while `held`, it does not answer at all."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.arrived = threading.Semaphore(0)
        self._open = threading.Event()
        self._open.set()
        self.url = ""

    @property
    def spans(self) -> list[Span]:
        """Every span of every request that was answered with 200."""
        return [
            s
            for r in self.requests
            for resource in r.resource_spans
            for scope in resource.scope_spans
            for s in scope.spans
        ]

    def hold(self) -> None:
        """Answer nobody from now on."""
        self._open.clear()

    def release(self) -> None:
        """Answer again, those who wait too."""
        self._open.set()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """One request; its status."""
        self.paths.append(path)
        self.headers.append(headers)
        self.arrived.release()
        self._open.wait(30.0)
        if self.status == 200:
            plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            self.requests.append(ExportTraceServiceRequest.FromString(plain))
        return self.status


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector until the block ends."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = collector.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield collector
    finally:
        collector.release()
        server.shutdown()
        thread.join(10)
        server.server_close()
