"""The routes of a Starlette or FastAPI application, by their shape."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FoundRoute:
    """One method of one path; `method` is `WS` for a socket, `endpoint` the route object itself."""

    method: str
    path: str
    endpoint: Any

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def routes_of(app: Any, prefix: str = "") -> Iterator[FoundRoute]:
    """Every route, also those of mounted applications; HEAD beside GET is left out, as it is the same."""
    for route in _included(getattr(app, "routes", None) or ()):
        path = prefix + getattr(route, "path", "")
        if getattr(route, "routes", None):
            yield from routes_of(route, path)
        elif not hasattr(route, "methods"):
            # A socket has an endpoint, an application mounted as a whole has not.
            yield FoundRoute("WS" if hasattr(route, "endpoint") else "MOUNT", path, route)
        else:
            methods = set(route.methods or {"GET"})
            for method in sorted(methods - ({"HEAD"} if "GET" in methods else set())):
                yield FoundRoute(method, path, route)


def _included(routes: Iterable[Any]) -> Iterator[Any]:
    """The routes, with those of FastAPI's included routers as they are once included."""
    for route in routes:
        if hasattr(route, "effective_route_contexts"):
            for context in route.effective_route_contexts():
                yield context.starlette_route or context
        else:
            yield route
