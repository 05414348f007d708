"""The phases of a workflow: what undoes its steps, what runs when it failed, and what runs in any case."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro_workflow_engine import InvalidDefinition, Problem, parse_definition

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
STEP: dict[str, Any] = {"kind": "shell"}
UNDO: dict[str, Any] = {"kind": "shell"}

FULL: dict[str, Any] = {
    "name": "n",
    "inputs": {"x": {"type": "string"}},
    "finally": {
        "tidy": {**STEP, "needs": ["count"]},
        "count": {**STEP, "with": {"k": "${{ default(steps.b.output, workflow.status) }}"}},
    },
    "on_failure": {
        "report": {**STEP, "with": {"k": "${{ workflow.error.message }} ${{ steps.page.status }}"}},
        "page": {**STEP, "with": {"k": "${{ workflow.failed_step }} ${{ steps.a.error }}"}},
    },
    "steps": {
        "b": {**STEP, "needs": ["a"], "compensate": {**UNDO, "with": {"id": "${{ output.id }}"}}},
        "a": {**STEP, "compensate": {**UNDO, "with": {"x": "${{ inputs.x }}", "b": "${{ steps.b.status }}"}}},
        "c": {
            **STEP,
            "needs": ["b"],
            "map": {"items": [1, 2]},
            "compensate": {**UNDO, "with": {"i": "${{ index }} ${{ item }} ${{ output }} ${{ secrets.TOKEN }}"}},
        },
    },
}


def problems_of(document: object) -> list[Problem]:
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition(document)
    return list(caught.value.problems)


def test_steps_stand_in_the_order_of_the_phases() -> None:
    """Main steps come first, then what undoes them, then on_failure, then finally, each in its own order."""
    workflow = parse_definition(FULL)
    assert [(step.id, step.phase) for step in workflow.steps.values()] == [
        ("a", "main"),
        ("b", "main"),
        ("c", "main"),
        ("a.undo", "compensation"),
        ("b.undo", "compensation"),
        ("c.undo", "compensation"),
        ("page", "on_failure"),
        ("report", "on_failure"),
        ("count", "finally"),
        ("tidy", "finally"),
    ]
    assert [step.id for step in workflow.of_phase("on_failure")] == ["page", "report"]
    assert {step.id: step.undoes for step in workflow.of_phase("compensation")} == {
        "a.undo": "a",
        "b.undo": "b",
        "c.undo": "c",
    }


def test_needs_and_dependents_stay_within_a_phase() -> None:
    """What a step reads of the main steps is no need of it outside of the main phase."""
    workflow = parse_definition(FULL)
    assert {step.id: step.needs for step in workflow.steps.values() if step.needs} == {
        "b": ("a",),
        "c": ("b",),
        "report": ("page",),
        "tidy": ("count",),
    }
    assert {step: others for step, others in workflow.dependents.items() if others} == {
        "a": ("b",),
        "b": ("c",),
        "page": ("report",),
        "count": ("tidy",),
    }
    assert workflow.dependents.keys() == workflow.steps.keys()


def test_the_document_gives_the_same_definition_again() -> None:
    """A definition with all phases that was stored as JSON and read back is equal, order and all."""
    workflow = parse_definition(FULL)
    again = parse_definition(json.loads(json.dumps(workflow.document)))
    assert again == workflow
    assert list(again.steps) == list(workflow.steps)


def with_parts(**parts: Any) -> dict[str, Any]:
    return {"name": "n", "steps": {"a": STEP, "b": STEP}, **parts}


def reads(expression: str) -> dict[str, Any]:
    return {**STEP, "with": {"k": f"${{{{ {expression} }}}}"}}


CASES: list[tuple[dict[str, Any], str, str, str]] = [
    (with_parts(on_failure=[]), "/on_failure", "wrong-type", "on_failure is a mapping from id to step"),
    (with_parts(**{"finally": 1}), "/finally", "wrong-type", "finally is a mapping from id to step, not a number"),
    (with_parts(**{"finally": {}}), "/finally", "bad-value", "there are no steps: add one, or leave it out"),
    (with_parts(on_failure={"1": STEP}), "/on_failure/1", "bad-id", "will not do"),
    (with_parts(on_failure={"item": STEP}), "/on_failure/item", "reserved-id", "choose another"),
    (with_parts(on_failure={"a": STEP}), "/on_failure/a", "duplicate-id", "'a' stands in 'steps' too"),
    (
        with_parts(on_failure={"f": STEP}, **{"finally": {"f": STEP}}),
        "/finally/f",
        "duplicate-id",
        "'f' stands in 'on_failure' too",
    ),
    (
        with_parts(**{"finally": {"f": {**STEP, "needs": ["a"]}}}),
        "/finally/f/needs/0",
        "wrong-phase",
        "needs names steps of the same block, and 'a' stands in 'steps': it has ended before",
    ),
    (
        with_parts(steps={"a": {**STEP, "needs": ["f"]}}, **{"finally": {"f": STEP}}),
        "/steps/a/needs/0",
        "wrong-phase",
        "'f' stands in 'finally': it does not begin while this one can run",
    ),
    (
        with_parts(steps={"a": reads("steps.f.output")}, **{"finally": {"f": STEP}}),
        "/steps/a/with/k",
        "wrong-phase",
        "'f' stands in 'finally' and cannot be read here",
    ),
    (
        with_parts(on_failure={"g": STEP}, **{"finally": {"f": reads("steps.g.output")}}),
        "/finally/f/with/k",
        "wrong-phase",
        "'g' stands in 'on_failure'",
    ),
    (
        with_parts(outputs={"o": "${{ steps.f.output }}"}, **{"finally": {"f": STEP}}),
        "/outputs/o",
        "wrong-phase",
        "'f' stands in 'finally'",
    ),
    (with_parts(on_failure={"f": reads("steps.f.output")}), "/on_failure/f/with/k", "self-reference", "its own"),
    (with_parts(on_failure={"f": reads("steps.aa.output")}), "/on_failure/f/with/k", "unknown-step", "no step 'aa'"),
    (
        with_parts(on_failure={"f": {**STEP, "needs": ["g"]}, "g": {**STEP, "needs": ["f"]}}),
        "/on_failure/f/needs/0",
        "cycle",
        "f → g → f",
    ),
    (
        with_parts(on_failure={"f": {**STEP, "compensate": UNDO}}),
        "/on_failure/f/compensate",
        "misplaced",
        "what on_failure does is not undone",
    ),
    (
        with_parts(**{"finally": {"f": {**STEP, "compensate": UNDO}}}),
        "/finally/f/compensate",
        "misplaced",
        "compensate stands only in 'steps'",
    ),
    (with_parts(steps={"a": {**STEP, "compensate": 1}}), "/steps/a/compensate", "wrong-type", "a mapping with a kind"),
    (with_parts(steps={"a": {**STEP, "compensate": {}}}), "/steps/a/compensate", "missing-key", "no 'kind'"),
    (
        with_parts(steps={"a": {**STEP, "compensate": {**UNDO, "compensate": UNDO}}}),
        "/steps/a/compensate/compensate",
        "unknown-key",
        "it has kind, with, retry, timeout_s",
    ),
    (
        with_parts(steps={"a": {**STEP, "compensate": {**UNDO, "with": {"k": "${{ item }}"}}}}),
        "/steps/a/compensate/with/k",
        "item-outside-map",
        "this step has no map",
    ),
    (
        with_parts(steps={"a": {**STEP, "compensate": {**UNDO, "with": {"k": "${{ steps.x.output }}"}}}}),
        "/steps/a/compensate/with/k",
        "unknown-step",
        "there is no step 'x'",
    ),
    (
        with_parts(steps={"a": {**STEP, "compensate": {**UNDO, "retry": 0}}}),
        "/steps/a/compensate/retry",
        "bad-value",
        "from 1 to 1,000",
    ),
]


@pytest.mark.parametrize(("document", "path", "code", "message"), CASES, ids=lambda value: str(value)[:60])
def test_a_problem_has_path_code_and_advice(document: object, path: str, code: str, message: str) -> None:
    """One mistake is one problem, at the value that is wrong."""
    (problem,) = problems_of(document)
    assert (problem.path, problem.code) == (path, f"definition.{code}")
    assert message in problem.message


def test_kinds_check_what_every_phase_calls() -> None:
    """The arguments of compensations and of late steps are checked like any others."""

    class Kind:
        def check(self, arguments: Any, tools: Any) -> list[tuple[str, str]]:
            return [("/k", "k is unknown")] if "k" in arguments else []

    call = {"kind": "shell", "with": {"k": 1}}
    document = {
        "name": "n",
        "steps": {"a": {**STEP, "compensate": call}},
        "on_failure": {"f": call},
        "finally": {"g": {"kind": "shel"}},
    }
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition(document, kinds={"shell": Kind()})
    assert [(problem.path, problem.code) for problem in caught.value.problems] == [
        ("/steps/a/compensate/with/k", "definition.bad-arguments"),
        ("/on_failure/f/with/k", "definition.bad-arguments"),
        ("/finally/g/kind", "definition.unknown-kind"),
    ]


@UNHURRIED
@given(data=st.data())
def test_every_phase_is_in_topological_order(data: st.DataObject) -> None:
    """For any steps and needs in any block, each step stands behind its needs and behind all earlier phases."""
    document: dict[str, Any] = {"name": "n"}
    for block in ("steps", "on_failure", "finally"):
        ids = [f"{block}{i}" for i in range(data.draw(st.integers(1, 5)))]
        needs = {
            step: data.draw(st.lists(st.sampled_from(ids[:i]), unique=True)) if i else [] for i, step in enumerate(ids)
        }
        undone = data.draw(st.sets(st.sampled_from(ids))) if block == "steps" else set()
        document[block] = {
            step: {**STEP, "needs": needs[step], **({"compensate": UNDO} if step in undone else {})}
            for step in data.draw(st.permutations(ids))
        }
    workflow = parse_definition(document)
    places = {step: place for place, step in enumerate(workflow.steps)}
    phases = ["main", "compensation", "on_failure", "finally"]
    assert [step.phase for step in workflow.steps.values()] == sorted(
        (step.phase for step in workflow.steps.values()), key=phases.index
    )
    for step in workflow.steps.values():
        assert all(places[needed] < places[step.id] for needed in step.needs)
        assert all(workflow.steps[needed].phase == step.phase for needed in step.needs)
        assert all(step.id in workflow.steps[other].needs for other in workflow.dependents[step.id])
