"""Where something is wrong, and what to do about it."""

import itertools
from collections.abc import Iterable
from typing import Protocol

from maestro_workflow_engine._dataclasses import dataclass


class Position(Protocol):
    """A place in a text; line and column count from 1. Any object with these two attributes will do."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `path` is a JSON Pointer, `code` is stable, `message` says what to do."""

    path: str
    message: str
    code: str
    line: int | None = None
    column: int | None = None
    file: str | None = None

    def __str__(self) -> str:
        place = [self.file] if self.file else []
        if self.line is not None:
            place.append(str(self.line))
            if self.column is not None:
                place.append(str(self.column))
        prefix = ":".join(place)
        return f"{prefix}: {self.path or '/'}: {self.message}" if prefix else f"{self.path or '/'}: {self.message}"


_COMPARED_CHARS = 64
_COMPARED_NAMES = 500


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing; looks at names of about the same length only, and at 500 of them at most."""
    if len(name) > _COMPARED_CHARS:
        return ""
    alike = (other for other in known if abs(len(other) - len(name)) <= 1 + len(name) // 3)
    from difflib import get_close_matches  # seldom needed, and slow to import

    close = get_close_matches(name, itertools.islice(alike, _COMPARED_NAMES), n=1, cutoff=0.7)
    return f" (did you mean {close[0]!r}?)" if close else ""
