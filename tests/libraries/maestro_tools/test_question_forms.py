"""What a server asks is rebuilt from what MCP allows, or refused."""

from typing import Any

import pytest
from libraries.maestro_tools.engine import form

from maestro_tools import ServerMisbehaved
from maestro_tools._questions import read_question


def test_harmless_names_are_no_secrets() -> None:
    """A form may ask how many tokens to spend."""
    fields = {name: {"type": "string"} for name in ("max_tokens", "passenger", "keyboard", "spin", "compass")}
    read_question("srv.x", "k", form(schema={"type": "object", "properties": fields}))


def one(field: Any) -> Any:
    return {"type": "object", "properties": {"x": field}}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (7, "without a message"),
        ({"message": 7}, "without a message"),
        ({"message": "?", "mode": "dance"}, "mode that there is none of: 'dance'"),
        ({"message": "?"}, "no object with properties"),
        (form(schema={"type": "array"}), "no object with properties"),
        (form(schema={"type": "object", "properties": []}), "no object with properties"),
        (form(schema=one({"type": "object", "properties": {}})), "'x' is none of: string, integer"),
        (form(schema=one({"$ref": "https://example.com"})), "'x' is none of"),
        (form(schema=one({"type": ["string", "null"]})), "'x' is none of"),
        (form(schema=one({"type": "string", "title": 7})), "'x' has a title that is not a text"),
        (form(schema=one({"type": "string", "minLength": -1})), "'x' has a minLength that is not a count"),
        (form(schema=one({"type": "number", "minimum": "1"})), "'x' has a minimum that is not a number"),
        (form(schema=one({"type": "integer", "default": "x"})), "'x' has a default that does not fit it"),
        (form(schema=one({"type": "integer", "minimum": 2, "maximum": 1})), "'x' has a minimum above its maximum"),
        (
            form(schema=one({"type": "array", "items": {"type": "string", "enum": ["a"]}, "default": ["a", "a"]})),
            "'x' has a default that makes a choice twice",
        ),
        (form(schema=one({"type": "string", "enum": []})), "no choices, or more than 500"),
        (form(schema=one({"type": "string", "enum": [1]})), "a choice that is no text"),
        (form(schema=one({"type": "string", "oneOf": [{"title": "x"}]})), "a choice that is no text"),
        (form(schema=one({"type": "array", "items": {"type": "string"}})), "a list of anything"),
        (form(schema={**one({"type": "string"}), "required": ["y"]}), "requires what it does not have"),
        (
            form(schema={"type": "object", "properties": {str(n): {"type": "string"} for n in range(65)}}),
            "of 65 fields",
        ),
        (form(schema=one({"type": "string", "description": "x" * 4000, "default": "x" * 20_000})), "larger than 16384"),
        ({"mode": "url", "message": "?", "url": "javascript:alert(1)"}, "neither https nor http"),
        ({"mode": "url", "message": "?", "url": "file:///etc/passwd"}, "neither https nor http"),
        ({"mode": "url", "message": "?", "url": "https://good.example@evil.example/"}, "hides its host"),
        ({"mode": "url", "message": "?", "url": "https://exa\u202emple.com"}, "is none, or longer"),
        ({"mode": "url", "message": "?", "url": "https://" + "x" * 3000}, "is none, or longer"),
        ({"mode": "url", "message": "?", "url": "http://[::1"}, "is none"),
        ({"mode": "url", "message": "?"}, "is none, or longer"),
    ],
)
def test_hostile_question_is_refused(asked: Any, message: str) -> None:
    """Before a person sees it."""
    with pytest.raises(ServerMisbehaved, match=message):
        read_question("srv.x", "k", asked)


def test_choices_of_every_form_are_understood() -> None:
    """Plain, with titles, with the titles of old, and several of them."""
    titled = [{"const": "a", "title": "A"}, {"const": "b", "title": "B"}]
    schema = {
        "type": "object",
        "properties": {
            "plain": {"type": "string", "enum": ["a", "b", "a"]},
            "titled": {"type": "string", "oneOf": titled},
            "old": {"type": "string", "enum": ["a", "b"], "enumNames": ["A", "B"]},
            "many": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "maxItems": 1},
            "many_titled": {"type": "array", "items": {"anyOf": titled}},
        },
    }
    read = read_question("srv.x", "k", form(schema=schema)).form
    assert read is not None
    assert read["properties"] == {
        "plain": {"type": "string", "enum": ["a", "b"]},
        "titled": {"type": "string", "oneOf": titled},
        "old": {"type": "string", "oneOf": titled},
        "many": {"type": "array", "maxItems": 1, "items": {"type": "string", "enum": ["a", "b"]}},
        "many_titled": {"type": "array", "items": {"type": "string", "oneOf": titled}},
    }


def test_text_that_hides_or_reorders_is_cleaned() -> None:
    """A message cannot pretend to be something else, nor be endless."""
    asked = read_question("srv.x", "k", form("Pay\u202e 100\x1b[2J\u200b" + "x" * 5000))
    assert asked.message.startswith("Pay 100[2Jxxx")
    assert len(asked.message) == 4001


def test_what_could_be_slow_or_is_not_known_is_left_to_the_server() -> None:
    """A pattern of a hostile server, a format that nobody checks, a keyword that MCP does not have."""
    field = {"type": "string", "format": "odd", "pattern": "(a+)+$", "if": {}, "maxLength": 9}
    read = read_question("srv.x", "k", form(schema=one(field))).form
    assert read is not None
    assert read["properties"] == {"x": {"type": "string", "maxLength": 9}}
