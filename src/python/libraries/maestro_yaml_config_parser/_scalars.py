"""What unquoted text means: the JSON-like part of the core schema of YAML 1.2, and nothing more surprising."""

import re

MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**64 - 1

_NAMED: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_FIRST_OF_TYPED = frozenset("~ntfNTF0123456789+-.")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")


def plain_value(text: str) -> str | int | float | bool | None:
    """The value of unquoted text; raises ValueError with what to do when it is a number that JSON cannot hold.

    Text stays text unless it is null, ~, empty, true, false or a number as JSON writes it (a sign and a bare point are
    taken too): no, on, 12:30:00, 2026-11-21, 0o17, 0x1F, 1_000 and 007 are strings.
    """
    if text and text[0] not in _FIRST_OF_TYPED:
        return text
    if text in _NAMED:
        return _NAMED[text]
    if _INTEGER.match(text):
        return integer(text)
    if _FLOAT.match(text):
        return finite_float(text)
    if _NOT_FINITE.match(text):
        raise ValueError(f"{text} is not a finite number, which JSON cannot hold: leave it out, or write it in quotes")
    return text


def integer(text: str) -> int:
    """An integer of at most 64 bits."""
    if len(text) <= 21 and MIN_INTEGER <= (number := int(text)) <= MAX_INTEGER:
        return number
    raise ValueError("the integer does not fit into 64 bits: write it in quotes if it is text")


def finite_float(text: str) -> float:
    """A float that is not infinite."""
    number = float(text)
    if number - number == 0.0:
        return number
    raise ValueError("the number is too large: write it in quotes if it is text")
