"""Text for people: spans and sizes, harmless characters, widths on a terminal."""

import unicodedata
from typing import TextIO


def duration_text(seconds: float | None) -> str:
    """A span as people read it: `0.8 s`, `42 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def size_text(size_bytes: int) -> str:
    """A size as people read it."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def plain(text: str) -> str:
    """Text without control characters, so that what a step says cannot move the cursor or change colours."""
    return "".join(" " if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in text)


def width_of(text: str) -> int:
    """Columns that text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def fitted(text: str, columns: int) -> str:
    """Text cut to so many columns, with an ellipsis when something is missing."""
    room, end = columns, 0
    for place, char in enumerate(text):
        room -= width_of(char)
        if room < 0:
            return text[:end].rstrip() + "…"
        if room >= 1:
            end = place + 1
    return text


def has_symbols(stream: TextIO) -> bool:
    """Whether `stream` can write more than ASCII."""
    return (getattr(stream, "encoding", None) or "ascii").lower().startswith("utf")
