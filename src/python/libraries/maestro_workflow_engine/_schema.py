"""The shape of a definition document as JSON Schema, for editors, forms and other programs."""

from typing import Any

from maestro_workflow_engine._parse import MAX_NAME_CHARS, MAX_STEPS, RESERVED
from maestro_workflow_engine._parse_inputs import INPUT_TYPES, MAX_CHOICES
from maestro_workflow_engine._parse_steps import (
    MAX_ATTEMPTS,
    MAX_DELAY_S,
    MAX_MULTIPLIER,
    MAX_PARALLEL,
    MAX_TIMEOUT_S,
)

_NAME = "^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$"
_INPUT_NAME = "^[a-zA-Z_][a-zA-Z0-9_]{0,63}$"
_TITLE = (r"^\S(.*\S)?$", r"^(?!.*\$\{\{)")
_EXPRESSION = {"type": "string", "pattern": r"^\$\{\{[\s\S]*\}\}$", "description": "Exactly one ${{ … }}."}


def definition_schema() -> dict[str, Any]:
    """A new JSON Schema (2020-12) of a definition document.

    It says what the parts look like; what they say about each other (unknown steps, cycles, expressions) is for
    parse_definition.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Maestro workflow definition",
        "type": "object",
        "required": ["name", "steps"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "maxLength": MAX_NAME_CHARS, "allOf": [{"pattern": p} for p in _TITLE]},
            "description": {"type": ["string", "null"]},
            "inputs": {
                "description": "What a start may give, by name; required unless there is a default.",
                "type": "object",
                "propertyNames": {"pattern": _INPUT_NAME},
                "additionalProperties": {"$ref": "#/$defs/input"},
            },
            "tools": {
                "description": "Sources of tools, by name.",
                "type": "object",
                "propertyNames": {"pattern": _NAME},
                "additionalProperties": {"type": "object"},
            },
            "steps": {
                "description": "The steps, by id.",
                "type": "object",
                "minProperties": 1,
                "maxProperties": MAX_STEPS,
                "propertyNames": {"pattern": _NAME, "not": {"enum": sorted(RESERVED)}},
                "additionalProperties": {"$ref": "#/$defs/step"},
            },
            "outputs": {
                "description": "What the workflow gives back, by name; values may hold ${{ … }}.",
                "type": "object",
                "propertyNames": {"pattern": _NAME},
            },
        },
        "$defs": {"input": _input(), "step": _step(), "retry": _retry(), "map": _map()},
    }


def _input() -> dict[str, Any]:
    typed = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {
                "properties": {
                    "default": {"anyOf": [{"type": name}, {"type": "null"}]},
                    "enum": {"items": {"type": name}},
                }
            },
        }
        for name in INPUT_TYPES
    ]
    return {
        "type": "object",
        "required": ["type"],
        "additionalProperties": False,
        "properties": {
            "type": {"enum": list(INPUT_TYPES)},
            "default": {"description": "Taken when a start does not give the input; null lets it be null."},
            "description": {"type": ["string", "null"]},
            "enum": {"type": "array", "minItems": 1, "maxItems": MAX_CHOICES, "uniqueItems": True},
        },
        "allOf": typed,
    }


def _step() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["kind"],
        "additionalProperties": False,
        "properties": {
            "kind": {"type": "string", "pattern": _NAME, "description": "Which step kind runs it."},
            "with": {"type": "object", "description": "Arguments of the step kind; values may hold ${{ … }}."},
            "needs": {
                "description": "Steps to wait for, beside those that expressions read.",
                "type": "array",
                "items": {"type": "string"},
                "uniqueItems": True,
            },
            "when": {"description": "The step is skipped when false.", "anyOf": [{"type": "boolean"}, _EXPRESSION]},
            "retry": {"anyOf": [_integer(MAX_ATTEMPTS), {"$ref": "#/$defs/retry"}]},
            "timeout_s": {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT_S},
            "map": {"$ref": "#/$defs/map"},
        },
    }


def _retry() -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "max_attempts": _integer(MAX_ATTEMPTS),
            "initial_delay_s": {"type": "number", "minimum": 0, "maximum": MAX_DELAY_S},
            "multiplier": {"type": "number", "minimum": 1, "maximum": MAX_MULTIPLIER},
            "max_delay_s": {"type": "number", "minimum": 0, "maximum": MAX_DELAY_S},
            "jitter": {"type": "number", "minimum": 0, "maximum": 1},
        },
    }


def _map() -> dict[str, Any]:
    return {
        "description": "One run per item: ${{ item }}, ${{ index }}; the output is the list of outputs in item order.",
        "type": "object",
        "required": ["items"],
        "additionalProperties": False,
        "properties": {"items": {"anyOf": [{"type": "array"}, _EXPRESSION]}, "max_parallel": _integer(MAX_PARALLEL)},
    }


def _integer(most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": most}
