"""Entries for other programs: JSON Lines, CSV, and CEF for a SIEM."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, TypeAlias

from maestro_audit_logger._canonical import canonical
from maestro_audit_logger._entry import Entry, time_text

Format: TypeAlias = Literal["jsonl", "csv", "cef"]
ShowPersonal: TypeAlias = Callable[[Entry], dict[str, dict[str, Any]]]

CSV_COLUMNS = ("seq", "at", "actor", "action", "object", "outcome", "details", "context", "personal")
# What a spreadsheet takes for a formula, also in its full-width forms, and the mark that we put before it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")


def export(entries: Iterable[Entry], format: Format, show_personal: ShowPersonal) -> Iterator[str]:
    """Give the entries as lines of the format, each with its end; CSV begins with a line of names.

    `show_personal` is `log.conceal` or `log.reveal`.
    """
    if format == "csv":
        yield _csv_line(CSV_COLUMNS)
    line = {"jsonl": _jsonl, "csv": _csv, "cef": _cef}[format]
    for entry in entries:
        yield line(entry, show_personal(entry))


def as_json(entry: Entry, personal: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The entry as plain data."""
    return {
        "seq": entry.seq,
        "at": time_text(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "object": entry.object,
        "outcome": entry.outcome,
        "details": entry.details,
        "context": entry.context,
        "personal": personal,
    }


def _jsonl(entry: Entry, personal: dict[str, dict[str, Any]]) -> str:
    return canonical(as_json(entry, personal)) + "\n"


def _csv(entry: Entry, personal: dict[str, dict[str, Any]]) -> str:
    values = as_json(entry, personal)
    return _csv_line([value if isinstance(value, str) else canonical(value) for value in values.values()])


def _csv_line(cells: Iterable[str]) -> str:
    """One line by RFC 4180. A cell that could be a formula gets `'` in front, and so does one that begins with `'`."""
    text = io.StringIO()
    guarded = [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]
    csv.writer(text, lineterminator="\r\n").writerow(guarded)
    return text.getvalue()


def _cef(entry: Entry, personal: dict[str, dict[str, Any]]) -> str:
    severity = "3" if entry.outcome in ("success", "ok") else "6"
    header = ["CEF:0", "Maestro", "maestro-audit-logger", "1", entry.action, entry.action, severity]
    values = {
        "rt": str(round(entry.at.timestamp() * 1000)),
        "externalId": str(entry.seq),
        "suser": entry.actor,
        "act": entry.action,
        "outcome": entry.outcome,
        "cs1Label": "object",
        "cs1": entry.object,
    }
    for number, (label, value) in enumerate(
        (("details", entry.details), ("context", entry.context), ("personal", personal)), 2
    ):
        if value:
            values |= {f"cs{number}Label": label, f"cs{number}": canonical(value)}
    fields = " ".join(f"{name}={_cef_value(value)}" for name, value in values.items())
    return "|".join([header[0], *map(_cef_header, header[1:]), fields]) + "\n"


def _cef_header(text: str) -> str:
    """Names hold no line breaks, so that only the separator and the escape itself need escaping."""
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _cef_value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\r", "\\r").replace("\n", "\\n")
