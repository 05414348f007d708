"""Checks the inputs of one start against their declarations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from maestro_workflow_engine._errors import InvalidInputs
from maestro_workflow_engine._json import JSON, json_equal, json_faults, json_kind, plain_copy, pointer
from maestro_workflow_engine._problems import Problem, did_you_mean

if TYPE_CHECKING:
    from maestro_workflow_engine._definition import InputSpec

_MAX_PROBLEMS = 100
_SHOWN_CHOICES = 8
_ARTICLES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "array": "an array",
    "object": "an object",
}


def resolved_inputs(specs: Mapping[str, InputSpec], given: object) -> dict[str, JSON]:
    """Copies of the given inputs, defaults filled in; raises InvalidInputs with all problems."""
    problems: list[Problem] = []
    for problem in _problems(specs, given):
        problems.append(problem)
        if len(problems) == _MAX_PROBLEMS:
            break
    if problems or not isinstance(given, Mapping):
        raise InvalidInputs(problems)
    return {name: plain_copy(given.get(name, spec.default)) for name, spec in specs.items()}


def _problems(specs: Mapping[str, InputSpec], given: object) -> Iterator[Problem]:
    if not isinstance(given, Mapping):
        yield Problem("", f"inputs are an object from name to value, not {json_kind(given)}", "inputs.wrong-type")
        return
    for name, spec in specs.items():
        path = pointer("", name)
        if name in given:
            for below, code, message in value_faults(spec, given[name]):
                yield Problem(path + below, message, f"inputs.{code}")
        elif spec.is_required:
            yield Problem(path, f"input {name!r} is required: give {_ARTICLES[spec.type]}", "inputs.required")
    for name in given:
        if not isinstance(name, str):
            yield Problem("", f"an input's name is a string, not {json_kind(name)}", "inputs.wrong-type")
        elif json_faults(name):
            yield Problem(
                "", "an input's name holds half of a surrogate pair, which is not valid text", "inputs.not-json"
            )
        elif name not in specs:
            known = f"there are {', '.join(specs)}" if specs else "this workflow takes none"
            message = f"there is no input {name[:64]!r}{did_you_mean(name, specs)}: {known}"
            yield Problem(pointer("", name), message, "inputs.unknown")


def value_faults(spec: InputSpec, value: object) -> Iterator[tuple[str, str, str]]:
    """What keeps a value from being one of an input, as (pointer below it, code, message)."""
    if value is None and spec.default is None:
        return
    faults = json_faults(value)
    if faults:
        yield from ((below, "not-json", f"this {fault}") for below, fault in faults)
    elif not has_type(spec.type, value):
        yield "", "wrong-type", f"expected {_ARTICLES[spec.type]}, not {_shown_kind(spec.type, value)}"
    elif spec.enum is not None and not any(json_equal(value, choice) for choice in spec.enum):
        yield "", "not-in-enum", f"expected one of {_choices(spec.enum)}"


def has_type(name: str, value: object) -> bool:
    """Whether a value has a declared type; true is no integer, and 1.0 is a number but no integer."""
    if name == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    python_type = {"string": str, "boolean": bool, "array": list, "object": dict}[name]
    return isinstance(value, python_type)


def _shown_kind(wanted: str, value: object) -> str:
    if wanted == "integer" and isinstance(value, float):
        return "a number with a fraction or exponent"
    if wanted in ("integer", "number", "boolean") and isinstance(value, str):
        return "a string: write it without quotes"
    return json_kind(value)


def _choices(enum: Sequence[JSON]) -> str:
    shown = ", ".join(json.dumps(choice, ensure_ascii=False)[:60] for choice in enum[:_SHOWN_CHOICES])
    return f"{shown} …" if len(enum) > _SHOWN_CHOICES else shown
