"""The cookies: written, read, and only believed on a change that comes from a page of ours. All pure."""

from collections.abc import Collection

from maestro_core_auth._errors import CrossOrigin, InvalidCredentials

COOKIE = "__Host-maestro-session"
LOGIN_COOKIE = "__Host-maestro-login"
"""Browsers keep cookies of this prefix only if they are Secure, for `/`, and of this very host."""
_FLAGS = "Path=/; Secure; HttpOnly; SameSite=Strict"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def session_cookie(secret: str, max_age_s: int) -> str:
    """The `Set-Cookie` that opens a session in a browser."""
    return f"{COOKIE}={secret}; Max-Age={max_age_s}; {_FLAGS}"


def ended_session_cookie() -> str:
    """The `Set-Cookie` that makes a browser forget its session."""
    return f"{COOKIE}=; Max-Age=0; {_FLAGS}"


def login_cookie(binding: str, max_age_s: int) -> str:
    """The `Set-Cookie` that ties a login at a provider to the browser that began it; Lax, as it has to come back."""
    return f"{LOGIN_COOKIE}={binding}; Max-Age={max_age_s}; {_FLAGS.replace('Strict', 'Lax')}"


def read_cookie(headers: Collection[str], cookie: str = COOKIE) -> str | None:
    """The value in the `Cookie` headers, None without one; raises InvalidCredentials when there are two."""
    pairs = [pair.strip().partition("=") for header in headers for pair in header.split(";")]
    values = [value for name, _, value in pairs if name == cookie]
    if len(values) > 1:
        # Somebody else has set one of them, and nobody knows which.
        raise InvalidCredentials("the cookie comes twice")
    return values[0] if values and values[0] else None


def check_origin(method: str, origin: str | None, fetch_site: str | None, origins: Collection[str]) -> None:
    """Raise CrossOrigin for a request that changes something, or opens a socket, and comes from elsewhere.

    `method` is `WEBSOCKET` for a socket. Without an `Origin` only the browser's own word `Sec-Fetch-Site` counts.
    """
    if method in _SAFE:
        return
    if origin is not None and origin not in origins:
        raise CrossOrigin
    if origin is None and fetch_site != "same-origin":
        raise CrossOrigin
