"""What every backend promises, as scenarios that run against anyone's."""

from maestro_workflow_engine._testing._conformance_control import ControlScenarios
from maestro_workflow_engine._testing._conformance_reading import ReadingScenarios
from maestro_workflow_engine._testing._conformance_running import RunningScenarios


class ExecutionBackendConformance(RunningScenarios, ControlScenarios, ReadingScenarios):
    """Derive a test class from it and say how your backend is opened; pytest with asyncio does the rest.

    Each scenario gets a folder of its own in `tmp_path`. What takes time takes that of a ManualClock.
    """
