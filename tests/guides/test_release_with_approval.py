"""The example of a release that a person approves, run as it is written."""

from pathlib import Path
from typing import Any

from maestro_workflow_engine import EmbeddedBackend, WorkflowState, builtin_step_kinds, parse_definition
from maestro_yaml_config_parser import load_yaml

EXAMPLE = load_yaml(Path("examples/workflows/release-with-approval.yml").read_text(encoding="utf-8")).data
YES = {"approved": True, "data": {"note": "Faster."}}


async def released(data_dir: Path, inputs: dict[str, Any], answer: dict[str, Any]) -> tuple[WorkflowState, list[str]]:
    """How the release ended, and the steps that ended well, in that order; items by their place."""
    kinds = builtin_step_kinds()
    definition = parse_definition(EXAMPLE, kinds=kinds)
    async with EmbeddedBackend(data_dir, kinds=kinds) as backend:
        workflow = (await backend.start(definition, inputs)).workflow_id
        done = []
        async for event in backend.watch(workflow):
            if event.type == "step.waiting":
                assert event.data["on"]["to"] == ["operator"]
                await backend.answer(workflow, "approve", answer, by="ada")
            if event.type == "step.succeeded":
                item = event.data.get("item")
                done.append(event.data["step"] if item is None else f"{event.data['step']}[{item}]")
        return await backend.get(workflow), done


def output_of(state: WorkflowState, step: str) -> dict[str, Any]:
    """What a command gave."""
    output = state.steps[step].output
    assert isinstance(output, dict)
    return output


async def test_an_approved_release_goes_to_every_region(tmp_path: Path) -> None:
    """After a yes it is deployed, found healthy at the second check, and says who approved it."""
    state, done = await released(tmp_path, {"version": "2.0.0"}, YES)
    assert state.status == "succeeded"
    assert isinstance(state.outputs, dict)
    assert (state.outputs["approved_by"], state.outputs["note"]) == ("ada", "Faster.")
    assert output_of(state, "inventory")["stdout"] == ["eu", "us"]
    assert [step for step in done if step.endswith(".undo")] == []
    assert done[-1] == "inventory"


async def test_a_release_that_does_not_come_up_is_taken_back(tmp_path: Path) -> None:
    """After the last check each region is undone, the last one first; then the failure is told, and nothing is left."""
    state, done = await released(tmp_path, {"unhealthy_checks": 99}, YES)
    assert (state.status, state.failed_step) == ("failed", "healthy")
    deployed = [step for step in done if step.startswith("deploy[")]
    undone = [step for step in done if step.startswith("deploy.undo[")]
    assert [step.partition("[")[2] for step in undone] == [step.partition("[")[2] for step in reversed(deployed)]
    assert len(undone) == 2
    assert output_of(state, "report")["stderr"].startswith("healthy failed: ")
    assert output_of(state, "inventory")["stdout"] == []


async def test_a_release_that_is_refused_is_not_deployed(tmp_path: Path) -> None:
    """After a no nothing is deployed, and so nothing undone."""
    state, done = await released(tmp_path, {}, {"approved": False})
    assert (state.status, state.failed_step) == ("failed", "approve")
    assert done == ["build", "report", "inventory"]
