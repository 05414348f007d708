"""The step kinds that the command line runs: those of the engine, of the tools, and of installed plugins."""

from maestro_workflow_engine import StepKind, builtin_step_kinds, plugin_step_kinds


def step_kinds() -> dict[str, StepKind]:
    """Every kind by name; a plugin may take the place of one of ours."""
    from maestro_tools import tool_step_kinds

    return {**builtin_step_kinds(), **tool_step_kinds(), **plugin_step_kinds()}
