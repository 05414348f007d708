"""Signed tokens, read strictly: nothing in one is believed, or used to find a key, before its signature holds."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joserfc.jwk import Key

MAX_TOKEN_CHARS = 8192
MAX_KID_CHARS = 128


@dataclass(frozen=True, slots=True)
class Unverified:
    """The parts of a compact JWS; a str in `alg` and in `kid` is all that is certain of the header."""

    header: Mapping[str, Any]
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    signed: bytes = field(repr=False)

    @property
    def alg(self) -> str:
        return str(self.header["alg"])

    @property
    def kid(self) -> str:
        return str(self.header["kid"])


def split(token: str, *, max_chars: int = MAX_TOKEN_CHARS) -> Unverified:
    """Take a compact JWS apart; raises ValueError, with the reason, for all that is not exactly one."""
    if len(token) > max_chars:
        raise ValueError("too long")
    if not token.isascii():
        raise ValueError("not ASCII")
    segments = token.split(".")
    if len(segments) != 3:
        raise ValueError("not three segments")
    header = json_object(_bytes(segments[0]))
    if "crit" in header:
        raise ValueError("crit is not understood")
    kid = header.get("kid")
    if not isinstance(header.get("alg"), str) or not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARS:
        raise ValueError("no alg, or no kid")
    signed = token.rpartition(".")[0].encode("ascii")
    return Unverified(header, _bytes(segments[1]), _bytes(segments[2]), signed)


def holds(token: Unverified, alg: str, key: "Key") -> bool:
    """Whether the signature is that of this key with this algorithm, both of our choosing."""
    from joserfc.errors import JoseError
    from joserfc.jws import JWSRegistry

    algorithm = JWSRegistry.algorithms[alg]
    try:
        algorithm.check_key(key)
        return algorithm.verify(token.signed, token.signature, key)
    except (JoseError, ValueError):
        return False


def json_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object; raises ValueError for anything else, a name given twice and NaN included."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def encode(data: bytes) -> str:
    """Base64url without padding, as in a JWS."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(segment: str) -> bytes:
    try:
        data = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
    # The last letter has bits to spare: only one way to write it is taken, so that no token has two forms.
    if encode(data) != segment:
        raise ValueError("not canonical base64url")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refused(constant: str) -> object:
    raise ValueError(f"{constant} is no number")
