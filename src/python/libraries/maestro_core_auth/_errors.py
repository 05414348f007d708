"""What this package raises.

    AuthError                          auth
    ├── MissingCredentials             auth.missing-credentials      nobody said who is asking
    ├── InvalidCredentials             auth.invalid-credentials      whatever was wrong: only `reason` says it
    │   ├── TokenExpired               auth.token-expired            a genuine access token, too late: refresh it
    │   └── RefreshReused              auth.refresh-reused           a spent refresh token: its family is revoked now
    ├── RefreshSuperseded              auth.refresh-superseded       retryable: another tab was faster; use its token
    ├── Forbidden                      auth.forbidden                known, and not allowed
    ├── CrossOrigin                    auth.cross-origin             a cookie came along from a page that is not ours
    ├── LoginThrottled                 auth.login-throttled          retryable: too many failed logins
    ├── PasswordRejected (ValueError)  auth.password-rejected        a new password breaks rules; `problems` says which
    ├── PasswordsBusy                  auth.passwords-busy           retryable: too many passwords are being checked
    ├── InvalidPolicy  (ValueError)    auth.invalid-policy           roles or permissions that make no sense; `problems`
    ├── InvalidGrant   (ValueError)    auth.invalid-grant            a key or user asked for with what cannot be granted
    ├── UnknownUser    (LookupError)   auth.unknown-user             no user of that subject
    ├── UserExists     (ValueError)    auth.user-exists              the subject is taken
    ├── UnknownKey     (LookupError)   auth.unknown-key              no live key of that id
    ├── AdminExists                    auth.admin-exists             the first admin was made already
    ├── NoSigningKey                   auth.no-signing-key           no key signs at this time: rotate first
    ├── StoreUnreadable                auth.store-unreadable         not a store of ours, or one of a newer version
    ├── UnguardedRoute                 auth.unguarded-route          routes that demand no permission and are not open
    ├── OidcLoginFailed                auth.oidc-login-failed        the provider's answer is not one to trust; `reason`
    │   └── OidcNoRole                 auth.oidc-no-role             a true login of somebody who has no role here
    └── OidcUnavailable                auth.oidc-unavailable         retryable: the provider does not answer as it must

A message never holds a secret. That of InvalidCredentials is always the same; `reason` is for logs, never for answers.
Where HTTP wants a `WWW-Authenticate` with the answer, `challenge` is what it holds.
"""

from typing import ClassVar, Final

_BEARER: Final = 'Bearer realm="maestro"'


class AuthError(Exception):
    """Root of everything this package raises; `retry_after_s` is None when no time is known."""

    code: ClassVar[str] = "auth"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])
        self.retry_after_s = retry_after_s

    @property
    def challenge(self) -> str | None:
        """The `WWW-Authenticate` of an answer with this error (RFC 6750); None where it needs none."""
        return None


class MissingCredentials(AuthError):
    """This needs credentials: `Authorization: Bearer …`."""

    code = "auth.missing-credentials"

    @property
    def challenge(self) -> str:
        """Names no error: none was made."""
        return _BEARER


class InvalidCredentials(AuthError):
    """The credentials are not valid."""

    code = "auth.invalid-credentials"

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self.reason = reason

    @property
    def challenge(self) -> str:
        """Says as much as the message."""
        return f'{_BEARER}, error="invalid_token", error_description="{self}"'


class TokenExpired(InvalidCredentials):
    """The access token has expired."""

    code = "auth.token-expired"


class RefreshReused(InvalidCredentials):
    """The refresh token was used before, so every token of its login is revoked; log in again."""

    code = "auth.refresh-reused"


class RefreshSuperseded(AuthError):
    """The refresh token has just been exchanged by somebody else of the same login; use the newer one."""

    code = "auth.refresh-superseded"
    retryable = True


class Forbidden(AuthError):
    """This is not allowed.

    `permission` is what the principal lacks; `reason` says why, and is for logs.
    """

    code = "auth.forbidden"

    def __init__(self, permission: str = "", *, reason: str = "") -> None:
        super().__init__(permission)
        self.permission = permission
        self.reason = reason

    def __str__(self) -> str:
        return f"This needs the permission {self.permission}." if self.permission else super().__str__()

    @property
    def challenge(self) -> str:
        """Names what is missing."""
        scope = f', scope="{self.permission}"' if self.permission else ""
        return f'{_BEARER}, error="insufficient_scope"{scope}'


class CrossOrigin(AuthError):
    """A change asked for with a session cookie must come from a page of this origin."""

    code = "auth.cross-origin"


class LoginThrottled(AuthError):
    """Too many failed logins; try again later.

    `retry_after_s` says when the next is looked at.
    """

    code = "auth.login-throttled"
    retryable = True


class PasswordRejected(AuthError, ValueError):
    """The new password breaks the rules that `problems` lists."""

    code = "auth.password-rejected"

    def __init__(self, message: str = "", *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message or "; ".join(problems))
        self.problems = problems


class PasswordsBusy(AuthError):
    """As many passwords are being checked, and waiting to be, as memory was set aside for."""

    code = "auth.passwords-busy"
    retryable = True


class InvalidPolicy(AuthError, ValueError):
    """Roles or permissions that make no sense; `problems` lists all that is wrong."""

    code = "auth.invalid-policy"

    def __init__(self, message: str = "", *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message or "; ".join(problems))
        self.problems = problems


class InvalidGrant(AuthError, ValueError):
    """A user, key or login was asked for with something that cannot be granted."""

    code = "auth.invalid-grant"


class UnknownUser(AuthError, LookupError):
    """No user has that subject."""

    code = "auth.unknown-user"


class UserExists(AuthError, ValueError):
    """The subject is taken."""

    code = "auth.user-exists"


class UnknownKey(AuthError, LookupError):
    """No live key has that id."""

    code = "auth.unknown-key"


class AdminExists(AuthError):
    """The first admin was made already."""

    code = "auth.admin-exists"


class NoSigningKey(AuthError):
    """No signing key is active; make one with `rotate`."""

    code = "auth.no-signing-key"


class StoreUnreadable(AuthError):
    """The file is not a store that this version can read."""

    code = "auth.store-unreadable"


class UnguardedRoute(AuthError):
    """Routes that neither demand a permission nor are named as open; the message lists them."""

    code = "auth.unguarded-route"


class OidcLoginFailed(AuthError):
    """The login at the provider did not succeed."""

    code = "auth.oidc-login-failed"

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self.reason = reason

    @property
    def challenge(self) -> str:
        """A 401 has one (RFC 9110, 15.5.2); it names no error, as no token was shown."""
        return _BEARER


class OidcNoRole(OidcLoginFailed):
    """The login is genuine, but gives no role here."""

    code = "auth.oidc-no-role"


class OidcUnavailable(AuthError):
    """The provider does not answer as it should; the message says what it did."""

    code = "auth.oidc-unavailable"
    retryable = True
