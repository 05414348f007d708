"""The law of access tokens, pure: what a token is worth at a time, under the keys of a ring."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joserfc.jwk import OKPKey

from maestro_core_auth._errors import InvalidCredentials, TokenExpired
from maestro_core_auth._jws import holds, json_object, split
from maestro_core_auth._policy import is_pattern, is_role
from maestro_core_auth._principal import Principal
from maestro_core_auth._records import MAX_SUBJECT_CHARS

ALGORITHM = "Ed25519"
"""The one algorithm of access tokens (RFC 8037, by its name in RFC 9864)."""
TYPE = "at+jwt"
MAX_LIFETIME_S = 3600
MAX_LEEWAY_S = 120


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Whose tokens are taken and for whom they must be; `leeway_s` is how far two clocks may differ."""

    issuer: str
    audience: str
    leeway_s: int = 30

    def __post_init__(self) -> None:
        if not 0 <= self.leeway_s <= MAX_LEEWAY_S:
            raise ValueError(f"leeway_s must be from 0 to {MAX_LEEWAY_S}")


def verify_access_token(token: str, keys: Mapping[str, OKPKey], rules: AccessRules, now: datetime) -> Principal:
    """Who the token speaks for; raises InvalidCredentials, or TokenExpired for a genuine one that came too late."""
    try:
        unverified = split(token)
        if set(unverified.header) != {"alg", "typ", "kid"} or unverified.header["typ"] != TYPE:
            raise ValueError("not the header of an access token")
        if unverified.alg != ALGORITHM:
            raise ValueError("another algorithm")
        key = keys.get(unverified.kid)
        if key is None:
            raise ValueError("a key that is not ours")
        if not holds(unverified, ALGORITHM, key):
            raise ValueError("the signature does not hold")
        claims = json_object(unverified.payload)
        return _principal(claims, rules, int(now.timestamp()))
    except ValueError as error:
        raise InvalidCredentials(str(error)) from None


def access_claims(*, rules: AccessRules, principal: Principal, client_id: str, now: datetime, lifetime_s: int) -> bytes:
    """What a token for this principal says (RFC 9068); `principal.credential_id` becomes its jti."""
    issued_at = int(now.timestamp())
    claims = {
        "iss": rules.issuer,
        "sub": principal.subject,
        "aud": rules.audience,
        "exp": issued_at + lifetime_s,
        "nbf": issued_at,
        "iat": issued_at,
        "jti": principal.credential_id,
        "client_id": client_id,
        "roles": sorted(principal.roles),
        "scope": " ".join(sorted(principal.scopes)),
    }
    return json.dumps(claims, separators=(",", ":")).encode()


def _principal(claims: Mapping[str, Any], rules: AccessRules, now: int) -> Principal:
    if claims.get("iss") != rules.issuer or claims.get("aud") != rules.audience:
        raise ValueError("another issuer or audience")
    expires, not_before, issued = (_time(claims, name) for name in ("exp", "nbf", "iat"))
    if not 0 < expires - issued <= MAX_LIFETIME_S:
        raise ValueError("lives too long, or not at all")
    if now < max(not_before, issued) - rules.leeway_s:
        raise ValueError("not valid yet")
    subject, token_id, scope = (_text(claims, name) for name in ("sub", "jti", "scope"))
    _text(claims, "client_id")
    roles = claims.get("roles")
    if not isinstance(roles, list) or not all(isinstance(role, str) and is_role(role) for role in roles):
        raise ValueError("roles are no list of roles")
    scopes = frozenset(scope.split())
    if not 0 < len(subject) <= MAX_SUBJECT_CHARS or not all(map(is_pattern, scopes)):
        raise ValueError("no subject, or scopes that are none")
    # The last of all, so that only a token that was good says that it has expired.
    if now >= expires + rules.leeway_s:
        raise TokenExpired("expired")
    return Principal(subject, "token", frozenset(roles), scopes, token_id, datetime.fromtimestamp(expires, UTC))


def _time(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or not 0 <= value < 2**40:
        raise ValueError(f"{name} is no time")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{name} is no text")
    return value
