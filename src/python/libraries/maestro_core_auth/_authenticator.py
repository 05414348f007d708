"""Finds out who is asking, for any ASGI application."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Protocol, TypeAlias

from maestro_core_auth._cookies import check_origin, read_cookie
from maestro_core_auth._errors import AuthError, Forbidden, InvalidCredentials, MissingCredentials
from maestro_core_auth._opaque import LENGTH
from maestro_core_auth._policy import Policy
from maestro_core_auth._principal import Principal

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_CREDENTIAL_CHARS = 8192
MAX_FIRST_MESSAGE_CHARS = MAX_CREDENTIAL_CHARS + 256
_FOUND = "maestro_core_auth.found"


class Verifier(Protocol):
    """Turns one kind of credential into a principal: ApiKeys, Sessions and AccessTokens do."""

    async def verify(self, secret: str, /) -> Principal:
        """Who it belongs to; raises InvalidCredentials."""
        ...


class Authenticator:
    """Takes `Authorization: Bearer` with an API key or an access token, and the session cookie if `sessions` are given.

    Credentials are taken from nowhere else, least of all from a URL. `origins` are those of our own pages, as
    `https://host`: a change asked for with the cookie must come from one of them.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        api_keys: Verifier | None = None,
        access_tokens: Verifier | None = None,
        sessions: Verifier | None = None,
        origins: Collection[str] = (),
    ) -> None:
        self.policy = policy
        self.takes_cookies = sessions is not None
        self._api_keys = api_keys
        self._access_tokens = access_tokens
        self._sessions = sessions
        self._origins = frozenset(origins)

    async def authenticate(self, scope: Scope) -> Principal:
        """Who sends this request or opens this socket; kept in `scope["state"]["principal"]`.

        Raises MissingCredentials, InvalidCredentials, TokenExpired or CrossOrigin. A header that is there is the one
        that counts, however wrong: nothing falls back to the cookie.
        """
        state = scope.setdefault("state", {})
        found = state.get(_FOUND)
        if isinstance(found, AuthError):
            raise found
        if not isinstance(found, Principal):
            found = await self._find(scope)
            self._keep(scope, found)
        return found

    async def authenticate_token(self, token: str) -> Principal:
        """Who an API key or access token belongs to; raises InvalidCredentials or TokenExpired."""
        if len(token) > MAX_CREDENTIAL_CHARS:
            raise InvalidCredentials("too long")
        # A key has no dot and one length, a token has two dots: no credential is tried as two kinds.
        verifier = self._api_keys if token.startswith("mst_") and len(token) == LENGTH else self._access_tokens
        if verifier is None:
            raise InvalidCredentials("no credential of a kind that is taken here")
        return await verifier.verify(token)

    async def authenticate_first_message(self, scope: Scope, receive: Receive, *, within_s: float = 10.0) -> Principal:
        """Who opened a socket that was accepted, by its first message `{"type": "authenticate", "token": …}`.

        Raises MissingCredentials when none comes in time, InvalidCredentials for anything else than such a message.
        """
        try:
            message = await asyncio.wait_for(receive(), within_s)
        except TimeoutError:
            raise MissingCredentials from None
        if message["type"] != "websocket.receive":
            raise MissingCredentials
        principal = await self.authenticate_token(token_of_first_message(message.get("text")))
        self._keep(scope, principal)
        return principal

    def authorize(self, principal: Principal, permission: str) -> None:
        """Raise Forbidden unless the policy lets the principal do that."""
        decision = self.policy.decide(principal, permission)
        if not decision.allowed:
            raise Forbidden(permission, reason=decision.reason)

    def _keep(self, scope: Scope, principal: Principal) -> None:
        state = scope.setdefault("state", {})
        state[_FOUND] = state["principal"] = principal

    async def _find(self, scope: Scope) -> Principal:
        headers: list[tuple[str, str]] = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        authorization = [value for name, value in headers if name == "authorization"]
        if authorization:
            return await self.authenticate_token(bearer_token(authorization))
        session = read_cookie([value for name, value in headers if name == "cookie"])
        if session is None or self._sessions is None:
            raise MissingCredentials
        first = dict(reversed(headers))
        method = "WEBSOCKET" if scope["type"] == "websocket" else scope["method"]
        check_origin(method, first.get("origin"), first.get("sec-fetch-site"), self._origins)
        return await self._sessions.verify(session)


class AuthMiddleware:
    """Finds the principal before anything else runs, so that limits and logs further in know who is asking.

    It refuses nobody: what was wrong with the credentials is raised where a route demands some.
    """

    def __init__(self, app: App, *, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            try:
                await self._authenticator.authenticate(scope)
            except AuthError as error:
                scope["state"][_FOUND] = error
        await self._app(scope, receive, send)


def bearer_token(authorization: list[str]) -> str:
    """The token of the `Authorization` headers; raises InvalidCredentials unless it is one `Bearer` with one token."""
    scheme, _, token = authorization[0].partition(" ")
    token = token.strip(" ")
    if len(authorization) > 1 or scheme.lower() != "bearer" or not token or " " in token:
        raise InvalidCredentials("not one Authorization header with Bearer and one token")
    return token


def token_of_first_message(text: object) -> str:
    """The token that a first message carries; raises InvalidCredentials for anything else."""
    if not isinstance(text, str) or len(text) > MAX_FIRST_MESSAGE_CHARS:
        raise InvalidCredentials("no text, or too long")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidCredentials("not JSON") from None
    if not isinstance(message, dict) or set(message) != {"type", "token"} or message["type"] != "authenticate":
        raise InvalidCredentials("not a message that authenticates")
    if not isinstance(message["token"], str):
        raise InvalidCredentials("the token is no text")
    return message["token"]
