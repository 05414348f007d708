"""Entries for a person at a terminal."""

import sys
from collections.abc import Sequence

from maestro_audit_logger._canonical import canonical
from maestro_audit_logger._entry import Entry, time_text
from maestro_audit_logger._export import ShowPersonal


def show_entries(entries: Sequence[Entry], show_personal: ShowPersonal) -> None:
    """Print a table, with details below each entry that has some."""
    rows = [
        (str(entry.seq), time_text(entry.at), entry.actor, entry.action, entry.object, entry.outcome)
        for entry in entries
    ]
    widths = [min(40, max(map(len, column))) for column in zip(*rows, strict=True)]
    for entry, row in zip(entries, rows, strict=True):
        number, *texts = (printable(cell) for cell in row)
        cells = [number.rjust(widths[0]), *(text.ljust(width) for text, width in zip(texts, widths[1:], strict=True))]
        print("  ".join(cells).rstrip())
        more = (("details", entry.details), ("context", entry.context), ("personal", show_personal(entry)))
        for name, value in more:
            if value:
                print(f"{'':{widths[0]}}    {name} {printable(canonical(value))}")
    if not entries:
        print("no entries", file=sys.stderr)


def printable(text: str) -> str:
    """The text with all that could steer a terminal, or hide, written as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
