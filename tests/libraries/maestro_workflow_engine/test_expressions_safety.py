"""Hostile expressions: nothing of Python is in reach, and nothing can be made to grow or run without bound."""

import datetime
import time
from typing import Any

import pytest

from maestro_workflow_engine import BadExpression, ExpressionFailed, compile_template


class Temptation:
    """A Python object with everything that an attacker would like to reach."""

    secret = "s3cret"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"an expression read the attribute {name}")

    def __call__(self) -> str:
        raise AssertionError("an expression called an object")


SCOPE: dict[str, Any] = {
    "inputs": {
        "text": "a",
        "list": [1],
        "map": {"k": 1},
        "number": 1,
        "big": "x" * 3_000_000,
        "when": datetime.timedelta(),
    },
    "steps": {"a": {"output": Temptation(), "status": "succeeded", "error": None}},
    "workflow": {"id": "w", "name": "n"},
}

NAMES = ["__class__", "__globals__", "__init__", "__dict__", "__subclasses__", "__getitem__", "__builtins__", "mro"]
METHODS = ["format", "append", "items", "get", "real", "upper", "encode", "days", "secret"]


@pytest.mark.parametrize("name", NAMES + METHODS)
@pytest.mark.parametrize(
    "target", ["inputs.text", "inputs.list", "inputs.number", "inputs.when", "steps.a.output", "''", "1"]
)
def test_no_attribute_of_a_python_object_can_be_read(target: str, name: str) -> None:
    """Neither `.name` nor `['name']` reaches an attribute of any value."""
    for expression in (f"{target}.{name}", f"{target}['{name}']"):
        with pytest.raises(ExpressionFailed):
            compile_template(f"${{{{ {expression} }}}}").render(SCOPE)


@pytest.mark.parametrize("name", NAMES + METHODS)
@pytest.mark.parametrize("target", ["inputs", "inputs.map"])
def test_in_an_object_such_a_name_is_only_a_missing_key(target: str, name: str) -> None:
    """In a mapping there are keys and nothing else."""
    with pytest.raises(ExpressionFailed, match=r"no key|no value"):
        compile_template(f"${{{{ {target}.{name} }}}}").render(SCOPE)
    assert compile_template(f"${{{{ {target}.{name} }}}}").render({"inputs": {name: 1, "map": {name: 1}}}) == 1


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os')",
        "open('x')",
        "eval('1')",
        "inputs.text.format(1)",
        "inputs.list.append(1)",
        "(inputs.text)('x')",
        "steps.a.output()",
        "lambda: 1",
        "[x for x in inputs.list]",
        "inputs.text if true else 1",
        "inputs.list[0:1]",
        "2 ** 99999999",
        "1 << 99999",
        "inputs.number = 2",
        "inputs.number := 2",
        "f'{inputs}'",
        "'%s' % inputs.text; 1",
        "`id`",
        "$(id)",
        "inputs.ｔext",
        "inputs.text\x00",
    ],
)
def test_python_is_not_the_language(expression: str) -> None:
    """Calls of values, comprehensions, assignments, powers and the like are no part of the grammar."""
    with pytest.raises(BadExpression):
        compile_template(f"${{{{ {expression} }}}}")


def test_formatting_with_percent_is_arithmetic_only() -> None:
    """`%` never formats text."""
    with pytest.raises(ExpressionFailed, match="'%' takes numbers"):
        compile_template("${{ '%(a)s' % inputs.map }}").render(SCOPE)


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 2000 + "1" + ")" * 2000,
        "-" * 4000 + "1",
        "!" * 4000 + "1",
        "not " * 1000 + "true",
        "len(" * 500 + "1" + ")" * 500,
        "item" + "[item" * 500 + "]" * 500,
        "1 + (" * 700 + "1" + ")" * 700,
    ],
    ids=lambda expression: expression[:8],
)
def test_depth_is_bounded(expression: str) -> None:
    """Deep nesting of any form is refused before it can exhaust the stack."""
    with pytest.raises(BadExpression, match="nested deeper than 64"):
        compile_template(f"${{{{ {expression} }}}}")


def test_the_deepest_expressions_that_are_taken_can_be_evaluated() -> None:
    """Whatever passes the limit of depth evaluates within Python's usual stack, on every level of precedence."""
    layer = "({}*1+0==2&&1||2)"
    expression = "2"
    for _ in range(60):
        expression = layer.format(expression)
    assert compile_template(f"${{{{ {expression} }}}}").render({}) in (1, 2)
    assert compile_template("${{ " + "1+" * 1500 + "1 }}").render({}) == 1501
    assert compile_template("${{ inputs" + ".a" * 1500 + " }}").references == frozenset()


def test_length_is_bounded() -> None:
    """An expression holds at most 4096 characters, also as one long string or number."""
    for expression in ("1 + " * 2000 + "1", "'" + "x" * 5000 + "'", "9" * 5000, " " * 5000):
        with pytest.raises(BadExpression, match=r"longer than 4096|empty"):
            compile_template(f"${{{{ {expression} }}}}")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("inputs.big + inputs.big", "more than 4 MiB of text"),
        ("join(split(inputs.big, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'), inputs.big)", "more than 4 MiB of text"),
        ("split(inputs.big, 'x')", "more than 100,000 items"),
        ("to_json(to_json(to_json(join(split(inputs.big, 'xxxxxxxxxxxxxxxx'), '\\\"\\\"\\\"\\\"'))))", "4 MiB|100,000"),
        ("range(10001)", "more than 10,000 items"),
        ("range(0, 18446744073709551615)", "more than 10,000 items"),
        ("9223372036854775807 * 9223372036854775807", "does not fit into 64 bits"),
        ("-9223372036854775808 - 1", "does not fit into 64 bits"),
        ("1e308 * 10", "not finite"),
        ("-1e308 - 1e308", "not finite"),
        ("from_json('" + "[" * 2000 + "]" * 2000 + "')", "nested"),
        ("from_json('" + "9" * 3900 + "')", "beyond 64 bits"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_an_expression_builds_is_bounded(expression: str, message: str) -> None:
    """Text, lists and numbers have an upper bound, reached as an error and never as an exhausted machine."""
    with pytest.raises(ExpressionFailed, match=message):
        compile_template(f"${{{{ {expression} }}}}").render(SCOPE)


def test_a_number_of_python_beyond_64_bits_is_refused() -> None:
    """A huge integer in the scope can neither be computed with nor be put into text."""
    scope = {"inputs": {"n": 10**5000}}
    with pytest.raises(ExpressionFailed, match="64 bits"):
        compile_template("${{ inputs.n * 1 }}").render(scope)
    with pytest.raises(ExpressionFailed, match="not plain JSON"):
        compile_template("x ${{ inputs.n }}").render(scope)


def test_many_small_expressions_together_are_bounded() -> None:
    """One rendering builds at most 16 MiB, however many expressions share the work."""
    template = compile_template([f"{i} ${{{{ inputs.big }}}}" for i in range(100)])
    with pytest.raises(ExpressionFailed, match="all values together exceed 16 MiB"):
        template.render(SCOPE)


def test_a_deeply_nested_value_fails_cleanly() -> None:
    """A value deeper than Python's stack can be passed on and compared, and fails where it would become text."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    scope = {"inputs": {"deep": deep, "same": deep}}
    assert compile_template("${{ inputs.deep }}").render(scope) is deep
    assert compile_template("${{ inputs.deep == inputs.same[0] }}").render(scope) is False
    with pytest.raises(ExpressionFailed, match="not plain JSON data"):
        compile_template("x ${{ inputs.deep }}").render(scope)


@pytest.mark.parametrize(
    "text",
    ["${{ '" + "\\" * 1_000_000, "${{ " + "'a' " * 200_000, "${{" * 300_000, "${{ " + " " * 2_000_000],
    ids=lambda text: text[:8],
)
def test_hostile_text_is_refused_quickly(text: str) -> None:
    """Unclosed strings, spaces and endless openings take time in proportion to the text, and short messages."""
    started_at = time.perf_counter()
    with pytest.raises(BadExpression) as caught:
        compile_template(text)
    assert len(caught.value.reason) < 500
    assert time.perf_counter() - started_at < 2.0
