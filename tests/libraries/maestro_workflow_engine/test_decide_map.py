"""The law of steps that map over a list."""

from typing import Any

import pytest

from maestro_workflow_engine import ArtifactRef
from maestro_workflow_engine._commands import Due
from maestro_workflow_engine.testing import LawCase

LIST = {"inputs": {"list": {"type": "array", "default": []}}}


def step(**rest: Any) -> dict[str, Any]:
    """A step of some kind."""
    return {"kind": "test", **rest}


def test_map_runs_once_per_item_and_gives_the_outputs_in_order() -> None:
    """The output is in the order of the items, whatever ended first."""
    case = LawCase(
        {"m": step(map={"items": "${{ inputs.list }}"}), "after": step(when="${{ steps.m.output[1] == 'B' }}")}, **LIST
    )
    assert case.start(list=["a", "b", "c"]) == [
        "workflow.started",
        "step.expanded m",
        "step.scheduled m[0]",
        "step.scheduled m[1]",
        "step.scheduled m[2]",
    ]
    case.ok("m", "C", item=2)
    case.ok("m", "A", item=0)
    assert case.ok("m", "B", item=1) == ["step.succeeded m[1]", "step.succeeded m", "step.scheduled after"]
    assert case.state.steps["m"].output == ["A", "B", "C"]


def test_map_keeps_to_its_own_limit() -> None:
    """With `max_parallel` an item is scheduled when another one has ended."""
    case = LawCase({"m": step(map={"items": "${{ inputs.list }}", "max_parallel": 2})}, **LIST)
    assert case.start(list=[1, 2, 3])[2:] == ["step.scheduled m[0]", "step.scheduled m[1]"]
    assert case.ok("m", item=1) == ["step.succeeded m[1]", "step.scheduled m[2]"]
    assert case.ok("m", item=2) == ["step.succeeded m[2]"]
    assert case.ok("m", item=0)[-1] == "workflow.succeeded"


def test_map_over_an_empty_list_succeeds_with_an_empty_list() -> None:
    """Nothing to do is done."""
    case = LawCase(
        {"m": step(map={"items": "${{ inputs.list }}"}), "n": step(needs=["m"])},
        outputs={"all": "${{ steps.m.output }}"},
        **LIST,
    )
    assert case.start(list=[]) == ["workflow.started", "step.expanded m", "step.succeeded m", "step.scheduled n"]
    case.ok("n")
    assert case.state.outputs == {"all": []}


@pytest.mark.parametrize(
    ("value", "said"),
    [({"a": 1}, "a list was expected, an object came"), ([0] * 100_001, "100001 items, at most 100000")],
)
def test_map_over_no_list_or_too_long_a_list_fails_the_step(value: Any, said: str) -> None:
    """The error says what came instead."""
    case = LawCase({"a": step(), "m": step(map={"items": "${{ steps.a.output }}"})})
    case.start()
    assert case.ok("a", value) == ["step.succeeded a", "step.failed m", "workflow.failed m"]
    assert case.state.error is not None
    assert said in str(case.state.error["message"])


def test_items_retry_one_by_one() -> None:
    """The attempts of an item do not touch the others."""
    case = LawCase({"m": step(map={"items": "${{ inputs.list }}"}, retry=2)}, **LIST)
    case.start(list=[1, 2])
    assert case.fail("m", item=1) == ["step.failed m[1]"]
    assert case.do(Due("m", 1)) == ["step.scheduled m[1] #2"]
    case.ok("m", item=0)
    assert case.ok("m", item=1, attempt=2)[-1] == "workflow.succeeded"


def test_a_failed_item_fails_its_step_once_its_running_siblings_have_ended() -> None:
    """Scheduled siblings are cancelled, running ones are kept, and the error names the item."""
    case = LawCase({"m": step(map={"items": "${{ inputs.list }}", "max_parallel": 3})}, **LIST)
    case.start(list=[1, 2, 3, 4])
    case.begin("m", item=0)
    case.begin("m", item=1)
    assert case.fail("m", item=1) == ["step.failed m[1]", "step.cancelled m[2]"]
    assert case.ok("m", "kept", item=0) == ["step.succeeded m[0]", "step.failed m", "workflow.failed m[1]"]
    mapped = case.state.steps["m"]
    assert mapped.error is not None
    assert mapped.error["message"] == "item 1: bad luck"
    assert [item.status for item in mapped.items or []] == ["succeeded", "failed", "cancelled", "pending"]


def test_a_mapped_step_that_another_failure_stops_is_cancelled() -> None:
    """It has not failed itself."""
    case = LawCase({"m": step(map={"items": "${{ inputs.list }}", "max_parallel": 1}), "a": step()}, **LIST)
    case.start(list=[1, 2])
    case.begin("m", item=0)
    case.begin("a")
    assert case.fail("a") == ["step.failed a"]
    assert case.ok("m", item=0) == ["step.succeeded m[0]", "step.cancelled m", "workflow.failed a"]


def test_large_outputs_are_loaded_only_when_an_expression_needs_them() -> None:
    """The state holds the reference; `when`, `map` and `outputs` see the value."""
    reference = ArtifactRef("f" * 64, 20_000, "application/json")
    case = LawCase(
        {"a": step(), "b": step(needs=["a"]), "m": step(map={"items": "${{ steps.a.output.list }}"}, needs=["b"])}
    )
    case.start()
    case.ok("a", reference)
    assert case.state.steps["a"].output == reference
    case.large["f" * 64] = {"list": [1, 2]}
    assert case.ok("b")[1:] == ["step.expanded m", "step.scheduled m[0]", "step.scheduled m[1]"]
