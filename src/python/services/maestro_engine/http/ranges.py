"""The part of a content that a request asks for (RFC 9110, section 14)."""

import re
from typing import Final

# One range; a request for several is answered with all, as the RFC lets a server do.
_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))[ \t]*", re.IGNORECASE)


class NotSatisfiable(Exception):
    """The range begins behind the end."""


def range_of(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Where the part begins, and where it ends (exclusive); None for all of it. Raises NotSatisfiable."""
    found = _RANGE.fullmatch(header or "")
    if found is None:
        return None
    first, last, length = (None if group is None else int(group) for group in found.groups())
    if length is not None:
        if length == 0 or size_bytes == 0:
            raise NotSatisfiable
        return max(0, size_bytes - length), size_bytes
    assert first is not None  # the pattern has one of the two
    if last is not None and last < first:
        return None  # no range at all, and so as if there were none
    if first >= size_bytes:
        raise NotSatisfiable
    return first, size_bytes if last is None else min(last + 1, size_bytes)
