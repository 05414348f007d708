"""uvicorn's HTTP/1.1 with what it lacks: a limit for slow heads, and a problem for what it cannot read."""

import asyncio
import json
import sys
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from maestro_core_api._problem_table import MEDIA_TYPE, ProblemTable

_CODES = {400: "request.malformed", 408: "request.too-slow", 431: "request.headers-too-large"}
_MAX_DETAIL = 200
_LINGER_S = 1.0


class PatientProtocol(H11Protocol):
    """Gives a client a time for the head of each request; then it is answered 408 and the connection ends."""

    head_timeout_s: float
    table: ProblemTable

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_began = False
        self._is_upgraded = False
        self._is_refused = False

    @classmethod
    def waiting(cls, head_timeout_s: float, table: ProblemTable) -> type["PatientProtocol"]:
        """The class that uvicorn makes one of for each connection."""
        return type("PatientProtocol", (cls,), {"head_timeout_s": head_timeout_s, "table": table})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the class above
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        super().data_received(data)
        self._head_began = True
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watch()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._is_upgraded = True
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn calls this while it handles the error that says what is wrong."""
        error = sys.exception()
        status = 431 if getattr(error, "error_status_hint", 400) == 431 else 400
        self._refuse(status, str(error) if error is not None else msg)

    def _watch_head(self) -> None:
        """Start the clock while the head of a request is awaited, and stop it when it is there."""
        awaits_head = not (self._is_upgraded or self._is_refused) and (
            self.cycle is None or self.cycle.response_complete
        )
        if not awaits_head or self.transport.is_closing():
            self._stop_watch()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._head_is_late)

    def _stop_watch(self) -> None:
        self._head_began = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        if self._head_began:
            self._refuse(408, f"The head of the request was not complete within {self.head_timeout_s:g} seconds.")
        else:
            self.transport.close()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer and hang up; a request that is being answered already is left as a client leaves it."""
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.close()
            return
        self._is_refused = True
        self.transport.write(self._answer(status, detail))
        self.transport.write_eof()
        # To close with bytes unread would reset the connection, and the answer with it: they are read, and thrown away.
        self.loop.call_later(_LINGER_S, self.transport.close)

    def _answer(self, status: int, detail: str) -> bytes:
        problem = self.table[_CODES[status]]
        said = {"type": problem.type, "title": problem.title, "status": status, "detail": detail[:_MAX_DETAIL]}
        body = json.dumps({**said, "instance": "", "code": problem.code}).encode("ascii")
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )
        return head.encode("ascii") + body
