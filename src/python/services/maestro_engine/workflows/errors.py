"""What the service refuses before the engine is asked.

ServiceError
├── KeySpent            the Idempotency-Key has started another workflow
├── UnknownArtifact     the workflow names no such artifact
├── NoText              the artifact is no text
├── TooLargeToExport    the workflow is more than one file may hold
└── BadCursor           the cursor was not made by this service
"""

from typing import ClassVar


class ServiceError(Exception):
    """Root of everything that the service raises of itself."""

    code: ClassVar[str] = "service"
    retryable: ClassVar[bool] = False


class KeySpent(ServiceError):
    """The Idempotency-Key has started another workflow."""

    code: ClassVar[str] = "workflow.key-spent"

    def __init__(self, workflow_id: str) -> None:
        super().__init__(
            f"This Idempotency-Key has started workflow {workflow_id}, from something else: make a new key."
        )


class UnknownArtifact(ServiceError):
    """The workflow names no artifact with this digest."""

    code: ClassVar[str] = "workflow.unknown-artifact"

    def __init__(self, workflow_id: str, sha256: str) -> None:
        super().__init__(f"Workflow {workflow_id} names no artifact {sha256}.")


class NoText(ServiceError):
    """What the artifact holds is no text, so there is nothing to look at."""

    code: ClassVar[str] = "workflow.artifact-no-text"

    def __init__(self, sha256: str) -> None:
        super().__init__(f"The artifact {sha256} is no text in UTF-8: download it instead.")


class BadCursor(ServiceError):
    """The cursor was not made by this service."""

    code: ClassVar[str] = "request.bad-cursor"

    def __init__(self) -> None:
        super().__init__("The cursor is not one that this service gave; begin again without one.")


class TooLargeToExport(ServiceError):
    """The workflow is more than one file may hold."""

    code: ClassVar[str] = "workflow.too-large-to-export"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The workflow cannot be exported: {reason}.")
