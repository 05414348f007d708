"""Draws rows: settled ones once, for good; on a terminal the others below them, in place."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TextIO

from maestro_cli._progress import Progress, Row, Word
from maestro_cli._text import duration_text, fitted, has_symbols, plain

_SYMBOLS: Final[Mapping[Word, tuple[str, str, str]]] = {
    # word: (symbol, symbol where the encoding is poor, colour)
    "done": ("✓", "+", "32"),
    "failed": ("✗", "x", "31"),
    "skipped": ("–", "-", "2"),
    "cancelled": ("■", "#", "33"),
    "running": ("●", "*", "36"),
    "retrying": ("↻", "~", "33"),
    "sleeping": ("◌", "z", "36"),
    "asking": ("?", "?", "35"),
    "waiting": ("·", ".", "2"),
}
_LOG_COLUMNS = 120
_HIDE_CURSOR, _SHOW_CURSOR, _CLEAR_BELOW = "\x1b[?25l", "\x1b[?25h", "\x1b[J"


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
    return Look(
        colour=stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb",
        symbols=has_symbols(stream),
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
        self._held: list[str] | None = None

    def say(self, text: str = "") -> None:
        """Print a line for good, above whatever is drawn in place."""
        if self._held is not None:
            self._held.append(text)
        else:
            self._write(self._erased() + text + "\n")

    def hold(self) -> None:
        """Leave the screen to somebody else until `release`; what is said meanwhile is kept."""
        self.close()
        self._held = []

    def release(self) -> None:
        """Print what was said meanwhile."""
        held, self._held = self._held or [], None
        for text in held:
            self.say(text)

    def settle(self, row: Row, now: datetime) -> None:
        """Print a step for good."""
        self.say(self._look.line(row, now, self._columns()))

    def draw(self, progress: Progress, now: datetime) -> None:
        """Show what is under way, and how much there is to come."""
        if not self._in_place or self._held is not None:
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
    summary += " · cancelling" if progress.cancelling else " · paused" if progress.is_paused else ""
    return [*shown, look.paint("2", fitted(f"  {summary} · {duration_text(elapsed_s)}", columns))]


def may_draw_in_place(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether `stream` is a terminal that understands cursor movement."""
    return stream.isatty() and environment.get("TERM", "dumb") != "dumb"
