"""Inputs of a start: strict types, defaults, every problem at once."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro_workflow_engine import InvalidInputs, WorkflowDefinition, parse_definition

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TYPES = ("string", "integer", "number", "boolean", "array", "object")
EXAMPLES: dict[str, Any] = {
    "string": "x",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [1],
    "object": {"a": 1},
}


def definition(**inputs: Any) -> WorkflowDefinition:
    return parse_definition({"name": "n", "inputs": inputs, "steps": {"a": {"kind": "shell"}}})


@pytest.mark.parametrize("declared", TYPES)
@pytest.mark.parametrize("given_type", TYPES)
def test_types_are_strict(declared: str, given_type: str) -> None:
    """A value has exactly the declared type; only an integer is a number too."""
    workflow = definition(x={"type": declared})
    value = EXAMPLES[given_type]
    if declared == given_type or (declared, given_type) == ("number", "integer"):
        assert workflow.resolve_inputs({"x": value}) == {"x": value}
    else:
        with pytest.raises(InvalidInputs) as caught:
            workflow.resolve_inputs({"x": value})
        assert caught.value.problems[0].code == "inputs.wrong-type"


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        ("integer", True, "expected an integer, not a boolean"),
        ("integer", 1.0, "expected an integer, not a number with a fraction or exponent"),
        ("number", "1", "expected a number, not a string: write it without quotes"),
        ("string", None, "expected a string, not null"),
        ("number", float("nan"), "not a finite number"),
        ("number", float("inf"), "not a finite number"),
        ("integer", 2**64, "beyond 64 bits"),
        ("array", (1, 2), "type tuple"),
        ("string", b"x", "type bytes"),
        ("string", "\ud800", "surrogate"),
    ],
)
def test_near_misses_say_what_to_do(declared: str, value: Any, message: str) -> None:
    """What looks right but is not gets a message of its own."""
    with pytest.raises(InvalidInputs) as caught:
        definition(x={"type": declared}).resolve_inputs({"x": value})
    (problem,) = caught.value.problems
    assert problem.path == "/x"
    assert message in problem.message


def test_defaults_fill_in() -> None:
    """What is not given has its default, in the order of the declarations."""
    workflow = definition(b={"type": "integer", "default": 3}, a={"type": "string"})
    assert list(workflow.resolve_inputs({"a": "x"}).items()) == [("b", 3), ("a", "x")]


def test_a_default_of_null_makes_an_input_optional() -> None:
    """With `default: null`, an input may be left out or be null, whatever its type."""
    workflow = definition(x={"type": "integer", "default": None, "enum": [1, 2]})
    assert workflow.resolve_inputs({}) == {"x": None}
    assert workflow.resolve_inputs({"x": None}) == {"x": None}
    assert workflow.resolve_inputs({"x": 2}) == {"x": 2}
    with pytest.raises(InvalidInputs, match="expected one of 1, 2"):
        workflow.resolve_inputs({"x": 3})


def test_all_problems_come_at_once() -> None:
    """Missing, wrong, unknown and nested problems are told together, with their paths."""
    workflow = definition(
        need={"type": "string"},
        mode={"type": "string", "enum": ["fast", "slow"]},
        deep={"type": "object"},
    )
    with pytest.raises(InvalidInputs) as caught:
        workflow.resolve_inputs({"mode": "fats", "deep": {"a": [1, {"b/c": float("nan")}]}, "nede": "x"})
    assert [(problem.path, problem.code) for problem in caught.value.problems] == [
        ("/need", "inputs.required"),
        ("/mode", "inputs.not-in-enum"),
        ("/deep/a/1/b~1c", "inputs.not-json"),
        ("/nede", "inputs.unknown"),
    ]
    assert "there is no input 'nede' (did you mean 'need'?): there are need, mode, deep" in str(caught.value)
    assert caught.value.code == "workflow.invalid-inputs"


def test_an_enum_tells_one_from_true() -> None:
    """Choices are compared as JSON compares."""
    workflow = definition(x={"type": "array", "enum": [[1], [0]]})
    assert workflow.resolve_inputs({"x": [1]}) == {"x": [1]}
    with pytest.raises(InvalidInputs):
        workflow.resolve_inputs({"x": [True]})


def test_resolved_inputs_share_nothing() -> None:
    """Changing what was given, or what came out, changes nothing else."""
    workflow = definition(a={"type": "array"}, b={"type": "array", "default": []})
    mine: list[int] = []
    resolved = workflow.resolve_inputs({"a": mine})
    mine.append(1)
    assert isinstance(resolved["b"], list)
    resolved["b"].append(2)
    assert resolved["a"] == []
    assert workflow.resolve_inputs({"a": []}) == {"a": [], "b": []}


@pytest.mark.parametrize("given_inputs", [None, [], "x", 1])
def test_inputs_are_an_object(given_inputs: Any) -> None:
    """Anything else is one clear problem."""
    with pytest.raises(InvalidInputs, match="inputs are an object from name to value"):
        definition().resolve_inputs(given_inputs)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just("\udc00"),
    lambda below: st.lists(below) | st.dictionaries(st.text() | st.integers(), below) | st.tuples(below, below),
    max_leaves=8,
)


@UNHURRIED
@given(declared=st.sampled_from(TYPES), value=st.dictionaries(st.sampled_from(["x", "y", "z"]) | st.text(), ANYTHING))
def test_any_inputs_are_taken_or_refused_cleanly(declared: str, value: dict[str, Any]) -> None:
    """Random inputs are resolved to declared names only, or raise InvalidInputs with at least one problem."""
    workflow = definition(x={"type": declared}, y={"type": "object", "default": None})
    try:
        assert workflow.resolve_inputs(value).keys() == {"x", "y"}
    except InvalidInputs as error:
        assert error.problems  # noqa: PT017 - both ways are right
