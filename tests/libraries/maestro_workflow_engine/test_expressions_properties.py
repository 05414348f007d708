"""Laws of expressions and templates, for all inputs that Hypothesis thinks of."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from maestro_workflow_engine import JSON, BadExpression, ExpressionFailed, compile_template
from maestro_workflow_engine._expressions_syntax import Access, parse_expression, parse_plain_path

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

KEYS = st.sampled_from(["a", "b", "c-d", "__class__", "in"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-20, 20)
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab'\"\\\n${}é😀", max_size=5)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3), max_leaves=6
)

# A tree is a tuple: ("literal", value) · ("input", name) · ("get", tree, key) · ("at", tree, tree) · ("-", tree) ·
# ("!", tree) · (operator, tree, tree) · ("default", tree, tree) · (function, tree, …)
Tree = tuple[Any, ...]
LEVELS = {"||": 1, "&&": 2, "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4, "in": 4}
LEVELS |= {"+": 5, "-": 5, "*": 6, "/": 6, "%": 6}
INPUTS = ("x", "y", "z")


def trees() -> st.SearchStrategy[Tree]:
    literals = st.tuples(st.just("literal"), SCALARS)
    leaves = literals | st.tuples(st.just("input"), st.sampled_from(INPUTS))

    def grown(below: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        return (
            st.tuples(st.sampled_from(sorted(LEVELS)), below, below)
            | st.tuples(st.sampled_from(["neg", "!", "len", "keys", "to_json"]), below)
            | st.tuples(st.sampled_from(["default", "contains", "at"]), below, below)
            | st.tuples(st.just("get"), below, KEYS)
        )

    return st.recursive(leaves, grown, max_leaves=8)


def sums() -> st.SearchStrategy[Tree]:
    """Trees whose parts have the types that their operators want, so that most of them have a value."""
    leaves = st.tuples(st.just("literal"), st.integers(-5, 9) | st.sampled_from([0.5, 2.0]))
    numbers = st.recursive(
        leaves, lambda below: st.tuples(st.sampled_from(list("+-*/%")), below, below) | st.tuples(st.just("neg"), below)
    )
    tests = st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), numbers, numbers)
    return numbers | st.recursive(
        tests,
        lambda below: st.tuples(st.sampled_from(["&&", "||", "=="]), below, below) | st.tuples(st.just("!"), below),
    )


def written(tree: Tree, floor: int = 0) -> str:
    """The expression of a tree, with no more parentheses than precedence asks for."""
    kind, *parts = tree
    if kind == "literal":
        text = json.dumps(parts[0])
        return f"({text})" if text.startswith("-") and floor > 6 else text
    if kind == "input":
        return f"inputs.{parts[0]}"
    if kind == "get":
        key = parts[1]
        return written(parts[0], 9) + (f".{key}" if "-" not in key else f"['{key}']")
    if kind == "at":
        return f"{written(parts[0], 9)}[{written(parts[1])}]"
    if kind in ("neg", "!"):
        text = ("-" if kind == "neg" else "!") + written(parts[0], 7)
        return f"({text})" if floor > 7 else text
    if kind in LEVELS:
        level = LEVELS[kind]
        left = written(parts[0], level + (level == 4))
        text = f"{left} {kind} {written(parts[1], level + 1)}"
        return f"({text})" if floor > level else text
    return f"{kind}({', '.join(written(part) for part in parts)})"


class Fails(Exception):
    """The reference says that there is no value."""


class Absent(Fails):
    """The reference says that a value is missing."""


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(left: Any, right: Any) -> bool:
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def number(value: Any) -> Any:
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise Fails


def looked_up(target: Any, key: Any) -> Any:
    if target is None:
        raise Absent
    if isinstance(target, dict) and isinstance(key, str):
        if key not in target:
            raise Absent
        return target[key]
    if isinstance(target, list) and isinstance(key, int) and not isinstance(key, bool):
        if not -len(target) <= key < len(target):
            raise Absent
        return target[key]
    raise Fails


def held(container: Any, part: Any) -> bool:
    if isinstance(container, list):
        return any(same(item, part) for item in container)
    if isinstance(container, str | dict) and isinstance(part, str):
        return part in container
    raise Fails


def calculated(operator: str, left: Any, right: Any) -> Any:
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    if not is_number(left) or not is_number(right):
        raise Fails
    number(left), number(right)
    if operator in "/%" and right == 0:
        raise Fails
    if operator == "/":
        whole = isinstance(left, int) and isinstance(right, int) and left % right == 0
        return number(left // right if whole else left / right)
    results = {
        "+": lambda: left + right,
        "-": lambda: left - right,
        "*": lambda: left * right,
        "%": lambda: left % right,
    }
    return number(results[operator]())


def compared(operator: str, left: Any, right: Any) -> bool:
    if not (is_number(left) and is_number(right)) and not (isinstance(left, str) and isinstance(right, str)):
        raise Fails
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])


def reference(tree: Tree, inputs: dict[str, Any]) -> Any:
    """The value of a tree, worked out as naively as possible."""
    kind, *parts = tree
    if kind == "literal":
        return parts[0]
    if kind == "input":
        return looked_up(inputs, parts[0])
    if kind == "get":
        return looked_up(reference(parts[0], inputs), parts[1])
    if kind in ("&&", "||"):
        left = reference(parts[0], inputs)
        return left if bool(left) is (kind == "||") else reference(parts[1], inputs)
    if kind == "default":
        try:
            left = reference(parts[0], inputs)
        except Absent:
            left = None
        return reference(parts[1], inputs) if left is None else left
    values = [reference(part, inputs) for part in parts]
    return computed(kind, values)


def computed(kind: str, values: list[Any]) -> Any:
    first, last = values[0], values[-1]
    if kind == "at":
        return looked_up(first, last)
    if kind == "!":
        return not first
    if kind == "neg":
        return calculated("-", 0, first) if isinstance(first, int) else calculated("*", first, -1.0)
    if kind in ("==", "!="):
        return same(first, last) is (kind == "==")
    if kind in ("in", "contains"):
        return held(last, first) if kind == "in" else held(first, last)
    if kind in LEVELS:
        return calculated(kind, first, last) if kind in "+-*/%" else compared(kind, first, last)
    if kind == "len" and isinstance(first, str | list | dict):
        return len(first)
    if kind == "keys" and isinstance(first, dict):
        return list(first)
    if kind == "to_json":
        return json.dumps(first, ensure_ascii=False, separators=(",", ":"))
    raise Fails


@settings(UNHURRIED, max_examples=500)
@given(tree=trees() | sums(), inputs=st.dictionaries(st.sampled_from(INPUTS), VALUES))
def test_the_evaluator_agrees_with_a_naive_reference(tree: Tree, inputs: dict[str, Any]) -> None:
    """Every tree, written as text and read back, has the value (and type) that the plain rules give it, or fails."""
    template = compile_template(f"${{{{ {written(tree)} }}}}")
    try:
        expected = reference(tree, inputs)
    except Fails:
        event("fails")
        with pytest.raises(ExpressionFailed):
            template.render({"inputs": inputs})
        return
    found = template.render({"inputs": inputs})
    assert json.dumps(found) == json.dumps(expected)


PATH_PARTS = st.sampled_from(
    ["steps", "a", "a-b", "output", "status", "inputs", "item", "x", "not", "true", "0", "é", ""]
)
PATHS = st.tuples(
    st.lists(PATH_PARTS, min_size=1, max_size=6),
    st.sampled_from([".", " .", "['", "-"]),
    st.sampled_from(["", " ", "\n"]),
).map(lambda parts: f"${{{{{parts[2]}{parts[1].join(parts[0])}{parts[2]}}}}}")


@settings(UNHURRIED, max_examples=500)
@given(text=PATHS, tail=st.sampled_from(["", "}}", " ${{ inputs.y }}", "x" * 5000]))
def test_a_plain_path_is_read_as_the_grammar_reads_it(text: str, tail: str) -> None:
    """The short way over paths of names finds the same root, and the same end, wherever it applies."""
    plain = parse_plain_path(text + tail, 3)
    if plain is not None:
        node, end = parse_expression(text + tail, 3)
        root = node.target if isinstance(node, Access) else node
        assert plain == (root, end)


def test_a_plain_path_is_what_most_expressions_are() -> None:
    """The short way applies to reads of steps, inputs and items."""
    for path in ("steps.a-1.output.b.c", "inputs.x", "item.name", "item"):
        assert parse_plain_path(f"${{{{ {path} }}}} more", 3) is not None
    for path in ("inputs", "index", "steps.a", "steps.a.outputs", "items", "inputs.x + 1", "x" * 5000):
        assert parse_plain_path(f"${{{{ {path} }}}}", 3) is None


WORDS = ["${{", "}}", "$${{", "inputs", ".", "steps", "a", "output", "[", "]", "(", ")", "'", '"', "\\", "1", "-", "!"]
WORDS += [
    "secrets",
    "previous",
    "iteration",
    "parent",
    "==",
    "<",
    "&&",
    "||",
    "not",
    "in",
    "len",
    "default",
    ",",
    "item",
    "index",
    "workflow",
    ".id",
    " ",
    "\n",
    "é",
]
NOISE = st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=25).map("".join)


@UNHURRIED
@given(text=NOISE | st.text() | NOISE.map(lambda noise: f"${{{{ {noise} }}}}"))
def test_reading_any_text_raises_nothing_but_bad_expression(text: str) -> None:
    """Random text is a template or a BadExpression whose offset lies inside the text."""
    try:
        compile_template(text)
    except BadExpression as error:
        assert 0 <= error.offset <= len(text)  # noqa: PT017 - both ways are right


@UNHURRIED
@given(noise=NOISE, value=VALUES)
def test_evaluating_anything_raises_nothing_but_expression_failed(noise: str, value: Any) -> None:
    """Whatever can be read gives a value or an ExpressionFailed."""
    try:
        template = compile_template(f"${{{{ {noise} }}}}")
    except BadExpression:
        return
    step = {"output": value, "status": "succeeded", "error": None}
    scope = {
        "inputs": {"a": value},
        "steps": {"a": step},
        "item": value,
        "index": 0,
        "workflow": {"id": "w", "name": "n"},
    }
    try:
        rendered = template.render(scope)
    except ExpressionFailed:
        return
    json.dumps(rendered, allow_nan=False)


@UNHURRIED
@given(value=st.recursive(SCALARS, lambda below: st.lists(below) | st.dictionaries(st.text(), below), max_leaves=20))
def test_data_without_expressions_is_its_own_template(value: JSON) -> None:
    """What holds no `${{` is rendered as it is, whatever it is."""
    if "${{" not in json.dumps(value, ensure_ascii=False):
        assert compile_template(value).render({}) is value


@UNHURRIED
@given(text=st.text("ab${} \n", max_size=30))
def test_escaped_text_is_rendered_as_it_was(text: str) -> None:
    """Any text whose openings are escaped comes out unchanged."""
    assert compile_template(text.replace("${{", "$${{")).render({}) == text


class Watched(dict[str, Any]):
    """A mapping that remembers which keys were read."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)


@st.composite
def step_expressions(draw: st.DrawFn) -> str:
    """An expression over a few steps and inputs, joined by operators that may stop early."""
    reads = st.sampled_from(
        ["steps.a.output", "steps['b-c'].status", "steps.d.error", "inputs.x", "inputs['y']", "1", "null"]
    )
    text = draw(reads)
    forms = ["{} && {}", "{} || {}", "default({}, {})", "{} == {}", "(!{}) == {}", "contains(to_json({}), to_json({}))"]
    for _ in range(draw(st.integers(0, 4))):
        text = f"({draw(st.sampled_from(forms)).format(text, draw(reads))})"
    return text


@UNHURRIED
@given(expression=step_expressions(), value=VALUES)
def test_references_are_complete(expression: str, value: Any) -> None:
    """Rendering reads no step and no input that the template did not name."""
    template = compile_template({"k": [f"${{{{ {expression} }}}}", f"x ${{{{ {expression} }}}}"]})
    step = {"output": value, "status": "succeeded", "error": None}
    steps = Watched({"a": step, "b-c": step, "d": step})
    inputs = Watched({"x": value, "y": value})
    with contextlib.suppress(ExpressionFailed):
        template.render({"steps": steps, "inputs": inputs})
    assert steps.read <= template.references
    assert inputs.read <= template.inputs
