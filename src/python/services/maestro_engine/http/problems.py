"""Errors on the wire (RFC 9457): one table from an error's code to its status, one shape for every answer."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match, Route
from starlette.types import Scope

MEDIA_TYPE = "application/problem+json"

STATUS_OF: Mapping[str, int] = {
    "request.malformed": 400,
    "request.bad-cursor": 400,
    "request.untrusted-origin": 403,
    "workflow.not-found": 404,
    "workflow.unknown-artifact": 404,
    "workflow.artifact-not-found": 404,
    "template.unknown": 404,
    "request.too-slow": 408,
    "request.body-too-large": 413,
    "workflow.exists": 409,
    "workflow.finished": 409,
    "request.untrusted-host": 421,
    "request.invalid": 422,
    "workflow.invalid-definition": 422,
    "workflow.invalid-inputs": 422,
    "workflow.unknown-step-kind": 422,
    "yaml.bad-syntax": 422,
    "yaml.bad-value": 422,
    "yaml.duplicate-key": 422,
    "yaml.not-supported": 422,
    "yaml.too-large": 422,
    "yaml.unreadable": 422,
    "request.headers-too-large": 431,
    "workflow.journal-corrupt": 500,
    "feed.too-many-readers": 503,
    "workflow.engine-closed": 503,
    "workflow.journal-unavailable": 503,
}

_CODE_OF_STATUS: Mapping[int, str] = {
    400: "request.malformed",
    404: "request.unknown-path",
    405: "request.method-not-allowed",
    413: "request.body-too-large",
    415: "request.unsupported-media-type",
}


_DESCRIPTIONS: Mapping[int, str] = {
    400: "The request cannot be read.",
    404: "There is no such thing.",
    409: "It is too late for that.",
    413: "The body is larger than the limit.",
    422: "What was sent is wrong; `errors` says where.",
    503: "Not now; try again later.",
}


class CodedError(Protocol):
    """What every error of ours has; libraries share no base class."""

    code: str


class FieldProblem(BaseModel):
    """One thing that is wrong in what was sent."""

    part: str = Field(description="Where: body, query, path, header, cookie; or definition, inputs.")
    pointer: str = Field(description="JSON Pointer into that part; empty for the whole of it.")
    message: str
    code: str | None = None
    line: int | None = Field(None, description="1-based line in a YAML definition.")
    column: int | None = Field(None, description="1-based column in a YAML definition.")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="`urn:maestro:problem:` and the code; stable.")
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="Stable name of what is wrong.")
    errors: list[FieldProblem] | None = None
    known: list[str] | None = Field(None, description="The names that exist, where an unknown one was asked for.")
    request_id: str | None = None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _DESCRIPTIONS[status], "content": content} for status in statuses}


def problem_document(
    scope: Scope,
    code: str,
    status: int,
    detail: str,
    *,
    errors: Sequence[Mapping[str, object]] = (),
    known: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The problem as plain data."""
    document: dict[str, Any] = {
        "type": f"urn:maestro:problem:{code}",
        "title": code.replace(".", " ").replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "instance": scope.get("path", ""),
        "code": code,
    }
    if errors:
        document["errors"] = list(errors)
    if known is not None:
        document["known"] = list(known)
    if request_id := scope.get("state", {}).get("request_id"):
        document["request_id"] = request_id
    return document


def problem_response(
    scope: Scope,
    code: str,
    detail: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Mapping[str, object]] = (),
    known: Sequence[str] | None = None,
) -> JSONResponse:
    """The answer to a request that failed with `code`; the status comes from the table unless given."""
    chosen = status or STATUS_OF.get(code, 500)
    document = problem_document(scope, code, chosen, detail, errors=errors, known=known)
    return JSONResponse(document, status_code=chosen, media_type=MEDIA_TYPE, headers=headers)


def _pointer(location: Sequence[object]) -> str:
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in location]
    return "".join(f"/{part}" for part in parts)


async def _answer_invalid_request(request: Request, error: Exception) -> JSONResponse:
    found = cast(RequestValidationError, error).errors()
    errors = [_field_problem(each) for each in found]
    if any(each["type"] == "json_invalid" for each in found):
        return problem_response(request.scope, "request.malformed", "The body is not JSON.", errors=errors)
    detail = "The request does not have the expected shape."
    return problem_response(request.scope, "request.invalid", detail, errors=errors)


def _field_problem(found: Mapping[str, Any]) -> dict[str, object]:
    place, message = _pointer(found["loc"][1:]), found["msg"].removeprefix("Value error, ")
    if found["type"] == "json_invalid":  # its place is a character and no part of any data
        place, message = "", f"{found['ctx']['error']} (at character {found['loc'][1] + 1})"
    return {"part": str(found["loc"][0]), "pointer": place, "message": message, "code": found["type"].replace("_", "-")}


async def _answer_http_error(request: Request, error: Exception) -> JSONResponse:
    known = cast(HTTPException, error)
    code = _CODE_OF_STATUS.get(known.status_code, "request.refused")
    detail = {404: f"Nothing is at {request.url.path}.", 405: f"{request.method} is not possible here."}
    text = detail.get(known.status_code, known.detail)
    headers = dict(known.headers or {})
    if known.status_code == 405:
        headers["Allow"] = ", ".join(_methods_at(request))
    return problem_response(request.scope, code, text, status=known.status_code, headers=headers)


def _methods_at(request: Request) -> list[str]:
    """Every method that some route answers at this path (RFC 9110, 15.5.6); the framework names those of one only."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)


async def _answer_coded_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an error of ours; one whose code is not in the table is a fault of the service, and is raised on."""
    code = cast(CodedError, error).code
    if code not in STATUS_OF:
        raise error
    headers = {"Retry-After": "1"} if STATUS_OF[code] == 503 else None
    errors = _errors_in(error, code)
    known = getattr(error, "known", None)
    return problem_response(request.scope, code, str(error), errors=errors, known=known, headers=headers)


def _errors_in(error: Exception, code: str) -> list[dict[str, object]]:
    """What an error says in detail: its problems, or its place in a YAML text."""
    if code.startswith("yaml.") and getattr(error, "line", None) is not None:
        place = {"line": error.line, "column": error.column}  # type: ignore[attr-defined]  # asked for above
        return [{"part": "definition", "pointer": "", "message": str(error), "code": code, **place}]
    part = "inputs" if code == "workflow.invalid-inputs" else "definition"
    return [
        {
            "part": part,
            "pointer": each.path,
            "message": each.message,
            "code": each.code,
            **({"line": each.line, "column": each.column} if each.line is not None else {}),
        }
        for each in getattr(error, "problems", ())
    ]


def answer_with_problems(app: FastAPI, *roots: type[Exception]) -> None:
    """Make every error that leaves `app` a problem document; `roots` are the error trees that carry a `code`."""
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, _answer_http_error)
    for root in roots:
        app.add_exception_handler(root, _answer_coded_error)
