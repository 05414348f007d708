"""Keys that cannot be mistaken for each other."""

import hashlib
import json
import math
import re
from datetime import date, datetime
from enum import Enum
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

from maestro_cache._errors import InvalidKey

V = TypeVar("V")

KeyPart: TypeAlias = "str | int | float | bool | bytes | UUID | date | datetime | Enum | tuple[KeyPart, ...] | None"

MAX_TEXT = 200
"""Bytes up to which a key is kept readable; longer ones become a SHA-256."""

_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Key(Generic[V]):
    """The key of a value of type V: `Key[User]("user", 7)`. Different parts never give the same key.

    Types count: 1, "1", True and 1.0 are four keys, and ("a", "bc") is not ("ab", "c"). Parts are str, int, float (no
    NaN or infinity), bool, bytes, None, UUID, date, datetime, Enum members, and tuples of these; anything else raises
    InvalidKey.
    """

    __slots__ = ("text",)

    def __init__(self, *parts: KeyPart) -> None:
        if not parts:
            raise InvalidKey("a key has no parts; give at least what kind of thing it is")
        self.text = _bounded([_plain(part) for part in parts])

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Key) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Key({self.text})"


def _plain(part: object) -> object:
    """The part as JSON that no other part has: what JSON has no type for is marked by an object of one entry."""
    if part is None or type(part) in (str, int, bool):
        return part
    if type(part) is float and math.isfinite(part):
        return part
    if type(part) is tuple:
        return [_plain(inner) for inner in part]
    if isinstance(part, Enum):
        return {"enum": f"{type(part).__module__}.{type(part).__qualname__}.{part.name}"}
    if type(part) is bytes:
        return {"bytes": part.hex()}
    if type(part) is UUID:
        return {"uuid": part.hex}
    if type(part) is datetime:
        return {"datetime": f"{part.isoformat()};{part.fold}"}
    if type(part) is date:
        return {"date": part.isoformat()}
    raise InvalidKey(
        f"a key cannot have a part of type {type(part).__name__}"
        f"{' that is not finite' if type(part) is float else ''}; "
        "give str, int, finite float, bool, bytes, None, UUID, date, datetime, an Enum member, or a tuple of these"
    )


def _bounded(plain: object) -> str:
    """JSON, or its hash when it is long, which no JSON looks like."""
    try:
        # Escapes would give a pair of lone surrogates the text of another character; as UTF-8 they are refused.
        text = json.dumps(plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        data = text.encode("utf-8")
    except ValueError as error:
        raise InvalidKey(f"a key or a tag holds a lone surrogate, or a number that is too long: {error}") from error
    return text if len(data) <= MAX_TEXT else "#" + hashlib.sha256(data).hexdigest()


class Space:
    """The part of a store that one cache uses: a namespace and the version of what is in it."""

    __slots__ = ("prefix", "tag")

    def __init__(self, namespace: str, version: int) -> None:
        if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
            raise InvalidKey(
                f"namespace {namespace!r}: give 1 to 64 of a-z, 0-9, '.', '_', '-', not starting with a mark"
            )
        if type(version) is not int or version < 0:
            raise InvalidKey(f"version {version!r}: give a whole number, 0 or more")
        self.prefix = f"{namespace}:{version}"
        self.tag = f"{self.prefix}:all"

    def key(self, key: Key[V]) -> str:
        """The key as the store knows it."""
        if not isinstance(key, Key):
            raise InvalidKey(f"a key is a Key, not {type(key).__name__}: Key({key!r})")
        return f"{self.prefix}:key:{key.text}"

    def tags(self, tags: tuple[str, ...]) -> tuple[str, ...]:
        """The tags as the store knows them, and the one that every entry of this space has."""
        if not tags:
            return (self.tag,)
        return (self.tag, *(self.name_of(tag) for tag in dict.fromkeys(tags)))

    def name_of(self, tag: str) -> str:
        """One tag as the store knows it."""
        if not isinstance(tag, str) or not tag:
            raise InvalidKey(f"a tag is a text that is not empty, not {tag!r}")
        return f"{self.prefix}:tag:{_bounded(tag)}"
