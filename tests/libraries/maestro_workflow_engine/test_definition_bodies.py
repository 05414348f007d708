"""A child workflow that is written inside a step is a definition of its own, checked with the rest."""

import json
from typing import Any, NamedTuple

import pytest

from maestro_workflow_engine import InvalidDefinition, Problem, parse_definition

STEP: dict[str, Any] = {"kind": "shell"}
BODY: dict[str, Any] = {
    "inputs": {"file": {"type": "string"}, "level": {"type": "integer", "default": 1, "enum": [1, 2]}},
    "steps": {"read": {**STEP, "with": {"path": "${{ inputs.file }}"}}},
    "outputs": {"text": "${{ steps.read.output }}"},
}


class Place(NamedTuple):
    line: int
    column: int


def with_body(body: Any = BODY, **step: Any) -> dict[str, Any]:
    """A definition whose step `a` holds a body, behind a step `list`."""
    step = {"with": {"inputs": {"file": "x"}}, **step}
    return {"name": "n", "inputs": {"top": {"type": "string"}}, "steps": {"list": STEP, "a": {"body": body, **step}}}


def problems_of(document: object, **options: Any) -> list[Problem]:
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition(document, **options)
    return list(caught.value.problems)


def test_a_body_is_a_definition_and_its_step_of_kind_workflow() -> None:
    """The child's definition is what it would be alone, under the name of its step."""
    workflow = parse_definition(with_body(map={"items": [1]}, **{"with": {"inputs": {"file": "${{ item }}"}}}))
    step = workflow.steps["a"]
    assert (step.kind, step.arguments.render({"item": "f"})) == ("workflow", {"inputs": {"file": "f"}})
    assert step.body == parse_definition({"name": "n/a", **BODY})
    assert workflow.bodies() == [step.body]
    assert step.body is not None
    assert parse_definition(json.loads(json.dumps(step.body.document))) == step.body
    assert parse_definition(json.loads(json.dumps(workflow.document))) == workflow


def test_the_kind_may_be_written_and_the_name_chosen() -> None:
    """`kind: workflow` says what is so anyway; a name in the body is kept."""
    step = parse_definition(with_body({**BODY, "name": "reader"}, kind="workflow")).steps["a"]
    assert step.body is not None
    assert (step.kind, step.body.name) == ("workflow", "reader")
    assert step.digest != parse_definition(with_body()).steps["a"].digest
    assert (
        parse_definition(with_body(kind="workflow")).steps["a"].digest
        == parse_definition(with_body()).steps["a"].digest
    )


def test_a_name_that_would_be_too_long_is_cut() -> None:
    """A long name of the parent leaves a name that is allowed."""
    for name in ("x" * 200, "x" * 199 + "y", "x" * 197 + " z"):
        body = parse_definition({**with_body(), "name": name}).steps["a"].body
        assert body is not None
        assert body.name == f"{name}/a"[:200].strip()


def test_what_a_body_reads_is_no_need_of_its_step() -> None:
    """Inside of a body, ids are its own; only what `with` hands over is read by the parent."""
    body = {
        **BODY,
        "steps": {**BODY["steps"], "list": STEP, "more": {**STEP, "with": {"k": "${{ steps.list.output }}"}}},
    }
    alone = parse_definition(with_body(body)).steps["a"]
    assert alone.needs == ()
    assert parse_definition(with_body(body, **{"with": {"inputs": "${{ steps.list.output }}"}})).steps["a"].needs == (
        "list",
    )


def test_bodies_may_stand_in_every_phase_and_in_each_other() -> None:
    """A body may hold all that a definition may, and be nested eight times."""
    body: dict[str, Any] = {"steps": {"deepest": STEP}}
    for _ in range(7):
        body = {"steps": {"s": {"body": body}}}
    workflow = parse_definition({"name": "n", "steps": {"a": STEP}, "finally": {"f": {"body": body}}})
    names = [found.name for found in workflow.bodies()]
    assert names == ["n/f" + "/s" * depth for depth in range(8)]
    whole = {
        "steps": {"a": {**STEP, "compensate": STEP}},
        "on_failure": {"b": STEP},
        "finally": {"c": STEP},
        "priority": 5,
    }
    found = parse_definition(with_body(whole, **{"with": {}})).steps["a"].body
    assert found is not None
    assert list(found.steps) == ["a", "a.undo", "b", "c"]
    (problem,) = problems_of({"name": "n", "steps": {"a": {"body": {"steps": {"f": {"body": body}}}}}})
    assert problem.path == "/steps/a" + "/body/steps/f" + "/body/steps/s" * 7 + "/body"
    assert problem.code == "definition.too-deep"
    assert "nested deeper than 8" in problem.message


CASES: list[tuple[dict[str, Any], str, str, str]] = [
    (with_body([]), "/steps/a/body", "wrong-type", "body is a definition, a mapping with steps, not an array"),
    (with_body({"inputs": BODY["inputs"]}), "/steps/a/body", "missing-key", "no 'steps'"),
    (with_body({**BODY, "name": 1}), "/steps/a/body/name", "wrong-type", "name is a string"),
    (with_body({**BODY, "stpes": {}}), "/steps/a/body/stpes", "unknown-key", "(did you mean 'steps'?)"),
    (with_body({**BODY, "steps": {"read": {}}}), "/steps/a/body/steps/read", "missing-key", "no 'kind'"),
    (
        with_body({**BODY, "inputs": {"file": {"type": "strin"}}}),
        "/steps/a/body/inputs/file/type",
        "bad-value",
        "string",
    ),
    (
        with_body({**BODY, "outputs": {"o": "${{ steps.list.output }}"}}),
        "/steps/a/body/outputs/o",
        "unknown-step",
        "a body sees only its own: hand it over through with.inputs",
    ),
    (
        with_body({**BODY, "outputs": {"o": "${{ inputs.top }}"}}),
        "/steps/a/body/outputs/o",
        "unknown-input",
        "a body sees only its own",
    ),
    (
        with_body({**BODY, "outputs": {}, "steps": {"x": {**STEP, "needs": ["y"]}, "y": {**STEP, "needs": ["x"]}}}),
        "/steps/a/body/steps/x/needs/0",
        "cycle",
        "x → y → x",
    ),
    (with_body(kind="shell"), "/steps/a/kind", "bad-value", "of kind workflow, not 'shell'"),
    (with_body(kind=1), "/steps/a/kind", "wrong-type", "the name of a step kind"),
    (
        {"name": "n", "steps": {"a": {"kind": "workflow", "with": {"inputs": {}}}}},
        "/steps/a",
        "missing-template",
        "name its template in with.template, or give it a body",
    ),
    (with_body(**{"with": {}}), "/steps/a/with/inputs", "missing-input", "the body requires the input 'file'"),
    (
        with_body(**{"with": {"inputs": {"file": "x", "fil": 1}}}),
        "/steps/a/with/inputs/fil",
        "unknown-input",
        "the body has no input 'fil' (did you mean 'file'?): it has file, level",
    ),
    (with_body(**{"with": {"inputs": {"file": 1}}}), "/steps/a/with/inputs/file", "bad-input", "expected a string"),
    (
        with_body(**{"with": {"inputs": {"file": "x", "level": 3}}}),
        "/steps/a/with/inputs/level",
        "bad-input",
        "expected one of 1, 2",
    ),
    (with_body(**{"with": {"inputs": [1]}}), "/steps/a/with/inputs", "wrong-type", "not an array"),
    (with_body(**{"with": {"inputs": "x${{ 1 }}"}}), "/steps/a/with/inputs", "wrong-type", "or exactly one ${{ … }}"),
    (with_body(**{"with": {"inputs": "${{ 1 + }}"}}), "/steps/a/with/inputs", "bad-expression", "expected a value"),
    (
        with_body(**{"with": {"inputs": {"file": "x"}, "template": "t"}}),
        "/steps/a/with/template",
        "unknown-key",
        "with of a step that has a body has no key 'template'",
    ),
]


@pytest.mark.parametrize(("document", "path", "code", "message"), CASES, ids=lambda value: str(value)[:60])
def test_a_problem_has_path_code_and_advice(document: object, path: str, code: str, message: str) -> None:
    """One mistake is one problem, at the value that is wrong, below /body where it is one of the body."""
    (problem,) = problems_of(document)
    assert (problem.path, problem.code) == (path, f"definition.{code}")
    assert message in problem.message


def test_values_that_are_known_only_later_are_not_judged() -> None:
    """An expression may give what the body wants, or not: that is seen when it runs."""
    for file in ("${{ inputs.top }}", "a ${{ inputs.top }}", "${{ 1 }}"):
        assert parse_definition(with_body(**{"with": {"inputs": {"file": file}}})).steps["a"].body is not None


def test_problems_of_parent_and_body_come_at_once_in_document_order() -> None:
    """A body that is wrong hides nothing of what surrounds it, and each problem has its line."""
    document = with_body({**BODY, "steps": {"read": {**STEP, "needs": ["nope"]}}}, timeout_s=0)
    document["steps"]["z"] = {**STEP, "needs": ["nope"]}
    positions = {"": Place(1, 1), "/steps/a/body/steps/read/needs/0": Place(7, 9), "/steps/a/timeout_s": Place(9, 3)}
    problems = problems_of(document, positions=positions)
    assert [(problem.path, problem.line) for problem in problems] == [
        ("/steps/a/body/steps/read/needs/0", 7),
        ("/steps/a/timeout_s", 9),
        ("/steps/z/needs/0", 1),
    ]


def test_kinds_are_checked_inside_of_a_body() -> None:
    """A body calls installed kinds only, the kind workflow must be one of them, and it is not asked about a body."""

    class Kind:
        def check(self, arguments: Any, tools: Any) -> list[tuple[str, str]]:
            return [("", "there is always something")]

    first, second = problems_of(with_body(), kinds={"shell": Kind(), "workflow": Kind()})
    assert (first.path, first.code) == ("/steps/list/with", "definition.bad-arguments")
    assert (second.path, second.code) == ("/steps/a/body/steps/read/with", "definition.bad-arguments")
    missing = problems_of(with_body(), kinds={"shell": Kind()})
    assert "/steps/a" in {problem.path.removesuffix("/kind") for problem in missing}


def test_thousands_of_problems_in_bodies_end_at_a_thousand() -> None:
    """A body cannot be used to make the list of problems endless."""
    bad = {f"s{i}": {"kind": "shell", "needs": ["nope"]} for i in range(900)}
    problems = problems_of({"name": "n", "steps": {"a": {"body": {"steps": bad}}, "b": {"body": {"steps": bad}}}})
    assert len(problems) == 1001
    assert problems[-1].code == "definition.too-many-problems"
