"""Draws rows: settled ones once, for good; on a terminal the others below them, in place."""

import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TextIO

from maestro_cli._progress import Progress, Row, Word

_SYMBOLS: Final[Mapping[Word, tuple[str, str, str]]] = {
    # word: (symbol, symbol where the encoding is poor, colour)
    "done": ("✓", "+", "32"),
    "failed": ("✗", "x", "31"),
    "skipped": ("–", "-", "2"),
    "cancelled": ("■", "#", "33"),
    "running": ("●", "*", "36"),
    "retrying": ("↻", "~", "33"),
    "sleeping": ("◌", "z", "36"),
    "waiting": ("·", ".", "2"),
}
_LOG_COLUMNS = 120
_HIDE_CURSOR, _SHOW_CURSOR, _CLEAR_BELOW = "\x1b[?25l", "\x1b[?25h", "\x1b[J"


def duration_text(seconds: float | None) -> str:
    """A span as people read it: `0.8 s`, `42 s`, `3 min 05 s`, `2 h 10 min`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


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
    if width_of(text) <= columns:
        return text
    while text and width_of(text) > columns - 1:
        text = text[:-1]
    return text.rstrip() + "…"


@dataclass(frozen=True, slots=True)
class Look:
    """What the output can show: colour, symbols, and how wide the columns of a table of steps are."""

    colour: bool
    symbols: bool
    id_columns: int = 12
    kind_columns: int = 6

    def paint(self, code: str, text: str) -> str:
        """Text in a colour, or as it is."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text

    def line(self, row: Row, now: datetime, columns: int) -> str:
        """One step as one line; what there is to say about it is cut to what is left of `columns`."""
        rich, poor, colour = _SYMBOLS[row.word]
        state = self.paint(colour, f"{rich if self.symbols else poor} {row.word:<9}")
        step = f"{row.step:<{self.id_columns}}"
        kind = f"{row.kind:<{self.kind_columns}}"
        head = f"  {state} {step}  {self.paint('2', kind)}  {duration_text(row.elapsed_s(now)):>11}"
        note = plain(row.note(now))
        if not note:
            return head.rstrip() if not self.colour else head
        taken = 2 + 11 + 1 + self.id_columns + 2 + self.kind_columns + 2 + 11 + 3
        note = fitted(note, max(10, columns - taken))
        return f"{head}   {self.paint('31' if row.word == 'failed' else '2', note)}"


def look_of(stream: TextIO, environment: Mapping[str, str], progress: Progress) -> Look:
    """What `stream` can show: colour on a terminal only, and never with NO_COLOR (no-color.org)."""
    rows = progress.rows.values()
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    return Look(
        colour=stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb",
        symbols=encoding.startswith("utf"),
        id_columns=max((len(row.step) for row in rows), default=1),
        kind_columns=max((len(row.kind) for row in rows), default=1),
    )


class Screen:
    """Where progress is drawn. `settle` prints a line for good; `draw` shows the rest in place, on a terminal only."""

    def __init__(self, stream: TextIO, look: Look, *, in_place: bool) -> None:
        self._stream = stream
        self._look = look
        self._in_place = in_place
        self._drawn = 0

    def say(self, text: str = "") -> None:
        """Print a line for good, above whatever is drawn in place."""
        self._write(self._erased() + text + "\n")

    def settle(self, row: Row, now: datetime) -> None:
        """Print a step for good."""
        self.say(self._look.line(row, now, self._columns()))

    def draw(self, progress: Progress, now: datetime) -> None:
        """Show what is under way, and how much there is to come."""
        if not self._in_place:
            return
        columns, height = shutil.get_terminal_size()
        lines = _live_lines(self._look, progress, now, columns, max(3, height - 2))
        self._write(self._erased() + _HIDE_CURSOR + "".join(f"{line}\n" for line in lines))
        self._drawn = len(lines)

    def close(self) -> None:
        """Take away what is drawn in place and give the cursor back."""
        if self._in_place:
            self._write(self._erased() + _SHOW_CURSOR)

    def _columns(self) -> int:
        return shutil.get_terminal_size().columns if self._in_place else _LOG_COLUMNS

    def _erased(self) -> str:
        if not self._drawn:
            return ""
        drawn, self._drawn = self._drawn, 0
        return f"\x1b[{drawn}F{_CLEAR_BELOW}"

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _live_lines(look: Look, progress: Progress, now: datetime, columns: int, height: int) -> Sequence[str]:
    live = [row for row in progress.rows.values() if not row.is_settled and row.word != "waiting"]
    shown = [look.line(row, now, columns) for row in live[: height - 2]]
    if len(live) > len(shown):
        shown.append(look.paint("2", f"  … and {len(live) - len(shown)} more"))
    elapsed_s = None if progress.started_at is None else (now - progress.started_at).total_seconds()
    waiting = sum(row.word == "waiting" for row in progress.rows.values())
    count = len(progress.rows)
    summary = f"{progress.settled} of {count} step{'s' if count != 1 else ''}"
    summary += f" · {waiting} waiting" if waiting else ""
    summary += " · cancelling" if progress.cancelling else ""
    return [*shown, look.paint("2", fitted(f"  {summary} · {duration_text(elapsed_s)}", columns))]


def may_draw_in_place(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether `stream` is a terminal that understands cursor movement."""
    return stream.isatty() and environment.get("TERM", "dumb") != "dumb"
