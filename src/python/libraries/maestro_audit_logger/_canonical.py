"""Canonical JSON (RFC 8785): one text for each value, so that one value has one hash."""

import math
from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from typing import TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | tuple[JSON, ...] | Mapping[str, JSON] | None"

MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1


def canonical(value: object) -> str:
    """The canonical text of a value; raises ValueError with the JSON Pointer of what JSON cannot hold."""
    return _text(value, "", 0)


def _text(value: object, at: str, depth: int) -> str:
    if isinstance(value, str):
        return _string(value, at)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _integer(value, at)
    if isinstance(value, float):
        return _float(value, at)
    if depth == MAX_DEPTH:
        raise ValueError(f"{at}: deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return _object(value, at, depth)
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(item, f"{at}/{number}", depth + 1) for number, item in enumerate(value)) + "]"
    raise ValueError(f"{at}: {type(value).__name__} is not JSON; write it as a string, a number, a list or a mapping")


def _integer(value: int, at: str) -> str:
    """Beyond 2**53 - 1 only those that readers who know but doubles get whole too, such as 10**20."""
    if abs(value) <= MAX_INTEGER or (abs(value) < 10**21 and _float(float(value), at) == int.__repr__(value)):
        return int.__repr__(value)
    raise ValueError(
        f"{at}: an integer that a double cannot hold is not the same to every reader; write it as a string"
    )


def _string(text: str, at: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{at}: holds half of a surrogate pair, which is no character") from None
    return str(encode_basestring(text))


def _object(value: Mapping[object, object], at: str, depth: int) -> str:
    members = []
    for key in value:
        if not isinstance(key, str):
            raise ValueError(f"{at}: the key {key!r:.80} is not a string")
        name = _string(key, f"{at}/{key}")
        # RFC 8785 sorts by UTF-16 code units; for ASCII that is the order of the characters.
        members.append((key.encode("utf-16-be"), name, _text(value[key], f"{at}/{key}", depth + 1)))
    return "{" + ",".join(f"{name}:{text}" for _, name, text in sorted(members)) + "}"


def _float(value: float, at: str) -> str:
    """As ECMAScript writes it: the shortest digits that read back as the same number, which are those of repr."""
    if not math.isfinite(value):
        raise ValueError(f"{at}: {value} is not JSON")
    if value == 0:
        return "0"
    sign, numerals, exponent = Decimal(float.__repr__(value)).normalize().as_tuple()
    assert isinstance(exponent, int), "a finite number has an exponent"
    digits, minus = "".join(map(str, numerals)), "-" if sign else ""
    point = len(digits) + exponent
    if len(digits) <= point <= 21:
        return minus + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{minus}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{minus}{digits[0]}{fraction}e{point - 1:+d}"
