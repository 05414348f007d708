"""Tabs in YAML: they may stand in quoted text, in blocks and in comments, and nowhere else."""

import re
from collections.abc import Iterable

TABS_NEED_QUOTES = "a tab stands here: indent and separate with spaces, and put text that holds a tab into quotes"

_HIDDEN = str.maketrans("\t#", "xx")
_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\r\n]*")


def misplaced_tab(text: str, quoted: Iterable[tuple[int, int]]) -> int | None:
    """The offset of the first tab that stands elsewhere; `quoted` are the spans of quoted text and blocks, in order."""
    pieces, at = [], 0
    for start, end in quoted:
        pieces += [text[at:start], text[start:end].translate(_HIDDEN)]
        at = end
    bare = "".join([*pieces, text[at:]])
    found = _COMMENT.sub(lambda comment: "#" * len(comment.group()), bare).find("\t")
    return None if found < 0 else found
