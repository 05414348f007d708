"""What the expressions of a workflow see of its state."""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias

from maestro_workflow_engine._errors import ExpressionFailed
from maestro_workflow_engine._events import ArtifactRef
from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._state import WorkflowState

Load: TypeAlias = Callable[[ArtifactRef], JSON]
"""Gives the value behind a reference; the same one each time."""
Ended: TypeAlias = tuple[str, Any]
"""Status and output of a step that has ended."""


def load_nothing(reference: ArtifactRef) -> NoReturn:
    """A loader for states without large outputs."""
    raise LookupError(f"no loader was given for {reference.sha256}")


def rendered(template: Template, scope: Mapping[str, object], path: str) -> JSON:
    """The rendered template; what fails in it names `path`, the JSON Pointer of the template."""
    try:
        return template.render(scope)
    except ExpressionFailed as error:
        raise ExpressionFailed(error.reason, path=f"{path}{error.path}") from error


def scope_of(
    state: WorkflowState,
    template: Template,
    load: Load,
    *,
    inputs: Mapping[str, JSON] | None = None,
    ended: Mapping[str, Ended] | None = None,
) -> dict[str, object]:
    """The scope for one template: only the steps that it refers to are put in, and only their large outputs are loaded.

    `inputs` and `ended` stand in for what is decided at this moment and not in the state yet.
    """
    steps: dict[str, object] = {}
    for step_id in template.references:
        error: object = None
        if ended is not None and step_id in ended:
            status, output = ended[step_id]
        else:
            step = state.steps[step_id]
            status, output, error = step.status, step.output, step.error
        steps[step_id] = {"status": status, "output": _loaded(output, load), "error": error}
    return {
        "inputs": state.inputs if inputs is None else inputs,
        "steps": steps,
        "workflow": {"id": state.id, "name": state.name},
    }


def _loaded(output: Any, load: Load) -> JSON:
    if isinstance(output, ArtifactRef):
        return load(output)
    if isinstance(output, list) and any(isinstance(item, ArtifactRef) for item in output):
        return [load(item) if isinstance(item, ArtifactRef) else item for item in output]
    result: JSON = output
    return result
