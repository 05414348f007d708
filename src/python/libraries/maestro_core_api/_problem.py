"""A problem on the wire (RFC 9457): its shape, and how it is made from a code or from an error."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, Field
from starlette.responses import Response
from starlette.types import Scope

from maestro_core_api._problem_table import MEDIA_TYPE, DeclaredProblem, ProblemTable

MAX_FIELD_PROBLEMS = 100
_MAX_TEXT = 2000
DEFAULT_PROBLEMS = ProblemTable()


class FieldProblem(BaseModel):
    """One thing that is wrong in what was sent."""

    part: str = Field(description="Where: body, query, path, header, cookie, or what else the call takes.")
    pointer: str = Field(description="JSON Pointer into that part; empty for the whole of it.")
    message: str
    code: str | None = None
    line: int | None = Field(None, description="1-based line in a text that was sent.")
    column: int | None = Field(None, description="1-based column in a text that was sent.")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="A URI that ends in the code; stable.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="Stable name of what is wrong.")
    errors: list[FieldProblem] | None = Field(None, description="What is wrong in detail; the first hundred.")
    known: list[str] | None = Field(None, description="The names that exist, where an unknown one was asked for.")
    request_id: str | None = Field(None, description="Under this id the log of the service has it.")


class ProblemResponse(Response):
    """An answer that is a problem; plain ASCII, so that no text in it can keep it from being sent."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def problem_response(
    scope: Scope,
    problem: DeclaredProblem,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Mapping[str, object]] = (),
    known: Sequence[str] | None = None,
) -> ProblemResponse:
    """The answer to the request of `scope` that failed so."""
    document: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": _cut(detail),
        "instance": quote(_cut(scope.get("path", ""), 500), safe="/~:@!$&'()*+,;=", errors="replace"),
        "code": problem.code,
    }
    if errors:
        document["errors"] = list(errors)[:MAX_FIELD_PROBLEMS]
    if known is not None:
        document["known"] = [_cut(str(name)) for name in islice(known, MAX_FIELD_PROBLEMS)]
    if request_id := scope.get("state", {}).get("request_id"):
        document["request_id"] = request_id
    return ProblemResponse(document, status_code=problem.status, headers=dict(headers or {}))


def coded_response(scope: Scope, problem: DeclaredProblem, error: BaseException) -> ProblemResponse:
    """The answer for an error whose code is declared: its own text, its field problems, the names it knows."""
    found = [_field_problem(each, problem) for each in islice(_parts_of(error), MAX_FIELD_PROBLEMS)]
    return problem_response(
        scope,
        problem,
        str(error) or problem.description,
        headers={**_retry_after(error, problem), **_challenge(error)},
        errors=found,
        known=getattr(error, "known", None),
    )


def pointer(location: Sequence[object]) -> str:
    """A JSON Pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _parts_of(error: BaseException) -> Iterator[object]:
    """What an error says in detail: its `problems`, or itself where it knows its line in a text."""
    listed = getattr(error, "problems", None)
    if listed:
        yield from listed
    elif isinstance(getattr(error, "line", None), int):
        yield error


def _field_problem(found: object, problem: DeclaredProblem) -> dict[str, object]:
    """A field problem of anything with some of part, path or pointer, message, code, line and column."""

    def said(name: str) -> Any:
        return getattr(found, name, None)

    place = said("pointer") if said("pointer") is not None else said("path")
    message = said("message") if isinstance(said("message"), str) else str(found)
    document: dict[str, object] = {
        "part": str(said("part") or problem.part),
        "pointer": _cut(place) if isinstance(place, str) else "",
        "message": _cut(message),
        "code": str(said("code") or problem.code),
    }
    return document | {name: said(name) for name in ("line", "column") if isinstance(said(name), int)}


def _retry_after(error: BaseException, problem: DeclaredProblem) -> dict[str, str]:
    """Whole seconds, rounded up; one second where a retry can help and nobody knows when."""
    after_s = getattr(error, "retry_after_s", None)
    if isinstance(after_s, int | float) and not isinstance(after_s, bool) and 0 <= after_s < math.inf:
        return {"Retry-After": str(min(math.ceil(after_s), 10**9))}
    if problem.status in (429, 503) and getattr(error, "retryable", False):
        return {"Retry-After": "1"}
    return {}


def _challenge(error: BaseException) -> dict[str, str]:
    """How to sign in, which a 401 has to say (RFC 9110, 15.5.2)."""
    challenge = getattr(error, "challenge", None)
    sendable = isinstance(challenge, str) and challenge.isascii() and challenge.isprintable()
    return {"WWW-Authenticate": str(challenge)} if sendable and challenge else {}


def _cut(text: str, limit: int = _MAX_TEXT) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
