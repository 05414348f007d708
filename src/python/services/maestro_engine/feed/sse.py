"""One workflow's events as server-sent events: `id` is the `seq`, so a browser reconnects without a gap."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from maestro_core_auth import AuthError, Principal
from maestro_engine.feed.hub import Hub
from maestro_workflow_engine import Event, SlowReader

MEDIA_TYPE = "text/event-stream"


def as_frame(event: Event) -> str:
    """The event as one frame of the stream; its JSON has no line break, so one `data:` line holds it."""
    return f"id: {event.seq}\nevent: {event.type}\ndata: {json.dumps(event.as_json(), separators=(',', ':'))}\n\n"


class EventStream(Response):
    """Answers with events until the terminal one is sent, the client leaves or may read no more, or the engine stops.

    A client that does not take an event in time is let go: it reconnects with Last-Event-ID and misses nothing.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        open_events: Callable[[], AsyncIterator[Event]],
        hub: Hub,
        *,
        heartbeat_s: float,
        send_timeout_s: float,
        check_still: Callable[[Principal], Awaitable[None]],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._open_events = open_events
        self._hub = hub
        self._heartbeat_s = heartbeat_s
        self._send_timeout_s = send_timeout_s
        self._check_still = check_still

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def write(text: str, *, more: bool = True) -> None:
            async with asyncio.timeout(self._send_timeout_s):
                await send({"type": "http.response.body", "body": text.encode(), "more_body": more})

        with self._hub.admitted():
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await _until_one_ends(
                self._pump(write),
                self._beat(write, scope["state"]["principal"]),
                _client_left(receive),
                scope["app"].drainer.stopping.wait(),
            )
            with contextlib.suppress(TimeoutError):
                await write("", more=False)

    async def _pump(self, write: Callable[[str], Awaitable[None]]) -> None:
        with contextlib.suppress(TimeoutError, SlowReader):
            async for event in self._open_events():
                await write(as_frame(event))

    async def _beat(self, write: Callable[[str], Awaitable[None]], reader: Principal) -> None:
        """Show signs of life, to who may still read."""
        with contextlib.suppress(TimeoutError, AuthError):
            while True:
                await write(": heartbeat\n\n")
                await asyncio.sleep(self._heartbeat_s)
                await self._check_still(reader)


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _until_one_ends(*parts: Coroutine[Any, Any, object]) -> None:
    """Run all parts until the first ends, cancel the others, and raise what any of them raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
