"""Five faults for the order book, each planted from outside: what fuzzing has to find."""

import json
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from libraries.maestro_core_api.example_service import USERS
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Fault: TypeAlias = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]


class Planted:
    """One fault around an app."""

    def __init__(self, app: ASGIApp, *, fault: Fault) -> None:
        self._app = app
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._fault(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def breaks(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The list answers 500 when a page of one is asked for."""
    start, body = await _answer(app, scope, receive)
    if scope["path"] == "/orders" and b"limit=1" in scope["query_string"].split(b"&") and start["status"] == 200:
        start["status"] = 500
    await _send(start, body, send)


async def ignores_auth(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The count is given to whoever asks."""
    if scope["path"] == "/orders-count":
        scope["headers"] = _as_user(scope, next(iter(USERS)))
    await app(scope, receive, send)


async def shows_others(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Who is signed in reads any order."""
    start, body = await _answer(app, scope, receive)
    if scope["method"] == "GET" and start["status"] == 404 and scope["path"].startswith("/orders/"):
        for key in USERS:
            if start["status"] == 404:
                start, body = await _answer(app, {**scope, "headers": _as_user(scope, key)}, receive)
    await _send(start, body, send)


async def lies_about_its_shape(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """A new order has a version that is no number."""
    start, body = await _answer(app, scope, receive)
    if start["status"] == 201:
        body = json.dumps({**json.loads(body), "version": "first"}).encode()
    await _send(start, body, send)


async def advertises_too_much(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Allow names a method that is not there."""
    start, body = await _answer(app, scope, receive)
    headers = MutableHeaders(scope=start)
    if scope["path"] == "/orders" and "allow" in headers:
        headers["allow"] += ", PATCH"
    await _send(start, body, send)


async def _answer(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(dict(scope), receive, keep)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


async def _send(start: Message, body: bytes, send: Send) -> None:
    headers = MutableHeaders(scope=start)
    if "content-length" in headers:
        headers["content-length"] = str(len(body))
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _as_user(scope: Scope, key: str) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in Headers(scope=scope).raw if name != b"x-api-key"]
    return [*others, (b"x-api-key", key.encode())]
