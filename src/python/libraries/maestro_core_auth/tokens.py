"""Access tokens (JWT) and their signing keys, with JWKS; needs the extra `tokens`."""

try:
    import joserfc as joserfc
except ImportError as error:
    raise ImportError("maestro_core_auth.tokens needs the extra: pip install 'maestro-core-auth[tokens]'") from error

from maestro_core_auth._tokens._access import AccessTokens, TokenLogins, TokenPair
from maestro_core_auth._tokens._ring import RingKey
from maestro_core_auth._tokens._signing_keys import SigningKeys
from maestro_core_auth._tokens._verify import ALGORITHM, AccessRules, verify_access_token

__all__ = [
    "ALGORITHM",
    "AccessRules",
    "AccessTokens",
    "RingKey",
    "SigningKeys",
    "TokenLogins",
    "TokenPair",
    "verify_access_token",
]
