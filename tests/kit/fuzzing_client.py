"""What a client knows that no schema can say, as hooks of Schemathesis.

A key is new for each request, a version is the one that was last read, a cursor is one that was given out. Headers and
queries that are meant to be wrong, and those that are left out, are sent as they were made.
"""

import itertools
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.parameters import ParameterLocation

_keys = itertools.count(1)
_etags: dict[tuple[str, str], str] = {}
_cursors: set[str] = set()


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Put in what this client knows, where the request has such a thing at all."""
    if case.meta is None:
        return
    if not case.meta.is_negative_at(ParameterLocation.HEADER):
        if "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = f'"fuzzing-{next(_keys)}"'
        if "If-Match" in case.headers:
            case.headers["If-Match"] = _etags.get(_thing(case), "*")
    if not case.meta.is_negative_at(ParameterLocation.QUERY) and case.query.get("cursor") not in _cursors:
        case.query.pop("cursor", None)


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    """Remember versions and cursors."""
    if "etag" in response.headers:
        _etags[_thing(case)] = response.headers["etag"][0]
    if response.status_code == 200 and "json" in response.headers.get("content-type", [""])[0]:
        body = response.json()
        if isinstance(body, dict) and isinstance(body.get("next_cursor"), str):
            _cursors.add(body["next_cursor"])


def _thing(case: Case[Any]) -> tuple[str, str]:
    return case.formatted_path, case.auth_identity or ""
