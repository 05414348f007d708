"""Reads the declared inputs of a definition document."""

import re
from collections.abc import Iterator
from typing import get_args

from maestro_workflow_engine._definition import MISSING, InputSpec, InputType, Missing
from maestro_workflow_engine._inputs import value_faults
from maestro_workflow_engine._json import JSON, json_equal, json_kind, pointer
from maestro_workflow_engine._report import Report

INPUT_KEYS = ("type", "default", "description", "enum")
INPUT_TYPES: tuple[InputType, ...] = get_args(InputType)
INPUT_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}\Z")
MAX_CHOICES = 1000

_NAME_RULE = "letters, digits and '_', begins with a letter or '_', and has at most 64 characters"


def read_inputs(report: Report, raw: JSON) -> dict[str, InputSpec]:
    """The declared inputs; one that cannot be read is reported and still known by its name."""
    if not isinstance(raw, dict):
        report.add("/inputs", "wrong-type", f"inputs is a mapping from name to {{type: …}}, not {json_kind(raw)}")
        return {}
    return {name: _read_input(report, name, member) for name, member in raw.items()}


def _read_input(report: Report, name: str, raw: JSON) -> InputSpec:
    path = pointer("/inputs", name)
    if not INPUT_NAME.match(name):
        message = f"the name {name[:80]!r} will not do: it holds {_NAME_RULE}"
        report.add(path, "bad-id", message, at_key=True)
    if not isinstance(raw, dict):
        report.add(path, "wrong-type", f"an input is a mapping such as {{type: string}}, not {json_kind(raw)}")
        return InputSpec("string")
    report.check_keys(path, raw, INPUT_KEYS, "an input")
    description = raw.get("description")
    if description is not None and not isinstance(description, str):
        report.add(f"{path}/description", "wrong-type", f"description is a string, not {json_kind(description)}")
        description = None
    default: JSON | Missing = raw.get("default", MISSING)
    kind = _read_type(report, path, raw)
    if kind is None:
        return InputSpec("string", default, description)
    enum = _read_enum(report, f"{path}/enum", kind, raw["enum"]) if "enum" in raw else None
    spec = InputSpec(kind, default, description, enum)
    if default is not MISSING:
        _report_faults(report, f"{path}/default", spec, default)
    return spec


def _read_type(report: Report, path: str, raw: dict[str, JSON]) -> InputType | None:
    kind = raw.get("type")
    if kind in INPUT_TYPES:
        return kind
    known = f"it is one of {', '.join(INPUT_TYPES)}"
    if "type" not in raw:
        report.add(path, "missing-key", f"the input has no 'type': {known}")
    elif isinstance(kind, str):
        report.add(
            f"{path}/type", "bad-value", f"there is no type {kind[:64]!r}{report.hint(kind, INPUT_TYPES)}: {known}"
        )
    else:
        report.add(f"{path}/type", "wrong-type", f"type is a string, not {json_kind(kind)}: {known}")
    return None


def _read_enum(report: Report, path: str, kind: InputType, raw: JSON) -> tuple[JSON, ...] | None:
    if not isinstance(raw, list) or not 1 <= len(raw) <= MAX_CHOICES:
        report.add(path, "wrong-type", f"enum is a list of 1 to {MAX_CHOICES:,} values")
        return None
    spec = InputSpec(kind)
    for place, choice in enumerate(raw):
        _report_faults(report, f"{path}/{place}", spec, choice)
        if any(json_equal(choice, earlier) for earlier in raw[:place]):
            report.add(f"{path}/{place}", "duplicate", "this value comes twice: remove one")
    return tuple(raw)


def _report_faults(report: Report, path: str, spec: InputSpec, value: JSON) -> None:
    for below, code, message in value_faults(spec, value):
        report.add(path + below, code, message)
    for below in _expressions_in(value, ""):
        report.add(path + below, "bad-value", "an expression is not worked out here: put it where the input is used")


def _expressions_in(value: JSON, path: str) -> Iterator[str]:
    if isinstance(value, str):
        if "${{" in value:
            yield path
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _expressions_in(item, f"{path}/{place}")
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _expressions_in(member, pointer(path, key))
