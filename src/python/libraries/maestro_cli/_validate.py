"""`maestro validate`: everything that can be known about a definition before it runs."""

from pathlib import Path

from maestro_cli._document import read_definition
from maestro_cli._kinds import step_kinds


def validate(file: Path) -> int:
    """Say that the definition is right; raises BadUsage with every problem when it is not."""
    definition = read_definition(file, step_kinds())
    steps = "1 step" if len(definition.steps) == 1 else f"{len(definition.steps)} steps"
    print(f"{file}: {definition.name} is right: {steps}, inputs: {', '.join(definition.inputs) or 'none'}")
    return 0
