"""The law of running a workflow again: what is taken over, what is not, and why."""

from typing import Any

import pytest

from maestro_workflow_engine import ArtifactRef
from maestro_workflow_engine.testing import LawCase

T = {"kind": "test"}
STEPS: dict[str, Any] = {
    "a": {**T, "with": {"n": "${{ inputs.n }}"}},
    "b": {**T, "with": {"x": "${{ steps.a.output }}"}},
    "c": {**T, "with": {"x": "${{ steps.b.output }}"}},
}
INPUTS = {"n": {"type": "integer", "default": 1}}


def earlier(steps: dict[str, Any] | None = None, **outputs: Any) -> LawCase:
    """A workflow whose first steps gave these outputs, and whose next one failed."""
    case = LawCase(steps or STEPS, inputs=INPUTS)
    case.start()
    for step, output in outputs.items():
        case.ok(step, output)
    for step, _ in list(case.state.in_flight):
        case.fail(step, retryable=False)
    return case


def again(origin: LawCase, steps: dict[str, Any] | None = None, anew: tuple[str, ...] = (), **inputs: Any) -> LawCase:
    """The same, run again."""
    case = LawCase(steps or STEPS, origin=origin.state, inputs=INPUTS)
    case.large = origin.large
    case.start(origin={"workflow": "w", "seq": origin.state.seq, "from": list(anew)}, **inputs)
    return case


def seen(case: LawCase) -> dict[str, str | None]:
    """How each step that has begun stands, and why."""
    return {id_: f"{step.status}: {step.why}" for id_, step in case.state.steps.items() if step.status != "pending"}


def test_what_had_succeeded_is_reused_and_the_rest_runs() -> None:
    """Each says why."""
    case = again(earlier(a=1, b=2))
    assert seen(case) == {
        "a": "succeeded: same definition and input as in w",
        "b": "succeeded: same definition and input as in w",
        "c": "scheduled: it had not succeeded",
    }
    assert case.ok("c", 3)[-1] == "workflow.succeeded"


def test_a_changed_input_runs_what_reads_it() -> None:
    """What comes after it is reused when its own input is the same again."""
    case = again(earlier(a=1, b=2), n=5)
    assert seen(case) == {"a": "scheduled: its input has changed: /with/n"}
    case.ok("a", 1)
    assert seen(case)["b"] == "succeeded: same definition and input as in w"


def test_a_changed_result_runs_what_reads_that() -> None:
    """The change goes as far as it makes a difference."""
    case = again(earlier(a=1, b=2), n=5)
    case.ok("a", 9)
    assert seen(case)["b"] == "scheduled: its input has changed: /with/x"


def test_a_changed_definition_runs_the_step() -> None:
    """How often it is retried is no part of what it gives."""
    steps = {**STEPS, "a": {**STEPS["a"], "retry": 9}, "b": {**STEPS["b"], "kind": "other"}}
    case = again(earlier(a=1, b=2), steps)
    assert seen(case)["a"].startswith("succeeded")  # type: ignore[union-attr]  # it has begun
    assert seen(case)["b"] == "scheduled: its definition has changed"


def test_steps_that_are_asked_for_run_with_all_behind_them() -> None:
    """Whatever had come of them."""
    case = again(earlier(a=1, b=2, c=3), anew=("b",))
    assert seen(case)["b"] == "scheduled: asked to run anew"
    case.ok("b", 2)
    assert seen(case)["c"] == "scheduled: asked to run anew"


def test_a_new_step_runs() -> None:
    """It has no earlier result."""
    case = again(earlier(a=1), {**STEPS, "d": T})
    assert seen(case)["d"] == "scheduled: a new step"


def test_items_are_reused_one_by_one() -> None:
    """Those whose value is the same."""
    steps = {"m": {**T, "map": {"items": "${{ inputs.list }}"}, "with": {"x": "${{ item }}"}}}
    inputs = {"list": {"type": "array"}}
    origin = LawCase(steps, inputs=inputs)
    origin.start(list=[1, 2, 3])
    origin.ok("m", "one", item=0)
    origin.fail("m", item=1, retryable=False)
    origin.begin("m", item=2)
    case = LawCase(steps, origin=origin.state, inputs=inputs)
    events = case.start(origin={"workflow": "w", "seq": 9, "from": []}, list=[1, 5, 3, 4])
    assert events == [
        "workflow.started", "step.expanded m", "step.reused m[0]", "step.scheduled m[1]", "step.scheduled m[2]",
        "step.scheduled m[3]",
    ]  # fmt: skip
    for item in (1, 2, 3):
        case.ok("m", item, item=item)
    assert case.state.outputs == {}
    assert case.state.steps["m"].output == ["one", 1, 2, 3]


def test_all_items_reused_end_the_step() -> None:
    """Also one of many more than may be in flight at once."""
    steps = {"m": {**T, "map": {"items": "${{ range(5) }}", "max_parallel": 2}}, "z": T}
    origin = earlier(steps)
    origin = LawCase(steps, inputs=INPUTS)
    origin.start()
    for item in range(5):
        origin.ok("m", item, item=item)
    case = again(origin, steps)
    assert case.status("m") == "succeeded"
    assert case.state.steps["m"].output == [0, 1, 2, 3, 4]


def test_a_step_that_was_undone_runs_again() -> None:
    """Its effect is gone."""
    steps = {"a": {**T, "compensate": T}, "b": {**T, "needs": ["a"]}}
    origin = LawCase(steps, inputs=INPUTS)
    origin.start()
    origin.ok("a", 1)
    origin.fail("b", retryable=False)
    origin.ok("a.undo")
    assert seen(again(origin, steps))["a"] == "scheduled: it was undone by its compensation"


def test_large_outputs_and_artifacts_are_taken_over() -> None:
    """By reference."""
    reference = ArtifactRef("0" * 64, 10, "application/json")
    origin = LawCase(STEPS, inputs=INPUTS)
    origin.large = {"0" * 64: "big"}
    origin.start()
    origin.ok("a", reference)
    origin.fail("b", retryable=False)
    case = again(origin)
    assert case.state.steps["a"].output == reference


@pytest.mark.parametrize(("kind", "is_reused"), [("mcp", False), ("shell", True)])
def test_other_tools_run_what_uses_tools(kind: str, is_reused: bool) -> None:
    """The kinds that use none are left alone."""
    steps = {"a": {"kind": kind, "with": {"command": "x"}}}
    origin = LawCase(steps, tools={"files": {"command": ["one"]}})
    origin.start()
    origin.ok("a", 1)
    case = LawCase(steps, origin=origin.state, tools={"files": {"command": ["two"]}})
    case.start(origin={"workflow": "w", "seq": 3, "from": []})
    assert (case.status("a") == "succeeded") is is_reused


def test_a_secret_is_compared_by_its_name() -> None:
    """The law never sees its value."""
    steps = {"a": {**T, "with": {"key": "${{ secrets.token }}"}}}
    origin = LawCase(steps)
    origin.start()
    origin.ok("a", 1)
    case = LawCase(steps, origin=origin.state)
    case.start(origin={"workflow": "w", "seq": 3, "from": []})
    assert case.status("a") == "succeeded"
