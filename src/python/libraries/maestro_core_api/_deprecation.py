"""Routes that will go: Deprecation (RFC 9745) and Sunset (RFC 8594) on every answer, and in the contract."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

from fastapi.dependencies.models import Dependant
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maestro_core_api._app_problems import answered
from maestro_core_api._errors import InvalidApi, PastSunset
from maestro_core_api._problem_table import problems
from maestro_core_api._route_docs import RouteDocs, calls_of, documented, matched_route

# What may stand in <…> of a Link (RFC 3986), without anything that could end it.
_URI_REFERENCE: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")


def _now() -> datetime:
    return datetime.now(UTC)


class Deprecated:
    """A dependency that marks a route as deprecated `since` a time, and withdrawn at `sunset` if that is given.

    `Depends(Deprecated(…))` at a route, a router or the app sets `deprecated: true` in the contract; the middleware
    Deprecations sets the headers on every answer, errors too. With `gone_after_sunset` the route raises PastSunset from
    then on, which is 410. `info` and `sunset_info` are addresses of pages for people, linked to.
    """

    def __init__(
        self,
        *,
        since: datetime,
        sunset: datetime | None = None,
        info: str | None = None,
        sunset_info: str | None = None,
        gone_after_sunset: bool = False,
        now: Callable[[], datetime] = _now,
    ) -> None:
        if since.tzinfo is None or (sunset is not None and sunset.tzinfo is None):
            raise InvalidApi("since and sunset are aware datetimes")
        if sunset is not None and sunset < since:
            raise InvalidApi("a route is not withdrawn before it is deprecated: sunset < since")
        if sunset is None and (gone_after_sunset or sunset_info is not None):
            raise InvalidApi("gone_after_sunset and sunset_info need a sunset")
        if any(link is not None and not _URI_REFERENCE.fullmatch(link) for link in (info, sunset_info)):
            raise InvalidApi("info and sunset_info are URIs, percent-encoded")
        self._sunset = sunset
        self._gone_after_sunset = gone_after_sunset
        self._now = now
        self.headers: dict[str, str] = {"Deprecation": f"@{int(since.timestamp())}"}
        if sunset is not None:
            self.headers["Sunset"] = format_datetime(sunset.astimezone(UTC), usegmt=True)
        rels = {"deprecation": info, "sunset": sunset_info}
        self.links = ", ".join(f'<{link}>; rel="{rel}"' for rel, link in rels.items() if link is not None)
        documented(self, _docs(self))

    async def __call__(self) -> None:
        """Let the request through, unless the route is gone."""
        if self._gone_after_sunset and self._sunset is not None and self._now() >= self._sunset:
            raise PastSunset(f"withdrawn on {self.headers['Sunset']}")

    def announce(self, headers: MutableHeaders) -> None:
        """Set the headers of an answer; a Link that is there stays."""
        for name, value in self.headers.items():
            headers[name] = value
        if self.links:
            headers.append("Link", self.links)

    @property
    def may_go(self) -> bool:
        """Whether it will answer 410 one day."""
        return self._gone_after_sunset


class Deprecations:
    """Announces deprecated routes on each of their answers, whatever its status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_announced(message: Message) -> None:
            if message["type"] == "http.response.start":
                mark = _mark_of(scope)
                if mark is not None:
                    mark.announce(MutableHeaders(scope=message))
            await send(message)

        await answered(self._app, scope, receive, send_announced)


def _mark_of(scope: Scope) -> Deprecated | None:
    dependant = getattr(matched_route(scope), "dependant", None)
    calls = calls_of(dependant) if isinstance(dependant, Dependant) else ()
    return next((call for call in calls if isinstance(call, Deprecated)), None)


def _docs(mark: Deprecated) -> RouteDocs:
    said: dict[str, Any] = {
        "Deprecation": {"description": "Since when, as @ and Unix time.", "schema": {"type": "string"}}
    }
    if "Sunset" in mark.headers:
        said["Sunset"] = {"description": "When it is withdrawn.", "schema": {"type": "string"}}
    return RouteDocs(deprecated=True, headers={"*": said}, answers=problems(410) if mark.may_go else {})
