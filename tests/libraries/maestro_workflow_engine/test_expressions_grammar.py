"""What an expression means: operators, precedence, access, functions, truth."""

from typing import Any

import pytest

from maestro_workflow_engine import BadExpression, ExpressionFailed, compile_template

SCOPE: dict[str, Any] = {
    "inputs": {"name": "Ada", "count": 3, "deep": True, "none": None, "list": [1, 2, 3], "map": {"a-b": 1, "b": [5]}},
    "steps": {
        "fetch": {"output": {"b": [10, {"c": None}], "in": 7}, "status": "succeeded", "error": None},
        "a-1": {"output": "x", "status": "skipped", "error": None},
    },
    "item": {"id": 4},
    "index": 2,
    "workflow": {"id": "w1", "name": "report"},
}


def value_of(expression: str) -> Any:
    return compile_template(f"${{{{ {expression} }}}}").render(SCOPE)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1", 1),
        ("-1.5e2", -150.0),
        (r"'it\'s \"so\" \\ \u00e9 \ud83d\ude00\n'", 'it\'s "so" \\ é 😀\n'),
        ("\"double 'quoted'\"", "double 'quoted'"),
        ("'}} not the end'", "}} not the end"),
        ("true", True),
        ("null", None),
        ("inputs.name", "Ada"),
        ("inputs['name']", "Ada"),
        ("inputs", SCOPE["inputs"]),
        ("steps.fetch.output.b[0]", 10),
        ("steps.fetch.output.b[-1]", {"c": None}),
        ("steps.fetch.output.in", 7),
        ("steps['fetch']['output']['b'][0]", 10),
        ("steps.a-1.output", "x"),
        ("steps.a-1.status == 'skipped'", True),
        ("steps.fetch.error", None),
        ("item.id - 1", 3),
        ("index", 2),
        ("workflow.id + '/' + workflow.name", "w1/report"),
        ("inputs.map['a-b']", 1),
        ("inputs.list[index]", 3),
        ("inputs.map[keys(inputs.map)[0]]", 1),
        ("(inputs.map).b[0]", 5),
        ("'abc' == \"abc\"", True),
    ],
)
def test_a_value_is_read(expression: str, expected: Any) -> None:
    """Literals, roots, names, keys and places give the value they point at, with its type."""
    assert value_of(expression) == expected
    assert type(value_of(expression)) is type(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("7 % 4 * 2", 6),
        ("-7 % 3", 2),
        ("-2 * -3", 6),
        ("- -1", 1),
        ("6 / 3", 2),
        ("7 / 2", 3.5),
        ("1 + 1.0", 2.0),
        ("'a' + 'b'", "ab"),
        ("1 + 1 == 2", True),
        ("1 < 2 && 2 < 3", True),
        ("false || true && false", False),
        ("!false == true", True),
        ("not 1 == 2", True),
        ("not not true", True),
        ("1 == 1 and not 2 == 3 or false", True),
        ("'b' > 'a'", True),
        ("1.5 >= 1", True),
        ("2 in inputs.list", True),
        ("'2' in inputs.list", False),
        ("'d' in 'Ada'", True),
        ("'b' in inputs.map", True),
        ("!(2 in inputs.list)", False),
        ("inputs.none || 'else'", "else"),
        ("inputs.count && 'then'", "then"),
        ("0 || '' || false", False),
        ("false && 1 / 0", False),
        ("true || 1 / 0", True),
    ],
)
def test_operators_bind_as_documented(expression: str, expected: Any) -> None:
    """Precedence, association, short circuit and the value of && and || are as the grammar says."""
    assert value_of(expression) == expected
    assert type(value_of(expression)) is type(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 == 1.0", True),
        ("1 == true", False),
        ("0 == false", False),
        ("'1' == 1", False),
        ("null == false", False),
        ("inputs.list == range(1, 4)", True),
        ("inputs.map == inputs.map", True),
        ('from_json(\'{"a":1,"b":[true]}\') == from_json(\'{"b":[true],"a":1}\')', True),
        ("from_json('[1]') == from_json('[true]')", False),
        ("from_json('[1]') != from_json('[1,2]')", True),
    ],
)
def test_equality_is_that_of_json(expression: str, expected: bool) -> None:
    """Values of different types are never equal, numbers are equal by value, and keys have no order."""
    assert value_of(expression) is expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("len('héé')", 3),
        ("len(inputs.list)", 3),
        ("len(inputs.map)", 2),
        ("contains(inputs.list, 2)", True),
        ("contains('abc', 'bc')", True),
        ("contains(inputs.map, 'zz')", False),
        ("starts_with('abc', 'ab')", True),
        ("ends_with('abc', 'ab')", False),
        ("join(inputs.list, ', ')", "1, 2, 3"),
        ("join(split('a-b-c', '-'))", "abc"),
        ("split('a,,b', ',')", ["a", "", "b"]),
        ("to_json(inputs.map)", '{"a-b":1,"b":[5]}'),
        ("from_json('[1, {\"a\": null}]')", [1, {"a": None}]),
        ("keys(inputs.map)", ["a-b", "b"]),
        ("values(inputs.map)", [1, [5]]),
        ("range(3)", [0, 1, 2]),
        ("range(1, 3)", [1, 2]),
        ("range(5, 0, -2)", [5, 3, 1]),
        ("len(range(10000))", 10000),
        ("default(inputs.none, 'x')", "x"),
        ("default(inputs.count, 'x')", 3),
        ("default(steps.fetch.output.b[1].c.d.e, 'x')", "x"),
        ("default(steps.fetch.output.zzz, steps.fetch.output.b[0])", 10),
        ("default(inputs.list[9], 'x')", "x"),
        ("default(inputs.count, 1 / 0)", 3),
        ("default(default(inputs.map.x, inputs.map.y), 'z')", "z"),
    ],
)
def test_functions(expression: str, expected: Any) -> None:
    """Each function does what its name says; default looks at its second argument only when it needs it."""
    assert value_of(expression) == expected


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        *zip((None, False, 0, 0.0, "", [], {}), [False] * 7, strict=True),
        *zip((True, 1, -0.5, "false", [0], {"a": None}), [True] * 6, strict=True),
    ],
)
def test_truth(value: Any, truth: bool) -> None:
    """false, null, 0, "", [] and {} are false; everything else is true, the text "false" too."""
    assert compile_template("${{ !!inputs.x }}").render({"inputs": {"x": value}}) is truth


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "the expression is empty"),
        ("1 +", "expected a value, not the end"),
        ("1 2", "expected an operator or '}}', not '2'"),
        ("(1", "expected ')', not the end"),
        ("inputs.list[0", "expected ']', not the end"),
        ("inputs.", "behind 'inputs.', not the end"),
        ("inputs.name.0", "write [0] for an item"),
        ("1abc", "runs into a name"),
        ("1 = 2", "compare with '=='"),
        ("1 & 2", "write '&&'"),
        ("1 | 2", "write '||'"),
        ("'abc", "not closed"),
        (r"'\x41'", "is not an escape"),
        (r"'\ud800'", "half of a surrogate pair"),
        ("1 < 2 < 3", "cannot be chained"),
        ("1 == 1 == true", "cannot be chained"),
        ("1 + not true", "in parentheses"),
        ("naem", "an expression knows no 'naem'"),
        ("input.name", "did you mean 'inputs'?"),
        ("join.x", "join is a function: write join(…)"),
        ("lenght(inputs.list)", "there is no function 'lenght'"),
        ("containz('a', 'b')", "did you mean 'contains'?"),
        ("len()", "len takes 1 argument, not 0"),
        ("default(1)", "default takes 2 arguments, not 1"),
        ("range(1, 2, 3, 4)", "range takes 1 to 3 arguments, not 4"),
        ("steps", "'steps' alone has no value"),
        ("steps.fetch", "'steps.fetch' alone has no value"),
        ("steps[inputs.name].output", "it must be known before anything runs"),
        ("steps.fetch.outptu", "did you mean 'output'?"),
        ("workflow", "'workflow' alone has no value"),
        ("workflow.nme", "did you mean 'name'?"),
        ("inputs[item]", "it must be known before anything runs"),
        ("99999999999999999999", "too large"),
        ("1e999", "too large"),
        ("1 # note", "has no meaning in an expression"),
        ("item ? 1 : 2", "write 'condition && a || b'"),
        ("{'a': 1}", "found '{'"),
    ],
)
def test_a_bad_expression_says_what_is_wrong(expression: str, message: str) -> None:
    """What cannot be read is refused when the template is made, with a reason and a mark at the place."""
    with pytest.raises(BadExpression) as caught:
        compile_template(f"text ${{{{ {expression} }}}}")
    assert message in caught.value.reason
    assert "▸" in caught.value.reason
    assert caught.value.code == "workflow.bad-expression"
    assert not caught.value.retryable


def test_the_offset_of_a_bad_expression_counts_from_the_start_of_its_text() -> None:
    """The offset points into the whole text, also behind other expressions, and the path at the string."""
    with pytest.raises(BadExpression) as caught:
        compile_template({"a": ["", {"b/c": "${{ 1 }} and ${{ 1 + }}"}]})
    assert caught.value.path == "/a/1/b~1c"
    assert "${{ 1 }} and ${{ 1 + }}"[caught.value.offset :] == "}}"


def test_an_expression_without_its_end_is_refused() -> None:
    """A `${{` that is never closed is a mistake and not text."""
    with pytest.raises(BadExpression, match="no closing '}}'"):
        compile_template("${{ inputs.name")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("inputs.nmae", "inputs.nmae has no value here"),
        ("inputs.map.c", 'there is no key "c" beside "a-b", "b"; write default(…, …)'),
        ("inputs.list[3]", "there is no item 3 in an array of 3"),
        ("inputs.none.a", 'null has no "a"; write default(…, …) if it may be missing'),
        ("inputs.none[0]", "null has no 0; write default(…, …)"),
        ("inputs.list.first", "an array has integers for places"),
        ("inputs.list[1.0]", "an array has integers for places"),
        ("inputs.list[true]", "an array has integers for places"),
        ("inputs.map[0]", "an object has strings for keys, not a number"),
        ("inputs.name.x", 'a string has no "x"'),
        ("inputs.name[0]", "a string has no 0"),
        ("steps.other.output", "step 'other' has no output yet"),
        ("1 / 0", "division by zero"),
        ("1 % 0.0", "division by zero"),
        ("1 + 'a'", "two numbers or two strings"),
        ("true + 1", "'+' takes numbers, not a boolean"),
        ("-inputs.name", "'-' takes numbers, not a string"),
        ("'a' * 3", "'*' takes numbers, not a string"),
        ("1 < 'a'", "only two numbers or two strings have an order, not a number and a string"),
        ("true < false", "not a boolean and a boolean"),
        ("inputs.list < inputs.list", "not an array and an array"),
        ("1 in 2", "a number contains nothing"),
        ("1 in 'a1'", "a string contains strings only"),
        ("1 in inputs.map", "an object has strings for keys"),
        ("len(1)", "len takes a string, an array or an object, not a number"),
        ("join('a', 'b')", "join takes an array"),
        ("join(inputs.list, 1)", "join takes a string here"),
        ("split('a', '')", "a separator that is not empty"),
        ("from_json('{')", "not JSON"),
        ("from_json('NaN')", "not a finite number"),
        ("from_json('1e999')", "not a finite number"),
        ("keys(inputs.list)", "keys takes an object, not an array"),
        ("range('3')", "range takes integers, not a string"),
        ("range(0, 1, 0)", "a step that is not zero"),
        ("range(1, null)", "range takes integers, not null"),
    ],
)
def test_an_evaluation_that_fails_says_why(expression: str, message: str) -> None:
    """A missing value or a wrong type is an ExpressionFailed that names the reason and marks the place."""
    with pytest.raises(ExpressionFailed) as caught:
        value_of(expression)
    assert message in caught.value.reason
    assert "▸" in caught.value.reason
    assert caught.value.code == "workflow.expression-failed"
    assert not caught.value.retryable


def test_default_hides_absence_only() -> None:
    """A wrong type or a division by zero inside default is still an error."""
    with pytest.raises(ExpressionFailed, match="division by zero"):
        value_of("default(1 / 0, 1)")
    with pytest.raises(ExpressionFailed, match="a string has no"):
        value_of("default(inputs.name.x, 1)")
