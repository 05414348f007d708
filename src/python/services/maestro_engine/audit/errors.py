"""What this room raises of itself.

AuditTrailError
├── NotAccountedFor     a command was carried out, and the log did not take its entry yet
└── SigningKeyMissing   there is a log, and not the key that signs it
"""

from pathlib import Path
from typing import ClassVar


class AuditTrailError(Exception):
    """Root of what this room raises of itself; the log's own errors are those of maestro-audit-logger."""

    code: ClassVar[str] = "engine.audit"
    retryable: ClassVar[bool] = False


class NotAccountedFor(AuditTrailError):
    """A command was carried out, and the log did not take its entry; it is written before anything else is."""

    code = "engine.not-accounted-for"

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"This was done, do not repeat it. Its entry in the audit log has to wait: {cause}")


class SigningKeyMissing(AuditTrailError):
    """There is a log, and not the key that signs it."""

    code = "engine.signing-key-missing"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is missing, the key of the audit log beside it: put it back, or move both away.")
