"""Plain JSON data: its type, the limits it is held to, and its canonical form."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None

MAX_DEPTH = 100
MAX_NODES = 1_000_000
MAX_TEXT_CHARS = 16 * 1024 * 1024
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**64 - 1

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_TOO_LARGE = f"is too large: at most {MAX_NODES:,} values and {MAX_TEXT_CHARS // 2**20} MiB of text"
_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels (or holds itself)"


def pointer(path: str, key: str | int) -> str:
    """The JSON Pointer one level below a path."""
    if isinstance(key, str) and ("~" in key or "/" in key):
        key = key.replace("~", "~0").replace("/", "~1")
    return f"{path}/{key}"


def plain_copy(value: object) -> JSON:
    """A copy that shares nothing with the value, which must be without faults."""
    copy: JSON = json.loads(json.dumps(value, ensure_ascii=False, allow_nan=False))
    return copy


def canonical_digest(value: JSON) -> str:
    """SHA-256 in hex of the canonical JSON: sorted keys, no spaces, UTF-8."""
    return hashlib.sha256(_canonical(value).encode("utf-8")).hexdigest()


def json_faults(value: object) -> list[tuple[str, str]]:
    """Whatever keeps a value from being plain JSON within the limits, as (JSON Pointer, what is wrong)."""
    return [] if _is_plain(value) else list(_faults(value))


def _is_plain(value: object) -> bool:
    """Whether a value is plain JSON; goes level by level and keeps no paths, because this is the usual, large case."""
    level: list[Any] = [value]
    nodes = chars = depth = 0
    while level:
        nodes += len(level)
        depth += 1
        if nodes > MAX_NODES or depth > MAX_DEPTH or chars > MAX_TEXT_CHARS:
            return False
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is str:
                chars += len(item)
                if not _is_text(item):
                    return False
            elif kind is dict:
                for key in item:
                    if type(key) is not str or not _is_text(key):
                        return False
                    chars += len(key)
                below.extend(item.values())
            elif kind is list:
                below.extend(item)
            elif kind is int:
                if not MIN_INTEGER <= item <= MAX_INTEGER:
                    return False
            elif kind is float:
                if not math.isfinite(item):
                    return False
            elif item is not None and kind is not bool:
                return False
            if len(below) > MAX_NODES:
                return False
        level = below
    return chars <= MAX_TEXT_CHARS


def _faults(value: object) -> Iterator[tuple[str, str]]:
    stack: list[tuple[str, int, object]] = [("", 1, value)]
    nodes = chars = 0
    while stack:
        path, depth, item = stack.pop()
        nodes += 1
        chars += len(item) if isinstance(item, str) else 0
        if nodes + len(stack) > MAX_NODES or chars > MAX_TEXT_CHARS:
            yield "", _TOO_LARGE
            return
        if depth > MAX_DEPTH:
            yield path, _TOO_DEEP
            return
        if type(item) is dict:
            below = []
            for key, member in item.items():
                if type(key) is not str:
                    yield path, f"has the key {_shown(key)}, which is not a string: put it in quotes"
                elif not _is_text(key):
                    yield path, "has a key that holds half of a surrogate pair, which is not valid text"
                else:
                    chars += len(key)
                    below.append((pointer(path, key), depth + 1, member))
            stack.extend(reversed(below))
        elif type(item) is list:
            stack.extend((f"{path}/{i}", depth + 1, item[i]) for i in range(len(item) - 1, -1, -1))
        elif (fault := _scalar_fault(item)) is not None:
            yield path, fault


def _scalar_fault(item: object) -> str | None:
    if item is None or type(item) is bool:
        return None
    if type(item) is str:
        return None if _is_text(item) else "holds half of a surrogate pair, which is not valid text"
    if type(item) is int:
        return None if MIN_INTEGER <= item <= MAX_INTEGER else "is an integer beyond 64 bits: write it as a string"
    if type(item) is float:
        return None if math.isfinite(item) else "is not a finite number, which JSON cannot hold"
    return f"is {_shown(item)}, which is not JSON: use null, true, false, a number, a string, a list or a mapping"


def _is_text(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool | float):
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() <= 64:
        return str(value)
    return f"of Python's type {type(value).__name__}"


def json_kind(value: object) -> str:
    """What a value is, in the words of JSON, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list | tuple):
        return "an array"
    if isinstance(value, Mapping):
        return "an object"
    return f"a Python {type(value).__name__}"


def json_equal(left: object, right: object) -> bool:
    """Equality of JSON: numbers by value, true is never 1, objects whatever the order of their keys; never raises."""
    stack = [(left, right)]
    while stack:
        a, b = stack.pop()
        if a is b and not isinstance(a, float):
            continue
        if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
            return False
        if (isinstance(a, int | float) and isinstance(b, int | float)) or (isinstance(a, str) and isinstance(b, str)):
            if a != b:
                return False
        elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
            if len(a) != len(b):
                return False
            stack.extend(zip(a, b, strict=True))
        elif isinstance(a, Mapping) and isinstance(b, Mapping):
            if len(a) != len(b) or any(key not in b for key in a):
                return False
            stack.extend((a[key], b[key]) for key in a)
        else:
            return False
    return True
