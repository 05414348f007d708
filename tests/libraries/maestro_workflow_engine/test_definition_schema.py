"""The JSON Schema of a definition says the same about its shape as parsing does."""

import copy
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro_workflow_engine import InvalidDefinition, definition_schema, parse_definition

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

VALIDATOR = jsonschema.Draft202012Validator(definition_schema())
STEP: dict[str, Any] = {"kind": "shell"}
BODY: dict[str, Any] = {"inputs": {"x": {"type": "string"}}, "steps": {"s": STEP}}
GOOD: dict[str, Any] = {
    "name": "n",
    "description": None,
    "inputs": {"a": {"type": "integer", "default": 1, "enum": [1, 2], "description": "d"}, "b": {"type": "object"}},
    "tools": {"git": {"mcp": {}}},
    "priority": -5,
    "timeout_s": 60,
    "concurrency": {"key": "k-${{ inputs.a }}", "limit": 2, "when_full": "queue"},
    "budget": {"money_usd": 0.5, "tokens": 100, "calls": 3, "time_s": 60},
    "steps": {
        "a": {
            "kind": "mcp",
            "with": {"k": "${{ item }}"},
            "needs": ["b"],
            "join": {"count": 1, "cancel_rest": True},
            "when": "${{ inputs.a > 1 }}",
            "retry": {"max_attempts": 2, "initial_delay_s": 0, "multiplier": 1, "max_delay_s": 5.5, "jitter": 1},
            "timeout_s": 0.5,
            "map": {"items": "${{ steps.b.output }}", "max_parallel": 1},
            "repeat": {"until": "${{ output }}", "max_iterations": 3, "delay_s": 1},
            "on_error": "continue",
            "compensate": {"kind": "shell", "with": {"k": "${{ output }}"}, "retry": 2, "timeout_s": 5},
            "limits": ["api", {"name": "host", "max_parallel": 2, "rate_count": 5, "rate_per_s": 0.5}],
            "cost": {"calls": 1, "money_usd": "${{ inputs.a }}"},
        },
        "b": {"kind": "shell", "when": False, "retry": 3, "map": {"items": [1, 2]}},
        "c": {"with": {"inputs": {"x": "text"}}, "body": BODY, "needs": ["a", "b"], "join": "any"},
    },
    "on_failure": {"f": {"kind": "http", "on_error": "fail"}},
    "finally": {"g": {"kind": "http", "with": {"inputs": {"x": "text"}}}, "h": {**STEP, "needs": ["g"], "join": 1}},
    "outputs": {"o": {"any": ["${{ steps.a.output }}"]}},
}
CROSS = frozenset(
    f"definition.{code}"
    for code in (
        "bad-expression",
        "bad-input",
        "contradiction",
        "cycle",
        "duplicate-id",
        "item-outside-map",
        "missing-input",
        "missing-template",
        "not-in-enum",
        "not-one-expression",
        "self-reference",
        "too-deep",
        "unknown-input",
        "unknown-step",
        "unreadable",
        "wrong-phase",
    )
)


def parses(document: Any) -> bool:
    """Whether the parts of a document have the right shape, whatever they say about each other."""
    try:
        parse_definition(document)
    except InvalidDefinition as error:
        return all(problem.code in CROSS for problem in error.problems)
    return True


def test_the_schema_is_a_schema() -> None:
    """It is valid JSON Schema 2020-12, and each call gives a copy of its own."""
    jsonschema.Draft202012Validator.check_schema(definition_schema())
    definition_schema()["properties"].clear()
    assert definition_schema()["properties"]


def test_a_full_document_is_valid_for_both() -> None:
    """Everything that can be written is known to the schema."""
    assert VALIDATOR.is_valid(GOOD)
    assert parses(GOOD)


def places(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where a value of the good document stands: at every key of every mapping."""
    below = [places(member, (*path, key)) for key, member in value.items()] if isinstance(value, dict) else []
    return [path, *(place for found in below for place in found)]


# Beside one: JSON Schema takes 1.0 for an integer, and a start does not.
PLACES = [place for place in places(GOOD) if place[-1:] != ("default",)]
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 0.5, 1001, 20_000, 1e9, "", "x", "${{ 1 }}", "string", [], ["b"], ["b", "b"], [1], {},
    {"x": {}}, {"1x": {}}, {"item": STEP}, {"kind": "k"}, {"type": "string"}, {"items": []}, {"max_attempts": 1},
    "any", "all", "continue", "cancel_oldest", "workflow", " x", "x" * 201, 86_401, 1e13, 0.0001, -100, -101,
    {"count": 1}, {"count": "any"}, {"until": "${{ 1 }}", "max_iterations": 1}, {"calls": 1}, {"calls": "x"},
    {"name": "x"}, {"key": "x"}, {"steps": {"x": STEP}}, {"name": "x", "rate_per_s": 1}, ["l", "m"], ["l"] * 17,
    [{"name": "x"}], {"inputs": {}},
]  # fmt: skip


def changed(place: tuple[str, ...], value: Any) -> Any:
    """The good document with one value replaced."""
    if not place:
        return value
    document = copy.deepcopy(GOOD)
    target = document
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    return document


@pytest.mark.parametrize("place", PLACES, ids="/".join)
def test_schema_and_parser_agree_on_every_wrong_value(place: tuple[str, ...]) -> None:
    """Put any value into any place: both take it, or both refuse it."""
    for value in VALUES:
        document = changed(place, value)
        assert VALIDATOR.is_valid(document) == parses(document), value


@pytest.mark.parametrize("place", PLACES[1:], ids="/".join)
def test_schema_and_parser_agree_on_missing_and_unknown_keys(place: tuple[str, ...]) -> None:
    """Leave any key out, or add one beside it: both take it, or both refuse it."""
    missing = changed(place, None)
    holder = missing
    for key in place[:-1]:
        holder = holder[key]
    del holder[place[-1]]
    assert VALIDATOR.is_valid(missing) == parses(missing)
    holder["extra"] = 1
    assert VALIDATOR.is_valid(missing) == parses(missing)


@UNHURRIED
@given(name=st.text("ab_-1 é/", max_size=4), place=st.sampled_from(["inputs", "tools", "steps", "outputs"]))
def test_schema_and_parser_agree_on_names(name: str, place: str) -> None:
    """Both hold the same names to be right."""
    member: dict[str, Any] = {"inputs": {"type": "string"}, "steps": STEP}.get(place, {})
    document = {"name": "n", "steps": {"a": STEP}, place: {name: member}}
    assert VALIDATOR.is_valid(document) == parses(document)
