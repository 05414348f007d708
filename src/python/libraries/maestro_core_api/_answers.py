"""What every answer gets: headers that keep browsers careful, and no body where only the head was asked for."""

import contextlib
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""For a service that answers with data; a route that answers with a page sets its own Content-Security-Policy."""


class SecurityHeaders:
    """Adds headers to every answer that does not have them already."""

    def __init__(self, app: ASGIApp, *, headers: Mapping[str, str] = SECURITY_HEADERS) -> None:
        self._app = app
        self._headers = dict(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    answered.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_careful)


class HeadAsGet:
    """Answers HEAD wherever GET is answered: the same status and headers, and no body (RFC 9110, 9.3.2).

    To the app inside it is a GET whose client leaves as soon as the answer begins, so that streams end.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif message.get("more_body", False):
                raise _HeadWasSent

        with contextlib.suppress(_HeadWasSent, ClientDisconnect):
            await self._app({**scope, "method": "GET"}, receive, send_head)


class _HeadWasSent(OSError):
    """Ends a stream whose head was all that was asked for; a server says likewise that a client has left."""
