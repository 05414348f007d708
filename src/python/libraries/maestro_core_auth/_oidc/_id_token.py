"""The law of ID tokens, pure: what a provider's word is worth at a time, for one login."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from maestro_core_auth._errors import OidcLoginFailed
from maestro_core_auth._jws import MAX_KID_CHARS, holds, json_object, split

MAX_ID_TOKEN_CHARS = 16_384
MAX_KEYS = 64
MIN_RSA_CHARS, MAX_RSA_CHARS = 342, 1366
"""The length of a modulus of 2,048 and of 8,192 bits, as it is written in a JWK."""
_HASHES = {"RS256": hashlib.sha256, "ES256": hashlib.sha256, "Ed25519": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """A public key, and the one algorithm it is used with: the key says which, never the token."""

    alg: str
    key: Key


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token has to say for one login."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str
    leeway_s: int


def verify_id_token(token: str, keys: Mapping[str, ProviderKey], expected: Expected, now: datetime) -> dict[str, Any]:
    """The claims; raises OidcLoginFailed, with the reason for logs, unless everything is as expected."""
    try:
        unverified = split(token, max_chars=MAX_ID_TOKEN_CHARS)
        known = keys.get(unverified.kid)
        if known is None:
            raise ValueError("a key that is not the provider's")
        if _name(unverified.alg) != known.alg:
            raise ValueError("another algorithm than the key is for")
        if not holds(unverified, known.alg, known.key):
            raise ValueError("the signature does not hold")
        claims = json_object(unverified.payload)
        _check(claims, expected, known.alg, int(now.timestamp()))
    except ValueError as error:
        raise OidcLoginFailed(f"ID token: {error}") from None
    return claims


def provider_keys(document: Mapping[str, Any], algorithms: tuple[str, ...]) -> dict[str, ProviderKey]:
    """The keys of a JWKS document that may be used here, by kid; raises ValueError for no such document."""
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError(f"not a JWKS document, or of more than {MAX_KEYS} keys")
    allowed = {_name(alg) for alg in algorithms}
    found: dict[str, ProviderKey] = {}
    for one in listed:
        kid = one.get("kid") if isinstance(one, dict) else None
        if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARS or one.get("use", "sig") != "sig":
            continue
        if kid in found:
            raise ValueError("two keys of one kid")
        key = _key(one)
        if key is not None and key.alg in allowed and _name(one.get("alg", key.alg)) == key.alg:
            found[kid] = key
    return found


def _check(claims: Mapping[str, Any], expected: Expected, alg: str, now: int) -> None:
    if claims.get("iss") != expected.issuer:
        raise ValueError("another issuer")
    if claims.get("aud") not in (expected.client_id, [expected.client_id]):
        raise ValueError("not for this client, or not for it alone")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise ValueError("issued to another client")
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if now >= expires + expected.leeway_s:
        raise ValueError("expired")
    if now < max(issued, _time(claims, "nbf") if "nbf" in claims else 0) - expected.leeway_s:
        raise ValueError("not valid yet")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode("utf-8", "replace"), expected.nonce.encode()):
        raise ValueError("another nonce")
    if "at_hash" in claims and claims["at_hash"] != _at_hash(expected.access_token, alg):
        raise ValueError("another access token")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise ValueError("no subject")


def _at_hash(access_token: str, alg: str) -> str:
    digest = _HASHES[alg](access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _time(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 2**40:
        raise ValueError(f"{name} is no time")
    return int(value)


def _name(alg: object) -> object:
    """EdDSA with Ed25519 has two names."""
    return "Ed25519" if alg == "EdDSA" else alg


def _key(data: dict[str, Any]) -> ProviderKey | None:
    """The public key of a JWK, None for one that is of no use here."""
    # Only the numbers of the key: whatever else is said there is not followed.
    try:
        match data:
            case {"kty": "RSA", "n": str(n), "e": str(e)} if MIN_RSA_CHARS <= len(n) <= MAX_RSA_CHARS:
                return ProviderKey("RS256", RSAKey.import_key({"kty": "RSA", "n": n, "e": e}))
            case {"kty": "EC", "crv": "P-256", "x": str(x), "y": str(y)}:
                return ProviderKey("ES256", ECKey.import_key({"kty": "EC", "crv": "P-256", "x": x, "y": y}))
            case {"kty": "OKP", "crv": "Ed25519", "x": str(x)}:
                return ProviderKey("Ed25519", OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x}))
    except (JoseError, ValueError):
        return None
    return None
