"""Asks an ASGI application in this process, with nothing but the protocol."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from maestro_core_auth._authenticator import App, Message, Scope

_WITHIN_S = 30.0


@dataclass(slots=True)
class _Peer:
    """The client's end: hands over what it was given, keeps what it gets, and knows when that is enough."""

    gives: list[Message]
    got: list[Message] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    _asked_for_more: bool = False

    async def receive(self) -> Message:
        if self.gives:
            return self.gives.pop(0)
        self._asked_for_more = True
        self._look()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("unreachable")

    async def send(self, message: Message) -> None:
        self.got.append(message)
        self._look()

    def _look(self) -> None:
        # An answer without end is known by its beginning; a socket that waits for more has let us in.
        begun = any(message["type"] != "http.response.body" for message in self.got)
        closed = any(message["type"] == "websocket.close" for message in self.got)
        if closed or (begun and self._asked_for_more):
            self.enough.set()


async def status_of(app: App, method: str, path: str, token: str | None) -> int:
    """The status with which the application answers a request without a body."""
    peer = _Peer([{"type": "http.request", "body": b"", "more_body": False}])
    scope = {**_scope(path, token), "type": "http", "method": method, "scheme": "http"}
    await asyncio.wait_for(_until(app(scope, peer.receive, peer.send), peer), _WITHIN_S)
    statuses = [message["status"] for message in peer.got if message["type"] == "http.response.start"]
    if not statuses:
        raise AssertionError(f"{method} {path} was not answered")
    return int(statuses[0])


async def close_code_of(app: App, path: str, token: str | None) -> int | None:
    """The code that closes a socket, None when it stays open, 1006 when it was not even answered.

    The token comes in a header and in the first message.
    """
    first = {"type": "authenticate", "token": token or ""}
    gives = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": json.dumps(first)}]
    peer = _Peer([*gives])
    scope = {**_scope(path, token), "type": "websocket", "scheme": "ws", "subprotocols": []}
    await asyncio.wait_for(_until(app(scope, peer.receive, peer.send), peer), _WITHIN_S)
    for message in peer.got:
        if message["type"] == "websocket.http.response.start":
            return 4000 + int(message["status"])
        if message["type"] == "websocket.close":
            return int(message.get("code", 1000))
    return None if peer.got else 1006


def _scope(path: str, token: str | None) -> Scope:
    headers = [(b"host", b"testserver")]
    if token is not None:
        headers.append((b"authorization", b"Bearer " + token.encode()))
    return {
        # With 2.3 a server waits for the client to go away while it streams, and so says that it does.
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 50_000),
        "server": ("testserver", 80),
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


async def _until(answer: Any, peer: _Peer) -> None:
    """Run the application until it ends, or waits for more than there is."""
    running, waiting = asyncio.ensure_future(answer), asyncio.ensure_future(peer.enough.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, waiting):
        task.cancel()
    results = await asyncio.gather(running, waiting, return_exceptions=True)
    error = results[0]
    answered = any(message["type"] != "websocket.accept" for message in peer.got)
    if isinstance(error, Exception) and not answered:
        raise error
