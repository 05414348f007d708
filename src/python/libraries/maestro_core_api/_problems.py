"""Every error that leaves an app becomes a problem: those with a declared code, the framework's own, and faults."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maestro_core_api._problem import DEFAULT_PROBLEMS, MAX_FIELD_PROBLEMS, coded_response, pointer, problem_response
from maestro_core_api._problem_table import BUILT_IN, ProblemTable, for_status, phrase
from maestro_core_logging import get_logger

METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")

_log = get_logger("maestro_core_api")
_CODE_OF_STATUS = {BUILT_IN[code].status: code for code in reversed(list(BUILT_IN))}  # the first code of each status


class Problems:
    """Answers every error of the app inside; one that comes after the answer has begun is raised on."""

    def __init__(self, app: ASGIApp, *, table: ProblemTable = DEFAULT_PROBLEMS) -> None:
        self._app = app
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = False

        async def send_noted(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:
            if began:  # cutting the answer off is all that can still tell the client
                _log.exception("http.answer_broken", method=scope["method"], path=scope["path"])
                raise
            await answer_to(scope, error, self._table)(scope, receive, send)


def answer_with_problems(app: FastAPI, table: ProblemTable) -> None:
    """Let the framework's own errors become problems where it would answer them itself."""

    async def answer(request: Request, error: Exception) -> Response:
        return answer_to(request.scope, error, table)

    app.add_exception_handler(HTTPException, answer)
    app.add_exception_handler(RequestValidationError, answer)


def answer_to(scope: Scope, error: Exception, table: ProblemTable) -> Response:
    """The answer for an error; what nobody declared is a fault, logged here and without a word of it to the client."""
    if isinstance(error, RequestValidationError):
        return _invalid(scope, error, table)
    if isinstance(error, HTTPException):
        return _http_error(scope, error, table)
    problem = table.of(error)
    if problem is not None:
        if problem.status >= 500:
            _log.warning("http.request_refused", path=scope["path"], code=problem.code, reason=str(error))
        return coded_response(scope, problem, error)
    _log.error("http.request_failed", method=scope["method"], path=scope["path"], exc_info=error)
    fault = table["service.fault"]
    return problem_response(scope, fault, fault.description)


def _invalid(scope: Scope, error: RequestValidationError, table: ProblemTable) -> Response:
    found = error.errors()
    errors = [_field_problem(each) for each in found[:MAX_FIELD_PROBLEMS]]
    if found and found[0]["type"] == "json_invalid":
        return problem_response(scope, table["request.malformed"], "The body is not JSON.", errors=errors)
    return problem_response(scope, table["request.invalid"], "The request does not have its shape.", errors=errors)


def _field_problem(found: Mapping[str, Any]) -> dict[str, object]:
    place, message = pointer(found["loc"][1:]), found["msg"].removeprefix("Value error, ")
    if found["type"] == "json_invalid":  # its place is a character and no part of any data
        place, message = "", f"{found['ctx']['error']} (at character {found['loc'][1] + 1})"
    return {"part": str(found["loc"][0]), "pointer": place, "message": message, "code": found["type"].replace("_", "-")}


def _http_error(scope: Scope, error: HTTPException, table: ProblemTable) -> Response:
    status = error.status_code
    if not 400 <= status < 600:  # the framework's way to answer without a body, 304 for one
        return Response(status_code=status, headers=error.headers)
    if status == 405:
        return _wrong_method(scope, table)
    code = _CODE_OF_STATUS.get(status, "service.fault" if status >= 500 else "request.refused")
    problem = for_status(table[code], status)
    return problem_response(scope, problem, _detail(scope, error, problem.description), headers=error.headers)


def _detail(scope: Scope, error: HTTPException, meaning: str) -> str:
    """What the error says; the framework's bare phrase, and its word for a body it cannot read, are put in words."""
    match error.__cause__:
        case UnicodeDecodeError(start=start):
            return f"The body is not UTF-8: byte {start + 1} cannot be read."
        case RecursionError():
            return "The body is nested too deeply."
        case ClientDisconnect():
            return "The client left before its request was complete."
        case ValueError() if error.status_code == 400:
            return "A number in the body has too many digits."
    if error.status_code == 404 and error.detail == phrase(404):
        return f"Nothing is at {scope['path']}."
    return error.detail if isinstance(error.detail, str) and error.detail != phrase(error.status_code) else meaning


def _wrong_method(scope: Scope, table: ProblemTable) -> Response:
    """405 and what is possible instead; 204 for who only asks that, 501 for a method that is none (RFC 9110, 9.1)."""
    method, headers = scope["method"], {"Allow": ", ".join(_methods_at(scope))}
    if method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    if method not in METHODS:
        return problem_response(scope, table["request.unknown-method"], f"There is no method {method[:40]}.")
    return problem_response(
        scope, table["request.method-not-allowed"], f"{method} is not possible here.", headers=headers
    )


def _methods_at(scope: Scope) -> list[str]:
    """Every method that some route answers at this path (RFC 9110, 15.5.6); the framework names those of one only."""
    routes: list[BaseRoute] = scope["app"].routes

    def answers(method: str) -> bool:
        return any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)

    found = {method for method in METHODS if answers(method)}
    return sorted(found | {"HEAD"} if "GET" in found else found)
