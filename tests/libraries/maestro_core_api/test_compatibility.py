"""What a change of the contract breaks: found for each kind, silent for what is only added, and honest in between."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it comes without types

from maestro_core_api import breaking_changes
from maestro_core_api._compatibility_schemas import Comparison

Document = dict[str, Any]

BASE: Document = {
    "openapi": "3.1.0",
    "info": {"title": "Orders", "version": "1.0.0"},
    "paths": {
        "/orders/{order_id}": {
            "parameters": [{"name": "order_id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "put": {
                "parameters": [
                    {"name": "dry", "in": "query", "schema": {"type": "boolean"}},
                    {"name": "X-Reason", "in": "header", "schema": {"type": "string", "maxLength": 9}},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Wish"}}}},
                "responses": {
                    "200": {
                        "description": "Done.",
                        "headers": {"ETag": {"schema": {"type": "string"}}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}},
                    },
                    "404": {"description": "None.", "content": {"application/problem+json": {"schema": {}}}},
                },
            },
        }
    },
    "components": {
        "schemas": {
            "Wish": {
                "type": "object",
                "required": ["item"],
                "properties": {
                    "item": {"type": "string"},
                    "count": {"type": "integer", "minimum": 1, "maximum": 9},
                    "colour": {"enum": ["red", "blue"]},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Wish"}},
                },
            },
            "Order": {
                "type": "object",
                "required": ["id", "state"],
                "properties": {
                    "id": {"type": "integer"},
                    "state": {"enum": ["open", "closed"]},
                    "note": {"type": "string"},
                    "next": {"anyOf": [{"$ref": "#/components/schemas/Order"}, {"type": "null"}]},
                    "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
                },
            },
        }
    },
}

PUT = "PUT /orders/{order_id}: "


def wish(document: Document) -> Document:
    found: Document = document["components"]["schemas"]["Wish"]
    return found


def order(document: Document) -> Document:
    found: Document = document["components"]["schemas"]["Order"]
    return found


def put(document: Document) -> Document:
    found: Document = document["paths"]["/orders/{order_id}"]["put"]
    return found


BREAKING: dict[str, tuple[Callable[[Document], object], str]] = {
    "path": (lambda d: d["paths"].clear(), "the operation is gone"),
    "operation": (lambda d: d["paths"]["/orders/{order_id}"].pop("put"), "the operation is gone"),
    "new required parameter": (
        lambda d: put(d)["parameters"].append({"name": "who", "in": "query", "required": True, "schema": {}}),
        "the query parameter who is required now",
    ),
    "parameter required": (
        lambda d: put(d)["parameters"][0].update(required=True),
        "the query parameter dry is required now",
    ),
    "parameter gone": (lambda d: put(d)["parameters"].pop(0), "the query parameter dry is gone"),
    "parameter narrowed": (
        lambda d: put(d)["parameters"][1]["schema"].update(maxLength=5),
        "the header parameter X-Reason no longer takes what maxLength 5 does not allow",
    ),
    "path parameter narrowed": (
        lambda d: d["paths"]["/orders/{order_id}"]["parameters"][0]["schema"].update(minimum=1),
        "the path parameter order_id no longer takes what minimum 1 does not allow",
    ),
    "body required": (lambda d: put(d)["requestBody"].update(required=True), "a body is required now"),
    "body gone": (lambda d: put(d).pop("requestBody"), "the body is gone"),
    "media type of the body": (
        lambda d: put(d)["requestBody"]["content"].update({"text/x": put(d)["requestBody"]["content"].popitem()[1]}),
        "a body of application/json is no longer taken",
    ),
    "new required field": (lambda d: wish(d)["required"].append("count"), "the body: /count is required now"),
    "field gone": (lambda d: wish(d)["properties"].pop("count"), "the body: /count is gone"),
    "field forbidden": (
        lambda d: (wish(d)["properties"].pop("count"), wish(d).update(additionalProperties=False)),
        "the body: /count is no longer taken",
    ),
    "type changed": (
        lambda d: wish(d)["properties"].update(item={"type": "integer"}),
        "the body: /item no longer takes type string",
    ),
    "bound narrowed": (
        lambda d: wish(d)["properties"]["count"].update(maximum=5),
        "the body: /count no longer takes what maximum 5 does not allow",
    ),
    "pattern added": (
        lambda d: wish(d)["properties"]["item"].update(pattern="^a"),
        'the body: /item no longer takes what pattern "^a" does not allow',
    ),
    "enum narrowed": (
        lambda d: wish(d)["properties"]["colour"]["enum"].remove("blue"),
        'the body: /colour no longer takes the value "blue"',
    ),
    "enum of a part narrowed": (
        lambda d: wish(d)["properties"]["parts"].update(items={"type": "null"}),
        "the body: /parts/* no longer takes type object",
    ),
    "success status": (
        lambda d: put(d)["responses"].update({"201": put(d)["responses"].pop("200")}),
        "it no longer answers 200",
    ),
    "answer header gone": (lambda d: put(d)["responses"]["200"].pop("headers"), "200: the header ETag is gone"),
    "answer field gone": (lambda d: order(d)["properties"].pop("note"), "200: /note is gone"),
    "answer field of a part gone": (
        lambda d: order(d)["properties"]["lines"]["items"].update(properties={"x": {}}),
        "200: /lines/*/sku is gone",
    ),
    "answer field may be missing": (lambda d: order(d)["required"].remove("id"), "200: /id may now be missing"),
    "answer field may be null": (
        lambda d: order(d)["properties"].update(id={"type": ["integer", "null"]}),
        "200: /id may now hold type null",
    ),
    "answer enum widened": (
        lambda d: order(d)["properties"]["state"]["enum"].append("lost"),
        '200: /state may now hold the value "lost"',
    ),
    "answer type widened": (
        lambda d: order(d)["properties"].update(id={"type": "number"}),
        "200: /id may now hold type number",
    ),
    "answer media type gone": (
        lambda d: put(d)["responses"]["404"].update(content={"text/plain": {}}),
        "404: application/problem+json is gone",
    ),
    "sign-in": (lambda d: put(d).update(security=[{"key": []}]), "it asks for another sign-in: key"),
}

HARMLESS: dict[str, Callable[[Document], object]] = {
    "nothing": lambda d: None,
    "new path": lambda d: d["paths"].update({"/more": {"get": {"responses": {}}}}),
    "new method": lambda d: d["paths"]["/orders/{order_id}"].update(get={"responses": {}}),
    "new optional parameter": lambda d: put(d)["parameters"].append({"name": "who", "in": "query", "schema": {}}),
    "parameter of the path renamed": lambda d: d["paths"].update(
        {
            "/orders/{id}": {
                **d["paths"].pop("/orders/{order_id}"),
                "parameters": [{"name": "id", "in": "path", "required": True}],
            }
        }
    ),
    "parameter widened": lambda d: put(d)["parameters"][1]["schema"].update(maxLength=99),
    "new optional field": lambda d: wish(d)["properties"].update(extra={"type": "string"}),
    "field no longer required": lambda d: wish(d).update(required=[]),
    "bound widened": lambda d: wish(d)["properties"]["count"].update(maximum=99, minimum=0),
    "enum widened": lambda d: wish(d)["properties"]["colour"]["enum"].append("green"),
    "enum opened": lambda d: wish(d)["properties"].update(colour={"type": "string"}),
    "type widened": lambda d: wish(d)["properties"].update(count={"type": "number", "minimum": 1, "maximum": 9}),
    "null allowed": lambda d: wish(d)["properties"].update(item={"anyOf": [{"type": "string"}, {"type": "null"}]}),
    "new answer field": lambda d: order(d)["properties"].update(extra={"type": "string"}),
    "answer field always there": lambda d: order(d)["required"].append("note"),
    "answer enum narrowed": lambda d: order(d)["properties"]["state"]["enum"].remove("closed"),
    "answer field never null": lambda d: order(d)["properties"].update(next={"$ref": "#/components/schemas/Order"}),
    "new error status": lambda d: put(d)["responses"].update({"409": {"description": "Late."}}),
    "shape renamed": lambda d: (
        d["components"]["schemas"].update(Wished=wish(d)),
        put(d)["requestBody"]["content"]["application/json"].update(schema={"$ref": "#/components/schemas/Wished"}),
    ),
    "sign-in no longer needed": lambda d: d.update(security=[]),
}


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_a_client_is_told(name: str) -> None:
    """Each kind by itself, with its place in words."""
    change, told = BREAKING[name]
    new = copy.deepcopy(BASE)
    change(new)
    assert PUT + told in breaking_changes(BASE, new)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_breaks_nobody_is_not_told(name: str) -> None:
    """What is added or allowed besides leaves every client as it was."""
    new = copy.deepcopy(BASE)
    HARMLESS[name](new)
    assert breaking_changes(BASE, new) == []


@pytest.mark.parametrize("name", [name for name in BREAKING if name not in ("path", "operation")])
def test_it_breaks_the_one_way_only(name: str) -> None:
    """A change and its reverse are two different things: what is told of the one names nothing gone in the other."""
    change, told = BREAKING[name]
    new = copy.deepcopy(BASE)
    change(new)
    assert PUT + told not in breaking_changes(new, BASE)


@given(st.lists(st.sampled_from([*HARMLESS.values()]), max_size=3))
@settings(max_examples=50)
def test_a_document_does_not_break_itself(changes: list[Callable[[Document], object]]) -> None:
    """Whatever it holds."""
    document = copy.deepcopy(BASE)
    for change in changes[:1]:
        change(document)
    assert breaking_changes(document, copy.deepcopy(document)) == []


LEAVES = st.one_of(
    st.sampled_from([{}, True, {"type": "null"}, {"type": "boolean"}]),
    st.builds(
        lambda value: {"const": value}, st.sampled_from([0, 1, 2, 3, 0.5, "", "x", "xy", None, True, [1], {"a": 1}])
    ),
    st.builds(
        lambda values: {"enum": values}, st.lists(st.sampled_from([0, 2, "x", "y", None]), min_size=1, unique=True)
    ),
    st.fixed_dictionaries(
        {"type": st.just("integer")}, optional={"minimum": st.integers(0, 3), "maximum": st.integers(0, 3)}
    ),
    st.fixed_dictionaries(
        {"type": st.just("number")}, optional={"exclusiveMinimum": st.integers(0, 2), "multipleOf": st.just(2)}
    ),
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={
            "minLength": st.integers(0, 2),
            "maxLength": st.integers(0, 2),
            "pattern": st.sampled_from(["x", "^y"]),
        },
    ),
    st.builds(
        lambda kinds: {"type": kinds}, st.lists(st.sampled_from(["null", "integer", "string"]), min_size=1, unique=True)
    ),
)


def schemas(max_joined: int) -> st.SearchStrategy[Any]:
    """Schemas in which at most so many hold at once."""
    return st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            st.fixed_dictionaries(
                {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2)},
                optional={
                    "required": st.lists(st.sampled_from("ab"), unique=True, max_size=2),
                    "additionalProperties": st.booleans(),
                    "minProperties": st.integers(0, 2),
                },
            ),
            st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"maxItems": st.integers(0, 2)}),
            st.builds(lambda kinds: {"anyOf": kinds}, st.lists(inner, min_size=1, max_size=2)),
            st.builds(lambda kinds: {"allOf": kinds}, st.lists(inner, min_size=1, max_size=max_joined)),
        ),
        max_leaves=4,
    )


ATOMS: list[Any] = [None, False, True, 0, 1, 2, 3, 0.5, 1.5, "", "x", "y", "xy"]
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


def names_only_what_it_may(value: Any, schema: Any) -> bool:
    """Whether a value uses no property that the schema does not name: what nobody declared, nobody relies on."""
    if not isinstance(schema, dict):
        return not isinstance(value, dict | list) or not value
    if "const" in schema:
        return True
    kinds = [schema, *schema.get("anyOf", ()), *schema.get("allOf", ())]
    if isinstance(value, dict):
        named: dict[str, Any] = {}
        for kind in kinds:
            named |= kind.get("properties", {}) if isinstance(kind, dict) else {}
        return all(name in named and names_only_what_it_may(held, named[name]) for name, held in value.items())
    if isinstance(value, list):
        items = [kind["items"] for kind in kinds if isinstance(kind, dict) and "items" in kind]
        return bool(items) and all(names_only_what_it_may(held, items[0]) for held in value)
    return True


@given(schemas(2), schemas(2), st.lists(VALUES, min_size=1, max_size=20))
@settings(max_examples=400)
def test_a_value_that_is_refused_has_a_reason(wide: Any, narrow: Any, values: list[Any]) -> None:
    """The law: when no reason is found, whatever the one schema allows, a JSON Schema validator allows by the other."""
    if Comparison({}, {}).reasons(wide, narrow):
        return
    before, after = Draft202012Validator(narrow), Draft202012Validator(wide)
    for value in [*ATOMS, [], {}, [1], {"a": 1}, *values]:
        if before.is_valid(value) and names_only_what_it_may(value, narrow):
            assert after.is_valid(value), (wide, narrow, value)


@given(schemas(1))
def test_a_schema_takes_all_that_it_takes(schema: Any) -> None:
    """No schema is narrower than itself, unless it holds a contradiction."""
    assert Comparison({}, {}).reasons(schema, copy.deepcopy(schema)) == []


def test_shapes_that_hold_each_other_are_compared_in_a_moment() -> None:
    """Forty shapes, each with fields of the next three: every pair is looked at once, and the fault is still found."""
    shapes = {
        f"S{n}": {
            "type": "object",
            "properties": {f"to{k}": {"$ref": f"#/components/schemas/S{(n + k) % 40}"} for k in (1, 2, 3)},
        }
        for n in range(40)
    }
    document = copy.deepcopy(BASE)
    document["components"]["schemas"] |= shapes
    order(document)["properties"]["tree"] = {"$ref": "#/components/schemas/S0"}
    new = copy.deepcopy(document)
    assert breaking_changes(document, new) == []
    new["components"]["schemas"]["S39"]["properties"].pop("to2")
    found = breaking_changes(document, new)
    assert [change.endswith("/to2 is gone") for change in found] == [True]
    new["components"]["schemas"]["S39"]["properties"]["to1"] = {"type": "string"}
    found = breaking_changes(document, new)
    assert 0 < len([change for change in found if change.endswith("/to1 may now hold type string")]) <= 20


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/components/schemas/Loop"},
        {"$ref": "#/components/schemas/Missing"},
        {"$ref": "elsewhere.json#/x"},
        {"anyOf": [{"$ref": "#/components/schemas/Knot"}]},
    ],
)
def test_a_document_that_is_odd_is_compared_all_the_same(schema: Document) -> None:
    """Shapes that hold only themselves, or that are not there, end the comparison of that part and not the program."""
    document = copy.deepcopy(BASE)
    document["components"]["schemas"] |= {
        "Loop": {"$ref": "#/components/schemas/Loop"},
        "Knot": {"anyOf": [{"$ref": "#/components/schemas/Knot"}, {"type": "null"}]},
    }
    put(document)["requestBody"]["content"]["application/json"]["schema"] = schema
    assert breaking_changes(document, document) == []
