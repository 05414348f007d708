"""What the service refuses before the engine is asked.

ServiceError
├── UnknownTemplate     no template has this name
├── UnknownArtifact     the workflow names no such artifact
└── BadCursor           the cursor was not made by this service
"""

from collections.abc import Sequence
from typing import ClassVar


class ServiceError(Exception):
    """Root of everything that the service raises of itself."""

    code: ClassVar[str] = "service"
    retryable: ClassVar[bool] = False


class UnknownTemplate(ServiceError):
    """No file of the templates folder has this name; `known` are the names that exist."""

    code: ClassVar[str] = "template.unknown"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.known = tuple(known)
        listed = ", ".join(self.known) if self.known else "there are none"
        super().__init__(f"There is no template {name!r}; known: {listed}.")


class UnknownArtifact(ServiceError):
    """The workflow names no artifact with this digest."""

    code: ClassVar[str] = "workflow.unknown-artifact"

    def __init__(self, workflow_id: str, sha256: str) -> None:
        super().__init__(f"Workflow {workflow_id} names no artifact {sha256}.")


class BadCursor(ServiceError):
    """The cursor was not made by this service."""

    code: ClassVar[str] = "request.bad-cursor"

    def __init__(self) -> None:
        super().__init__("The cursor is not one that this service gave; begin again without one.")
