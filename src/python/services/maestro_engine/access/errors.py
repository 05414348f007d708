"""What this room refuses.

AccessError
├── SignInIsOff     there are no users while nobody has to sign in
├── ReservedName    nobody can be called as the engine calls itself, or those who have no name
└── LastAdmin       the last admin cannot be shut out or lose the role
"""

from typing import ClassVar


class AccessError(Exception):
    """Root of what this room raises."""

    code: ClassVar[str] = "access"
    retryable: ClassVar[bool] = False


class SignInIsOff(AccessError):
    """There are no users and no keys while nobody has to sign in."""

    code = "access.off"

    def __init__(self) -> None:
        super().__init__("Nobody has to sign in to this engine, so it has no users and no keys; see the setting auth.")


class ReservedName(AccessError):
    """In the audit log nobody could tell the two from each other."""

    code = "access.reserved-name"

    def __init__(self, subject: str) -> None:
        super().__init__(f"Nobody can be called {subject}: the audit log calls somebody else so.")


class LastAdmin(AccessError):
    """Nobody would be left who can let others in."""

    code = "access.last-admin"

    def __init__(self, subject: str) -> None:
        super().__init__(f"{subject} is the last admin; make another one first.")
