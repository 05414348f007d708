"""What every backend promises, as scenarios that run against anyone's."""

from maestro_workflow_engine._testing._conformance_approvals import ApprovalsScenarios
from maestro_workflow_engine._testing._conformance_commands import CommandScenarios
from maestro_workflow_engine._testing._conformance_control import ControlScenarios
from maestro_workflow_engine._testing._conformance_limits import LimitsScenarios
from maestro_workflow_engine._testing._conformance_reading import ReadingScenarios
from maestro_workflow_engine._testing._conformance_running import RunningScenarios
from maestro_workflow_engine._testing._conformance_search import SearchScenarios
from maestro_workflow_engine._testing._conformance_waiting import WaitingScenarios


class ExecutionBackendConformance(
    RunningScenarios,
    ControlScenarios,
    CommandScenarios,
    WaitingScenarios,
    ApprovalsScenarios,
    LimitsScenarios,
    ReadingScenarios,
    SearchScenarios,
):
    """Derive a test class from it and say how your backend is opened; pytest with asyncio does the rest.

    Each scenario gets a folder of its own in `tmp_path`. What takes time takes that of a ManualClock.
    """
