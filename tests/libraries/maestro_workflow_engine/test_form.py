"""Forms of approvals: what is one, and which answers fit."""

from typing import Any

import pytest

from maestro_workflow_engine._form import answer_problems, check_form, filled, form_problems


def form(required: Any = (), /, **fields: Any) -> dict[str, Any]:
    """A form of these fields."""
    return {"type": "object", "properties": fields, "required": list(required)}


RICH = form(
    ["name", "size"],
    name={"type": "string", "title": "Name", "minLength": 2, "maxLength": 10, "pattern": "^[a-z ]+$"},
    size={"type": "string", "enum": ["s", "m", "l"], "enumNames": ["Small", "Medium", "Large"]},
    colour={"type": "string", "oneOf": [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]},
    count={"type": "integer", "minimum": 1, "maximum": 9, "default": 1},
    price={"type": "number", "minimum": 0.5},
    gift={"type": "boolean", "default": False},
    extras={"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}, "minItems": 1, "maxItems": 2},
    mail={"type": "string", "format": "email"},
    site={"type": "string", "format": "uri"},
    day={"type": "string", "format": "date"},
    at={"type": "string", "format": "date-time"},
)
FITTING: dict[str, Any] = {"name": "ada b", "size": "m"}


def test_a_form_with_every_sort_of_field_is_one() -> None:
    """Also an empty one, and the choices as MCP writes them."""
    assert check_form(RICH) == []
    assert check_form({"type": "object", "properties": {}}) == []
    several = {"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}, "default": ["a"]}
    assert check_form({"$schema": "https://json-schema.org/draft/2020-12/schema", **form(x=several)}) == []


@pytest.mark.parametrize(
    ("shape", "where", "what"),
    [
        (None, "", "a form is an object"),
        ([], "", "a form is an object"),
        ({"type": "object", "properties": {1: {}}}, "", "a form is an object"),
        ({"properties": {}}, "/type", "the type of a form is object"),
        ({"type": "string"}, "/type", "the type of a form is object"),
        ({"type": "object", "properties": []}, "/properties", "from 0 to 100 fields"),
        (form(**{f"f{i}": {"type": "boolean"} for i in range(101)}), "/properties", "from 0 to 100 fields"),
        ({"type": "object", "allOf": []}, "/allOf", "forms have no 'allOf' here"),
        ({**form(), "required": "name"}, "/required", "a list of names"),
        (form(["nam"], name={"type": "string"}), "/required/0", "did you mean 'name'"),
        (form(**{"a b": {"type": "string"}}), "/properties/a b", "the name of a field"),
        (form(x="string"), "/properties/x", "a field is an object"),
        (form(x={"type": ["string", "null"]}), "/properties/x", "a type that is one of"),
        (form(x={"type": "object", "properties": {}}), "/properties/x", "a type that is one of"),
        (form(x={"type": "string", "maximum": 1}), "/properties/x/maximum", "forms have no 'maximum'"),
        (form(x={"type": "string", "title": 3}), "/properties/x/title", "a text"),
        (form(x={"type": "string", "minLength": -1}), "/properties/x/minLength", "from 0 to 10000"),
        (form(x={"type": "string", "maxLength": True}), "/properties/x/maxLength", "from 0 to 10000"),
        (form(x={"type": "string", "minLength": 5, "maxLength": 4}), "/properties/x/maxLength", "less than minLength"),
        (form(x={"type": "number", "minimum": "1"}), "/properties/x/minimum", "a number"),
        (form(x={"type": "integer", "minimum": 2, "maximum": 1}), "/properties/x/maximum", "less than minimum"),
        (form(x={"type": "string", "format": "color"}), "/properties/x/format", "one of email"),
        (form(x={"type": "string", "format": ["uri"]}), "/properties/x/format", "one of email"),
        (form(x={"type": "string", "pattern": "(a"}), "/properties/x/pattern", "a ( without its )"),
        (form(x={"type": "string", "pattern": 3}), "/properties/x/pattern", "a text"),
        (form(x={"type": "string", "enum": []}), "/properties/x/enum", "1 to 1000 different texts"),
        (form(x={"type": "string", "enum": ["a", "a"]}), "/properties/x/enum", "different"),
        (form(x={"type": "string", "enum": ["a", 1]}), "/properties/x/enum", "different texts"),
        (form(x={"type": "string", "enum": 3}), "/properties/x/enum", "different texts"),
        (form(x={"type": "string", "oneOf": [{"title": "A"}]}), "/properties/x/oneOf", "{const: text"),
        (form(x={"type": "string", "enum": ["a"], "oneOf": []}), "/properties/x", "one of enum, oneOf"),
        (form(x={"type": "string", "enum": ["a"], "enumNames": []}), "/properties/x/enumNames", "for each value"),
        (form(x={"type": "array"}), "/properties/x/items", "the items of an array"),
        (form(x={"type": "array", "items": {"type": "integer"}}), "/properties/x/items", "the items of an array"),
        (form(x={"type": "array", "items": {"type": "string"}}), "/properties/x/items", "one of enum, oneOf"),
        (form(x={"type": "array", "items": {"enum": ["a"], "if": 1}}), "/properties/x/items/if", "forms have no 'if'"),
        (form(x={"type": "integer", "default": 1.5}), "/properties/x/default", "a whole number was expected"),
        (form(x={"type": "string", "enum": ["a"], "default": "b"}), "/properties/x/default", "none of the choices"),
    ],
)
def test_what_is_no_form_is_told_where_and_why(shape: Any, where: str, what: str) -> None:
    """Before anybody is asked to fill it in."""
    problems = check_form(shape)
    assert any(problem.path == where and what in problem.message for problem in problems), problems
    assert all(problem.code.startswith("form.") for problem in problems)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"colour": "g"},
        {"count": 9},
        {"count": 3.0},
        {"price": 0.5},
        {"gift": True},
        {"extras": ["c", "a"]},
        {"mail": "ada@example.org"},
        {"site": "https://example.org/a?b=c"},
        {"day": "2024-02-29"},
        {"at": "2024-02-29T23:59:59+01:00"},
        {"at": "2024-02-29T23:59:59Z"},
    ],
)
def test_answers_that_fit(more: dict[str, Any]) -> None:
    """Each sort of field."""
    assert form_problems(RICH, {**FITTING, **more}) == []


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        (None, "", "an object was expected, null came"),
        ({}, "/name", "it is required"),
        ({**FITTING, "nmae": "x"}, "/nmae", "did you mean 'name'"),
        ({**FITTING, "name": 3}, "/name", "a text was expected, a number came"),
        ({**FITTING, "name": "a"}, "/name", "it has 1 characters, from 2 to 10 are possible"),
        ({**FITTING, "name": "x" * 11}, "/name", "11 characters"),
        ({**FITTING, "name": "Ada"}, "/name", "does not fit the pattern ^[a-z ]+$"),
        ({**FITTING, "size": "xl"}, "/size", "'xl' is none of the choices"),
        ({**FITTING, "colour": "Red"}, "/colour", "none of the choices"),
        ({**FITTING, "count": 0}, "/count", "less than 1"),
        ({**FITTING, "count": 10}, "/count", "more than 9"),
        ({**FITTING, "count": 1.5}, "/count", "a whole number was expected"),
        ({**FITTING, "count": True}, "/count", "a whole number was expected, a boolean came"),
        ({**FITTING, "price": "1"}, "/price", "a number was expected"),
        ({**FITTING, "price": float("inf")}, "/price", "a number was expected"),
        ({**FITTING, "gift": "yes"}, "/gift", "true or false was expected"),
        ({**FITTING, "gift": None}, "/gift", "true or false was expected, null came"),
        ({**FITTING, "extras": "a"}, "/extras", "a list of choices"),
        ({**FITTING, "extras": []}, "/extras", "0 choices are made, from 1 to 2"),
        ({**FITTING, "extras": ["a", "a"]}, "/extras", "made twice"),
        ({**FITTING, "extras": [["a"]]}, "/extras", "none of the choices"),
        ({**FITTING, "extras": [1]}, "/extras", "none of the choices"),
        ({**FITTING, "mail": "ada"}, "/mail", "it is no email"),
        ({**FITTING, "mail": "a b@c"}, "/mail", "it is no email"),
        ({**FITTING, "site": "example"}, "/site", "it is no uri"),
        ({**FITTING, "site": "http://["}, "/site", "it is no uri"),
        ({**FITTING, "day": "2023-02-29"}, "/day", "it is no date"),
        ({**FITTING, "day": "20240229"}, "/day", "it is no date"),
        ({**FITTING, "at": "2024-02-29T23:59:59"}, "/at", "it is no date-time"),
        ({**FITTING, "at": "2024-02-29"}, "/at", "it is no date-time"),
    ],
)
def test_answers_that_do_not_fit_are_told_where_and_why(data: Any, where: str, what: str) -> None:
    """The path is that in the data."""
    problems = form_problems(RICH, data)
    assert any(problem.path == where and what in problem.message for problem in problems), problems
    assert all(problem.code.startswith("answer.") for problem in problems)


def test_defaults_fill_what_was_left_out() -> None:
    """And what was given stays; a required field with a default may be left out."""
    assert filled(RICH, {"name": "ada", "count": 4}) == {"count": 4, "gift": False, "name": "ada"}
    assert form_problems(form(["n"], n={"type": "integer", "default": 3}), {}) == []


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (True, "/approved"),
        ({"data": FITTING}, "/approved"),
        ({"approved": 1, "data": FITTING}, "/approved"),
        ({"approved": True}, "/data/name"),
        ({"approved": True, "data": []}, "/data"),
        ({"approved": False, "data": {"count": 0}}, "/data/count"),
        ({"approved": True, "data": FITTING, "comment": ["x"]}, "/comment"),
        ({"approved": True, "data": FITTING, "reason": "x"}, "/reason"),
        ({"approved": True, "data": FITTING, "comment": "x" * 70_000}, ""),
        ({"approved": True, "data": FITTING, "comment": float("nan")}, ""),
        ({"approved": True, "data": {3: 4}}, ""),
    ],
)
def test_whole_answers_that_do_not_fit(answer: Any, where: str) -> None:
    """Yes or no, the data of the form and a comment; nothing else, and not too much."""
    problems = answer_problems({"kind": "approval", "form": RICH}, answer)
    assert where in [problem.path for problem in problems]


def test_whole_answers_that_fit() -> None:
    """A no needs no data, and an approval without a form takes none."""
    on: dict[str, Any] = {"kind": "approval", "form": RICH}
    assert answer_problems(on, {"approved": True, "data": FITTING, "comment": "ok"}) == []
    assert answer_problems(on, {"approved": False}) == []
    assert answer_problems({"kind": "approval"}, {"approved": True, "data": None, "comment": None}) == []
    assert answer_problems({"kind": "approval"}, {"approved": True, "data": {"x": 1}})[0].path == "/data/x"
