"""Who is asking and may they: API keys, sessions, tokens, passwords, roles and scopes, denied unless granted."""

from maestro_core_auth._authenticator import Authenticator, AuthMiddleware, Verifier
from maestro_core_auth._clock import Clock, utc_now
from maestro_core_auth._cookies import COOKIE, LOGIN_COOKIE, ended_session_cookie, read_cookie, session_cookie
from maestro_core_auth._errors import (
    AdminExists,
    AuthError,
    CrossOrigin,
    Forbidden,
    InvalidCredentials,
    InvalidGrant,
    InvalidPolicy,
    LoginThrottled,
    MissingCredentials,
    NoSigningKey,
    OidcLoginFailed,
    OidcNoRole,
    OidcUnavailable,
    PasswordRejected,
    PasswordsBusy,
    RefreshReused,
    RefreshSuperseded,
    StoreUnreadable,
    TokenExpired,
    UnguardedRoute,
    UnknownKey,
    UnknownUser,
    UserExists,
)
from maestro_core_auth._events import AuthEvent, Listener
from maestro_core_auth._first_admin import init_admin
from maestro_core_auth._keys import ApiKeys, IssuedKey, Sessions
from maestro_core_auth._memory_store import MemoryAuthStore
from maestro_core_auth._opaque import PATTERN as CREDENTIAL_PATTERN
from maestro_core_auth._opaque import is_well_formed
from maestro_core_auth._policy import Decision, Policy, Role
from maestro_core_auth._principal import EVERY_SCOPE, Principal
from maestro_core_auth._records import Family, KeyRecord, SigningKeyRecord, User
from maestro_core_auth._refresh import IssuedRefresh, RefreshTokens
from maestro_core_auth._rotation import Exchange, Outcome, decide_exchange
from maestro_core_auth._sqlite_store import SqliteAuthStore
from maestro_core_auth._store import AuthStore
from maestro_core_auth._throttle import Attempts, LoginThrottle, ThrottleRule
from maestro_core_auth._users import Users

__all__ = [
    "COOKIE",
    "CREDENTIAL_PATTERN",
    "EVERY_SCOPE",
    "LOGIN_COOKIE",
    "AdminExists",
    "ApiKeys",
    "Attempts",
    "AuthError",
    "AuthEvent",
    "AuthMiddleware",
    "AuthStore",
    "Authenticator",
    "Clock",
    "CrossOrigin",
    "Decision",
    "Exchange",
    "Family",
    "Forbidden",
    "InvalidCredentials",
    "InvalidGrant",
    "InvalidPolicy",
    "IssuedKey",
    "IssuedRefresh",
    "KeyRecord",
    "Listener",
    "LoginThrottle",
    "LoginThrottled",
    "MemoryAuthStore",
    "MissingCredentials",
    "NoSigningKey",
    "OidcLoginFailed",
    "OidcNoRole",
    "OidcUnavailable",
    "Outcome",
    "PasswordRejected",
    "PasswordsBusy",
    "Policy",
    "Principal",
    "RefreshReused",
    "RefreshSuperseded",
    "RefreshTokens",
    "Role",
    "Sessions",
    "SigningKeyRecord",
    "SqliteAuthStore",
    "StoreUnreadable",
    "ThrottleRule",
    "TokenExpired",
    "UnguardedRoute",
    "UnknownKey",
    "UnknownUser",
    "User",
    "UserExists",
    "Users",
    "Verifier",
    "decide_exchange",
    "ended_session_cookie",
    "init_admin",
    "is_well_formed",
    "read_cookie",
    "session_cookie",
    "utc_now",
]
