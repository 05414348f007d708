"""Who is asking."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["key", "session", "token", "local"]
EVERY_SCOPE = frozenset({"*"})
"""The scopes of somebody who acts for himself: his roles alone decide."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose credentials were verified.

    `kind` says by what: an API key, a session cookie, an access token; `local` is for services that take everybody on
    this machine for one user. `scopes` narrow what the roles allow, and none
    allow nothing. `credential_id` names the credential in logs and is no secret.
    """

    subject: str
    kind: Kind
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    credential_id: str = ""
    expires_at: datetime | None = None
