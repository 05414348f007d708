"""What happened, told to whoever keeps an audit log."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class AuthEvent:
    """One thing that happened to the credentials of a subject.

    `action` is `user.added`, `user.changed`, `key.issued`, `key.revoked`, `key.rotated`, `session.started`,
    `session.ended`, `login.succeeded`, `login.failed`, `login.throttled`, `password.changed`, `password.rehashed`,
    `password.kept`, `refresh.started`, `refresh.reused`, `refresh.revoked`, `signing-key.added` or
    `signing-key.removed`. Nothing in it is a secret.
    """

    action: str
    subject: str
    at: datetime
    credential_id: str = ""
    reason: str = ""


Listener: TypeAlias = Callable[[AuthEvent], None]
"""Hears of events as they happen, in the middle of the call: quick, and what it raises reaches the caller."""


def nobody_listens(_event: AuthEvent) -> None:
    """The listener of who wants none."""
