"""Commands that do not fit the workflow as it stands; the tree of all errors stands in `_errors`."""

from collections.abc import Sequence
from typing import ClassVar

from maestro_workflow_engine._errors import CommandRefused
from maestro_workflow_engine._problems import Problem


class StepNotFound(CommandRefused):
    """The workflow has no such step, or the step no such item."""

    code: ClassVar[str] = "workflow.step-not-found"

    def __init__(self, workflow_id: str, step: str, item: int | None = None) -> None:
        what = f"step {step[:64]!r}" if item is None else f"item {item} of step {step[:64]!r}"
        super().__init__(f"workflow {workflow_id!r} has no {what} that has begun")


class StepNotWaiting(CommandRefused):
    """The step does not wait for this."""

    code: ClassVar[str] = "workflow.step-not-waiting"

    def __init__(self, workflow_id: str, step: str, item: int | None, status: str, wanted: str) -> None:
        where = step if item is None else f"{step}[{item}]"
        super().__init__(f"step {where!r} of workflow {workflow_id!r} is {status}: it {wanted}")


class StepEnded(CommandRefused):
    """The step has ended, so it can no longer be skipped."""

    code: ClassVar[str] = "workflow.step-ended"

    def __init__(self, workflow_id: str, step: str, item: int | None, status: str) -> None:
        where = step if item is None else f"{step}[{item}]"
        super().__init__(f"step {where!r} of workflow {workflow_id!r} has {status} already")


class InvalidAnswer(CommandRefused):
    """The answer does not fit the form; `problems` holds all that is wrong with it."""

    code: ClassVar[str] = "workflow.invalid-answer"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("the answer does not fit: " + "; ".join(str(problem) for problem in self.problems[:20]))


class SignalRefused(CommandRefused):
    """The signal cannot be kept: a bad name, too large, or too many that no step has taken."""

    code: ClassVar[str] = "workflow.signal-refused"


class MigrationRefused(CommandRefused):
    """The workflow cannot go on with the other definition; `reasons` says why."""

    code: ClassVar[str] = "workflow.migration-refused"

    def __init__(self, workflow_id: str, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(f"workflow {workflow_id!r} cannot go on with this definition: " + "; ".join(self.reasons[:20]))


class BadSetting(CommandRefused):
    """A budget, a priority, a limit or another setting has a value that it cannot have."""

    code: ClassVar[str] = "workflow.bad-setting"
