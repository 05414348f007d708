"""The step kinds that come with the engine, and those that other wheels bring."""

from typing import Final

from maestro_workflow_engine._ports import StepKind

ENTRY_POINT_GROUP: Final = "maestro.step_kinds"


def builtin_step_kinds() -> dict[str, StepKind]:
    """New ones of the kinds that need nothing but this wheel."""
    # Not at import time: HTTP and TLS would make up most of what importing this wheel takes.
    from maestro_workflow_engine._kinds._approval import ApprovalKind
    from maestro_workflow_engine._kinds._event import EventKind
    from maestro_workflow_engine._kinds._http import HttpKind
    from maestro_workflow_engine._kinds._python import PythonKind
    from maestro_workflow_engine._kinds._shell import ShellKind
    from maestro_workflow_engine._kinds._signal import SignalKind
    from maestro_workflow_engine._kinds._sleep import SleepKind
    from maestro_workflow_engine._kinds._workflow import WorkflowKind

    return {
        "approval": ApprovalKind(),
        "event": EventKind(),
        "http": HttpKind(),
        "python": PythonKind(),
        "shell": ShellKind(),
        "signal": SignalKind(),
        "sleep": SleepKind(),
        "workflow": WorkflowKind(),
    }


def plugin_step_kinds() -> dict[str, StepKind]:
    """New ones of the kinds that installed wheels offer as entry points, each a factory without arguments."""
    from importlib.metadata import entry_points

    return {entry.name: entry.load()() for entry in entry_points(group=ENTRY_POINT_GROUP)}
