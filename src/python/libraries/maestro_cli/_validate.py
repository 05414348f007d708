"""`maestro validate`: everything that can be known about a definition before it runs."""

import json
from pathlib import Path

from maestro_cli._document import read_definition
from maestro_cli._errors import BadDefinition
from maestro_cli._kinds import step_kinds


def validate(file: Path, *, as_json: bool) -> int:
    """Say that the definition is right; raises BadDefinition with every problem when it is not."""
    try:
        definition = read_definition(file, step_kinds())
    except BadDefinition as error:
        if not as_json:
            raise
        print(json.dumps({"is_right": False, "problems": error.problems}))
        return error.exit_status
    names = list(definition.inputs)
    if as_json:
        about = {"name": definition.name, "digest": definition.digest, "steps": len(definition.steps), "inputs": names}
        print(json.dumps({"is_right": True, **about}))
        return 0
    steps = "1 step" if len(definition.steps) == 1 else f"{len(definition.steps)} steps"
    print(f"{file}: {definition.name} is right: {steps}, inputs: {', '.join(names) or 'none'}")
    return 0
