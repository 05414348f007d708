"""Why a step failed that waited, joined, repeated or ran a child; the tree of all errors stands in `_errors`."""

from typing import ClassVar

from maestro_workflow_engine._errors import StepError


class JoinImpossible(StepError):
    """Too few of the needed steps can still succeed."""

    code: ClassVar[str] = "workflow.join-impossible"


class RepeatExhausted(StepError):
    """`until` was not true after the last allowed iteration."""

    code: ClassVar[str] = "workflow.repeat-exhausted"


class ApprovalRejected(StepError):
    """A person said no."""

    code: ClassVar[str] = "workflow.approval-rejected"


class WaitExpired(StepError):
    """What the step waited for did not come within its time limit."""

    code: ClassVar[str] = "workflow.wait-expired"


class ChildFailed(StepError):
    """The child workflow failed or was cancelled; it can be tried again, as a new child."""

    code: ClassVar[str] = "workflow.child-failed"
    retryable: ClassVar[bool] = True


class ChildTooDeep(StepError):
    """Workflows start workflows deeper than is allowed."""

    code: ClassVar[str] = "workflow.child-too-deep"


class WorkflowTimedOut(StepError):
    """The whole workflow ran longer than its `timeout_s`."""

    code: ClassVar[str] = "workflow.timed-out"


class BadCost(StepError):
    """`cost` did not render to numbers by unit."""

    code: ClassVar[str] = "workflow.bad-cost"
