"""Tables fit where they are shown, and keep what people copy."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_cli._table import print_table
from maestro_cli._text import width_of

HEADS = ("id", "name", "status", "error")
ROW = ("01a1ffc1-e652-76f1-ae14-111c43700561", "review-and-ship", "failed", "nobody was there to open the door")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def table(columns: int | None, *rows: tuple[str, ...], **options: tuple[str, ...]) -> list[str]:
    """The lines on a terminal of so many columns; None is a pipe."""
    stream = io.StringIO() if columns is None else Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns or 10))
        print_table(HEADS, rows or [ROW], stream=stream, **options)
    return stream.getvalue().splitlines()


def test_what_has_room_is_shown_whole() -> None:
    """Columns stand below their heads; a pipe has room, however narrow the terminal is."""
    assert table(None) == table(200)
    assert table(200)[1] == "  ".join(ROW)
    assert table(200)[0].index("name") == table(200)[1].index("review")


def test_an_empty_column_is_left_out() -> None:
    """Its head takes no room."""
    assert table(200, ("1", "n", "running", ""))[0] == "id  name  status"


def test_narrow_terminals_cut_ids_from_the_left_and_leave_spare_columns_out() -> None:
    """The end of an id is what people type."""
    head, line = table(40, ids=("id",), spare=("error",))
    assert head.split() == ["id", "name", "status"]
    assert line.startswith("…")
    assert line.split()[0][1:] == ROW[0][-len(line.split()[0]) + 1 :]


def test_where_nothing_helps_each_row_becomes_a_few_lines() -> None:
    """The whole columns stay whole, whatever the terminal."""
    assert table(20, whole=("id",)) == [
        ROW[0],
        "  name    review-an…",
        "  status  failed",
        "  error   nobody wa…",
    ]


@given(
    st.lists(st.tuples(*[st.text(max_size=60)] * 4), min_size=1, max_size=5),
    st.integers(40, 200),
    st.sampled_from([(), ("name",), ("name", "error")]),
)
def test_no_line_is_wider_than_the_terminal(rows: list[tuple[str, ...]], columns: int, spare: tuple[str, ...]) -> None:
    """Whatever the cells hold: wide characters, control characters, nothing."""
    for line in table(columns, *rows, ids=("id",), spare=spare):
        assert width_of(line) <= max(columns, 60)
        assert line.isprintable() or any(not char.isprintable() and ord(char) > 127 for char in line)
