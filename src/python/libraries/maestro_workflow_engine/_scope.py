"""What the expressions of a workflow see of its state."""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias, cast

from maestro_workflow_engine._errors import ExpressionFailed
from maestro_workflow_engine._events import ArtifactRef
from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._state import WorkflowState

Load: TypeAlias = Callable[[ArtifactRef], JSON]
"""Gives the value behind a reference; the same one each time."""


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
    state: WorkflowState, template: Template, load: Load, extra: Mapping[str, object] | None = None
) -> dict[str, object]:
    """The scope for one template: only the steps that it refers to are put in, and only their large outputs are loaded.

    `extra` holds what is known only where the template stands: item, index, output, previous, iteration, and the real
    secrets; without those, a secret is the text of its own expression.
    """
    steps: dict[str, object] = {}
    secrets: dict[str, str] = {}
    scope: dict[str, object] = {"inputs": state.inputs, "steps": steps}
    for names, _, _ in template.uses:
        root = names[0]
        if root == "steps":
            if len(names) > 1 and names[1] not in steps:
                step = state.steps[names[1]]
                steps[names[1]] = {"status": step.status, "output": loaded(step.output, load), "error": step.error}
        elif root == "secrets":
            if len(names) > 1:
                secrets[names[1]] = f"${{{{ secrets.{names[1]} }}}}"
        elif root == "workflow":
            scope[root] = _workflow(state)
    if secrets:
        scope["secrets"] = secrets
    if extra is not None:
        scope.update(extra)
    return scope


def _workflow(state: WorkflowState) -> dict[str, JSON]:
    return {
        "id": state.id,
        "name": state.name,
        "status": _outlook(state),
        "error": cast(JSON, state.error),
        "failed_step": state.failed_step,
        "parent": None if state.parent is None else state.parent["workflow"],
    }


def _outlook(state: WorkflowState) -> str:
    """How the workflow is going to end, as far as that is settled."""
    if state.status == "cancelling":
        return "cancelled"
    if state.error is not None:
        return "failed"
    return "running" if state.phase == "main" else "succeeded"


def loaded(output: Any, load: Load) -> JSON:
    """An output with the values of what it refers to in place of the references."""
    if isinstance(output, ArtifactRef):
        return load(output)
    if isinstance(output, list) and any(isinstance(item, ArtifactRef) for item in output):
        return [load(item) if isinstance(item, ArtifactRef) else item for item in output]
    result: JSON = output
    return result
