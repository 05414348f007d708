"""Entity tags and the conditions that requests set on them (RFC 9110, sections 8.8.3 and 13)."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from maestro_core_api._errors import BadEntityTag

MAX_TAGS: Final = 100
_MAX_HEADER_CHARS: Final = 8192
# What may stand between the quotes: visible ASCII without the quote, and obs-text as latin-1.
_OPAQUE: Final = re.compile(r"[\x21\x23-\x7e\x80-\xff]*")
# Possessive, so that a long run of blanks is read once.
_MEMBER: Final = re.compile(rf'[ \t]*+(?:(W/)?"({_OPAQUE.pattern})")?[ \t]*+(,|\Z)')


@dataclass(frozen=True, slots=True)
class ETag:
    """One entity tag; a weak one says "as good as", a strong one "the same bytes"."""

    opaque: str
    weak: bool = False

    def __post_init__(self) -> None:
        if not _OPAQUE.fullmatch(self.opaque):
            raise ValueError("an entity tag is visible characters of latin-1 without quotes")

    def __str__(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.opaque}"'

    def is_strongly(self, other: "ETag") -> bool:
        """Both strong and equal: what If-Match asks."""
        return not self.weak and not other.weak and self.opaque == other.opaque

    def is_weakly(self, other: "ETag") -> bool:
        """Equal, weak or not: what If-None-Match asks."""
        return self.opaque == other.opaque


def etag_of(content: bytes | str | int, *, weak: bool = False) -> ETag:
    """The tag of a representation's bytes (hashed), or of its version: an int, or a text such as a revision id.

    A version makes a strong tag only where one version has one representation; otherwise ask for a weak one.
    """
    if isinstance(content, bytes):
        return ETag(hashlib.sha256(content).hexdigest()[:32], weak)
    return ETag(str(content), weak)


def parse_etags(header: str) -> tuple[ETag, ...] | Literal["*"]:
    """What If-Match or If-None-Match lists; raises BadEntityTag. Empty members of the list count for nothing."""
    if header.strip(" \t") == "*":
        return "*"
    tags: list[ETag] = []
    place = 0
    while len(header) <= _MAX_HEADER_CHARS and len(tags) <= MAX_TAGS:
        member = _MEMBER.match(header, place)
        if member is None:
            break
        if member[2] is not None:
            tags.append(ETag(member[2], weak=bool(member[1])))
        if member[3] == "":
            if tags and len(tags) <= MAX_TAGS:
                return tuple(tags)
            break
        place = member.end()
    raise BadEntityTag(f'If-Match and If-None-Match take * or 1 to {MAX_TAGS} entity tags, as in "v1", W/"v2"')


def parse_etag(value: str) -> ETag:
    """One entity tag, as an ETag header holds it; raises BadEntityTag."""
    tags = parse_etags(value)
    if tags == "*" or len(tags) != 1:
        raise BadEntityTag("an ETag header holds one entity tag")
    return tags[0]


class Verdict(Enum):
    """What the conditions of a request say to do."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not-modified"
    FAILED = "failed"


def verdict(method: str, *, if_match: str | None, if_none_match: str | None, current: ETag | None) -> Verdict:
    """Evaluate the conditions in the order of RFC 9110, 13.2.2; `current` is None where there is nothing yet.

    If-Match goes first and compares strongly, If-None-Match compares weakly. The conditions with dates rank below these
    and need a date of modification; there is none here, so they do not count, as the RFC tells.
    """
    if if_match is not None and not _holds(parse_etags(if_match), current, strong=True):
        return Verdict.FAILED
    if if_none_match is not None and _holds(parse_etags(if_none_match), current, strong=False):
        return Verdict.NOT_MODIFIED if method in ("GET", "HEAD") else Verdict.FAILED
    return Verdict.PROCEED


def _holds(listed: Sequence[ETag] | Literal["*"], current: ETag | None, *, strong: bool) -> bool:
    if current is None:
        return False
    if isinstance(listed, str):
        return True
    return any(tag.is_strongly(current) if strong else tag.is_weakly(current) for tag in listed)
