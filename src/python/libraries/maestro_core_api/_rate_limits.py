"""Rate limits at the edge: a middleware for all requests, a dependency for those of a route, and their headers."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maestro_core_api._app_problems import answered, table_of
from maestro_core_api._client_address import ClientAddress
from maestro_core_api._errors import InvalidApi, RateLimitExceeded
from maestro_core_api._problem_table import problems
from maestro_core_api._problems import answer_to
from maestro_core_api._rate_limit import (
    RateLimitDecision,
    RateLimitPolicy,
    RateLimitStore,
    rate_limit_headers,
    retry_after_s,
)
from maestro_core_api._route_docs import RouteDocs, documented

_STATE: Final = "maestro_rate_limits"


@dataclass(slots=True)
class _Limits:
    """What was decided about one request so far."""

    store: RateLimitStore
    address: str
    decisions: list[RateLimitDecision] = field(default_factory=list)

    async def take(self, key: str, policies: Sequence[RateLimitPolicy]) -> None:
        decided = await self.store.take(key, policies)
        self.decisions += decided
        refused = [each.policy.name for each in decided if not each.allowed]
        if refused:
            again_s = retry_after_s(decided)
            raise RateLimitExceeded(
                f"no request left under {', '.join(refused)}; come back in {again_s} s",
                retry_after_s=again_s,
                policies=tuple(refused),
            )


class RateLimits:
    """Holds every request to `policies` by its client address, and tells each answer's limits in its headers.

    It also carries the store to the `rate_limit` dependencies of routes; with no policies of its own that is all it
    does. Requests to `exempt` paths, probes for one, are not counted. X-Forwarded-For counts only as far as
    `trusted_proxies` wrote it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        store: RateLimitStore,
        policies: Sequence[RateLimitPolicy] = (),
        trusted_proxies: Sequence[str] = (),
        exempt: Collection[str] = (),
    ) -> None:
        _check_names(policies)
        self._app = app
        self._store = store
        self._policies = tuple(policies)
        self._address = ClientAddress(trusted_proxies)
        self._exempt = frozenset(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        limits = scope.setdefault("state", {})[_STATE] = _Limits(self._store, self._address(scope))

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start" and limits.decisions:
                MutableHeaders(scope=message).update(rate_limit_headers(limits.decisions))
            await send(message)

        if self._policies:
            try:
                await limits.take(f"address:{limits.address}", self._policies)
            except RateLimitExceeded as error:
                await answer_to(scope, error, table_of(scope))(scope, receive, send_told)
                return
        await answered(self._app, scope, receive, send_told)


def by_address(request: Request) -> str:
    """The caller by its address, as the middleware knows it."""
    return f"address:{_limits_of(request).address}"


def by_principal(request: Request) -> str:
    """The caller as who is signed in, and by its address where nobody is.

    Who is signed in has to be known by then: put the dependency that finds out before this one.
    """
    subject = getattr(request.scope.get("state", {}).get("principal"), "subject", None)
    return by_address(request) if subject is None else f"subject:{subject}"


def rate_limit(
    *policies: RateLimitPolicy, by: Callable[..., Any] = by_address
) -> Callable[[Request, str], Awaitable[None]]:
    """A dependency that holds the route to `policies`; raises RateLimitExceeded. Needs the middleware RateLimits.

    `by` is a dependency that names the caller: by_address, by_principal, or one of yours that gives a str, with what it
    depends on. Policies of one name share their buckets, on whatever routes they are.
    """
    if not policies:
        raise InvalidApi("rate_limit takes at least one policy")
    _check_names(policies)

    async def limited(request: Request, key: Annotated[str, Depends(by)]) -> None:
        await _limits_of(request).take(key, policies)

    return documented(limited, _DOCS)


def _limits_of(request: Request) -> _Limits:
    limits = request.scope.get("state", {}).get(_STATE)
    if not isinstance(limits, _Limits):
        raise InvalidApi("rate_limit needs the middleware RateLimits around the app")
    return limits


def _check_names(policies: Sequence[RateLimitPolicy]) -> None:
    if len({policy.name for policy in policies}) != len(policies):
        raise InvalidApi("two rate limits of one request have the same name")


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


_DOCS: Final = RouteDocs(
    answers=problems(429),
    headers={
        "*": {
            "RateLimit": _header('What is left: `"name";r=requests;t=seconds` for each policy.'),
            "RateLimit-Policy": _header('What holds: `"name";q=requests;w=seconds` for each policy.'),
        },
    },
)
