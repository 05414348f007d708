"""Forms of approvals as questions: what is asked, and what an answer becomes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_cli._form import LEFT_OUT, Question, questions

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 1, "maximum": 9, "title": "How many"},
        "price": {"type": "number"},
        "fragile": {"type": "boolean", "default": True},
        "carrier": {"type": "string", "oneOf": [{"const": "d", "title": "DHL"}, {"const": "u", "title": "UPS"}]},
        "extras": {"type": "array", "items": {"type": "string", "enum": ["gift", "fast"]}, "default": ["gift"]},
        "day": {"type": "string", "format": "date"},
    },
    "required": ["count"],
}


def test_each_field_says_what_it_takes() -> None:
    """Its title, its bounds or choices, its default, and whether it may be left empty."""
    assert [question.prompt for question in questions(FORM)] == [
        "How many (a number from 1 to 9): ",
        "price (a number, may be empty): ",
        "fragile (y or n, empty: y): ",
        "carrier (d = DHL | u = UPS, may be empty): ",
        "extras (some of gift | fast, empty: gift): ",
        "day (date, may be empty): ",
    ]
    assert list(questions(None)) == []


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", " 3 ", 3),
        ("price", "2.5", 2.5),
        ("price", "", LEFT_OUT),
        ("fragile", "N", False),
        ("fragile", "", True),
        ("carrier", "dhl", "d"),
        ("carrier", "u", "u"),
        ("extras", "fast, GIFT", ["fast", "gift"]),
        ("extras", "", ["gift"]),
        ("day", "2026-11-21", "2026-11-21"),
    ],
)
def test_what_is_typed_becomes_a_value(name: str, text: str, value: object) -> None:
    """By the type of its field; a choice by its value or its title."""
    (question,) = [each for each in questions(FORM) if each.name == name]
    assert question.value(text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("count", ""), ("count", "x"), ("price", "y"), ("fragile", "maybe"), ("carrier", "z"), ("extras", "a")],
)
def test_what_cannot_be_a_value_is_asked_again(name: str, text: str) -> None:
    """ValueError, whose text says what was expected."""
    (question,) = [each for each in questions(FORM) if each.name == name]
    with pytest.raises(ValueError, match=r"."):
        question.value(text)


@given(st.text(), st.text())
def test_a_prompt_is_one_harmless_line(title: str, default: str) -> None:
    """Whatever a definition calls its fields."""
    prompt = Question("f", {"type": "string", "title": title, "default": default}, False).prompt
    assert len(prompt.splitlines()) == 1
    assert "\x1b" not in prompt
