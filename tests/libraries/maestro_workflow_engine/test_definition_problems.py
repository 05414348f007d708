"""What is wrong with a definition is told all at once, with its path, a stable code and what to do."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from maestro_workflow_engine import InvalidDefinition, Problem, parse_definition

STEP = {"kind": "shell"}


def problems_of(document: object, **options: Any) -> list[Problem]:
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition(document, **options)
    assert caught.value.code == "workflow.invalid-definition"
    assert not caught.value.retryable
    return list(caught.value.problems)


def with_step(**step: Any) -> dict[str, Any]:
    """A definition whose step `a` is the given one, beside a good step `b`."""
    return {"name": "n", "inputs": {"x": {"type": "string"}}, "steps": {"a": {**STEP, **step}, "b": STEP}}


def with_top(**top: Any) -> dict[str, Any]:
    return {"name": "n", "steps": {"a": STEP}, **top}


CASES: list[tuple[object, str, str, str]] = [
    (None, "", "wrong-type", "a definition is a mapping with a name and steps, not null"),
    ([], "", "wrong-type", "not an array"),
    ({"steps": {"a": STEP}}, "", "missing-key", "no 'name'"),
    ({"name": "n"}, "", "missing-key", "no 'steps'"),
    (with_top(name=1), "/name", "wrong-type", "name is a string, not a number"),
    (with_top(name=""), "/name", "bad-value", "1 to 200 printable characters"),
    (with_top(name="a\nb"), "/name", "bad-value", "one line"),
    (with_top(name=" a"), "/name", "bad-value", "spaces around"),
    (with_top(name="x" * 201), "/name", "bad-value", "1 to 200"),
    (with_top(name="${{ inputs.x }}"), "/name", "bad-value", "without expressions"),
    (with_top(description=["x"]), "/description", "wrong-type", "description is a string, not an array"),
    (with_top(stpes={}), "/stpes", "unknown-key", "a definition has no key 'stpes' (did you mean 'steps'?)"),
    (with_top(steps=[{"id": "a"}]), "/steps", "wrong-type", "write 'a: {kind: …}' for '- id: a'"),
    (with_top(steps="a"), "/steps", "wrong-type", "a mapping from id to step, not a string"),
    (with_top(steps={}), "/steps", "bad-value", "add at least one"),
    (with_top(steps={"a": None}), "/steps/a", "wrong-type", "a step is a mapping with a kind, not null"),
    (with_top(steps={"1a": STEP}), "/steps/1a", "bad-id", "begins with a letter or '_'"),
    (with_top(steps={"a b": STEP}), "/steps/a b", "bad-id", "holds letters, digits"),
    (with_top(steps={"a\n": STEP}), "/steps/a\n", "bad-id", "will not do"),
    (with_top(steps={"a/~": STEP}), "/steps/a~1~0", "bad-id", "will not do"),
    (with_top(steps={"é": STEP}), "/steps/é", "bad-id", "will not do"),
    (with_top(steps={"a" * 65: STEP}), "/steps/" + "a" * 65, "bad-id", "at most 64 characters"),
    (with_top(steps={"item": STEP}), "/steps/item", "reserved-id", "has a meaning in expressions"),
    (with_top(steps={"a": {}}), "/steps/a", "missing-key", "the step has no 'kind'"),
    (with_step(kind=1), "/steps/a/kind", "wrong-type", "the name of a step kind"),
    (with_step(kind="${{ inputs.x }}"), "/steps/a/kind", "wrong-type", "the name of a step kind"),
    (with_step(timeout=3), "/steps/a/timeout", "unknown-key", "(did you mean 'timeout_s'?)"),
    (with_step(**{"with": [1]}), "/steps/a/with", "wrong-type", "with is a mapping of arguments, not an array"),
    (with_step(needs="b"), "/steps/a/needs", "wrong-type", "write [b]"),
    (with_step(needs={"b": 1}), "/steps/a/needs", "wrong-type", "a list of steps, not an object"),
    (with_step(needs=[1]), "/steps/a/needs/0", "wrong-type", "the id of a step is a string, not a number"),
    (with_step(needs=["b", "b"]), "/steps/a/needs/1", "duplicate", "'b' is named twice"),
    (with_step(needs=["bb"]), "/steps/a/needs/0", "unknown-step", "there is no step 'bb'"),
    (with_step(needs=["a"]), "/steps/a/needs/0", "self-reference", "cannot wait for itself"),
    (with_step(when=1), "/steps/a/when", "wrong-type", "when is true, false or exactly one ${{ … }}"),
    (with_step(when="true"), "/steps/a/when", "wrong-type", "not a string without one"),
    (with_step(when="${{ true }} "), "/steps/a/when", "not-one-expression", "remove the text around"),
    (with_step(when="${{ 1 }} == 1"), "/steps/a/when", "not-one-expression", "remove the text around"),
    (with_step(when="$${{ true }}"), "/steps/a/when", "not-one-expression", "remove the text around"),
    (with_step(when="${{ item }}"), "/steps/a/when", "item-outside-map", "before the runs for each item"),
    (with_step(when="${{ 1 + }}"), "/steps/a/when", "bad-expression", "expected a value"),
    (with_step(retry=0), "/steps/a/retry", "bad-value", "an integer from 1 to 1,000 or a mapping, not 0"),
    (with_step(retry=True), "/steps/a/retry", "wrong-type", "or a mapping, not a boolean"),
    (with_step(retry="3"), "/steps/a/retry", "wrong-type", "or a mapping, not a string"),
    (with_step(retry={"max_attempts": 1001}), "/steps/a/retry/max_attempts", "bad-value", "not 1,001"),
    (with_step(retry={"max_attempts": 2.0}), "/steps/a/retry/max_attempts", "wrong-type", "is an integer"),
    (with_step(retry={"attempts": 2}), "/steps/a/retry/attempts", "unknown-key", "retry has no key 'attempts'"),
    (with_step(retry={"initial_delay_s": -1}), "/steps/a/retry/initial_delay_s", "bad-value", "from 0 to 86,400"),
    (with_step(retry={"multiplier": 0.5}), "/steps/a/retry/multiplier", "bad-value", "from 1 to 100, not 0.5"),
    (with_step(retry={"jitter": 2}), "/steps/a/retry/jitter", "bad-value", "from 0 to 1"),
    (with_step(retry={"jitter": "x"}), "/steps/a/retry/jitter", "wrong-type", "not a string"),
    (
        with_step(retry={"initial_delay_s": 9, "max_delay_s": 2}),
        "/steps/a/retry/max_delay_s",
        "contradiction",
        "less than initial_delay_s (9)",
    ),
    (with_step(timeout_s=0), "/steps/a/timeout_s", "bad-value", "leave it out for no time limit"),
    (with_step(timeout_s=-1), "/steps/a/timeout_s", "bad-value", "timeout_s is a number from 0"),
    (with_step(timeout_s="5s"), "/steps/a/timeout_s", "wrong-type", "not a string"),
    (with_step(timeout_s=True), "/steps/a/timeout_s", "wrong-type", "not a boolean"),
    (with_step(map=[1]), "/steps/a/map", "wrong-type", "map is a mapping with items, not an array"),
    (with_step(map={}), "/steps/a/map", "missing-key", "map has no 'items'"),
    (with_step(map={"items": "a"}), "/steps/a/map/items", "wrong-type", "a list or exactly one ${{ … }}"),
    (with_step(map={"items": {}}), "/steps/a/map/items", "wrong-type", "a list or exactly one ${{ … }}"),
    (with_step(map={"items": "x${{ 1 }}"}), "/steps/a/map/items", "not-one-expression", "remove the text around"),
    (with_step(map={"items": ["${{ item }}"]}), "/steps/a/map/items/0", "item-outside-map", "before the runs"),
    (with_step(map={"items": [], "max_parallel": 0}), "/steps/a/map/max_parallel", "bad-value", "from 1 to 1,000"),
    (with_step(map={"items": [], "paralel": 0}), "/steps/a/map/paralel", "unknown-key", "map has no key 'paralel'"),
    (with_step(**{"with": {"k": "${{ 1 + }}"}}), "/steps/a/with/k", "bad-expression", "expected a value, not the end"),
    (with_step(**{"with": {"${{ 1 }}": 1}}), "/steps/a/with/${{ 1 }}", "bad-expression", "a key cannot hold"),
    (
        with_step(**{"with": {"k": ["${{ steps.bb.output }}"]}}),
        "/steps/a/with/k/0",
        "unknown-step",
        "there is no step 'bb': add it, or correct the id (at character 5 of the text)",
    ),
    (with_step(**{"with": {"k": "${{ steps.a.output }}"}}), "/steps/a/with/k", "self-reference", "its own output"),
    (with_step(**{"with": {"k": "${{ inputs.y }}"}}), "/steps/a/with/k", "unknown-input", "there is no input 'y'"),
    (with_step(**{"with": {"k": "${{ item }}"}}), "/steps/a/with/k", "item-outside-map", "has no map: add one"),
    (with_step(**{"with": {"k": "${{ index }}"}}), "/steps/a/with/k", "item-outside-map", "index has no value here"),
    (with_top(inputs=[]), "/inputs", "wrong-type", "inputs is a mapping"),
    (with_top(inputs={"a-b": {"type": "string"}}), "/inputs/a-b", "bad-id", "letters, digits and '_'"),
    (with_top(inputs={"a": "string"}), "/inputs/a", "wrong-type", "such as {type: string}, not a string"),
    (with_top(inputs={"a": {}}), "/inputs/a", "missing-key", "no 'type': it is one of string, integer"),
    (with_top(inputs={"a": {"type": "int"}}), "/inputs/a/type", "bad-value", "there is no type 'int'"),
    (with_top(inputs={"a": {"type": "interger"}}), "/inputs/a/type", "bad-value", "(did you mean 'integer'?)"),
    (with_top(inputs={"a": {"type": None}}), "/inputs/a/type", "wrong-type", "type is a string, not null"),
    (with_top(inputs={"a": {"type": "string", "defualt": 1}}), "/inputs/a/defualt", "unknown-key", "'default'?"),
    (with_top(inputs={"a": {"type": "string", "default": 1}}), "/inputs/a/default", "wrong-type", "expected a string"),
    (with_top(inputs={"a": {"type": "integer", "default": True}}), "/inputs/a/default", "wrong-type", "not a boolean"),
    (
        with_top(inputs={"a": {"type": "string", "default": "${{ workflow.id }}"}}),
        "/inputs/a/default",
        "bad-value",
        "is not worked out here",
    ),
    (with_top(inputs={"a": {"type": "string", "description": 1}}), "/inputs/a/description", "wrong-type", "a string"),
    (with_top(inputs={"a": {"type": "string", "enum": []}}), "/inputs/a/enum", "wrong-type", "a list of 1 to 1,000"),
    (with_top(inputs={"a": {"type": "string", "enum": ["x", 1]}}), "/inputs/a/enum/1", "wrong-type", "not a number"),
    (with_top(inputs={"a": {"type": "string", "enum": ["x", "x"]}}), "/inputs/a/enum/1", "duplicate", "comes twice"),
    (
        with_top(inputs={"a": {"type": "string", "enum": ["x", "y"], "default": "z"}}),
        "/inputs/a/default",
        "not-in-enum",
        'expected one of "x", "y"',
    ),
    (with_top(tools=[]), "/tools", "wrong-type", "tools is a mapping"),
    (with_top(tools={"git": "x"}), "/tools/git", "wrong-type", "a source of tools is a mapping, not a string"),
    (with_top(tools={"a b": {}}), "/tools/a b", "bad-id", "will not do"),
    (with_top(tools={"git": {"k": "${{ inputs.y }}"}}), "/tools/git/k", "unknown-input", "no input 'y'"),
    (with_top(tools={"git": {"k": "${{ steps.a.output }}"}}), "/tools/git/k", "unreadable", "no step can be read here"),
    (with_top(tools={"git": {"k": "${{ item }}"}}), "/tools/git/k", "item-outside-map", "the same for all steps"),
    (with_top(outputs="${{ steps.a.output }}"), "/outputs", "wrong-type", "outputs is a mapping of names"),
    (with_top(outputs={"o": "${{ steps.aa.output }}"}), "/outputs/o", "unknown-step", "there is no step 'aa'"),
    (with_top(outputs={"o": "${{ index }}"}), "/outputs/o", "item-outside-map", "once for the whole workflow"),
    (with_top(outputs={"o": "${{ inputs.y }}"}), "/outputs/o", "unknown-input", "declare it under inputs"),
    (with_top(outputs={"o o": 1}), "/outputs/o o", "bad-id", "will not do"),
]


@pytest.mark.parametrize(("document", "path", "code", "message"), CASES, ids=lambda value: str(value)[:60])
def test_a_problem_has_path_code_and_advice(document: object, path: str, code: str, message: str) -> None:
    """One mistake is one problem, at the value that is wrong."""
    (problem,) = problems_of(document)
    assert problem.path == path
    assert problem.code == f"definition.{code}"
    assert message in problem.message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "not a finite number"),
        (float("inf"), "not a finite number"),
        (10**5000, "an integer beyond 64 bits"),
        ("\ud800", "half of a surrogate pair"),
        ((1, 2), "type tuple, which is not JSON"),
        (b"x", "type bytes, which is not JSON"),
        ({1: "x"}, "has the key 1, which is not a string"),
        ({None: "x"}, "has the key null"),
        ({"\ud800": "x"}, "half of a surrogate pair"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else type(value).__name__,
)
def test_what_is_not_json_is_refused_with_its_path(value: Any, message: str) -> None:
    """Data that JSON cannot hold is named with the pointer where it stands."""
    (problem,) = problems_of(with_step(**{"with": {"k": [0, value]}}))
    assert problem.path == "/steps/a/with/k/1"
    assert problem.code == "definition.not-json"
    assert message in problem.message


def test_data_that_holds_itself_is_refused() -> None:
    """A cycle of Python references ends in a problem and not in an endless walk."""
    loop: list[Any] = []
    loop += [loop, loop]
    (problem,) = problems_of(with_step(**{"with": {"k": loop}}))
    assert "nested deeper than 100 levels (or holds itself)" in problem.message


def test_shared_data_that_would_explode_is_refused() -> None:
    """A small graph of Python references that spells out billions of values is refused without spelling them out."""
    bomb: Any = "x"
    for _ in range(40):
        bomb = [bomb] * 10
    (problem,) = problems_of(with_step(**{"with": {"k": bomb}}))
    assert "too large" in problem.message


def test_a_document_that_is_too_large_is_refused() -> None:
    """Text, depth and number of values have limits."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value, message in (("x" * 17_000_000, "too large"), ([0] * 1_000_001, "too large"), (deep, "deeper than 100")):
        (problem,) = problems_of(with_step(**{"with": {"k": value}}))
        assert message in problem.message


def test_all_problems_come_at_once_in_document_order() -> None:
    """A reader meets the problems in the order of the document, whatever order they were found in."""
    document = {
        "outputs": {"o": "${{ steps.nope.output }}"},
        "steps": {
            "b": {"timeout_s": -1, "with": {"x": "${{ bad }}"}, "kind": 5},
            "a": {"kind": "shell", "needs": ["b", "zz"], "extra": 1},
            "item": {"kind": "shell", "needs": ["c"]},
            "c": {"kind": "shell", "needs": ["item"]},
        },
        "nmae": "n",
        "inputs": {"i": {"type": "array", "default": {}}},
    }
    assert [(problem.path, problem.code.partition(".")[2]) for problem in problems_of(document)] == [
        ("", "missing-key"),
        ("/outputs/o", "unknown-step"),
        ("/steps/b/timeout_s", "bad-value"),
        ("/steps/b/with/x", "bad-expression"),
        ("/steps/b/kind", "wrong-type"),
        ("/steps/a/needs/1", "unknown-step"),
        ("/steps/a/extra", "unknown-key"),
        ("/steps/item", "reserved-id"),
        ("/steps/item/needs/0", "cycle"),
        ("/nmae", "unknown-key"),
        ("/inputs/i/default", "wrong-type"),
    ]


def test_an_expression_before_a_bad_one_is_checked_too() -> None:
    """A bad expression does not hide a problem in one that stands before it in the same text."""
    first, second = problems_of(with_step(**{"with": {"k": "${{ inputs.nope }} ${{ 1 + }}"}}))
    assert {first.code, second.code} == {"definition.unknown-input", "definition.bad-expression"}


def test_a_cycle_is_shown_as_a_way() -> None:
    """A cycle reads a → b → a in the direction of needs, and points at one of them."""
    steps = {
        "z": STEP,
        "a": {**STEP, "with": {"k": "${{ steps.c.output }}"}, "needs": ["z"]},
        "b": {**STEP, "needs": ["a"]},
        "c": {**STEP, "when": "${{ steps.b.status == 'succeeded' }}"},
        "behind": {**STEP, "needs": ["a"]},
    }
    (problem,) = problems_of({"name": "n", "steps": steps})
    assert problem.code == "definition.cycle"
    assert problem.path == "/steps/a/with/k"
    assert "these 3 steps wait for each other: a → c → b → a; remove one of these needs" in problem.message


def test_every_knot_is_told_once() -> None:
    """Two separate cycles are two problems, a long one is shortened."""
    steps: dict[str, Any] = {f"s{i}": {**STEP, "needs": [f"s{(i + 1) % 100}"]} for i in range(100)}
    steps |= {"x": {**STEP, "needs": ["y", "s0"]}, "y": {**STEP, "needs": ["x"]}}
    first, second = problems_of({"name": "n", "steps": steps})
    assert "these 100 steps wait for each other: s0 → s1 → " in first.message
    assert "… → s0" in first.message
    assert len(first.message) < 300
    assert "these 2 steps wait for each other: x → y → x" in second.message


class Kind:
    """A step kind that takes `command` only and looks at tools."""

    def __init__(self) -> None:
        self.seen: list[tuple[Mapping[str, object], Mapping[str, object]]] = []

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterable[tuple[str, str]]:
        self.seen.append((arguments, tools))
        if "command" not in arguments:
            yield "", "command is missing: add it"
        for key in arguments.keys() - {"command"}:
            yield f"/{key}", f"{key} is unknown"


class BrokenKind:
    """A step kind whose check has a mistake."""

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterable[tuple[str, str]]:
        raise TypeError("secret detail")


def test_step_kinds_check_their_arguments() -> None:
    """What a kind says about its arguments is reported below `with`, beside everything else."""
    kind = Kind()
    document = {
        "name": "n",
        "tools": {"git": {"mcp": {}}},
        "steps": {
            "a": {"kind": "shell", "with": {"command": "${{ inputs.x }}", "cwd": "."}},
            "b": {"kind": "shell"},
            "c": {"kind": "shel"},
            "d": {"kind": "broken", "with": {"k": 1}},
        },
    }
    problems = problems_of(document, kinds={"shell": kind, "broken": BrokenKind()})
    assert [(problem.path, problem.code) for problem in problems] == [
        ("/steps/a/with/command", "definition.unknown-input"),
        ("/steps/a/with/cwd", "definition.bad-arguments"),
        ("/steps/b/with", "definition.bad-arguments"),
        ("/steps/c/kind", "definition.unknown-kind"),
        ("/steps/d/with", "definition.kind-check-failed"),
    ]
    assert "there is no step kind 'shel' (did you mean 'shell'?); installed are broken, shell" in problems[3].message
    assert "its check raised TypeError" in problems[4].message
    assert "secret" not in problems[4].message
    assert kind.seen[0] == ({"command": "${{ inputs.x }}", "cwd": "."}, {"git": {"mcp": {}}})


def test_misspelt_steps_and_inputs_are_recognised() -> None:
    """A name close to one that exists is suggested."""
    document = {
        "name": "n",
        "inputs": {"repository": {"type": "string"}},
        "steps": {
            "fetch": {**STEP, "with": {"k": "${{ inputs.repositry }}"}},
            "report": {**STEP, "needs": ["fecth"], "when": "${{ steps.fetsh.output }}"},
        },
    }
    messages = [problem.message for problem in problems_of(document)]
    assert "(did you mean 'repository'?)" in messages[0]
    assert "(did you mean 'fetch'?)" in messages[1]
    assert "(did you mean 'fetch'?)" in messages[2]


def test_thousands_of_problems_end_at_a_thousand() -> None:
    """A document with very many mistakes is answered quickly and says that there are more."""
    steps = {f"step{i}": {"kind": "shell", "needs": [f"stpe{i}"], "extra": 1} for i in range(5000)}
    problems = problems_of({"name": "n", "steps": steps})
    assert len(problems) == 1001
    assert problems[-1].code == "definition.too-many-problems"
    with pytest.raises(InvalidDefinition, match="… and 981 more"):
        parse_definition({"name": "n", "steps": steps})


def test_too_many_steps_are_refused() -> None:
    """Twenty thousand steps are the most."""
    (problem,) = problems_of({"name": "n", "steps": {f"s{i}": STEP for i in range(20_001)}})
    assert problem.code == "definition.too-large"
    assert "20,001 steps, at most 20,000" in problem.message
