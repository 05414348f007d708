"""What may begin now: flow limits, concurrency of workflows, priorities and fair turns."""

from maestro_workflow_engine._limits._gate import check_limit
from maestro_workflow_engine._limits._limits import Limits, Pass, Turn

__all__ = ["Limits", "Pass", "Turn", "check_limit"]
