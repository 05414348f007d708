"""Which results of an earlier workflow a new one takes over, and why, or why not."""

from typing import Final

from maestro_workflow_engine._definition import Repeat, Step, WorkflowDefinition
from maestro_workflow_engine._errors import WorkflowError
from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._json import JSON, pointer
from maestro_workflow_engine._scope import Load, loaded, rendered, scope_of
from maestro_workflow_engine._state import ItemState, WorkflowState

_USE_NO_TOOLS: Final = frozenset({"approval", "event", "http", "python", "shell", "signal", "sleep", "workflow"})


class Reuse:
    """Compares the runs of a workflow with those of its origin."""

    def __init__(self, state: WorkflowState, origin: WorkflowState, load: Load) -> None:
        self._state = state
        self._origin = origin
        self._load = load
        self._lists: dict[tuple[int, str], list[JSON]] = {}

    def earlier(self, step: Step, item: int | None) -> tuple[ItemState | None, str]:
        """The earlier run whose result is still right, or None; and the reason, for people."""
        if step.id in self._state.anew:
            return None, "asked to run anew"
        was = None if self._origin.definition is None else self._origin.definition.steps.get(step.id)
        if was is None or self._origin.definition is None:
            return None, "a new step"
        if was.digest != step.digest or step.id in self._origin.outdated:
            return None, "its definition has changed"
        run = self._run(step.id, item)
        if run is None or run.status != "succeeded":
            return None, "it had not succeeded"
        if self._is_undone(step.id, item):
            return None, "it was undone by its compensation"
        try:
            changed = self._changed(step, was, self._origin.definition, item)
        except WorkflowError as problem:
            return None, f"its earlier input cannot be worked out any more: {problem}"
        if changed is not None:
            return None, f"its input has changed: {changed}"
        return run, f"same definition and input as in {self._origin.id}"

    def _run(self, step_id: str, item: int | None) -> ItemState | None:
        state = self._origin.steps.get(step_id)
        if state is None or item is None:
            return state
        return state.items[item] if state.items is not None and item < len(state.items) else None

    def _is_undone(self, step_id: str, item: int | None) -> bool:
        run = self._run(f"{step_id}.undo", item)
        return run is not None and run.status != "pending"

    def _changed(self, step: Step, was: Step, definition: WorkflowDefinition, item: int | None) -> str | None:
        now = self._rendered(self._state, step.arguments, step, item)
        before = self._rendered(self._origin, was.arguments, was, item)
        changed = _difference(before, now, "/with")
        if changed is None and step.repeat is not None and was.repeat is not None:
            changed = _difference(self._read(self._origin, was.repeat), self._read(self._state, step.repeat), "")
        if changed is None and step.kind not in _USE_NO_TOOLS and self._state.definition is not None:
            tools = self._rendered(self._state, self._state.definition.tools, step, None)
            changed = _difference(self._rendered(self._origin, definition.tools, was, None), tools, "/tools")
        return changed

    def _read(self, state: WorkflowState, repeat: Repeat) -> dict[str, JSON]:
        """What `until` reads beside the output."""
        steps: dict[str, JSON] = {}
        for step_id in sorted(repeat.until.references):
            run = state.steps[step_id]
            steps[step_id] = {"status": run.status, "output": loaded(run.output, self._load)}
        return {"inputs": {name: state.inputs.get(name) for name in sorted(repeat.until.inputs)}, "steps": steps}

    def _rendered(self, state: WorkflowState, template: Template, step: Step, item: int | None) -> JSON:
        extra: dict[str, object] = {"previous": None, "iteration": 1} if step.repeat is not None else {}
        if item is not None and step.map is not None:
            extra |= {"item": self._item(state, step, item), "index": item}
        return rendered(template, scope_of(state, template, self._load, extra), "/with")

    def _item(self, state: WorkflowState, step: Step, item: int) -> JSON:
        key = (id(state), step.id)
        items = self._lists.get(key)
        if items is None and step.map is not None:
            value = rendered(step.map.items, scope_of(state, step.map.items, self._load), "/map/items")
            items = self._lists[key] = value if isinstance(value, list) else []
        return items[item] if items is not None and item < len(items) else None


def _difference(before: JSON, now: JSON, path: str) -> str | None:
    """The path of the first difference between two values, None when they are equal."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            if key not in before or key not in now:
                return pointer(path, key)
            found = _difference(before[key], now[key], pointer(path, key))
            if found is not None:
                return found
        return None
    return None if type(before) is type(now) and before == now else path
