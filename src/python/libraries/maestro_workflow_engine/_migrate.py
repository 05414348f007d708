"""Going on with another definition: what becomes of each step, and the events of it."""

from collections.abc import Iterable

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._commands import Migrate
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._errors import InvalidInputs
from maestro_workflow_engine._events import EventData
from maestro_workflow_engine._fold_workflow import behind
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._law import Law
from maestro_workflow_engine._ports import MigrationPlan
from maestro_workflow_engine._refusals import MigrationRefused
from maestro_workflow_engine._state import ENDED, WorkflowState


def plan_migration(state: WorkflowState, definition: WorkflowDefinition, rerun: Iterable[str] = ()) -> MigrationPlan:
    """What becomes of each step; raises MigrationRefused when the workflow cannot go on with that definition."""
    _check(state, definition, rerun)
    old = {} if state.definition is None else state.definition.steps
    again = behind(definition, rerun)
    lists: dict[str, list[str]] = {name: [] for name in MigrationPlan.__slots__}
    for step_id, step in definition.steps.items():
        run = state.steps.get(step_id)
        is_same = step_id in old and old[step_id].digest == step.digest
        if run is None:
            name = "added"
        elif run.status == "pending":
            name = "kept"
        elif run.status in ENDED:
            name = "rerun" if step_id in again else "kept" if is_same else "changed"
        else:
            name = "kept" if is_same and step_id not in again else "restarted"
        lists[name].append(step_id)
    lists["dropped"] = [step_id for step_id in state.steps if step_id not in definition.steps]
    return MigrationPlan(**{name: tuple(steps) for name, steps in lists.items()})


def _check(state: WorkflowState, definition: WorkflowDefinition, rerun: Iterable[str]) -> None:
    reasons = []
    if state.is_finished:
        reasons.append(f"it has {state.status} already: run it again instead")
    elif state.status == "cancelling" or state.phase != "main" or state.error is not None:
        reasons.append("it is ending")
    for step_id in rerun:
        if step_id not in definition.steps or definition.steps[step_id].phase != "main":
            reasons.append(f"there is no step {step_id[:64]!r} to run again")
    try:
        new_inputs(state, definition)
    except InvalidInputs as problem:
        reasons += [str(each) for each in problem.problems]
    if reasons:
        raise MigrationRefused(state.id, reasons)


def new_inputs(state: WorkflowState, definition: WorkflowDefinition) -> dict[str, JSON]:
    """The inputs that the workflow goes on with; those that the definition does not know any more are kept apart."""
    known = {name: value for name, value in state.inputs.items() if name in definition.inputs}
    return {**state.inputs, **definition.resolve_inputs(known)}


def migrate(law: Law, command: Migrate) -> None:
    """Decide about a migration: one event, and then whatever may begin."""
    definition = command.definition
    plan = plan_migration(law.state, definition, command.rerun)
    data: EventData = {"definition": definition.digest, **plan.as_json()}
    inputs = new_inputs(law.state, definition)
    if inputs != law.state.inputs:
        data["inputs"] = inputs
    gone = {*plan.restarted, *plan.dropped}
    usage = law.used_so_far(place for place in law.state.in_flight if place[0] in gone)
    if usage:
        data["usage"] = usage
    if command.rerun:
        data["from"] = sorted(command.rerun)
    if command.by is not None:
        data["by"] = command.by
    earlier = law.state.lookup
    law.state.lookup = lambda digest: definition if digest == definition.digest or earlier is None else earlier(digest)
    law.emit(ev.WORKFLOW_MIGRATED, data)
    law.definition = definition
    law.open([step.id for step in definition.of_phase("main") if law.is_ready(step.id)])
    law.admit()
    law.settle()
