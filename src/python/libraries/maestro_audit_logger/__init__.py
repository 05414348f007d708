"""An append-only audit log as a Merkle tree: any change or truncation is found, and erasure keeps every proof valid."""

from maestro_audit_logger._canonical import JSON
from maestro_audit_logger._check import Report, check_log
from maestro_audit_logger._entry import Entry, Event, Receipt
from maestro_audit_logger._errors import (
    AppendFailed,
    AuditError,
    InvalidEvent,
    InvalidNote,
    InvalidProof,
    InvalidSetup,
    KeyDamaged,
    LogDamaged,
    LogHeld,
    LogStopped,
    NotInLog,
)
from maestro_audit_logger._export import Format, export
from maestro_audit_logger._log import AuditLog, FsyncPolicy
from maestro_audit_logger._note import Checkpoint, NoteKey
from maestro_audit_logger._opening import Recovery
from maestro_audit_logger._proof import ConsistencyProof, InclusionProof
from maestro_audit_logger._reader import AuditReader
from maestro_audit_logger._retention import Removal
from maestro_audit_logger._signer import HmacSigner, Signer
from maestro_audit_logger._witness import read_checkpoints, witness

__all__ = [
    "JSON",
    "AppendFailed",
    "AuditError",
    "AuditLog",
    "AuditReader",
    "Checkpoint",
    "ConsistencyProof",
    "Entry",
    "Event",
    "Format",
    "FsyncPolicy",
    "HmacSigner",
    "InclusionProof",
    "InvalidEvent",
    "InvalidNote",
    "InvalidProof",
    "InvalidSetup",
    "KeyDamaged",
    "LogDamaged",
    "LogHeld",
    "LogStopped",
    "NotInLog",
    "NoteKey",
    "Receipt",
    "Recovery",
    "Removal",
    "Report",
    "Signer",
    "check_log",
    "export",
    "read_checkpoints",
    "witness",
]
