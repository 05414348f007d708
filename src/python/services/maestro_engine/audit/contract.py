"""Shapes on the wire: what is in the audit log."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class AuditEntryView(BaseModel):
    """Who did what to what, and how it ended."""

    seq: int = Field(description="Its place in the log: 0, 1, 2 … without a gap.")
    at: datetime
    actor: str = Field(
        description="A user; `engine` for what happened by itself, `anonymous` for who did not sign in, `local` for "
        "everybody where nobody signs in, `maestro-engine` and `maestro-audit` for the log itself."
    )
    action: str
    object: str
    outcome: Literal["success", "denied", "failed"]
    details: dict[str, Any]
    request_id: str | None


class AuditPage(BaseModel):
    """A page of the audit log, newest first."""

    items: list[AuditEntryView]
    next: str | None = Field(description="Send it as `cursor` to get the next page; null on the last one.")


class AuditCheckpoint(BaseModel):
    """The log's size and root, signed (c2sp.org/tlog-checkpoint): keep it elsewhere, and nothing can be taken away."""

    note: str
    public_key: str = Field(description="What verifies it; also `maestro-audit verify --key`.")
