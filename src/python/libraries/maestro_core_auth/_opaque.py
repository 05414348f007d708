"""Opaque credentials, `mst_<id>_<secret><checksum>`: the checksum tells a typing error and a leak without a lookup."""

import hmac
import re
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Tag: TypeAlias = Literal["mst", "mss", "msr"]
"""What it is: an API key, a session, a refresh token."""
RandomBytes: TypeAlias = Callable[[int], bytes]

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_CHARS, _SECRET_CHARS, _CHECK_CHARS = 12, 43, 6
_SECRET_BYTES, _ID_BYTES = 32, 8
LENGTH = 3 + 1 + _ID_CHARS + 1 + _SECRET_CHARS + _CHECK_CHARS
PATTERN = rf"\bms[trs]_[0-9A-Za-z]{{{_ID_CHARS}}}_[0-9A-Za-z]{{{_SECRET_CHARS + _CHECK_CHARS}}}\b"
"""What a scanner for leaked credentials looks for; `is_well_formed` then tells false alarms."""
_WHOLE = re.compile(PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class Opaque:
    """One credential; only its digest is stored. `id` finds the record and is no secret."""

    tag: str
    id: str
    text: str = field(repr=False)

    def digest(self, pepper: bytes = b"") -> bytes:
        """HMAC-SHA256 of the whole text, so that id and secret hold together.

        The secret has 256 random bits, and nobody guesses those however fast the hash: a slow one would only make
        every request slow. The pepper, kept away from the store, makes a stolen store useless even for comparing.
        """
        return hmac.digest(pepper or b"maestro-core-auth", self.text.encode(), "sha256")


def mint(tag: Tag, random_bytes: RandomBytes = secrets.token_bytes, credential_id: str = "") -> Opaque:
    """A new credential, with a new id unless one is given."""
    if not credential_id:
        credential_id = _base62(int.from_bytes(random_bytes(_ID_BYTES)), _ID_CHARS)
    body = f"{tag}_{credential_id}_{_base62(int.from_bytes(random_bytes(_SECRET_BYTES)), _SECRET_CHARS)}"
    return Opaque(tag, credential_id, body + _checksum(body))


def parse(text: str) -> Opaque | None:
    """Read a credential; None when it has been mistyped or is something else."""
    # The length first: nothing long is looked at closely.
    if len(text) != LENGTH or not _WHOLE.fullmatch(text):
        return None
    body, check = text[:-_CHECK_CHARS], text[-_CHECK_CHARS:]
    return Opaque(text[:3], text[4 : 4 + _ID_CHARS], text) if check == _checksum(body) else None


def is_well_formed(text: str) -> bool:
    """Whether it may be a credential of ours: length, letters and checksum are right. Says nothing of validity."""
    return parse(text) is not None


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK_CHARS)


def _base62(number: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits.rjust(width, "0")
