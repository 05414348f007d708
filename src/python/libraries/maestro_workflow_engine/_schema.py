"""The shape of a definition document as JSON Schema, for editors, forms and other programs."""

from typing import Any

from maestro_workflow_engine._definition import UNITS
from maestro_workflow_engine._parse import MAX_STEPS, RESERVED
from maestro_workflow_engine._parse_flow import (
    MAX_ATTEMPTS,
    MAX_DELAY_S,
    MAX_ITERATIONS,
    MAX_JOINED,
    MAX_LIMITS,
    MAX_MULTIPLIER,
    MAX_PARALLEL,
    MAX_RATE,
    MIN_RATE_PER_S,
)
from maestro_workflow_engine._parse_inputs import INPUT_TYPES, MAX_CHOICES
from maestro_workflow_engine._parse_settings import MAX_PRIORITY, WHEN_FULL
from maestro_workflow_engine._parse_steps import CHILD_KIND, COMPENSATE_KEYS, ON_ERROR
from maestro_workflow_engine._parse_values import MAX_AMOUNT, MAX_TIMEOUT_S, MAX_TITLE_CHARS

_NAME = "^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$"
_INPUT_NAME = "^[a-zA-Z_][a-zA-Z0-9_]{0,63}$"
_TITLE = {"type": "string", "maxLength": MAX_TITLE_CHARS, "pattern": r"^\S(.*\S)?$"}
_NO_EXPRESSION = {"pattern": r"^(?!.*\$\{\{)"}
_EXPRESSION = {"type": "string", "pattern": r"^\$\{\{[\s\S]*\}\}$", "description": "Exactly one ${{ … }}."}
_AMOUNT = {"type": "number", "minimum": 0, "maximum": MAX_AMOUNT}


def definition_schema() -> dict[str, Any]:
    """A new JSON Schema (2020-12) of a definition document.

    It says what the parts look like; what they say about each other (unknown steps, cycles, expressions) is for
    parse_definition.
    """
    properties = _definition_properties()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Maestro workflow definition",
        "type": "object",
        "required": ["name", "steps"],
        "additionalProperties": False,
        "properties": properties,
        "$defs": {
            "body": {
                "description": "The definition of a child workflow; its name is by default that of the step.",
                "type": "object",
                "required": ["steps"],
                "additionalProperties": False,
                "properties": {key: {"$ref": f"#/properties/{key}"} for key in properties},
            },
            "compensate": _compensate(),
            "concurrency": _concurrency(),
            "input": _input(),
            "join": _join(),
            "late_step": _late_step(),
            "limit": _limit(),
            "map": _map(),
            "repeat": _repeat(),
            "retry": _retry(),
            "step": _step(),
        },
    }


def _definition_properties() -> dict[str, Any]:
    return {
        "name": {**_TITLE, "allOf": [dict(_NO_EXPRESSION)]},
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
        "priority": {
            "description": "The highest goes first; 0 without it.",
            **_integer(MAX_PRIORITY, least=-MAX_PRIORITY),
        },
        "timeout_s": _timeout("How long all of it may take."),
        "concurrency": {"$ref": "#/$defs/concurrency"},
        "budget": _by_unit("What it may use up.", _AMOUNT),
        "steps": _block("The steps, by id.", "step"),
        "on_failure": _block("What runs when the steps have failed.", "late_step"),
        "finally": _block("What runs at the end in any case.", "late_step"),
        "outputs": {
            "description": "What the workflow gives back, by name; values may hold ${{ … }}.",
            "type": "object",
            "propertyNames": {"pattern": _NAME},
        },
    }


def _block(description: str, step: str) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "minProperties": 1,
        "maxProperties": MAX_STEPS,
        "propertyNames": {"pattern": _NAME, "not": {"enum": sorted(RESERVED)}},
        "additionalProperties": {"$ref": f"#/$defs/{step}"},
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
            "join": {"$ref": "#/$defs/join"},
            "when": {"description": "The step is skipped when false.", "anyOf": [{"type": "boolean"}, _EXPRESSION]},
            "map": {"$ref": "#/$defs/map"},
            "repeat": {"$ref": "#/$defs/repeat"},
            "retry": {"anyOf": [_integer(MAX_ATTEMPTS), {"$ref": "#/$defs/retry"}]},
            "timeout_s": _timeout("How long one attempt may take."),
            "on_error": {"description": "Whether the workflow goes on when it fails.", "enum": list(ON_ERROR)},
            "compensate": {"$ref": "#/$defs/compensate"},
            "limits": {
                "description": "Flow limits that its attempts count against.",
                "type": "array",
                "maxItems": MAX_LIMITS,
                "uniqueItems": True,
                "items": {"$ref": "#/$defs/limit"},
            },
            "cost": _by_unit("What one attempt reserves of the budget.", {"anyOf": [_AMOUNT, _EXPRESSION]}),
            "body": {"$ref": "#/$defs/body"},
        },
        **_with_body(),
    }


def _with_body() -> dict[str, Any]:
    """A step with a body is of one kind, and hands over inputs only."""
    inputs = {"anyOf": [{"type": "object"}, _EXPRESSION]}
    return {
        "if": {"required": ["body"]},
        "then": {
            "properties": {
                "kind": {"const": CHILD_KIND},
                "with": {"additionalProperties": False, "properties": {"inputs": inputs}},
            }
        },
        "else": {"required": ["kind"]},
    }


def _late_step() -> dict[str, Any]:
    """A step that nothing undoes."""
    keys = [key for key in _step()["properties"] if key != "compensate"]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: {"$ref": f"#/$defs/step/properties/{key}"} for key in keys},
        **_with_body(),
    }


def _compensate() -> dict[str, Any]:
    return {
        "description": "What undoes the step when the workflow fails or is cancelled after it.",
        "type": "object",
        "required": ["kind"],
        "additionalProperties": False,
        "properties": {key: {"$ref": f"#/$defs/step/properties/{key}"} for key in COMPENSATE_KEYS},
    }


def _join() -> dict[str, Any]:
    return {
        "description": "How many of the needed steps must have succeeded.",
        "anyOf": [
            {"enum": ["all", "any"]},
            _integer(MAX_JOINED),
            {
                "type": "object",
                "required": ["count"],
                "additionalProperties": False,
                "properties": {
                    "count": {"anyOf": [{"const": "any"}, _integer(MAX_JOINED)]},
                    "cancel_rest": {"type": "boolean", "description": "Skip those that have not ended then."},
                },
            },
        ],
    }


def _map() -> dict[str, Any]:
    return {
        "description": "One run per item: ${{ item }}, ${{ index }}; the output is the list of outputs in item order.",
        "type": "object",
        "required": ["items"],
        "additionalProperties": False,
        "properties": {"items": {"anyOf": [{"type": "array"}, _EXPRESSION]}, "max_parallel": _integer(MAX_PARALLEL)},
    }


def _repeat() -> dict[str, Any]:
    return {
        "description": "Run again until the condition is true: ${{ output }}, ${{ previous }}, ${{ iteration }}.",
        "type": "object",
        "required": ["until", "max_iterations"],
        "additionalProperties": False,
        "properties": {
            "until": _EXPRESSION,
            "max_iterations": _integer(MAX_ITERATIONS),
            "delay_s": {"type": "number", "minimum": 0, "maximum": MAX_DELAY_S},
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


def _limit() -> dict[str, Any]:
    return {
        "description": "The name of a flow limit, with figures that hold unless the engine was told others.",
        "anyOf": [
            _TITLE,
            {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "dependentRequired": {"rate_per_s": ["rate_count"]},
                "properties": {
                    "name": _TITLE,
                    "max_parallel": _integer(MAX_PARALLEL),
                    "rate_count": _integer(MAX_RATE),
                    "rate_per_s": {"type": "number", "minimum": MIN_RATE_PER_S, "maximum": MAX_DELAY_S},
                },
            },
        ],
    }


def _concurrency() -> dict[str, Any]:
    return {
        "description": "How many workflows whose key is the same run at once.",
        "type": "object",
        "required": ["key"],
        "additionalProperties": False,
        "properties": {"key": _TITLE, "limit": _integer(MAX_PARALLEL), "when_full": {"enum": list(WHEN_FULL)}},
    }


def _by_unit(description: str, amount: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "properties": dict.fromkeys(UNITS, amount),
    }


def _timeout(description: str) -> dict[str, Any]:
    return {"description": description, "type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT_S}


def _integer(most: int, *, least: int = 1) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}
