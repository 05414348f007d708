"""The ways in which a secret may stand written in a text."""

import base64
import html
import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST: Final = 4
"""Values with fewer characters stand in every text by chance, and are left alone."""

_SHORTEST_LINE: Final = 6
_WRAPPED_AT: Final = (64, 76)
"""Where `openssl` and `base64` break their lines."""
_ALSO_SAFE: Final = ("", "/", "!*'()", ";,/?:@&=+$!*'()#")
"""What besides letters, digits and `_.-~` is left as it is: by libraries, and by two functions of JavaScript."""
_LINE_BREAK: Final = re.compile(r"[\r\n]+")
_PERCENT: Final = re.compile(r"%[0-9A-F]{2}")
_UNICODE: Final = re.compile(r"\\u[0-9a-f]{4}")
_IN_HTML: Final = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"})


def forms_of(secrets: Collection[str]) -> list[str]:
    """Every text to look for, the longest first: as it is, escaped, encoded, and line by line."""
    found = {form for secret in secrets for form in _forms(secret) if len(form) >= SHORTEST}
    return sorted(found, key=lambda form: (-len(form), form))


def _forms(secret: str) -> Iterator[str]:
    wholes = {text for text in (secret, secret.strip()) if len(text) >= SHORTEST}
    lines = {line.strip() for line in _LINE_BREAK.split(secret)}
    for text in wholes | {line for line in lines if len(line) >= _SHORTEST_LINE}:
        yield text
        yield from _escaped(text)
        yield from _in_url(text)
    for text in wholes:
        yield from _in_base64(text.encode("utf-8", "replace"))


def _escaped(text: str) -> Iterator[str]:
    """In JSON, also within a text of JSON; in Python's repr; in HTML."""
    for is_ascii in (True, False):
        plain = _in_json(text, is_ascii)
        for once in {plain, plain.replace("/", r"\/"), plain.translate(_IN_HTML), _upper(_UNICODE, plain)}:
            yield once
            yield _in_json(once, is_ascii)
    yield repr(text)[1:-1]
    yield repr(text.encode("utf-8", "replace"))[2:-1]
    yield html.escape(text)
    yield html.escape(text, quote=False)


def _in_json(text: str, is_ascii: bool) -> str:
    return json.dumps(text, ensure_ascii=is_ascii)[1:-1]


def _in_url(text: str) -> Iterator[str]:
    for form in {quote_plus(text, errors="replace"), *(quote(text, safe, errors="replace") for safe in _ALSO_SAFE)}:
        yield form
        yield _PERCENT.sub(lambda code: code[0].lower(), form)


def _in_base64(data: bytes) -> Iterator[str]:
    """By itself or anywhere within longer data: what stands in the base64 of both alphabets whatever is around it."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # The first and the last character may hold bits of what is around: they are not looked for.
            first, last = (before * 8 + 5) // 6, (before + len(data)) * 8 // 6
            yield encode(bytes(before) + data).decode()[first:last]
        whole = encode(data).decode().rstrip("=")
        for width in _WRAPPED_AT:
            yield from _long_enough(whole[at : at + width] for at in range(0, len(whole), width))


def _long_enough(lines: Iterable[str]) -> Iterator[str]:
    return (line for line in lines if len(line) >= _SHORTEST_LINE)


def _upper(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda code: rf"\u{code[0][2:].upper()}", text)
