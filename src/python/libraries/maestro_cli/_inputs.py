"""The inputs of a run, from the command line and from a file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from maestro_cli._errors import BadUsage
from maestro_workflow_engine import WorkflowDefinition


def read_inputs(definition: WorkflowDefinition, pairs: Sequence[str], file: Path | None) -> dict[str, object]:
    """What was given, by the types that are declared: text as it is, the rest as JSON; pairs win over the file.

    Raises BadUsage; whether the values fit is the engine's to say.
    """
    given = {} if file is None else inputs_in(file)
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise BadUsage(f"--input {pair}: expected NAME=VALUE.")
        given[name] = _value(definition, name, text)
    return given


def _value(definition: WorkflowDefinition, name: str, text: str) -> object:
    spec = definition.inputs.get(name)
    if spec is None:
        declared = ", ".join(definition.inputs) or "none"
        raise BadUsage(f"--input {name}: {definition.name} declares no such input; it has: {declared}.")
    if spec.type == "string":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadUsage(f"--input {name}: {text!r} is not JSON, and the input is of type {spec.type}.") from error


def inputs_in(file: Path) -> dict[str, object]:
    """The inputs in a YAML or JSON file; raises BadUsage."""
    from maestro_cli._document import read_data

    data = read_data(file)
    if not isinstance(data, Mapping):
        raise BadUsage(f"{file}: expected names with values.")
    return {str(name): value for name, value in data.items()}
