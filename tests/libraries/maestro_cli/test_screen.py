"""What is drawn is one line a step, safe against what steps say, and plain where there is no terminal."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_cli._progress import Progress, Row
from maestro_cli._screen import Look, Screen, look_of, may_draw_in_place
from maestro_cli._text import duration_text, fitted, plain, size_text, width_of

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PLAIN = Look(colour=False, symbols=True, id_columns=6, kind_columns=5)


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def row(**fields: object) -> Row:
    made = Row("fetch", "http", 3)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_a_line_names_state_step_kind_time_and_note() -> None:
    """The columns stand where they stood in the line above."""
    done = row(word="done", started_at=NOW - timedelta(seconds=1.25), finished_at=NOW)
    failed = row(word="failed", message="no answer")
    assert PLAIN.line(done, NOW, 120) == "  ✓ done      fetch   http         1.2 s"
    assert PLAIN.line(failed, NOW, 120) == "  ✗ failed    fetch   http                 no answer"


def test_a_poor_encoding_gets_ascii_symbols() -> None:
    """A stream that cannot write ✓ gets a plus."""
    assert Look(colour=False, symbols=False).line(row(word="done"), NOW, 120).startswith("  + done")


@pytest.mark.parametrize(
    ("environment", "colour"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_needs_a_terminal_and_no_no_color(environment: dict[str, str], colour: bool) -> None:
    """NO_COLOR is respected, and a file never holds escape codes."""
    progress = Progress({"fetch": row()})
    assert look_of(Terminal(), environment, progress).colour is colour
    assert look_of(io.StringIO(), environment, progress).colour is False
    assert may_draw_in_place(io.StringIO(), environment) is False


def test_what_is_drawn_in_place_is_erased_before_the_next_line() -> None:
    """A settled line is printed above the live ones; closing leaves only settled lines and the cursor."""
    stream = Terminal()
    screen = Screen(stream, PLAIN, in_place=True)
    progress = Progress({"fetch": row(word="running", started_at=NOW)}, started_at=NOW)
    screen.draw(progress, NOW)
    screen.settle(row(word="done"), NOW)
    screen.close()
    text = stream.getvalue()
    assert "0 of 1 step ·" in text
    assert "\x1b[2F\x1b[J  ✓ done" in text
    assert text.endswith("\x1b[?25h")


def test_nothing_is_drawn_in_place_without_a_terminal() -> None:
    """A log gets settled lines and no escape codes at all."""
    stream = io.StringIO()
    screen = Screen(stream, PLAIN, in_place=False)
    screen.draw(Progress({"fetch": row(word="running")}), NOW)
    screen.settle(row(word="done"), NOW)
    screen.close()
    assert stream.getvalue() == "  ✓ done      fetch   http\n"


def test_many_running_steps_never_fill_more_than_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,000 running steps as many lines are shown as fit, and the rest is a number."""
    monkeypatch.setenv("LINES", "12")
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    rows = {str(n): Row(str(n), "http", word="running", started_at=NOW) for n in range(1000)}
    Screen(stream, PLAIN, in_place=True).draw(Progress(rows, started_at=NOW), NOW)
    assert stream.getvalue().count("\n") <= 10
    assert "… and 992 more" in stream.getvalue()


def test_an_escape_sequence_in_an_error_does_not_reach_the_terminal() -> None:
    """A step cannot move the cursor, change colours, or turn the text around."""
    line = PLAIN.line(row(word="failed", message="\x1b[2J\x07\u202eevil\r\n"), NOW, 120)
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert "evil" in line


@given(st.text(), st.integers(2, 60))
def test_fitted_text_fits(text: str, columns: int) -> None:
    """Cut text takes no more columns than there are, and text that fits is not cut."""
    clean = plain(text)
    cut = fitted(clean, columns)
    assert width_of(cut) <= columns
    assert cut == clean or width_of(clean) > columns


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    """A span is told in the unit that people would use."""
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")]
)
def test_sizes_read_well(size: int, text: str) -> None:
    """A size is told in the unit that people would use."""
    assert size_text(size) == text
