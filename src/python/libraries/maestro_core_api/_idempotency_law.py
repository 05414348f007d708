"""The law of idempotency keys, pure: how a key is read, what makes two requests the same, and what a repeat gets."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final, Protocol

from maestro_core_api._errors import BadIdempotencyKey

MAX_KEY_CHARS: Final = 255
# sf-string of RFC 9651: printable ASCII in double quotes, in which \" and \\ are the only escapes.
KEY_PATTERN: Final = rf'^"([\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\]){{1,{MAX_KEY_CHARS}}}"$'
_KEY: Final = re.compile(KEY_PATTERN.replace("$", r"\Z"))
_ESCAPE: Final = re.compile(r'\\(["\\])')

KEPT_HEADERS: Final = frozenset(
    {
        "cache-control",
        "content-language",
        "content-location",
        "content-type",
        "etag",
        "last-modified",
        "link",
        "location",
        "vary",
    }
)
"""Of the first answer's headers a repeat gets these; the others are about that one exchange, cookies among them."""

_LATER: Final = frozenset({401, 403, 408, 425, 429})


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it is kept: `headers` are those of KEPT_HEADERS, in order."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What a store knows of a key; times are seconds of Unix time, `answer` is None until the first request ended."""

    fingerprint: str
    token: str
    lease_until: float
    expires_at: float
    answer: KeptAnswer | None = None


class KeyState(Enum):
    """What a request with a key is."""

    BEGUN = "begun"
    """The first, or the next one after a lease lapsed: run it."""
    IN_FLIGHT = "in-flight"
    """A repeat of one that still runs."""
    ANSWERED = "answered"
    """A repeat of one that ended."""
    REUSED = "reused"
    """Another request with the key of an earlier one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer of a store; `answer` goes with ANSWERED, `lease_left_s` with IN_FLIGHT."""

    state: KeyState
    answer: KeptAnswer | None = None
    lease_left_s: float = 0.0


class IdempotencyStore(Protocol):
    """Keeps keys and answers. All three calls are atomic among everyone who shares the store.

    IdempotencyConformance of maestro_core_api.testing is the whole of what is asked of one.
    """

    async def begin(self, key: str, fingerprint: str, token: str, *, lease: timedelta, retention: timedelta) -> Claim:
        """Claim the key for `token` if `judged` says BEGUN; raises IdempotencyUnavailable if it cannot be kept."""
        ...

    async def finish(self, key: str, token: str, answer: KeptAnswer, *, retention: timedelta) -> bool:
        """Keep the answer, if the key is still that of `token` and has none."""
        ...

    async def abandon(self, key: str, token: str) -> bool:
        """Forget the key, if it is still that of `token` and has no answer."""
        ...


def judged(record: KeyRecord | None, fingerprint: str, now_s: float) -> Claim:
    """What a request is, by what is known of its key."""
    if record is None or record.expires_at <= now_s:
        return Claim(KeyState.BEGUN)
    if record.fingerprint != fingerprint:
        return Claim(KeyState.REUSED)
    if record.answer is not None:
        return Claim(KeyState.ANSWERED, answer=record.answer)
    if record.lease_until <= now_s:
        return Claim(KeyState.BEGUN)
    return Claim(KeyState.IN_FLIGHT, lease_left_s=record.lease_until - now_s)


def parse_key(header: str) -> str:
    """The key in an Idempotency-Key header; raises BadIdempotencyKey, which does not repeat it."""
    if not _KEY.match(header):
        raise BadIdempotencyKey(
            f'Idempotency-Key is a text of 1 to {MAX_KEY_CHARS} ASCII characters in double quotes: "8e03978e-40d5-43e8"'
        )
    return _ESCAPE.sub(r"\1", header[1:-1])


def is_final(status: int, *, asks_to_retry: bool) -> bool:
    """Whether an answer is kept: not one that says "not now" or "not you", and no fault of the service."""
    return status < 400 or (status < 500 and status not in _LATER and not asks_to_retry)


def scoped_key(subject: str | None, method: str, route: str, key: str) -> str:
    """The name of a key in the store; the key itself is not kept, so nobody reads it there."""
    return _digest(b"" if subject is None else b"subject" + _utf8(subject), _utf8(method), _utf8(route), _utf8(key))


def fingerprint_of(method: str, path: bytes, query: bytes, content_type: str, body: bytes) -> str:
    """The same for two requests that are meant to be one; JSON may be written in another order or spacing."""
    essence = content_type.partition(";")[0].strip().lower()
    is_json = essence == "application/json" or essence.endswith("+json")
    return _digest(_utf8(method), path, query, _utf8(essence), _canonical_json(body) if is_json else body)


def _canonical_json(body: bytes) -> bytes:
    try:
        # A number with a fraction stays as it was written: 0.1 and 0.10000000000000000001 are not one price.
        content = json.loads(body, parse_float=lambda text: {"\0number": text})
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")
    except (ValueError, RecursionError):
        return body


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
