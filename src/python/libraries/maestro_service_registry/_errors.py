"""What this package raises.

RegistryError                     registry
├── InvalidRequest  (ValueError)  registry.invalid-request   what was asked has a wrong shape; holds every problem
├── LeaseHeld                     registry.lease-held        retryable: another holder has this instance's lease
├── LeaseLost                     registry.lease-lost        the lease ended, or another holder has it: stop acting
├── StaleToken                    registry.stale-token       a later holder has acted: this one's work is refused
├── UnknownInstance (LookupError) registry.unknown-instance  no such instance
├── NoInstance      (LookupError) registry.no-instance       retryable: nothing to pick from at the moment
├── TooMany                       registry.too-many          the registry holds as much as it may
├── NotAllowed                    registry.not-allowed       the server wants another access token
├── Unreachable                   registry.unreachable       retryable: the server does not answer
└── StoreError                    registry.store             the database cannot be used
"""

from collections.abc import Sequence
from typing import ClassVar


class RegistryError(Exception):
    """Root of everything this package raises; `retry_after_s` is None when no time is known."""

    code: ClassVar[str] = "registry"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InvalidRequest(RegistryError, ValueError):
    """What was asked has a wrong shape; `problems` holds all of them, each as `field: what is wrong`."""

    code = "registry.invalid-request"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class LeaseHeld(RegistryError):
    """Another holder has this instance's lease; `retry_after_s` is when it ends unless it is renewed."""

    code = "registry.lease-held"
    retryable = True


class LeaseLost(RegistryError):
    """The lease has ended or is another's now; whatever it allowed must stop."""

    code = "registry.lease-lost"


class StaleToken(RegistryError):
    """A holder with a later token has acted on this resource already."""

    code = "registry.stale-token"


class UnknownInstance(RegistryError, LookupError):
    """There is no such instance."""

    code = "registry.unknown-instance"


class NoInstance(RegistryError, LookupError):
    """No instance fits what was asked, at the moment."""

    code = "registry.no-instance"
    retryable = True


class TooMany(RegistryError):
    """The registry, or the caller's connection, has reached a limit; the message names it."""

    code = "registry.too-many"


class NotAllowed(RegistryError):
    """The server asks for an access token that was not given, or for another one."""

    code = "registry.not-allowed"


class Unreachable(RegistryError):
    """The server does not answer, or not as a registry does; a cache may still have what is needed."""

    code = "registry.unreachable"
    retryable = True


class StoreError(RegistryError):
    """The database cannot be read or written; the message says what to do."""

    code = "registry.store"
