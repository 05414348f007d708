"""Every request has a name, in the answer and in the log, and leaves one line there."""

import time
from collections.abc import Collection
from typing import Any
from urllib.parse import unquote_plus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maestro_core_logging import get_logger, request_context

_log = get_logger("maestro_core_api")
_MAX_QUERY_NAMES = 50


class Named:
    """Gives a request its id and its place in the caller's trace (W3C traceparent), and logs one line when it is over.

    The line holds names of the query and no value of it, no header and no body. A request to one of `quiet` paths that
    went well is logged at DEBUG: probes would otherwise be most of the log.
    """

    def __init__(self, app: ASGIApp, *, quiet: Collection[str] = ()) -> None:
        self._app = app
        self._quiet = frozenset(quiet)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with request_context(request_id=headers.get("x-request-id"), traceparent=headers.get("traceparent")) as request:
            scope.setdefault("state", {})["request_id"] = request.request_id
            if scope["type"] == "http":
                await self._answer(scope, receive, send, request.request_id)
            else:
                await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        # Taken now: what is inside changes the scope, and this is about the request as it came.
        line: dict[str, Any] = {"method": scope["method"], "path": scope["path"], "status": None, "size_bytes": 0}
        began_s = time.perf_counter()
        ended = False

        async def receive_noted() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not ended:
                line["client_left"] = True
            return message

        async def send_named(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                line["status"] = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            elif message["type"] == "http.response.body":
                line["size_bytes"] += len(message.get("body", b""))
                ended = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive_noted, send_named)
        finally:
            line["took_ms"] = round((time.perf_counter() - began_s) * 1000, 1)
            self._log(scope, line)

    def _log(self, scope: Scope, line: dict[str, Any]) -> None:
        # A part without `=` may be a value that someone forgot to name.
        named = [part for part in scope.get("query_string", b"").decode("latin-1").split("&") if "=" in part]
        if named:
            line["query_names"] = sorted({unquote_plus(part.split("=")[0])[:100] for part in named})[:_MAX_QUERY_NAMES]
        subject = getattr(scope["state"].get("principal"), "subject", None)
        if subject is not None:
            line["subject"] = subject
        went_well = line["status"] is not None and line["status"] < 400
        log = _log.debug if went_well and line["path"] in self._quiet else _log.info
        log("http.request_answered", **line)
