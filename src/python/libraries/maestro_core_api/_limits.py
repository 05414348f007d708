"""How big and how slow a request may be."""

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maestro_core_api._problem import DEFAULT_PROBLEMS, problem_response
from maestro_core_api._problem_table import ProblemTable


class BodyLimit:
    """Refuses a body beyond the limit: at once when its length is declared, otherwise when it has come too far."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, table: ProblemTable = DEFAULT_PROBLEMS) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._problem = table["request.body-too-large"]
        self._detail = f"The body is larger than {max_body_bytes} bytes."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = problem_response(scope, self._problem, self._detail)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self._max_body_bytes:
            await refusal(scope, receive, send)
            return
        received_bytes = 0
        began = refused = False

        async def receive_bounded() -> Message:
            nonlocal received_bytes, refused
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > self._max_body_bytes:
                refused = not began
                raise _TooLarge(413, self._detail)
            return message

        async def send_unless_refused(message: Message) -> None:
            nonlocal began
            if refused:  # whatever the app makes of a body that breaks off, the reason is the limit
                return
            began = True
            await send(message)

        try:
            await self._app(scope, receive_bounded, send_unless_refused)
        except _TooLarge:
            if not refused:
                raise
        if refused:
            await refusal(scope, receive, send)


class _TooLarge(HTTPException):
    """Ends the reading of a body; the framework lets an HTTPException through."""


class Deadline:
    """Ends a request that is not being answered in time; an answer that has begun may stream on.

    Who was waited for decides the answer: 408 for a client that did not send its body, 503 for a slow service.
    """

    def __init__(self, app: ASGIApp, *, timeout_s: float, table: ProblemTable = DEFAULT_PROBLEMS) -> None:
        self._app = app
        self._timeout_s = timeout_s
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        waits_for_body = False
        complete = False

        async def receive_noted() -> Message:
            nonlocal waits_for_body, complete
            waits_for_body = not complete
            message = await receive()
            waits_for_body = False
            complete = complete or not message.get("more_body", False)
            return message

        try:
            async with asyncio.timeout(self._timeout_s) as deadline:

                async def send_in_time(message: Message) -> None:
                    deadline.reschedule(None)
                    await send(message)

                await self._app(scope, receive_noted, send_in_time)
        except TimeoutError:
            if not deadline.expired():
                raise
            code = "request.too-slow" if waits_for_body else "service.too-slow"
            what = "The request was not complete" if waits_for_body else "The answer did not begin"
            detail = f"{what} within {self._timeout_s:g} seconds."
            await problem_response(scope, self._table[code], detail)(scope, receive, send)
