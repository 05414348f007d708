"""What dependencies and decorators of a route say about it in the contract, which FastAPI cannot see by itself."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import Scope

_ATTRIBUTE = "__maestro_route_docs__"
CallableT = TypeVar("CallableT", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RouteDocs:
    """Additions to an operation of OpenAPI: header parameters, answers by status, response headers, deprecation.

    `headers` are by status, by class ("2XX") or for all ("*"). What the route itself says is never replaced. With
    `methods` it is said only of operations of these.
    """

    parameters: Sequence[Mapping[str, Any]] = ()
    answers: Mapping[int | str, Mapping[str, Any]] = field(default_factory=dict)
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    deprecated: bool = False
    methods: Collection[str] | None = None


def documented(call: CallableT, docs: RouteDocs) -> CallableT:
    """The same dependency or endpoint, which now says this too about every route that uses it."""
    setattr(call, _ATTRIBUTE, (*getattr(call, _ATTRIBUTE, ()), docs))
    return call


def document_routes(routes: Sequence[BaseRoute], schema: dict[str, Any]) -> None:
    """Write into an OpenAPI document what the routes' endpoints and dependencies say about themselves."""
    for context in iter_route_contexts(routes):
        dependant = getattr(context, "dependant", None)
        path = schema.get("paths", {}).get(context.path_format)
        if not isinstance(dependant, Dependant) or path is None:
            continue
        for method in context.methods or ():
            operation = path.get(method.lower())
            if operation is not None:
                # Answers first, so that headers for all of them are on those of other docs too.
                said = [docs for docs in _said(dependant) if docs.methods is None or method in docs.methods]
                for docs in said:
                    _add_answers(operation, docs)
                for docs in said:
                    _add_headers(operation, docs)


def matched_route(scope: Scope) -> Any:
    """The route that a request was matched to, with what the routers around it add; None before and without a match."""
    # FastAPI keeps what it made of a route that was included with prefix and dependencies beside the route itself.
    return scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")


def calls_of(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """The endpoint and every dependency below it."""
    if dependant.call is not None:
        yield dependant.call
    for each in dependant.dependencies:
        yield from calls_of(each)


def _said(dependant: Dependant) -> Iterator[RouteDocs]:
    for call in calls_of(dependant):
        yield from getattr(call, _ATTRIBUTE, ())


def _add_answers(operation: dict[str, Any], docs: RouteDocs) -> None:
    listed = operation.setdefault("parameters", []) if docs.parameters else []
    named = {(each.get("in"), each.get("name", "").lower()) for each in listed}
    listed.extend(dict(each) for each in docs.parameters if (each["in"], each["name"].lower()) not in named)
    for status, answer in docs.answers.items():
        operation["responses"].setdefault(str(status), dict(answer))
    if docs.deprecated:
        operation["deprecated"] = True


def _add_headers(operation: dict[str, Any], docs: RouteDocs) -> None:
    for status, answer in operation["responses"].items():
        for which, headers in docs.headers.items():
            if which in ("*", status, f"{status[0]}XX"):
                answer["headers"] = {**headers, **answer.get("headers", {})}
