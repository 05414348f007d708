"""Login at an OpenID provider: authorization code with PKCE; needs the extra `oidc`."""

try:
    import httpx2 as httpx2
    import joserfc as joserfc
except ImportError as error:
    raise ImportError("maestro_core_auth.oidc needs the extra: pip install 'maestro-core-auth[oidc]'") from error

from maestro_core_auth._oidc._login import LoginStart, OidcLogin, OidcLogins
from maestro_core_auth._oidc._settings import OidcSettings, RoleMapping

__all__ = [
    "LoginStart",
    "OidcLogin",
    "OidcLogins",
    "OidcSettings",
    "RoleMapping",
]
