"""Expressions made of random words of the language and of Python: a value, or an error that is declared."""

import datetime
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_workflow_engine.fuzz_kit import HOSTILE, bounded, trials

from maestro_workflow_engine import BadExpression, ExpressionFailed, compile_template

CALLS = 300_000
WORDS = (
    "inputs", "inputs.x", "inputs.list", "inputs.map", "steps", "steps.a.output", "steps.a.status", "steps.a.error",
    "item", "index", "workflow.id", "output", "previous", "iteration", "secrets.KEY", ".", "..", "[", "]", "(", ")",
    "{", "}", ",", ":", "?", "+", "-", "*", "/", "%", "**", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "!", "and",
    "or", "not", "in", "is", "if", "else", "for", "lambda", "null", "true", "false", "None", "0", "1", "-1", "007",
    "1e999", "0.5", "18446744073709551616", "9" * 40, "'a'", "\"b\"", "''", "'\\u0000'", "'\\ud800'",
    "'" + "x" * 300 + "'", "len(", "range(", "range(10000)", "join(", "split(", "default(", "keys(", "to_json(",
    "from_json(", "contains(", "format(", "upper(", "lower(", "__class__", ".__class__", ".__globals__",
    "['__dict__']", "__import__('os')", "eval(", "exec(", "open(", "getattr(", "`", "$", "@", ";", "#", "\\", "\n",
    "\x00", "é", "${{", "}}",
)  # fmt: skip
SOUPS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join)
GLUED = st.lists(st.sampled_from(WORDS), min_size=1, max_size=10).map("".join)


class Temptation:
    """A Python object with everything that an attacker would like to reach."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return object.__getattribute__(self, name)
        raise AssertionError(f"an expression read the attribute {name}")

    def __call__(self) -> str:
        raise AssertionError("an expression called an object")


SCOPE: dict[str, Any] = {
    "inputs": {"x": 7, "list": [3, 1, 2], "map": {"k": [1, {"n": None}]}, "when": datetime.timedelta(1)},
    "steps": {"a": {"output": Temptation(), "status": "succeeded", "error": None}},
    "workflow": {"id": "w", "name": "n"},
    "item": {"deep": [[[[1]]]]},
    "index": 0,
    "output": {"n": 1},
    "previous": None,
    "iteration": 1,
    "secrets": {"KEY": "s3cret"},
}


def tried(text: str, *, may_hold_secret: bool = True) -> None:
    """Compile and render it; only the two declared errors may come, with short messages."""
    refusal = None
    value: Any = None
    try:
        with bounded(CALLS):
            value = compile_template(text).render(SCOPE)
    except (BadExpression, ExpressionFailed) as error:
        refusal = str(error)
    if refusal is not None:
        assert len(refusal) < 1_000
        assert "s3cret" not in refusal, "an error shows a secret"
        return
    if isinstance(value, Temptation):
        return  # handed on as it came, and not looked into
    written = json.dumps(value, default=lambda other: type(other).__name__)
    assert len(written) < 20 << 20
    assert "KEY" in text or "secrets" in text or "s3cret" not in written


@trials(1_500, 200_000)
@given(SOUPS | GLUED)
def test_any_words_give_a_value_or_a_declared_error(words: str) -> None:
    """No other error, no attribute of an object, no work without a bound."""
    tried("${{ " + words + " }}")


@trials(500, 50_000)
@given(st.text(alphabet="${}'\"\\ ()[].,abn019+-*/<>=!&|\n\x00é", max_size=60))
def test_any_text_is_a_template_or_is_refused(text: str) -> None:
    """Also halves of expressions, and quotes that are never closed."""
    tried(text)
    tried("${{" + text + "}}")


@trials(300, 20_000)
@given(st.sampled_from([each for each in HOSTILE if isinstance(each, str)]), SOUPS)
def test_hostile_pieces_within_others_are_no_way_out(piece: str, words: str) -> None:
    """Side by side, and one within the other."""
    tried(piece + "${{ " + words + " }}")
    inner = piece.removeprefix("${{").removesuffix("}}")
    tried("${{ default((" + inner + "), " + words + ") }}")


@trials(200, 5_000)
@given(
    st.integers(0, 400),
    st.sampled_from(["({})", "-{}", "not {}", "[{}]", "len({})", "{}.x", "{}[0]", "({}) + 1", "default({}, 1)"]),
)
def test_depth_ends_in_a_declared_error(levels: int, layer: str) -> None:
    """However deep one thing lies in another."""
    text = "inputs.x"
    for _ in range(levels):
        text = layer.replace("{}", text)
    tried("${{ " + text + " }}")
