"""Versions of contracts: which offered one a caller can work with (semantic versioning 2.0, without build metadata)."""

import re
from dataclasses import dataclass
from functools import total_ordering

from maestro_service_registry._errors import InvalidRequest

_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:\.(0|[1-9]\d{0,8}))?(?:-([0-9A-Za-z.-]{1,64}))?", re.ASCII)


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version; one with a `pre` comes before the same without."""

    major: int
    minor: int
    patch: int = 0
    pre: str = ""

    def __lt__(self, other: "Version") -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[object, ...]:
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre.split("."))
        return self.major, self.minor, self.patch, not self.pre, parts

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}" + (f"-{self.pre}" if self.pre else "")


def parse_version(text: str) -> Version:
    """Read `1.4` or `1.4.2`, either with a `-pre.1` behind it; raises InvalidRequest."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise InvalidRequest([f"contract: {text[:80]!r} is no version; write MAJOR.MINOR or MAJOR.MINOR.PATCH"])
    major, minor, patch, pre = match.groups()
    return Version(int(major), int(minor), int(patch or 0), pre or "")


def is_compatible(offered: Version, wanted: Version) -> bool:
    """Whether a caller written against `wanted` can call a service that offers `offered`.

    The same major version and nothing older; below 1.0 every minor version is a new contract. A pre-release serves only
    those who ask for one of the same version.
    """
    line = (offered.major, offered.minor) if offered.major == 0 else (offered.major,)
    same_line = line == ((wanted.major, wanted.minor) if wanted.major == 0 else (wanted.major,))
    same_release = (offered.major, offered.minor, offered.patch) == (wanted.major, wanted.minor, wanted.patch)
    return same_line and offered >= wanted and (not offered.pre or same_release)
