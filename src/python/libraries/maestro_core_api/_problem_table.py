"""What can go wrong, declared in one place: the stable code of each problem, its status, and what it means."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from maestro_core_api._errors import InvalidProblems

MEDIA_TYPE = "application/problem+json"
URN = "urn:maestro:problem:"

_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\.[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem; an empty title is made from the code, an empty description from the status.

    `part` is where its field problems lie when they do not say so themselves: body, query, header, inputs, …
    """

    status: int
    title: str = ""
    description: str = ""
    part: str = "body"


BUILT_IN: Mapping[str, ProblemType] = {
    "request.malformed": ProblemType(400, "Malformed request", "The request cannot be read."),
    "request.unauthenticated": ProblemType(401, "Unauthenticated", "Nobody is signed in with this request."),
    "request.forbidden": ProblemType(403, "Forbidden", "Whoever asks may not do this."),
    "request.untrusted-origin": ProblemType(403, "Untrusted origin", "Pages of this origin may not use the service."),
    "request.unknown-path": ProblemType(404, "Unknown path", "There is no such thing."),
    "request.method-not-allowed": ProblemType(405, "Method not allowed", "`Allow` says what is possible here."),
    "request.not-acceptable": ProblemType(406, "Not acceptable", "There is no form that `Accept` asks for."),
    "request.too-slow": ProblemType(408, "Request too slow", "The request did not arrive in time."),
    "request.conflict": ProblemType(409, "Conflict", "It is too late for that, or something stands against it."),
    "request.gone": ProblemType(410, "Gone", "It was here and will not come back."),
    "request.precondition-failed": ProblemType(
        412, "Precondition failed", "It is not in the state that was asked for."
    ),
    "request.body-too-large": ProblemType(413, "Body too large", "The body is larger than the limit."),
    "request.unsupported-media-type": ProblemType(415, "Unsupported media type", "The body is of no type taken here."),
    "request.untrusted-host": ProblemType(421, "Untrusted host", "The `Host` header names no host of this service."),
    "request.invalid": ProblemType(422, "Invalid request", "What was sent is wrong; `errors` says where."),
    "request.precondition-required": ProblemType(428, "Precondition required", "It has to be asked for in one state."),
    "request.too-many": ProblemType(429, "Too many requests", "Come back after `Retry-After` seconds."),
    "request.headers-too-large": ProblemType(
        431, "Headers too large", "Address and headers are larger than the limit."
    ),
    "request.refused": ProblemType(400, "Refused", "The request was refused."),
    "request.unknown-method": ProblemType(501, "Unknown method", "The service knows no such method at all."),
    "service.fault": ProblemType(500, "Fault", "Something went wrong here; the log has it under `request_id`."),
    "service.unavailable": ProblemType(503, "Unavailable", "Not now; try again later."),
    "service.too-slow": ProblemType(503, "Too slow", "The service did not begin to answer in time."),
    "request.idempotency-key-missing": ProblemType(400, "Idempotency-Key missing", "This call needs one.", "header"),
    "request.bad-idempotency-key": ProblemType(400, "Bad Idempotency-Key", "It is a text in double quotes.", "header"),
    "request.bad-cursor": ProblemType(400, "Bad cursor", "Begin the listing again without a cursor.", "query"),
    "request.bad-entity-tag": ProblemType(400, "Bad entity tag", "A list of tags, or `*`.", "header"),
    "request.idempotency-key-in-flight": ProblemType(409, "In flight", "The first request with this key still runs."),
    "request.body-too-large-for-key": ProblemType(413, "Body too large", "More than is taken with an Idempotency-Key."),
    "request.idempotency-key-reused": ProblemType(
        422, "Idempotency-Key reused", "It came with another payload before."
    ),
    "request.idempotency-unavailable": ProblemType(503, "Cannot keep the key", "Nothing was begun; try again later."),
}
"""What every service answers by itself; a table of yours adds to it."""


@dataclass(frozen=True, slots=True)
class DeclaredProblem:
    """One row of the table as it is published."""

    code: str
    type: str
    status: int
    title: str
    description: str
    part: str


class ProblemTable:
    """The status of each code: `ProblemTable({"order.not-found": 404, "order.closed": ProblemType(409, "Closed")})`.

    `type` on the wire is `base_uri` and the code. Raises InvalidProblems for what cannot be a code or a status of an
    error, and for a code that is mapped twice: those of BUILT_IN are taken.
    """

    def __init__(self, *mappings: Mapping[str, int | ProblemType], base_uri: str = URN) -> None:
        self.base_uri = base_uri
        self._declared: dict[str, DeclaredProblem] = {}
        faults = [fault for mapping in (BUILT_IN, *mappings) for fault in self._take(mapping)]
        if faults:
            raise InvalidProblems("; ".join(faults))

    def _take(self, mapping: Mapping[str, int | ProblemType]) -> Iterator[str]:
        for code, given in mapping.items():
            about = given if isinstance(given, ProblemType) else ProblemType(given)
            if not _CODE.fullmatch(code):
                yield f"{code!r} is no code: write room.what-is-wrong"
            elif isinstance(about.status, bool) or not 400 <= about.status < 600:
                yield f"{code} has the status {about.status}, which is not one of an error"
            elif code in self._declared:
                yield f"{code} is mapped twice"
            else:
                self._declared[code] = self._row(code, about)

    def _row(self, code: str, about: ProblemType) -> DeclaredProblem:
        title = about.title or code.replace(".", " ").replace("-", " ").capitalize()
        description = about.description or phrase(about.status)
        return DeclaredProblem(code, self.base_uri + code, about.status, title, description, about.part)

    def __contains__(self, code: object) -> bool:
        return code in self._declared

    def __getitem__(self, code: str) -> DeclaredProblem:
        return self._declared[code]

    def __iter__(self) -> Iterator[DeclaredProblem]:
        """Every problem, in the order of the codes."""
        return iter(sorted(self._declared.values(), key=lambda each: each.code))

    def of(self, error: BaseException) -> DeclaredProblem | None:
        """The problem that an error is, by its attribute `code`; None when that is not declared."""
        code = getattr(error, "code", None)
        return self._declared.get(code) if isinstance(code, str) else None


def for_status(problem: DeclaredProblem, status: int) -> DeclaredProblem:
    """The same problem under another status, for an error that says its own."""
    return problem if problem.status == status else replace(problem, status=status, title=phrase(status))


def phrase(status: int) -> str:
    """The name of a status; its class where it has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Server error" if status >= 500 else "Client error"


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with problems of these statuses."""
    return {status: {"description": _meaning(status), "content": problem_content()} for status in statuses}


def problem_content() -> dict[str, Any]:
    """The content of an answer in the OpenAPI document that is a problem."""
    return {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _meaning(status: int) -> str:
    """What a status means here, in the words of the first built-in problem that has it."""
    return next((each.description for each in BUILT_IN.values() if each.status == status), f"{phrase(status)}.")
