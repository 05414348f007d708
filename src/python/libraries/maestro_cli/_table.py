"""Draws tables that fit the terminal, and says how long ago something was."""

import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final, TextIO

from maestro_cli._text import duration_text, fitted, plain, width_of

_GAP: Final = "  "
_PIPE_COLUMNS: Final = 200
_LEAST: Final = 10
"""No column is cut to less than that."""
_LEAST_OF_ID: Final = 13


def print_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    whole: Sequence[str] = (),
    ids: Sequence[str] = (),
    spare: Sequence[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Print rows under their heads, without columns that are empty; the widest give way when there is no room.

    Those in `whole` are never cut, those in `ids` from the left: people copy both, and the end of an id will do.
    Those in `spare` are left out one by one when that is not enough; then each row becomes a few lines.
    """
    out = stream or sys.stdout
    columns = shutil.get_terminal_size().columns if out.isatty() else _PIPE_COLUMNS
    cells = [[plain(cell) for cell in row] for row in rows]
    filled = [head for i, head in enumerate(heads) if head in whole or any(row[i] for row in cells)]
    for count in range(len(spare) + 1):
        kept = [head for head in filled if head not in spare[:count]]
        picked = _picked(heads, cells, kept)
        natural = [max(map(width_of, column)) for column in zip(kept, *picked, strict=True)]
        least = [
            natural[i] if head in whole else min(natural[i], _LEAST_OF_ID if head in ids else _LEAST)
            for i, head in enumerate(kept)
        ]
        widths = _widths(natural, least, columns - len(_GAP) * (len(kept) - 1))
        if widths is not None:
            for row in (kept, *picked):
                out.write(_line(row, widths, [head in ids for head in kept]) + "\n")
            return
    _print_records(out, filled, _picked(heads, cells, filled), columns)


def _picked(heads: Sequence[str], cells: Sequence[Sequence[str]], kept: Sequence[str]) -> list[list[str]]:
    places = [heads.index(head) for head in kept]
    return [[row[i] for i in places] for row in cells]


def _line(row: Sequence[str], widths: Sequence[int], is_id: Sequence[bool]) -> str:
    shown = [
        _end_of(cell, width) if last else fitted(cell, width)
        for cell, width, last in zip(row, widths, is_id, strict=True)
    ]
    return _GAP.join(cell + " " * (width - width_of(cell)) for cell, width in zip(shown, widths, strict=True)).rstrip()


def _end_of(text: str, columns: int) -> str:
    """Text cut from the left to so many columns."""
    return text if width_of(text) <= columns else "…" + fitted(text[::-1], columns).removesuffix("…")[::-1]


def _widths(natural: Sequence[int], least: Sequence[int], room: int) -> list[int] | None:
    """How wide each column is; None when they do not fit."""
    widths = list(natural)
    while sum(widths) > room:
        free = [i for i, width in enumerate(widths) if width > least[i]]
        if not free:
            return None
        widest = max(free, key=lambda i: widths[i])
        others = [widths[i] for i in free if widths[i] < widths[widest]]
        floor = max(least[widest], max(others, default=0))
        widths[widest] -= min(sum(widths) - room, max(1, widths[widest] - floor))
    return widths


def _print_records(out: TextIO, heads: Sequence[str], rows: Sequence[Sequence[str]], columns: int) -> None:
    """The first cells as a line, which is the name of the row; the others below it, each with its head."""
    first = next((i for i, head in enumerate(heads) if head), 0)
    width = max((width_of(head) for head in heads[first + 1 :]), default=0)
    for row in rows:
        out.write(" ".join(row[: first + 1]).rstrip() + "\n")
        for head, cell in zip(heads[first + 1 :], row[first + 1 :], strict=True):
            if cell:
                label = "  " + (head + " " * (width - width_of(head)) + _GAP if width else "")
                out.write(label + fitted(cell, max(_LEAST, columns - width_of(label))) + "\n")


def ago(text: str | None, now: datetime) -> str:
    """A time of the API as how long ago it was; empty for None."""
    if text is None:
        return ""
    return f"{duration_text(max(0.0, (now - datetime.fromisoformat(text)).total_seconds()))} ago"


def until(text: str | None, now: datetime) -> str:
    """A time of the API as how long it is until then; empty for None."""
    if text is None:
        return ""
    left_s = (datetime.fromisoformat(text) - now).total_seconds()
    return "now" if left_s <= 0 else f"in {duration_text(left_s)}"
