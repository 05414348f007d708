"""Dependencies for FastAPI that demand a principal and a permission; needs the extra `fastapi`."""

try:
    import fastapi
    from fastapi.openapi.models import APIKey, APIKeyIn
    from fastapi.params import Depends
    from fastapi.security.base import SecurityBase
    from fastapi.security.http import HTTPBearer
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import JSONResponse, Response
    from starlette.websockets import WebSocket
except ImportError as error:
    raise ImportError("maestro_core_auth.fastapi needs the extra: pip install 'maestro-core-auth[fastapi]'") from error

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from maestro_core_auth._authenticator import Authenticator
from maestro_core_auth._cookies import COOKIE
from maestro_core_auth._errors import (
    AuthError,
    CrossOrigin,
    Forbidden,
    InvalidCredentials,
    InvalidPolicy,
    LoginThrottled,
    MissingCredentials,
    OidcLoginFailed,
    OidcNoRole,
    OidcUnavailable,
    PasswordRejected,
    PasswordsBusy,
    RefreshReused,
    RefreshSuperseded,
    TokenExpired,
    UnguardedRoute,
)
from maestro_core_auth._principal import Principal
from maestro_core_auth._routes import routes_of

_STATUS: dict[type[AuthError], int] = {
    MissingCredentials: 401,
    InvalidCredentials: 401,
    TokenExpired: 401,
    RefreshReused: 401,
    RefreshSuperseded: 409,
    Forbidden: 403,
    CrossOrigin: 403,
    LoginThrottled: 429,
    PasswordRejected: 422,
    PasswordsBusy: 503,
    OidcLoginFailed: 401,
    OidcNoRole: 403,
    OidcUnavailable: 503,
}
STATUS_BY_CODE: Mapping[str, int] = MappingProxyType({error.code: status for error, status in _STATUS.items()})
"""The HTTP status of each error that a request may meet; any other is a fault of the server."""

CLOSE_BY_CODE: Mapping[str, int] = MappingProxyType(
    {error.code: 4000 + status for error, status in _STATUS.items() if status in (401, 403)}
)
"""The close code of a WebSocket for each error of authentication: 4401 or 4403."""


class FastAPIAuth:
    """Demands permissions of an Authenticator's principals, as FastAPI dependencies that OpenAPI shows."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._bearer = _Bearer(bearerFormat="API key or JWT", scheme_name="bearer", auto_error=False)
        self._cookie = _SessionCookie()
        self.principal = Depends(self._guard(None))
        """The dependency that demands a principal, whoever it is."""

    def require(self, permission: str) -> Depends:
        """The dependency that demands this permission; raises InvalidPolicy for one that is not declared."""
        if permission not in self._authenticator.policy.permissions:
            raise InvalidPolicy(problems=(f"permission {permission!r} is not declared in the policy",))
        return Depends(self._guard(permission))

    def check_routes(self, app: fastapi.FastAPI, open_routes: Collection[str]) -> None:
        """Raise UnguardedRoute unless each route demands a principal or is named in `open_routes` as `GET /path`.

        To be called when all routes are there, so that an application with a forgotten one does not start.
        """
        guarded: set[str] = set()
        bare: set[str] = set()
        for route in routes_of(app):
            (guarded if _is_guarded(route.endpoint) else bare).add(route.name)
        wrong = [f"{name} is open to everybody" for name in sorted(bare - set(open_routes))]
        wrong += [f"{name} is named as open, and is no open route" for name in sorted(set(open_routes) - bare)]
        if wrong:
            raise UnguardedRoute("; ".join(wrong))

    def _guard(self, permission: str | None) -> Callable[..., Awaitable[Principal]]:
        async def guard(connection: HTTPConnection) -> Principal:
            principal = await self._authenticator.authenticate(connection.scope)
            if permission is not None:
                self._authenticator.authorize(principal, permission)
            return principal

        async def with_bearer(
            connection: HTTPConnection,
            _bearer: None = Depends(self._bearer),  # type: ignore[assignment]  # how FastAPI is told
        ) -> Principal:
            return await guard(connection)

        async def with_both(
            connection: HTTPConnection,
            _bearer: None = Depends(self._bearer),  # type: ignore[assignment]  # how FastAPI is told
            _cookie: None = Depends(self._cookie),  # type: ignore[assignment]  # how FastAPI is told
        ) -> Principal:
            return await guard(connection)

        made = with_both if self._authenticator.takes_cookies else with_bearer
        setattr(made, _MARK, permission or "")
        return made


_MARK = "__maestro_permission__"


class _Bearer(HTTPBearer):
    """Says in OpenAPI how to authenticate; the guard does it."""

    async def __call__(self, request: HTTPConnection) -> None:
        return None


class _SessionCookie(SecurityBase):
    """Says in OpenAPI that the session cookie does too."""

    def __init__(self) -> None:
        self.model = APIKey(**{"in": APIKeyIn.cookie}, name=COOKIE)
        self.scheme_name = "session"

    async def __call__(self) -> None:
        return None


async def answer_auth_error(connection: Request | WebSocket, error: Exception) -> Response:
    """The answer to a request, or the end of a socket, that met an AuthError, for who has no maestro-core-api.

    `app.add_exception_handler(AuthError, answer_auth_error)`; an error with no status of its own is raised again.
    """
    if not isinstance(error, AuthError) or error.code not in STATUS_BY_CODE:
        raise error
    if isinstance(connection, WebSocket):
        await connection.close(CLOSE_BY_CODE.get(error.code, 1008), error.code)
    status = STATUS_BY_CODE[error.code]
    headers = {"Cache-Control": "no-store"}
    if error.challenge is not None:
        headers["WWW-Authenticate"] = error.challenge
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    problem = {"type": "about:blank", "title": str(error), "status": status, "code": error.code}
    return JSONResponse(problem, status, headers, "application/problem+json")


def _is_guarded(route: Any) -> bool:
    dependant = getattr(route, "dependant", None)
    return dependant is not None and any(hasattr(one.call, _MARK) for one in _below(dependant))


def _below(dependant: Any) -> Iterator[Any]:
    yield dependant
    for one in dependant.dependencies:
        yield from _below(one)


__all__ = [
    "CLOSE_BY_CODE",
    "STATUS_BY_CODE",
    "FastAPIAuth",
    "answer_auth_error",
]
