"""What a change of the contract breaks for those who keep to the old one."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from maestro_core_api._compatibility_schemas import Comparison, Reason, properties, resolved
from maestro_core_api._contract import METHODS

Document = Mapping[str, Any]


def breaking_changes(old: Document, new: Document) -> list[str]:
    """What in `new` may break a client that keeps to `old`, both OpenAPI 3.1 documents; empty when nothing does.

    Told are: an operation, parameter, field, media type, success status or answer header that is gone; a parameter or
    field that is new and required; a request value that is no longer taken and an answer value that was not possible
    before; sign-in where none was needed. Not seen: what the documents do not say (meaning, order, defaults, speed),
    new names of operations and shapes, and new optional fields in answers, which clients have to pass over.
    """
    return list(_Differences(old, new).all())


class _Differences:
    def __init__(self, old: Document, new: Document) -> None:
        self._old = old
        self._new = new
        self._taken = Comparison(wide_document=new, narrow_document=old)
        self._given = Comparison(wide_document=old, narrow_document=new)

    def all(self) -> Iterator[str]:
        new_paths = {_shape(path): (path, item) for path, item in self._new.get("paths", {}).items()}
        for path, old_item in self._old.get("paths", {}).items():
            new_path, new_item = new_paths.get(_shape(path), (path, {}))
            for method in METHODS:
                if method in old_item:
                    name = f"{method.upper()} {path}"
                    if method not in new_item:
                        yield f"{name}: the operation is gone"
                        continue
                    old = _operation(old_item, method, path, self._old)
                    new = _operation(new_item, method, new_path, self._new)
                    yield from (f"{name}: {change}" for change in self._operation(old, new))

    def _operation(self, old: Document, new: Document) -> Iterator[str]:
        yield from self._parameters(old["parameters"], new["parameters"])
        yield from self._body(old.get("requestBody"), new.get("requestBody"))
        yield from self._responses(old.get("responses", {}), new.get("responses", {}))
        yield from self._security(old, new)

    def _parameters(self, old: Document, new: Document) -> Iterator[str]:
        for key, parameter in new.items():
            if parameter.get("required") and not old.get(key, {}).get("required"):
                yield f"{_named(parameter)} is required now"
        for key, parameter in old.items():
            if key not in new:
                yield f"{_named(parameter)} is gone"
            else:
                reasons = self._taken.reasons(new[key].get("schema", True), parameter.get("schema", True))
                yield from _told(_named(parameter), reasons, "no longer takes")

    def _body(self, old: Document | None, new: Document | None) -> Iterator[str]:
        before = resolved(old, self._old) if old is not None else {}
        after = resolved(new, self._new) if new is not None else {}
        if after.get("required") and not before.get("required"):
            yield "a body is required now"
        if old is not None and new is None:
            yield "the body is gone"
            return
        contents = after.get("content", {})
        for media_type, content in before.get("content", {}).items():
            if media_type not in contents:
                yield f"a body of {media_type} is no longer taken"
                continue
            before_schema, after_schema = content.get("schema", True), contents[media_type].get("schema", True)
            yield from _told("the body", self._taken.reasons(after_schema, before_schema), "no longer takes")
            for name in self._lost(before_schema, self._old, after_schema, self._new):
                yield f"the body: {name} is gone"

    def _responses(self, old: Document, new: Document) -> Iterator[str]:
        for status, answer in old.items():
            if status not in new:
                if status[0] in "123":
                    yield f"it no longer answers {status}"
                continue
            before, after = resolved(answer, self._old), resolved(new[status], self._new)
            for header in before.get("headers", {}):
                if header.lower() not in {name.lower() for name in after.get("headers", {})}:
                    yield f"{status}: the header {header} is gone"
            contents = after.get("content", {})
            for media_type, content in before.get("content", {}).items():
                if media_type not in contents:
                    yield f"{status}: {media_type} is gone"
                else:
                    yield from self._answer(
                        status, content.get("schema", True), contents[media_type].get("schema", True)
                    )

    def _answer(self, status: str, old: object, new: object) -> Iterator[str]:
        yield from _told(status, self._given.reasons(old, new), "may now hold")
        for name in self._lost(old, self._old, new, self._new):
            yield f"{status}: {name} is gone"

    def _lost(self, old: object, old_document: Document, new: object, new_document: Document) -> Iterator[str]:
        """Pointers to the properties that the new schema does not name any more, each shape looked at once."""
        seen: set[tuple[str, str]] = set()
        waiting: list[tuple[str, object, object]] = [("", old, new)]
        while waiting:
            place, before, after = waiting.pop(0)
            pair = (json.dumps(before, sort_keys=True), json.dumps(after, sort_keys=True))
            if pair in seen:
                continue
            seen.add(pair)
            was, now = properties(before, old_document), properties(after, new_document)
            for name, schema in was.items():
                if name in now:
                    waiting.append((f"{place}/{name}", schema, now[name]))
                elif now:
                    yield f"{place}/{name}"

    def _security(self, old: Document, new: Document) -> Iterator[str]:
        before = [set(each) for each in old.get("security", self._old.get("security", []))] or [set()]
        after = [set(each) for each in new.get("security", self._new.get("security", []))] or [set()]
        if not all(any(enough <= had for enough in after) for had in before):
            yield f"it asks for another sign-in: {' or '.join(' and '.join(sorted(each)) for each in after)}"


def _operation(item: Document, method: str, path: str, document: Document) -> Document:
    """The operation with its parameters by place and name; those of the path by their order in it."""
    order = re.findall(r"{([^}]*)}", path)
    listed = [resolved(each, document) for each in [*item.get("parameters", ()), *item[method].get("parameters", ())]]
    return {**item[method], "parameters": {_key(each, order): each for each in listed}}


def _key(parameter: Document, order: Sequence[str]) -> tuple[str, str]:
    place, name = parameter.get("in", ""), parameter.get("name", "")
    if place == "path" and name in order:
        return place, str(order.index(name))
    return place, name.lower() if place == "header" else name


def _shape(path: str) -> str:
    """The path without the names of its parameters, which nobody sends."""
    return re.sub(r"{[^}]*}", "{}", path)


def _named(parameter: Document) -> str:
    return f"the {parameter.get('in')} parameter {parameter.get('name')}"


def _told(what: str, reasons: Sequence[Reason], verb: str) -> Iterator[str]:
    """The reasons in words, for what is sent (`no longer takes`) or for what is answered (`may now hold`)."""
    is_sent = verb == "no longer takes"
    words = {
        "absence": "is required now" if is_sent else "may now be missing",
        "presence": "is no longer taken" if is_sent else "may now be there",
    }
    for reason in reasons:
        place = f"{what}: {reason.pointer}" if reason.pointer else what
        yield f"{place} {words.get(reason.text) or f'{verb} {reason.text}'}"
