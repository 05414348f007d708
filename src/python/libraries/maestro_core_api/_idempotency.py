"""Idempotency-Key at the edge (draft-ietf-httpapi-idempotency-key-header-07): who repeats a request gets its answer."""

import functools
import inspect
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Final, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maestro_core_api._app_problems import answered, table_of
from maestro_core_api._errors import (
    AnswerNotKept,
    BadIdempotencyKey,
    BodyTooLargeForKey,
    IdempotencyKeyInFlight,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    IdempotencyUnavailable,
    InvalidApi,
)
from maestro_core_api._idempotency_law import (
    KEPT_HEADERS,
    KEY_PATTERN,
    IdempotencyStore,
    KeptAnswer,
    KeyState,
    fingerprint_of,
    is_final,
    parse_key,
    scoped_key,
)
from maestro_core_api._problem_table import problems
from maestro_core_api._problems import answer_to
from maestro_core_api._route_docs import RouteDocs, documented, matched_route
from maestro_core_logging import get_logger

_POLL_S: Final = 1.0
EndpointT = TypeVar("EndpointT", bound=Callable[..., Any])

_log = get_logger("maestro_core_api")
_exchange: ContextVar["_Exchange | None"] = ContextVar("maestro_idempotency", default=None)


class Idempotency:
    """Keeps the answers of `idempotent` routes for `retention`, and gives them to who repeats the request.

    A request holds its key for `lease`: longer than any request may take, or a repeat would run beside it. A crash
    leaves the key held until then; after that a repeat runs again, since nobody knows whether the first had its effect.
    Bodies of more than `max_body_bytes`, of requests and of answers, are refused on these routes.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        store: IdempotencyStore,
        retention: timedelta = timedelta(hours=24),
        lease: timedelta = timedelta(minutes=2),
        max_body_bytes: int = 1_048_576,
    ) -> None:
        if not timedelta(0) < lease <= retention:
            raise InvalidApi("an idempotency key is held for some time and kept for at least as long: lease, retention")
        self._app = app
        self._store = store
        self._retention = retention
        self._lease = lease
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, self._store, self._lease, self._retention, self._max_body_bytes)

        async def send_kept(message: Message) -> None:
            for each in await exchange.note_answer(message):
                await send(each)

        _exchange.set(exchange)
        try:
            await answered(self._app, scope, exchange.receive, send_kept)
        finally:
            await exchange.release()
        if exchange.unkept is not None:
            await answer_to(scope, exchange.unkept, table_of(scope))(scope, receive, send)


class _Exchange:
    """One request, its key while it holds one, and the answer while it is held back to be kept."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        store: IdempotencyStore,
        lease: timedelta,
        retention: timedelta,
        max_body_bytes: int,
    ) -> None:
        self._scope = scope
        self._keys = Headers(scope=scope).getlist("Idempotency-Key")
        self._receive = receive
        self._store = store
        self._lease = lease
        self._retention = retention
        self._max_body_bytes = max_body_bytes
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._body_complete = False
        self._read_ahead: list[Message] = []
        self._held: tuple[str, str] | None = None
        self._answer: list[Message] = []
        self._answer_bytes = 0
        self.unkept: AnswerNotKept | None = None

    async def receive(self) -> Message:
        """The next part of the request; of one with a key it is remembered, as long as the body is small enough."""
        return self._read_ahead.pop(0) if self._read_ahead else await self._note_next()

    async def _note_next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._body_bytes += len(message.get("body", b""))
            if self._keys and self._body_bytes <= self._max_body_bytes:
                self._body.append(message.get("body", b""))
            self._body_complete = self._body_complete or not message.get("more_body", False)
        return message

    async def _whole_body(self) -> bytes:
        """The body; what nobody has read yet is there for whoever does."""
        while not self._body_complete and self._body_bytes <= self._max_body_bytes:
            message = await self._note_next()
            if message["type"] != "http.request":
                raise ClientDisconnect
            self._read_ahead.append(message)
        if self._body_bytes > self._max_body_bytes:
            raise BodyTooLargeForKey(f"with an Idempotency-Key a body has at most {self._max_body_bytes} bytes")
        return b"".join(self._body)

    async def begin(self, *, required: bool) -> Response | None:
        """Hold the key of the request, if it has one; the answer that is kept, if it is a repeat."""
        scope = self._scope
        if not self._keys:
            if required:
                raise IdempotencyKeyMissing("send an Idempotency-Key: a text of your own, such as a UUID, in quotes")
            return None
        if len(self._keys) > 1:
            raise BadIdempotencyKey("there is more than one Idempotency-Key")
        key = parse_key(self._keys[0])
        fingerprint = fingerprint_of(
            scope["method"],
            scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass"),
            scope.get("query_string", b""),
            Headers(scope=scope).get("Content-Type", ""),
            await self._whole_body(),
        )
        subject = getattr(scope.get("state", {}).get("principal"), "subject", None)
        name = scoped_key(subject, scope["method"], matched_route(scope).path, key)
        return await self._claim(name, fingerprint)

    async def _claim(self, name: str, fingerprint: str) -> Response | None:
        token = secrets.token_hex(16)
        # Before it is known whether it is: whoever is cancelled while he waits may hold it all the same.
        self._held = (name, token)
        try:
            claim = await self._store.begin(name, fingerprint, token, lease=self._lease, retention=self._retention)
        except IdempotencyUnavailable:
            self._held = None
            raise
        if claim.state is KeyState.BEGUN:
            return None
        self._held = None
        if claim.state is KeyState.REUSED:
            raise IdempotencyKeyReused("this Idempotency-Key came with another request before; make a new one")
        if claim.answer is None:
            again_s = min(_POLL_S, claim.lease_left_s)
            raise IdempotencyKeyInFlight("the first request with this key has not ended", retry_after_s=again_s)
        return _replayed(claim.answer)

    async def note_answer(self, message: Message) -> list[Message]:
        """What may be sent now: everything of an answer that is not to be kept, otherwise all at its end."""
        if self.unkept is not None:
            return []
        if self._held is None:
            return [message]
        if message["type"] not in ("http.response.start", "http.response.body"):
            return self._refuse(f"{message['type']} cannot be kept")
        self._answer.append(message)
        self._answer_bytes += len(message.get("body", b""))
        if self._answer_bytes > self._max_body_bytes:
            return self._refuse(f"its body has more than {self._max_body_bytes} bytes")
        if message["type"] == "http.response.start" or message.get("more_body", False):
            return []
        await self._keep()
        return self._answer

    def _refuse(self, reason: str) -> list[Message]:
        self.unkept = AnswerNotKept(f"the answer of an idempotent route cannot be kept: {reason}")
        self._answer.clear()
        return []

    async def _keep(self) -> None:
        """Keep the answer before anything of it is sent, so that whoever has seen it gets the same again."""
        assert self._held is not None
        start = self._answer[0]
        headers = Headers(raw=start["headers"])
        if not is_final(start["status"], asks_to_retry="retry-after" in headers):
            await self.release()
            return
        kept = tuple((name, value) for name, value in headers.items() if name in KEPT_HEADERS)
        body = b"".join(message.get("body", b"") for message in self._answer[1:])
        (name, token), self._held = self._held, None
        try:
            if not await self._store.finish(
                name, token, KeptAnswer(start["status"], kept, body), retention=self._retention
            ):
                _log.warning("idempotency.lease_lapsed", advice="the request took longer than its lease; raise it")
        except IdempotencyUnavailable as error:
            # The effect has happened, and its caller is told; only a repeat will not be known for one.
            _log.error("idempotency.answer_not_kept", reason=str(error))

    async def release(self) -> None:
        """Let go of the key, if it is held; a repeat then runs."""
        if self._held is None:
            return
        (name, token), self._held = self._held, None
        try:
            await self._store.abandon(name, token)
        except IdempotencyUnavailable as error:
            _log.error("idempotency.key_not_released", reason=str(error), advice="its lease will lapse")


def _replayed(answer: KeptAnswer) -> Response:
    response = Response(answer.body, answer.status, {"Idempotency-Replayed": "true"})
    for name, value in answer.headers:  # which may be several of one name
        response.headers.append(name, value)
    return response


def idempotent(*, required: bool = True) -> Callable[[EndpointT], EndpointT]:
    """Marks an endpoint, below its route decorator: `@app.post("/orders")`, then `@idempotent()`.

    It runs after all dependencies and the validation, so who is signed in is known and nothing is kept for those who
    may not ask. A key belongs to the principal's subject, the method and the route. Needs the middleware Idempotency.
    """

    def mark(endpoint: EndpointT) -> EndpointT:
        if inspect.isgeneratorfunction(endpoint) or inspect.isasyncgenfunction(endpoint):
            raise InvalidApi(f"{endpoint.__name__} streams its answer, which cannot be kept: it cannot be idempotent")

        @functools.wraps(endpoint)
        async def once(*args: Any, **kwargs: Any) -> Any:
            exchange = _exchange.get()
            if exchange is None:
                raise InvalidApi("an idempotent route needs the middleware Idempotency around the app")
            repeated = await exchange.begin(required=required)
            if repeated is not None:
                return repeated
            if inspect.iscoroutinefunction(endpoint):
                answer = await endpoint(*args, **kwargs)
            else:
                answer = await run_in_threadpool(endpoint, *args, **kwargs)
            if isinstance(answer, StreamingResponse | FileResponse):
                raise AnswerNotKept(f"{endpoint.__name__} answered with a stream, which cannot be kept")
            return answer

        documented(once, _docs(required))
        return once  # type: ignore[return-value]  # called as the endpoint, by the framework alone

    return mark


def _docs(required: bool) -> RouteDocs:
    header = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": required,
        "description": "A text of the caller's own in double quotes. A repeat with it gets the first answer.",
        "schema": {"type": "string", "pattern": KEY_PATTERN, "format": "idempotency-key"},
    }
    replayed = {"description": "`true` on the answer to a repeat.", "schema": {"type": "string", "enum": ["true"]}}
    statuses = problems(400, 409, 413, 422, 503)
    return RouteDocs(parameters=(header,), answers=statuses, headers={"*": {"Idempotency-Replayed": replayed}})
