"""Forms of approvals: a flat subset of JSON Schema 2020-12, and whether an answer fits.

A form is `{type: object, properties: {name: field}, required: [name]}` of at most 100 fields. A field is

- a string: `minLength`, `maxLength`, `pattern` (see `_form_pattern`), `format` (email, uri, date, date-time);
- a choice: a string with `enum`, or with `oneOf` (or `anyOf`) of `{const, title}`;
- an integer or a number: `minimum`, `maximum`;
- a boolean;
- several choices: an array whose `items` are a choice: `minItems`, `maxItems`.

Each may have `title`, `description` and `default`. Pure: the same answer always has the same problems.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from maestro_workflow_engine._form_pattern import BadPattern, Pattern
from maestro_workflow_engine._json import JSON, json_faults, json_kind, pointer
from maestro_workflow_engine._problems import Problem, did_you_mean

MAX_FIELDS: Final = 100
MAX_CHOICES: Final = 1_000
MAX_TEXT: Final = 10_000
MAX_MATCHED: Final = 1_000
"""Characters of a text that a pattern is held against."""
MAX_ANSWER_BYTES: Final = 64 << 10

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_FORM_KEYS: Final = {"$schema", "type", "title", "description", "properties", "required", "additionalProperties"}
_SAID: Final = {"type", "title", "description", "default"}
_KEYS: Final = {
    "string": {*_SAID, "minLength", "maxLength", "pattern", "format", "enum", "enumNames", "oneOf", "anyOf"},
    "integer": {*_SAID, "minimum", "maximum"},
    "number": {*_SAID, "minimum", "maximum"},
    "boolean": _SAID,
    "array": {*_SAID, "items", "minItems", "maxItems", "uniqueItems"},
}
_ITEM_KEYS: Final = {"type", "enum", "oneOf", "anyOf"}


# --- whether a form is one ---


def check_form(form: object) -> list[Problem]:
    """Everything that keeps a value from being a form; `path` is the JSON Pointer in it."""
    if json_faults(form) or not isinstance(form, dict):
        return [_problem("", "form.wrong-type", "a form is an object of plain JSON: {type: object, properties: {…}}")]
    return list(_form_faults(form))


def _problem(path: str, code: str, message: str) -> Problem:
    return Problem(path, message, code)


def _form_faults(form: dict[str, JSON]) -> Iterator[Problem]:
    yield from _unknown("", form, _FORM_KEYS)
    if form.get("type") != "object":
        yield _problem("/type", "form.bad-value", "the type of a form is object")
    fields, required = form.get("properties", {}), form.get("required", [])
    if not isinstance(fields, dict) or len(fields) > MAX_FIELDS:
        yield _problem("/properties", "form.wrong-type", f"properties has from 0 to {MAX_FIELDS} fields, by name")
        return
    for name, field in fields.items():
        path = pointer("/properties", name)
        if not _NAME.fullmatch(name):
            yield _problem(path, "form.bad-name", "the name of a field is of letters, digits, '_', '.' and '-'")
        type_ = field.get("type") if isinstance(field, dict) else None
        if isinstance(field, dict) and isinstance(type_, str) and type_ in _KEYS:
            yield from _field_faults(path, type_, field)
        else:
            types = ", ".join(_KEYS)
            yield _problem(path, "form.wrong-type", f"a field is an object with a type that is one of {types}")
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        yield _problem("/required", "form.wrong-type", "required is a list of names of fields")
        return
    for place, needed in enumerate(map(str, required)):
        if needed not in fields:
            message = f"there is no field {needed[:64]!r}{did_you_mean(needed, fields)}"
            yield _problem(f"/required/{place}", "form.unknown-field", message)


def _unknown(path: str, shape: Mapping[str, JSON], known: set[str]) -> Iterator[Problem]:
    for key in shape:
        if key not in known:
            message = f"forms have no {key[:64]!r} here{did_you_mean(key, sorted(known))}"
            yield _problem(pointer(path, key), "form.unknown-key", message)


def _field_faults(path: str, type_: str, field: dict[str, JSON]) -> Iterator[Problem]:
    yield from _unknown(path, field, _KEYS[type_])
    for key in ("title", "description"):
        if not isinstance(field.get(key, ""), str):
            yield _problem(f"{path}/{key}", "form.wrong-type", "a text was expected")
    faults: list[Problem] = []
    for low, high, may_be in _BOUNDS[type_]:
        faults += _bound_faults(path, field, low, high, may_be)
    if type_ == "string":
        faults += _text_faults(path, field)
    elif type_ == "array":
        faults += _array_faults(path, field)
    yield from faults
    if "default" in field and not faults:
        for problem in _value_problems(f"{path}/default", field, field["default"]):
            yield _problem(problem.path, "form.bad-default", f"the default does not fit the field: {problem.message}")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_TEXT


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_BOUNDS: Final[dict[str, tuple[tuple[str, str, Callable[[object], bool]], ...]]] = {
    "string": (("minLength", "maxLength", _is_count),),
    "integer": (("minimum", "maximum", _is_number),),
    "number": (("minimum", "maximum", _is_number),),
    "boolean": (),
    "array": (("minItems", "maxItems", _is_count),),
}


def _bound_faults(
    path: str, field: dict[str, Any], low: str, high: str, may_be: Callable[[object], bool]
) -> Iterator[Problem]:
    bad = [key for key in (low, high) if key in field and not may_be(field[key])]
    for key in bad:
        expected = "a number" if may_be is _is_number else f"a whole number from 0 to {MAX_TEXT}"
        yield _problem(f"{path}/{key}", "form.bad-value", f"{key} is {expected}")
    if not bad and low in field and high in field and field[low] > field[high]:
        yield _problem(f"{path}/{high}", "form.contradiction", f"{high} is less than {low}")


def _text_faults(path: str, field: dict[str, JSON]) -> Iterator[Problem]:
    yield from _choice_faults(path, field, is_needed=False)
    format_ = field.get("format", "date")
    if not isinstance(format_, str) or format_ not in _FORMATS:
        message = f"format is one of {', '.join(_FORMATS)}"
        yield _problem(f"{path}/format", "form.bad-value", message)
    pattern = field.get("pattern", "")
    try:
        if not isinstance(pattern, str):
            raise BadPattern("pattern is a text")
        Pattern(pattern)
    except BadPattern as error:
        yield _problem(f"{path}/pattern", "form.bad-pattern", str(error))


def _choice_faults(path: str, shape: dict[str, JSON], *, is_needed: bool) -> Iterator[Problem]:
    given = [key for key in ("enum", "oneOf", "anyOf") if key in shape]
    if not given and not is_needed:
        return
    if len(given) != 1:
        yield _problem(path, "form.bad-choice", "the choices are given by one of enum, oneOf and anyOf")
        return
    choices = _choices(shape)
    is_sound = bool(choices) and len(choices) <= MAX_CHOICES and len(set(choices)) == len(choices)
    if not is_sound or len(choices) != len(shape[given[0]]):  # type: ignore[arg-type]  # a list, or there are no choices
        kind = "texts" if given[0] == "enum" else "objects {const: text, title: text}"
        message = f"{given[0]} is a list of 1 to {MAX_CHOICES} different {kind}"
        yield _problem(f"{path}/{given[0]}", "form.bad-choice", message)
    names = shape.get("enumNames", choices)
    if not isinstance(names, list) or len(names) != len(choices) or not all(isinstance(name, str) for name in names):
        yield _problem(f"{path}/enumNames", "form.bad-choice", "enumNames has a text for each value of enum")


def _choices(shape: Mapping[str, JSON]) -> list[str]:
    """The values that may be chosen; those that are none are left out."""
    for key in ("enum", "oneOf", "anyOf"):
        members = shape.get(key)
        if isinstance(members, list):
            values = [member.get("const") if isinstance(member, dict) else member for member in members]
            return [value for value in values if isinstance(value, str)]
    return []


def _array_faults(path: str, field: dict[str, JSON]) -> Iterator[Problem]:
    items = field.get("items")
    if not isinstance(items, dict) or items.get("type", "string") != "string":
        yield _problem(
            f"{path}/items", "form.wrong-type", "the items of an array are a choice: {type: string, enum: […]}"
        )
        return
    yield from _unknown(f"{path}/items", items, _ITEM_KEYS)
    yield from _choice_faults(f"{path}/items", items, is_needed=True)
    if not isinstance(field.get("uniqueItems", True), bool):
        yield _problem(f"{path}/uniqueItems", "form.wrong-type", "uniqueItems is true or false")


# --- whether an answer fits ---


def form_problems(form: Mapping[str, Any], data: object, *, is_partial: bool = False) -> list[Problem]:
    """What is wrong with the data given for a checked form; `is_partial` lets required fields be left out."""
    if not isinstance(data, dict):
        return [_problem("", "answer.wrong-type", f"an object was expected, {json_kind(data)} came")]
    fields = form.get("properties", {})
    problems: list[Problem] = []
    for name in form.get("required", []) if not is_partial else []:
        if name not in data and "default" not in fields[name]:
            problems.append(_problem(pointer("", name), "answer.missing", "it is required"))
    for name, value in data.items():
        path = pointer("", str(name))
        if name in fields:
            problems += _value_problems(path, fields[name], value)
        else:
            hint = did_you_mean(str(name), fields)
            problems.append(_problem(path, "answer.unknown-field", f"the form has no field {str(name)[:64]!r}{hint}"))
    return problems


def filled(form: Mapping[str, Any], data: Mapping[str, JSON]) -> dict[str, JSON]:
    """The data with the defaults of the form in place of what was left out."""
    defaults = {name: field["default"] for name, field in form.get("properties", {}).items() if "default" in field}
    return {**defaults, **data}


def answer_problems(on: Mapping[str, JSON], value: object) -> list[Problem]:
    """What is wrong with `{approved, data, comment}` as the answer to an approval that waits `on` this.

    Whoever rejects need not fill in the form.
    """
    if not isinstance(value, dict) or not isinstance(value.get("approved"), bool):
        return [_problem("/approved", "answer.missing", "an answer is {approved: true or false, data, comment}")]
    if json_faults(value) or len(json.dumps(value)) > MAX_ANSWER_BYTES:
        return [_problem("", "answer.too-large", f"an answer is plain JSON of at most {MAX_ANSWER_BYTES >> 10} KiB")]
    problems = [
        _problem(pointer("", name), "answer.unknown-field", "an answer has approved, data and comment only")
        for name in value
        if name not in ("approved", "data", "comment")
    ]
    if not isinstance(value.get("comment"), str | None):
        problems.append(_problem("/comment", "answer.wrong-type", "a text was expected"))
    form = on.get("form")
    data = value.get("data")
    found = form_problems(
        form if isinstance(form, dict) else {}, {} if data is None else data, is_partial=not value["approved"]
    )
    return problems + [Problem(f"/data{problem.path}", problem.message, problem.code) for problem in found]


def _value_problems(path: str, field: Mapping[str, Any], value: object) -> list[Problem]:
    type_ = field["type"]
    if not _IS[type_](value):
        return [_problem(path, "answer.wrong-type", f"{_EXPECTED[type_]} was expected, {json_kind(value)} came")]
    return [_problem(path, "answer.bad-value", reason) for reason in _REASONS[type_](field, value)]


def _text_reasons(field: Mapping[str, Any], text: str) -> Iterator[str]:
    choices = _choices(field)
    if choices and text not in choices:
        yield f"{text[:64]!r} is none of the choices{did_you_mean(text, choices)}"
    least, most = field.get("minLength", 0), field.get("maxLength", MAX_TEXT)
    if not least <= len(text) <= most:
        yield f"it has {len(text)} characters, from {least} to {most} are possible"
        return
    pattern, format_ = field.get("pattern"), field.get("format")
    if format_ is not None and not _FORMATS[format_](text):
        yield f"it is no {format_}"
    if pattern is not None and len(text) > MAX_MATCHED:
        yield f"it has {len(text)} characters, and a text with a pattern at most {MAX_MATCHED}"
    elif pattern is not None and not Pattern(pattern).is_in(text):
        yield f"it does not fit the pattern {pattern}"


def _number_reasons(field: Mapping[str, Any], number: float) -> Iterator[str]:
    if "minimum" in field and number < field["minimum"]:
        yield f"it is less than {field['minimum']}"
    if "maximum" in field and number > field["maximum"]:
        yield f"it is more than {field['maximum']}"


def _array_reasons(field: Mapping[str, Any], values: list[Any]) -> Iterator[str]:
    choices = _choices(field["items"])
    for value in values:
        if not isinstance(value, str) or value not in choices:
            yield f"{str(value)[:64]!r} is none of the choices"
            return
    if len(set(values)) != len(values):
        yield "a choice is made twice"
    least, most = field.get("minItems", 0), field.get("maxItems", len(choices))
    if not least <= len(values) <= most:
        yield f"{len(values)} choices are made, from {least} to {most} are possible"


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_date_time(text: str) -> bool:
    try:
        return text[10:11] in ("T", "t") and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path)) and text.isprintable() and " " not in text


_FORMATS: Final[dict[str, Callable[[str], bool]]] = {
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "uri": _is_uri,
    "date": _is_date,
    "date-time": _is_date_time,
}
_IS: Final[dict[str, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and value == int(value),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
}
_EXPECTED: Final = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list of choices",
}
_REASONS: Final[dict[str, Callable[[Mapping[str, Any], Any], Iterator[str]]]] = {
    "string": _text_reasons,
    "integer": _number_reasons,
    "number": _number_reasons,
    "boolean": lambda field, value: iter(()),
    "array": _array_reasons,
}
