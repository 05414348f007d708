"""Exposition: the registry as Prometheus text or OpenMetrics, by Accept, as a pure ASGI app."""

import asyncio
import copy
import gzip
import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

import prometheus_client
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from maestro_monitoring._asgi import Receive, Scope, Send, header
from maestro_monitoring._metrics import Metrics

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_MAX_HEADER_CHARS = 4_096
_MIN_GZIP_BYTES = 1_024
_QUALITY = re.compile(r"(0(\.\d{0,3})?|1(\.0{0,3})?)")


def _offers(header_value: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """What a header asks for: name, parameters, quality; a part that cannot be read is left out."""
    for part in header_value[:_MAX_HEADER_CHARS].split(","):
        name, *rest = (piece.strip() for piece in part.split(";"))
        parameters = dict(piece.split("=", 1) for piece in rest if "=" in piece)
        quality = parameters.pop("q", "1")
        if name and _QUALITY.fullmatch(quality):
            yield name.lower(), parameters, float(quality)


def negotiate(accept: str) -> str:
    """The content type for an Accept header: the best of the two, and Prometheus text when neither is asked for."""
    best, best_quality = TEXT, 0.0
    for name, parameters, quality in _offers(accept):
        if name == "application/openmetrics-text" and parameters.get("version", "1.0.0") in ("0.0.1", "1.0.0"):
            offered = OPENMETRICS
        elif name in ("text/plain", "text/*", "*/*"):
            offered = TEXT
        else:
            continue
        if quality > best_quality:
            best, best_quality = offered, quality
    return best


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header allows gzip; a refusal by name goes before what `*` allows."""
    allowed = {name: quality > 0 for name, _, quality in _offers(accept_encoding)}
    return allowed.get("gzip", allowed.get("*", False))


class _WithoutCreated(prometheus_client.registry.Collector):
    """A view of the registry without the `_created` times: in Prometheus text they would be series of their own."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            shown = copy.copy(metric)  # a collector that is not ours may hand out the same object again
            shown.samples = [sample for sample in metric.samples if sample.name != f"{metric.name}_created"]
            yield shown


def render(metrics: Metrics, content_type: str = TEXT) -> bytes:
    """Everything in the registry, in one of the two formats; exemplars exist in OpenMetrics only."""
    if content_type == OPENMETRICS:
        return bytes(openmetrics.generate_latest(metrics.registry))  # type: ignore[no-untyped-call]  # has no types
    return prometheus_client.generate_latest(_WithoutCreated(metrics.registry))


class MetricsApp:
    """An ASGI app that answers every path with the metrics: mount it at `/metrics`, where strangers do not come."""

    _ALLOW: ClassVar[tuple[bytes, bytes]] = (b"allow", b"GET, HEAD")

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a WebSocket is refused."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        elif scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            await self._answer(scope, send, 405, [self._ALLOW, (b"content-type", TEXT.encode())], b"use GET or HEAD\n")
        elif scope["type"] == "http":
            await self._expose(scope, send)

    async def _expose(self, scope: Scope, send: Send) -> None:
        content_type = negotiate(header(scope, b"accept"))
        zipped = accepts_gzip(header(scope, b"accept-encoding"))

        def body_of() -> tuple[bytes, bool]:
            plain = render(self._metrics, content_type)
            return (gzip.compress(plain, 5), True) if zipped and len(plain) >= _MIN_GZIP_BYTES else (plain, False)

        # In a thread: a large registry takes longer than an event loop may stand still.
        body, is_gzip = await asyncio.to_thread(body_of)
        headers = [(b"content-type", content_type.encode()), (b"vary", b"accept, accept-encoding")]
        if is_gzip:
            headers.append((b"content-encoding", b"gzip"))
        await self._answer(scope, send, 200, headers, body)

    @staticmethod
    async def _answer(scope: Scope, send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
