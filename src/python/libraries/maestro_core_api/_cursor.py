"""Signed cursors: the place in a listing that a client hands back, and cannot make up or change."""

import base64
import binascii
import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from maestro_core_api._errors import BadCursor, InvalidApi

Position: TypeAlias = tuple[str | int | float | datetime | None, ...]
"""The sort key of the last item seen, such as (created_at, id)."""

MAX_CURSOR_CHARS: Final = 2048
_MIN_KEY_BYTES: Final = 32
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,16}")
_CURSOR: Final = re.compile(r"([A-Za-z0-9_-]{1,16})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_REFUSED: Final = "the cursor was not given out for this listing with these filters; begin again without one"


def _now() -> datetime:
    return datetime.now(UTC)


class CursorSigner:
    """Gives out and takes back cursors of the form `key.payload.mac`, the mac being HMAC-SHA256.

    `keys` are named secrets of at least 32 bytes: the first signs, all are taken. To rotate, put a new one in front,
    and drop the old one when its cursors may die. The payload is signed, not hidden: the client can read the position.
    """

    def __init__(
        self, keys: Mapping[str, bytes], *, max_age_s: float | None = None, now: Callable[[], datetime] = _now
    ) -> None:
        if not keys or any(not _KEY_NAME.fullmatch(name) for name in keys):
            raise InvalidApi("cursor keys have names of 1 to 16 letters, digits, - and _; give at least one")
        if any(len(key) < _MIN_KEY_BYTES for key in keys.values()):
            raise InvalidApi(f"a cursor key has at least {_MIN_KEY_BYTES} random bytes, as secrets.token_bytes gives")
        if max_age_s is not None and not 0 < max_age_s < math.inf:
            raise InvalidApi("max_age_s is a positive number of seconds, or None for cursors that do not age")
        self._keys = dict(keys)
        self._max_age_s = max_age_s
        self._now = now

    def __repr__(self) -> str:
        return f"CursorSigner(keys={list(self._keys)}, max_age_s={self._max_age_s})"

    def sign(self, position: Position, *, purpose: str, filters: Sequence[tuple[str, str]] = ()) -> str:
        """The cursor of a position; `purpose` names the listing, `filters` what it was narrowed by, in any order."""
        key_name = next(iter(self._keys))
        payload: dict[str, object] = {"p": [_encoded(value) for value in position]}
        if self._max_age_s is not None:
            payload["e"] = self._now().timestamp() + self._max_age_s
        body = _base64(_canonical(payload))
        cursor = f"{key_name}.{body}.{self._mac(key_name, body, purpose, filters)}"
        if len(cursor) > MAX_CURSOR_CHARS:
            raise ValueError(f"the position makes a cursor of more than {MAX_CURSOR_CHARS} characters; sort by less")
        return cursor

    def read(self, cursor: str, *, purpose: str, filters: Sequence[tuple[str, str]] = ()) -> tuple[Any, ...]:
        """The position of a cursor that was signed for this purpose and these filters; raises BadCursor."""
        parts = _CURSOR.fullmatch(cursor) if len(cursor) <= MAX_CURSOR_CHARS else None
        if parts is None or parts[1] not in self._keys:
            raise BadCursor(_REFUSED)
        # The texts are compared, not the bytes they stand for: two texts of one mac would be a cursor that changed.
        if not hmac.compare_digest(parts[3], self._mac(parts[1], parts[2], purpose, filters)):
            raise BadCursor(_REFUSED)
        payload = json.loads(_unbase64(parts[2]))
        if "e" in payload and self._now().timestamp() >= payload["e"]:
            raise BadCursor("the cursor is too old; begin again without one")
        return tuple(_decoded(value) for value in payload["p"])

    def _mac(self, key_name: str, body: str, purpose: str, filters: Sequence[tuple[str, str]]) -> str:
        filters_digest = hashlib.sha256(_canonical(sorted(filters))).hexdigest()
        signed = _canonical(["maestro-cursor-1", key_name, purpose, filters_digest, body])
        return _base64(hmac.digest(self._keys[key_name], signed, "sha256"))


def _encoded(value: object) -> object:
    match value:
        case datetime():
            if value.tzinfo is None:
                raise ValueError("a datetime in a position is aware")
            return {"t": value.astimezone(UTC).isoformat()}
        case float() if not math.isfinite(value):
            raise ValueError("a float in a position is finite")
        case bool():
            raise TypeError("a position holds str, int, float, datetime and None, not bool")
        case str() | int() | float() | None:
            return value
    raise TypeError(f"a position holds str, int, float, datetime and None, not {type(value).__name__}")


def _decoded(value: object) -> str | int | float | datetime | None:
    if isinstance(value, dict):
        return datetime.fromisoformat(value["t"])
    assert value is None or isinstance(value, str | int | float), "only what `_encoded` made is signed"
    return value


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unbase64(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise BadCursor(_REFUSED) from error
