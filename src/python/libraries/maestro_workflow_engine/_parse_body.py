"""Checks what a step hands to the child workflow that is written in it."""

from collections.abc import Mapping

from maestro_workflow_engine._definition import InputSpec
from maestro_workflow_engine._expressions import compile_all
from maestro_workflow_engine._inputs import value_faults
from maestro_workflow_engine._json import JSON, json_kind, pointer
from maestro_workflow_engine._report import Report

BODY_ARGUMENTS = ("inputs",)
MAX_BODY_DEPTH = 8


def check_body_inputs(
    report: Report, step_path: str, arguments: dict[str, JSON], declared: Mapping[str, InputSpec]
) -> None:
    """Report the inputs that the body does not know, those that it lacks, and values that it will refuse.

    What an expression gives is known only when the workflow runs.
    """
    path = f"{step_path}/with"
    report.check_keys(path, arguments, BODY_ARGUMENTS, "with of a step that has a body")
    given = arguments.get("inputs", {})
    if not isinstance(given, dict):
        template, problems = compile_all(given)
        if not template.is_expression and not problems:  # a bad expression was reported with the arguments
            message = f"inputs is a mapping from name to value, or exactly one ${{{{ … }}}}, not {json_kind(given)}"
            report.add(f"{path}/inputs", "wrong-type", message)
        return
    for name, spec in declared.items():
        if spec.is_required and name not in given:
            message = f"the body requires the input {name!r}: give it in with.inputs, or a default in the body"
            report.add(f"{path}/inputs", "missing-input", message)
    for name, value in given.items():
        below = pointer(f"{path}/inputs", name)
        if name not in declared:
            known = f"it has {', '.join(declared)}" if declared else "it takes none"
            message = f"the body has no input {name[:64]!r}{report.hint(name, declared)}: {known}"
            report.add(below, "unknown-input", message, at_key=True)
        elif compile_all(value)[0].is_constant:
            for deeper, _, message in value_faults(declared[name], value):
                report.add(below + deeper, "bad-input", message)
