"""A dependency that lets a request through only if its caller knows what is there (RFC 9110, section 13)."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import Depends, HTTPException, Request, Response

from maestro_core_api._errors import PreconditionFailed, PreconditionRequired
from maestro_core_api._etag import ETag, Verdict, verdict
from maestro_core_api._problem_table import problems
from maestro_core_api._route_docs import RouteDocs, documented

_READS: Final = ("GET", "HEAD")
_WRITES: Final = ("DELETE", "PATCH", "POST", "PUT")
# ETags of latin-1 are read too; what is documented is what everybody can write.
_TAG_PATTERN: Final = r'(W/)?"[\x21\x23-\x7e]{1,64}"'
_TAGS_PATTERN: Final = rf"^(\*|{_TAG_PATTERN}(, {_TAG_PATTERN}){{0,9}})$"


def preconditions(
    current_etag: Callable[..., Any], *, required: bool = False
) -> Callable[[Request, Response, ETag | None], ETag | None]:
    """A dependency that compares If-Match and If-None-Match with the ETag of what is there now, and gives that.

    `current_etag` is a dependency that finds it: an ETag, or None where there is nothing yet. A read gets its `ETag`
    header, or 304. A write raises PreconditionFailed, or PreconditionRequired where `required` and it has no If-Match.
    It checks, it does not lock: a store that others write to has to compare the version in the write itself.
    """

    def checked(
        request: Request, response: Response, current: Annotated[ETag | None, Depends(current_etag)]
    ) -> ETag | None:
        if_match, if_none_match = _joined(request, "If-Match"), _joined(request, "If-None-Match")
        if required and if_match is None and request.method not in _READS:
            raise PreconditionRequired("send If-Match with the ETag of what you have read")
        found = verdict(request.method, if_match=if_match, if_none_match=if_none_match, current=current)
        tag = {} if current is None else {"ETag": str(current)}
        if found is Verdict.NOT_MODIFIED:
            raise HTTPException(304, headers=tag)
        if found is Verdict.FAILED:
            raise PreconditionFailed("it is not what you have read: read it again, then decide")
        if request.method in _READS:
            response.headers.update(tag)
        return current

    documented(checked, _READ_DOCS)
    return documented(checked, _write_docs(required))


def _joined(request: Request, name: str) -> str | None:
    """Several fields of one name are one list (RFC 9110, 5.3)."""
    values = request.headers.getlist(name)
    return ", ".join(values) if values else None


def _header(name: str, description: str, *, required: bool = False) -> dict[str, Any]:
    schema = {"type": "string", "pattern": _TAGS_PATTERN, "format": "entity-tags"}
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


ETAG_DOC: Final = {"description": "The version of what was answered.", "schema": {"type": "string"}}
_READ_DOCS: Final = RouteDocs(
    parameters=(_header("If-None-Match", "304 without a body if it is still one of these."),),
    answers={304: {"description": "It is still what the caller has."}, **problems(400, 412)},
    headers={"200": {"ETag": ETAG_DOC}, "304": {"ETag": ETAG_DOC}},
    methods=_READS,
)


def _write_docs(required: bool) -> RouteDocs:
    header = _header("If-Match", "The ETag of what the caller has read, or *.", required=required)
    answers = problems(400, 412, 428) if required else problems(400, 412)
    return RouteDocs(parameters=(header,), answers=answers, methods=_WRITES)
