"""OpenAPI documents that are wrong, hostile, or written in YAML."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_tools.openapi import api, opened

from maestro_tools import InvalidSource
from maestro_tools._openapi_document import BadDocument, parse_document
from maestro_tools._openapi_operations import read_operations
from maestro_tools._yaml import read_yaml


def with_schema(schema: Any) -> dict[str, Any]:
    return api(method="post", requestBody={"content": {"application/json": {"schema": schema}}})


def deep(levels: int) -> Any:
    schema: Any = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"swagger": "2.0"}, "no version under openapi"),
        ({"openapi": "4.0.0", "paths": {}}, "3.0 and 3.1 are understood"),
        ({"openapi": "3.1.0", "paths": []}, "paths that are no object"),
        ({"openapi": "3.1.0", "paths": {"/x": 1}}, "paths//x must be an object"),
        ({"openapi": "3.1.0", "paths": {"/x": {"get": 1}}}, "must be an object"),
        ({"openapi": "3.1.0", "paths": {"/x": {"$ref": "#/paths/~1x"}}}, "behind more than 16 references"),
        (with_schema({"$ref": "https://evil.example/s.json"}), "leads out of the document, which is not followed"),
        (with_schema({"$ref": "other.yaml#/x"}), "leads out of the document"),
        (with_schema({"$ref": "#/components/none"}), "points at nothing"),
        (with_schema("text"), "neither an object nor a boolean"),
        (with_schema(deep(100)), "nested deeper than 64"),
        (with_schema({"anyOf": [{}] * 30_000}), "more than 20000 parts"),
        (api(parameters={}), "parameters that are no list"),
        (api(parameters=[{"in": "query"}]), "a parameter without a name"),
        (api(parameters=[{"name": "x", "in": "body"}]), "a parameter without a name, or not in one of"),
        (api(parameters=[{"name": "x", "in": "query", "style": "odd"}]), "in the style 'odd'"),
        (api(security={"a": []}), "a security that is no list"),
        ({"openapi": "3.1.0", "paths": {"/{x}": {"get": {}}}}, "does not describe the part 'x' of its path"),
    ],
)
async def test_hostile_document_is_refused(document: Any, message: str) -> None:
    """Nothing is fetched for it, and nothing runs away."""
    async with opened(document, base_url="https://x.example") as tools:
        with pytest.raises(InvalidSource, match=message):
            await tools.list_tools()


async def test_document_without_a_server_needs_one() -> None:
    """From the source."""
    async with opened(api()) as tools:
        with pytest.raises(InvalidSource, match="give a base_url"):
            await tools.list_tools()


def test_names_are_unique_and_plain() -> None:
    """Two operations of one id are told apart by method and path; a name holds nothing odd."""
    operation = {"operationId": "same", "responses": {}}
    odd = {"operationId": "delete everything!\n\u202e", "responses": {}}
    paths: dict[str, Any] = {"/a": {"get": operation, "post": operation}, "/b": {"get": odd}, "/a/": {"get": {}}}
    document = parse_document(json.dumps({"openapi": "3.1.0", "paths": paths}))
    found = read_operations("s", document, "https://x.example")
    assert list(found.usable) == ["delete_everything", "get_a", "get_a_2", "post_a"]


def test_operations_are_bounded() -> None:
    """A document with a tool for everything is of no use."""
    paths: dict[str, Any] = {f"/{number}": {"get": {}} for number in range(2001)}
    document = parse_document(json.dumps({"openapi": "3.1.0", "paths": paths}))
    with pytest.raises(BadDocument, match="2001 operations, more than 2000"):
        read_operations("s", document, "https://x.example")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("openapi: [", "line 2 column 1: did not find"),
        ("a: 1\na: 2", "the key 'a' twice"),
        ("? [a]\n: 1", "a key must be text"),
        ("a: *b", "the alias 'b' has no anchor"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("[" * 200 + "]" * 200, "nested deeper than 100"),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "\n".join(
            f"{name}: &{name} [{','.join(['*' + before] * 10)}]"
            for before, name in zip("abcdefgh", "bcdefghi", strict=True)
        ), "more than 500000 values"),
    ],
)  # fmt: skip
def test_hostile_yaml_is_refused(text: str, message: str) -> None:
    """A few lines cannot become a billion values."""
    with pytest.raises(ValueError, match=message):
        read_yaml(text)


def test_yaml_has_the_values_of_json() -> None:
    """Keys are text, a date is text, and so is yes."""
    text = "200: 1\nyes: no\nwhen: 2020-01-01\nnone: ~\non: true\nx: &x [1.5, '1', 0x1F]\ny: *x\n"
    assert read_yaml(text) == {
        "200": 1,
        "yes": "no",
        "when": "2020-01-01",
        "none": None,
        "on": True,
        "x": [1.5, "1", "0x1F"],
        "y": [1.5, "1", "0x1F"],
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abé-:#'\" \n", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab1-: ", max_size=4), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_yaml_reads_json(value: Any) -> None:
    """Which is YAML too."""
    assert read_yaml(json.dumps(value)) == value


@given(JSON, st.sampled_from(["paths", "components", "servers", "security"]))
def test_any_document_is_read_or_refused(part: Any, key: str) -> None:
    """With an error of ours, whatever stands where."""
    document = {**api(), key: part}
    try:
        read_operations("s", parse_document(json.dumps(document)), None)
    except BadDocument:
        return


@given(JSON)
def test_any_operation_is_read_or_refused(part: Any) -> None:
    """Whatever stands in it."""
    for key in ("parameters", "requestBody", "responses", "security", "servers", "operationId"):
        document = parse_document(json.dumps(api(**{key: part})))
        found = read_operations("s", document, "https://x.example")
        assert len(found.usable) + len(found.broken) == 1
