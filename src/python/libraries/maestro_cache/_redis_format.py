"""An entry as bytes, and bytes as an entry: pure, and distrustful of bytes."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from maestro_cache._decide import Entry, Raised, Value
from maestro_cache._errors import NotStorable
from maestro_cache._serialise import JsonSerialiser, Serialiser
from maestro_cache._store import Draft

FORMAT = 1
"""Counted up when the bytes change their shape; other numbers are foreign."""

_MAX_HEADER_BYTES = 64 * 1024
_ERRORS = JsonSerialiser()


class Foreign(Exception):
    """The bytes are no entry that this store can read; the text says why."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry and the tokens that its tags had when it was computed."""

    entry: Entry
    tags: Mapping[str, str]


def encode(draft: Draft, entry_id: str, tags: Mapping[str, object], serialiser: Serialiser, max_bytes: int) -> bytes:
    """One line of JSON, and the value as the serialiser writes it; raises NotStorable."""
    header: dict[str, object] = {
        "format": FORMAT,
        "id": entry_id,
        "stale_ms": milliseconds(draft.stale_s),
        "compute_s": draft.compute_s,
        "tags": dict(tags),
    }
    if isinstance(draft.outcome, Value):
        body = _dumped(draft.outcome.value, serialiser)
        header["serialiser"] = serialiser.name
    else:
        body = _ERRORS.dumps(list(draft.outcome.arguments))
        header["error"] = draft.outcome.name
    line = json.dumps(header, separators=(",", ":")).encode("ascii")
    if len(line) > _MAX_HEADER_BYTES:
        raise NotStorable(f"the tags take {len(line)} bytes, and {_MAX_HEADER_BYTES} are the limit")
    data = line + b"\n" + body
    if len(data) > max_bytes:
        raise NotStorable(f"the value takes {len(data)} bytes, and max_value_bytes is {max_bytes}")
    return data


def decode(data: bytes, ttl_ms: int, now_s: float, serialiser: Serialiser) -> Stored:
    """The entry, whose life ends `ttl_ms` from `now_s`; raises Foreign."""
    line, newline, body = data.partition(b"\n")
    if not newline or len(line) > _MAX_HEADER_BYTES:
        raise Foreign("no header")
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Foreign("the header is no JSON") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise Foreign("another format")
    entry_id, tags = header.get("id"), header.get("tags")
    stale_ms, compute_s = header.get("stale_ms"), header.get("compute_s")
    if not isinstance(entry_id, str) or not _is_number(stale_ms) or not _is_number(compute_s):
        raise Foreign("a header of the wrong shape")
    if not isinstance(tags, dict) or not all(isinstance(token, str) for token in tags.values()):
        raise Foreign("a header with tags of the wrong shape")
    if ttl_ms < 0:
        raise Foreign("it never expires")
    served_until_s = now_s + ttl_ms / 1000
    outcome = _outcome(header, body, serialiser)
    return Stored(Entry(entry_id, outcome, served_until_s - stale_ms / 1000, served_until_s, float(compute_s)), tags)


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, never more than asked but at least one, because Redis knows no life of zero."""
    return max(1, int(seconds * 1000)) if seconds > 0 else 0


def _dumped(value: object, serialiser: Serialiser) -> bytes:
    try:
        return serialiser.dumps(value)
    except NotStorable:
        raise
    except Exception as error:
        raise NotStorable(f"serialiser {serialiser.name!r} failed with {type(error).__name__}") from error


def _outcome(header: dict[str, object], body: bytes, serialiser: Serialiser) -> Value | Raised:
    name = header.get("error")
    if name is None and header.get("serialiser") != serialiser.name:
        raise Foreign("another serialiser")
    try:
        if name is None:
            return Value(serialiser.loads(body))
        arguments = _ERRORS.loads(body)
    except Exception as error:
        raise Foreign(f"the value cannot be read: {type(error).__name__}") from error
    if not isinstance(name, str) or not isinstance(arguments, list):
        raise Foreign("a kept error of the wrong shape")
    return Raised(name, tuple(arguments))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
