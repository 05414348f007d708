"""The HTTP client under MCP over HTTP: bounds what is read, and remembers why a request got no proper answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx2

from maestro_tools._retry_after import retry_after_s

_CONNECT_S = 30.0
# Ending a session is a courtesy; closing must not wait for a server that hangs.
_GOODBYE_S = 2.0
# A stream may carry notices beside its answer; this many times the largest answer is enough for all of them.
_STREAM_FACTOR = 4


@dataclass(slots=True)
class Exchange:
    """What was seen on the wire while one request was answered."""

    status: int | None = None
    is_json: bool = False
    retry_after_s: float | None = None
    failure: str | None = None
    too_large: bool = False


# The SDK runs each POST in the context of the call that caused it, so the call finds its own exchange here.
EXCHANGE: ContextVar[Exchange | None] = ContextVar("maestro_tools_exchange", default=None)


class BoundedClient(httpx2.AsyncClient):
    """An httpx2 client whose failures become answers, since one raised would end every call on the connection.

    The caller reads the truth from `EXCHANGE`. Compressed answers are refused: their real size cannot be bounded.
    """

    def __init__(self, *, headers: Mapping[str, str], max_result_bytes: int) -> None:
        super().__init__(
            headers={**headers, "Accept-Encoding": "identity"},
            # Reading is bounded by the time limit of each call, which knows what it waits for.
            timeout=httpx2.Timeout(_CONNECT_S, read=None),
        )
        self._max_result_bytes = max_result_bytes

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send as httpx2 does; a transport failure comes back as a 503 without a body."""
        exchange = EXCHANGE.get() or Exchange()
        try:
            async with asyncio.timeout(_GOODBYE_S if request.method == "DELETE" else None):
                response = await super().send(request, **options)
        except (httpx2.TransportError, TimeoutError) as error:
            exchange.failure = f"{type(error).__name__}: {error}"
            return httpx2.Response(503, request=request)
        exchange.status = response.status_code
        exchange.is_json = response.headers.get("content-type", "").lower().startswith("application/json")
        exchange.retry_after_s = retry_after_s(response.headers.get("retry-after"))
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            exchange.failure = "it sent a compressed answer, although none was asked for"
        elif (length := response.headers.get("content-length", "")).isdigit() and int(length) > self._limit(response):
            exchange.too_large = True
        if exchange.failure is not None or exchange.too_large:
            await response.aclose()
            return httpx2.Response(503, request=request)
        if request.method == "POST" and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _BoundedStream(response.stream, self._limit(response), exchange)
        return response

    def _limit(self, response: httpx2.Response) -> int:
        streams = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        return self._max_result_bytes * (_STREAM_FACTOR if streams else 1)


class _BoundedStream(httpx2.AsyncByteStream):
    """A body that ends in an error which the SDK expects, once it is too large or breaks off."""

    def __init__(self, stream: httpx2.AsyncByteStream, limit_bytes: int, exchange: Exchange) -> None:
        self._stream = stream
        self._limit_bytes = limit_bytes
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size_bytes = 0
        try:
            async for chunk in self._stream:
                size_bytes += len(chunk)
                if size_bytes > self._limit_bytes:
                    self._exchange.too_large = True
                    raise httpx2.StreamError(f"the answer is larger than {self._limit_bytes} bytes")
                yield chunk
        except httpx2.TransportError as error:
            self._exchange.failure = f"{type(error).__name__}: {error}"
            raise httpx2.StreamError(str(error)) from error

    async def aclose(self) -> None:
        await self._stream.aclose()
