"""What this room refuses.

SecretError
├── UnknownSecret         no secret has this name
├── SecretChanged         somebody else has changed it meanwhile
├── TooManySecrets        as many are kept as may be
├── SecretExpired         the date until which it is good has passed
├── NoSecretKey           the engine has no key to encrypt with
├── SecretUnreadable      it is encrypted with a key that the engine does not have, or damaged
├── BadSecretKey          a key, or the file that it is in, is not to be used
└── SecretsUnavailable    the file of the secrets cannot be read or written now
"""

from pathlib import Path
from typing import ClassVar


class SecretError(Exception):
    """Root of what this room raises; no text of it holds a value or a key."""

    code: ClassVar[str] = "secret"
    retryable: ClassVar[bool] = False


class UnknownSecret(SecretError):
    """No secret has this name."""

    code = "secret.unknown"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no secret {name}.")


class SecretChanged(SecretError):
    """It is not what the caller has seen."""

    code = "secret.changed"

    def __init__(self, name: str) -> None:
        super().__init__(f"The secret {name} was changed at the same moment: read it again, then decide.")


class TooManySecrets(SecretError):
    """As many are kept as may be."""

    code = "secret.too-many"

    def __init__(self, limit: int) -> None:
        super().__init__(f"There are {limit} secrets, which is as many as may be; delete those that nobody needs.")


class SecretExpired(SecretError):
    """The date until which it is good has passed; it can be set anew."""

    code = "secret.expired"

    def __init__(self, name: str) -> None:
        super().__init__(f"The secret {name} has expired: set it anew.")


class NoSecretKey(SecretError):
    """The engine has no key to encrypt with."""

    code = "secret.no-key"

    def __init__(self) -> None:
        super().__init__(
            "This engine has no key for secrets: give it one as MAESTRO_ENGINE_SECRET_KEY_FILE (the path of a file "
            "that only its user can read) or MAESTRO_ENGINE_SECRET_KEY."
        )


class SecretUnreadable(SecretError):
    """It is there, and cannot be opened: `reason` says why, and what helps."""

    code = "secret.unreadable"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The secret {name} cannot be opened: {reason}. Or set it anew.")


class BadSecretKey(SecretError):
    """A key, or the file that it is in, is not to be used."""

    code = "secret.bad-key"


class SecretsUnavailable(SecretError):
    """The file of the secrets cannot be read or written now, or not by this program."""

    code = "secret.unavailable"
    retryable = True

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used: {reason}")
