"""Templates: which text is an expression, what keeps its type, what a template knows about itself."""

from types import MappingProxyType
from typing import Any

import pytest

from maestro_workflow_engine import JSON, BadExpression, ExpressionFailed, compile_template

SCOPE: dict[str, Any] = {
    "inputs": {"text": "héllo", "number": 1.5, "flag": True, "none": None, "list": [1, "a", None], "map": {"k": "v"}},
    "steps": {"a": {"output": [1, 2], "status": "succeeded", "error": None}},
    "workflow": {"id": "w", "name": "n"},
}


@pytest.mark.parametrize("name", ["text", "number", "flag", "none", "list", "map"])
def test_a_text_that_is_one_expression_keeps_the_type(name: str) -> None:
    """Exactly one expression gives its value as it is."""
    assert compile_template(f"${{{{ inputs.{name} }}}}").render(SCOPE) == SCOPE["inputs"][name]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("<${{ inputs.text }}>", "<héllo>"),
        ("${{ inputs.text }}${{ inputs.text }}", "héllohéllo"),
        (" ${{ inputs.number }}", " 1.5"),
        ("${{ inputs.flag }}\n", "true\n"),
        ("a ${{ inputs.none }} b", "a null b"),
        ("x=${{ inputs.list }}", 'x=[1,"a",null]'),
        ("x=${{ inputs.map }}", 'x={"k":"v"}'),
        ("${{'a'}}${{\n1\n}}", "a1"),
    ],
)
def test_values_are_put_into_text(template: str, text: str) -> None:
    """Beside other text, strings stand as they are and everything else as compact JSON."""
    assert compile_template(template).render(SCOPE) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("$${{ inputs.text }}", "${{ inputs.text }}"),
        ("a $${{ ${{ inputs.text }}", "a ${{ héllo"),
        ("$$${{ x", "$${{ x"),
        ("${ x } {{ y }} $ {{", "${ x } {{ y }} $ {{"),
    ],
)
def test_an_escaped_opening_is_text(template: str, text: str) -> None:
    """`$${{` stands for `${{`, and text that only looks like an expression is left alone."""
    assert compile_template(template).render(SCOPE) == text


def test_text_from_a_value_is_never_read_as_an_expression() -> None:
    """What a value holds is put in as it is, so that no input can smuggle in an expression."""
    scope = {"inputs": {"x": "${{ workflow.id }}", "y": ["${{ 1 }}"]}}
    assert compile_template(["${{ inputs.x }}", "- ${{ inputs.x }}", "${{ inputs.y }}"]).render(scope) == [
        "${{ workflow.id }}",
        "- ${{ workflow.id }}",
        ["${{ 1 }}"],
    ]


def test_nested_data_is_rendered_in_place() -> None:
    """Expressions are found at any depth; keys, order and everything else stay."""
    template = compile_template({"z": [1, {"y": "${{ inputs.number }}"}, "${{ steps.a.output[1] }}"], "a": None})
    rendered = template.render(SCOPE)
    assert rendered == {"z": [1, {"y": 1.5}, 2], "a": None}
    assert isinstance(rendered, dict)
    assert list(rendered) == ["z", "a"]


def test_rendering_changes_neither_template_nor_scope() -> None:
    """Two renderings of one template are independent where expressions stand."""
    template = compile_template({"a": ["${{ index }}", "b"]})
    first, second = template.render({"index": 1}), template.render({"index": 2})
    assert (first, second) == ({"a": [1, "b"]}, {"a": [2, "b"]})
    assert template.source == {"a": ["${{ index }}", "b"]}


def test_a_constant_is_returned_at_once() -> None:
    """A template without expressions hands out its own data."""
    data: JSON = {"a": [1, {"b": "text"}]}
    template = compile_template(data)
    assert template.is_constant
    assert template.render({}) is data


def test_a_template_knows_what_it_reads() -> None:
    """References, inputs and the use of the item are known before anything runs."""
    template = compile_template(
        {
            "a": "${{ steps.b-1.output.x[steps.c.output] }} ${{ default(steps.d.error, inputs.e) }}",
            "f": ["${{ false && steps['g'].status }}", "${{ inputs['h'] }}", "$${{ steps.no.output }}"],
        }
    )
    assert template.references == {"b-1", "c", "d", "g"}
    assert template.inputs == {"e", "h"}
    assert not template.uses_item
    assert not template.is_expression
    assert compile_template("${{ item }}").uses_item
    assert compile_template("x ${{ index }}").uses_item
    assert compile_template("${{ item }}").is_expression
    assert not compile_template("${{ 1 }}${{ 2 }}").is_expression


def test_each_use_names_its_string() -> None:
    """Every read is known with the pointer of its string and its offset there."""
    (use,) = compile_template({"a/b": ["", "x ${{ steps.s.output }}"]}).uses
    assert use.path == "/a~1b/1"
    assert "x ${{ steps.s.output }}"[use.offset :].startswith("steps.s")


def test_templates_are_equal_when_their_sources_are() -> None:
    """Equality and the shown form are those of the data."""
    assert compile_template(["${{ 1 }}"]) == compile_template(["${{ 1 }}"])
    assert compile_template(["${{ 1 }}"]) != compile_template(["${{ 2 }}"])
    assert compile_template("a") != "a"
    assert repr(compile_template(["${{ 1 }}"])) == "Template(['${{ 1 }}'])"
    assert hash(compile_template("${{ inputs.a }}")) == hash(compile_template("${{ inputs.a }}"))


def test_an_expression_in_a_key_is_refused() -> None:
    """Keys are names; an expression there would be lost, so it is refused."""
    with pytest.raises(BadExpression, match="a key cannot hold an expression"):
        compile_template({"${{ inputs.text }}": 1})


def test_a_failure_names_the_string_it_happened_in() -> None:
    """The path of a failed evaluation is the JSON Pointer inside the template."""
    with pytest.raises(ExpressionFailed) as caught:
        compile_template({"a": [0, "${{ 1 }} ${{ inputs.none.x }}"]}).render(SCOPE)
    assert caught.value.path == "/a/1"
    assert str(caught.value).startswith("/a/1: null has no")


def test_a_lazy_mapping_of_steps_is_read_only_where_asked() -> None:
    """Steps may be any mapping, and only the step and field that an expression names are touched."""
    touched: list[str] = []

    class Lazy(dict[str, Any]):
        def __missing__(self, key: str) -> Any:
            touched.append(key)
            return MappingProxyType({"output": {"b": [7]}, "status": "succeeded", "error": None})

    assert compile_template("${{ steps.a.output.b[0] }}").render({"steps": Lazy()}) == 7
    assert touched == ["a"]


def test_a_read_only_mapping_or_tuple_becomes_plain_data() -> None:
    """What a scope hands in as a mapping or a tuple leaves as an object or a list."""
    scope = {"inputs": MappingProxyType({"a": (1, 2), "o": object()})}
    assert compile_template("${{ inputs }}").render({"inputs": MappingProxyType({"a": 1})}) == {"a": 1}
    assert compile_template("${{ inputs.a }}").render(scope) == [1, 2]
    assert compile_template("x ${{ inputs.a }}").render(scope) == "x [1,2]"
    with pytest.raises(ExpressionFailed, match="not JSON data"):
        compile_template("${{ inputs.o }}").render(scope)
    with pytest.raises(ExpressionFailed, match="not plain JSON data"):
        compile_template("x ${{ inputs.o }}").render(scope)


@pytest.mark.parametrize("value", [float("nan"), {1: 2}, (1,), object(), 2**70, "\ud800"], ids=str)
def test_what_is_not_json_is_no_template(value: Any) -> None:
    """A template is made of plain JSON data only."""
    with pytest.raises(BadExpression):
        compile_template([value])
