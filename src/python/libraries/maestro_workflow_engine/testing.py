"""For tests of what meets the engine: a clock, scripted step kinds, faults, and the suite that every backend passes."""

from maestro_workflow_engine._testing._call import make_call
from maestro_workflow_engine._testing._case import LawCase
from maestro_workflow_engine._testing._cassette import Cassette, NotOnCassette
from maestro_workflow_engine._testing._clock import ManualClock
from maestro_workflow_engine._testing._conformance import ExecutionBackendConformance
from maestro_workflow_engine._testing._faults import CountingBackend, dying_backend, failing_backend, filling_backend
from maestro_workflow_engine._testing._harness import Outcome, WorkflowHarness
from maestro_workflow_engine._testing._kinds import Flaky, Gate, ScriptedKind, Stubborn, Turnstile, fails, large_output

__all__ = [
    "Cassette",
    "CountingBackend",
    "ExecutionBackendConformance",
    "Flaky",
    "Gate",
    "LawCase",
    "ManualClock",
    "NotOnCassette",
    "Outcome",
    "ScriptedKind",
    "Stubborn",
    "Turnstile",
    "WorkflowHarness",
    "dying_backend",
    "failing_backend",
    "fails",
    "filling_backend",
    "large_output",
    "make_call",
]
