"""What this package raises.

AuditError                       audit
├── InvalidEvent  (ValueError)   audit.invalid-event     what was given cannot be an entry; nothing was written
├── InvalidSetup  (ValueError)   audit.invalid-setup     a log, key or query was asked for with bad parameters
├── InvalidNote   (ValueError)   audit.invalid-note      a checkpoint is malformed, or no trusted key signed it
├── InvalidProof  (ValueError)   audit.invalid-proof     a proof does not lead to the root it should
├── NotInLog      (LookupError)  audit.not-in-log        no such entry or size; or retention has removed it
├── LogHeld                      audit.log-held          retryable: another writer has the log; the message has its pid
├── AppendFailed                 audit.append-failed     retryable: the disk refused; nothing of it is in the log
├── LogStopped                   audit.log-stopped       closed, or after a failed fsync: open the log again
├── LogDamaged                   audit.log-damaged       what is on the disk is not what was signed
└── KeyDamaged                   audit.key-damaged       the key file of a subject is not whole
"""

from typing import ClassVar


class AuditError(Exception):
    """Root of everything this package raises."""

    code: ClassVar[str] = "audit"
    retryable: ClassVar[bool] = False


class InvalidEvent(AuditError, ValueError):
    """The event cannot be an entry; the message says which field, and what is wrong with it."""

    code = "audit.invalid-event"


class InvalidSetup(AuditError, ValueError):
    """A parameter is wrong; the message says which, and what it may be."""

    code = "audit.invalid-setup"


class InvalidNote(AuditError, ValueError):
    """A signed note, checkpoint or key is malformed, or is not signed by a trusted key."""

    code = "audit.invalid-note"


class InvalidProof(AuditError, ValueError):
    """The proof does not show what it should."""

    code = "audit.invalid-proof"


class NotInLog(AuditError, LookupError):
    """The log has no such entry or size, or retention has removed it."""

    code = "audit.not-in-log"


class LogHeld(AuditError):
    """Another writer holds the log."""

    code = "audit.log-held"
    retryable = True


class AppendFailed(AuditError):
    """The disk refused the entries; none of them is in the log, which is as before."""

    code = "audit.append-failed"
    retryable = True


class LogStopped(AuditError):
    """This log takes no more entries; entries that were refused with this error may or may not be in it."""

    code = "audit.log-stopped"


class LogDamaged(AuditError):
    """The files are not those that were written and signed; keep them as evidence and verify."""

    code = "audit.log-damaged"


class KeyDamaged(AuditError):
    """The key file of a subject is not whole, so that nothing can be said about the subject's values."""

    code = "audit.key-damaged"
