"""Signatures of webhooks, as Standard Webhooks (standardwebhooks.com) has them."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = 32
TOLERANCE_S: Final = 300


def new_secret() -> str:
    """A secret that nobody has had before."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def signature_headers(keys: Sequence[str], *, id_: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers of one delivery; with several keys it is signed by each, so that a receiver can change over."""
    signatures = [f"v1,{base64.b64encode(_mac(key, id_, at_s, body)).decode()}" for key in keys]
    return {"webhook-id": id_, "webhook-timestamp": str(at_s), "webhook-signature": " ".join(signatures)}


def is_genuine(secret: str, headers: dict[str, str], body: bytes, *, now_s: float) -> bool:
    """What a receiver asks: whether one of the signatures holds, and the delivery is not an old one."""
    try:
        at_s = int(headers["webhook-timestamp"])
        given = [each.partition(",")[2] for each in headers["webhook-signature"].split() if each.startswith("v1,")]
        wanted = base64.b64encode(_mac(secret, headers["webhook-id"], at_s, body)).decode()
    except (KeyError, ValueError):
        return False
    return abs(now_s - at_s) <= TOLERANCE_S and any(hmac.compare_digest(each, wanted) for each in given)


def _mac(secret: str, id_: str, at_s: int, body: bytes) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a secret of a webhook is base64 after whsec_") from error
    return hmac.digest(key, f"{id_}.{at_s}.".encode() + body, hashlib.sha256)
