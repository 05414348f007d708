"""Child workflows of the embedded backend: templates, how deep they may go, and what they take from their parent."""

from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import (
    BadArguments,
    EmbeddedBackend,
    StepCall,
    WorkflowDefinition,
    builtin_step_kinds,
    parse_definition,
)
from maestro_workflow_engine.testing import Gate, ScriptedKind, large_output


def calls(template: str, **arguments: Any) -> dict[str, Any]:
    """A step that runs a template."""
    return {"kind": "workflow", "with": {"template": template, **arguments}}


class Shelf:
    """Templates by name, each in one version."""

    def __init__(self, **documents: dict[str, Any]) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self._definitions = {name: parse_definition({"name": name, **document}) for name, document in documents.items()}

    async def __call__(self, name: str, version: str | None) -> tuple[WorkflowDefinition, str]:
        """The template, and which version it is."""
        self.asked.append((name, version))
        if name not in self._definitions:
            raise BadArguments(f"there is no template {name!r}")
        return self._definitions[name], version or "7"


async def test_a_child_can_be_a_template(tmp_path: Path) -> None:
    """It runs under the name and the version of that; a version that is asked for is handed on."""
    shelf = Shelf(pay={"inputs": {"x": {"type": "integer"}}, "steps": {"a": {"kind": "test"}}})
    steps = {
        "new": calls("pay", inputs={"x": 1}),
        "old": {**calls("pay", version="3", inputs={"x": 1}), "needs": ["new"]},
    }
    kinds = {**builtin_step_kinds(), "test": ScriptedKind()}
    async with EmbeddedBackend(tmp_path, kinds=kinds, templates=shelf) as backend:
        started = await backend.start(parse_definition({"name": "p", "steps": steps}))
        assert (await backend.wait(started.workflow_id, 20)).status == "succeeded"
        children = [await backend.get(each.id) for each in (await backend.list(parent=started.workflow_id)).items]
    assert shelf.asked == [("pay", None), ("pay", "3")]
    assert [(each.template, each.version) for each in children] == [("pay", "3"), ("pay", "7")]


async def test_workflows_go_sixteen_levels_deep(tmp_path: Path) -> None:
    """One that starts itself comes to an end: the deepest step fails, and so do all above it."""
    shelf = Shelf(again={"steps": {"a": calls("again")}})
    async with EmbeddedBackend(tmp_path, kinds=builtin_step_kinds(), templates=shelf) as backend:
        definition, _ = await shelf("again", None)
        started = await backend.start(definition)
        state = await backend.wait(started.workflow_id, 20)
        everyone = (await backend.list()).items
        assert state.error is not None
        assert (state.status, len(everyone)) == ("failed", 17)
        deepest = await backend.get(everyone[0].id)
        assert deepest.parent is not None
        assert deepest.parent["depth"] == 16
        assert "at most 16 levels deep" in str(deepest.error)


async def test_a_child_takes_after_its_parent(tmp_path: Path) -> None:
    """Its priority and its base folder are those of the parent."""
    gate = Gate()
    body = {"name": "c", "steps": {"a": {"kind": "test"}}}
    definition = parse_definition(
        {"name": "p", "steps": {"a": {"kind": "workflow", "body": body, "with": {"inputs": {}}}}, "priority": 5}
    )
    kinds = {**builtin_step_kinds(), "test": ScriptedKind(gate)}
    async with EmbeddedBackend(tmp_path / "data", kinds=kinds) as backend:
        await backend.start(definition, base_dir=tmp_path)
        call = await gate.arrival()
        assert call.base_dir == tmp_path
        assert (await backend.get(call.workflow_id)).priority == 5
        gate.open()


async def test_the_id_of_a_child_can_be_taken(tmp_path: Path) -> None:
    """Another workflow that has that id already is left in peace, and the step fails."""
    body = {"name": "c", "steps": {"a": {"kind": "test"}}}
    definition = parse_definition(
        {"name": "p", "steps": {"a": {"kind": "workflow", "body": body, "with": {"inputs": {}}}}}
    )
    kinds = {**builtin_step_kinds(), "test": ScriptedKind()}
    async with EmbeddedBackend(tmp_path, kinds=kinds) as backend:
        await backend.start(parse_definition({"name": "c", "steps": {"a": {"kind": "test"}}}), workflow_id="p.a.1")
        other = await backend.wait("p.a.1", 20)
        await backend.start(definition, workflow_id="p")
        state = await backend.wait("p", 20)
        assert state.status == "failed"
        assert "'p.a.1' was started before" in str(state.error)
        assert await backend.get("p.a.1") == other


async def test_large_outputs_of_a_child_reach_its_parent(tmp_path: Path) -> None:
    """Also those that do not lie in the journal of the child."""
    body = {"name": "c", "steps": {"a": {"kind": "test"}}, "outputs": {"text": "${{ steps.a.output }}"}}
    steps = {"a": {"kind": "workflow", "body": body, "with": {"inputs": {}}}}
    definition = parse_definition({"name": "p", "steps": steps, "outputs": {"n": "${{ len(steps.a.output.text) }}"}})
    kinds = {**builtin_step_kinds(), "test": ScriptedKind(large_output(100_000))}
    async with EmbeddedBackend(tmp_path, kinds=kinds) as backend:
        await backend.start(definition, workflow_id="p")
        assert (await backend.wait("p", 20)).outputs == {"n": 100_000}


@pytest.mark.parametrize("max_idle", [0, 1000])
async def test_a_thousand_children(tmp_path: Path, max_idle: int) -> None:
    """Each item of a large map is a workflow, and every end finds its way back."""

    def double(call: StepCall) -> object:
        number: Any = call.arguments["x"]
        return number * 2

    body = {
        "name": "c",
        "inputs": {"x": {"type": "integer"}},
        "steps": {"a": {"kind": "test", "with": {"x": "${{ inputs.x }}"}}},
        "outputs": {"y": "${{ steps.a.output }}"},
    }
    step = {
        "kind": "workflow",
        "body": body,
        "with": {"inputs": {"x": "${{ item }}"}},
        "map": {"items": "${{ range(1000) }}"},
    }
    kinds = {**builtin_step_kinds(), "test": ScriptedKind(double)}
    async with EmbeddedBackend(tmp_path, kinds=kinds, max_idle=max_idle, synchronous="NORMAL") as backend:
        await backend.start(parse_definition({"name": "p", "steps": {"m": step}}), workflow_id="p")
        state = await backend.wait("p", 50)
    assert state.steps["m"].output == [{"y": number * 2} for number in range(1000)]
