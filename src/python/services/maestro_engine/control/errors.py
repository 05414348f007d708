"""What is refused before the engine is asked.

ControlError
├── NotAsked       the approval is for others
└── NoSuchEvent    the workflow has no event of this seq
"""

from collections.abc import Sequence
from typing import ClassVar


class ControlError(Exception):
    """Root of everything that this room raises of itself."""

    code: ClassVar[str] = "control"
    retryable: ClassVar[bool] = False


class NotAsked(ControlError):
    """The approval names who may answer it, and the caller is not among them."""

    code: ClassVar[str] = "control.not-asked"

    def __init__(self, to: Sequence[str]) -> None:
        super().__init__(f"This approval is for {', '.join(to)}; nobody else may answer it.")


class NoSuchEvent(ControlError):
    """The workflow has no event of this seq, or not yet."""

    code: ClassVar[str] = "control.no-such-event"

    def __init__(self, workflow_id: str, seq: int) -> None:
        super().__init__(f"Workflow {workflow_id} has no event {seq}.")
