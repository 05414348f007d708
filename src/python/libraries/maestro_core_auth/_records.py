"""What is stored: frozen, checked when made, without a secret in any repr."""

from dataclasses import dataclass, field
from datetime import datetime

from maestro_core_auth._errors import InvalidGrant
from maestro_core_auth._policy import is_pattern, is_role
from maestro_core_auth._principal import EVERY_SCOPE

MAX_SUBJECT_CHARS = 255


def check_grant(roles: frozenset[str], scopes: frozenset[str] = EVERY_SCOPE) -> None:
    """Raise InvalidGrant for roles or scopes that are not written as such."""
    for role in sorted(roles):
        if not is_role(role):
            raise InvalidGrant(f"role {role!r} is no lower-case word")
    for scope in sorted(scopes):
        if not is_pattern(scope):
            raise InvalidGrant(f"scope {scope!r} is neither noun:verb nor noun:* nor *")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody, or some program, that credentials can belong to; without a password hash it has no password."""

    subject: str
    roles: frozenset[str]
    created_at: datetime
    password_hash: str | None = field(default=None, repr=False)
    disabled: bool = False

    def __post_init__(self) -> None:
        if not 0 < len(self.subject) <= MAX_SUBJECT_CHARS or not self.subject.isprintable() or " " in self.subject:
            raise InvalidGrant(f"a subject has 1 to {MAX_SUBJECT_CHARS} printable characters and no space")
        check_grant(self.roles)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key or a session, as stored: `tag` says which; `digest` cannot be turned back into it."""

    id: str
    tag: str
    subject: str
    roles: frozenset[str]
    scopes: frozenset[str]
    label: str
    digest: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """One login with refresh tokens, of which one at most is valid: that whose digest stands here."""

    id: str
    subject: str
    scopes: frozenset[str]
    client_id: str
    digest: bytes = field(repr=False)
    started_at: datetime
    token_expires_at: datetime
    expires_at: datetime
    previous_digest: bytes = field(default=b"", repr=False)
    rotated_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_because: str = ""


@dataclass(frozen=True, slots=True)
class SigningKeyRecord:
    """A key that signs access tokens from `activates_at` until the next one does; the PEM may be encrypted."""

    kid: str
    private_pem: str = field(repr=False)
    created_at: datetime
    activates_at: datetime
