"""Exports: each format read back by its own rules gives the entries, whatever they hold."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maestro_audit_logger import Entry, Format, export
from maestro_audit_logger._canonical import canonical
from maestro_audit_logger._export import CSV_COLUMNS, as_json

names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Zl", "Zp")), min_size=1, max_size=12) | (
    st.sampled_from(
        ["=1+1", "+x", "-x", "@x", "a|b", "a\\|b", "a=b", "\\", "'x", "a,b", '"', "＝x", "é😀", "cs1=x act=y"]
    )
)
texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(["\r\n", "=cmd()", "\\n", "a\nb=c|d\\"])
details = st.dictionaries(texts, texts | st.integers(-9, 9) | st.lists(texts, max_size=2), max_size=3)
entries = st.builds(
    Entry,
    seq=st.integers(0, 2**40),
    at=st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # by timezones
    actor=names,
    action=names,
    object=names,
    outcome=st.sampled_from(["success", "failure"]) | names,
    details=details,
    context=details,
    personal=st.just({}),
    line=st.just(b""),
)


def exported(entries_: list[Entry], format_: Format) -> str:
    """The export of entries whose personal values are what their details are."""
    return "".join(export(entries_, format_, lambda entry: {"s": dict(entry.details)} if entry.details else {}))


def expected(entry: Entry) -> dict[str, Any]:
    """What has to come back."""
    return as_json(entry, {"s": dict(entry.details)} if entry.details else {})


@given(st.lists(entries, max_size=3))
def test_jsonl_reads_back(given_: list[Entry]) -> None:
    """One line of JSON for each entry."""
    lines = exported(given_, "jsonl").split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [expected(entry) for entry in given_]


@given(st.lists(entries, max_size=3))
def test_csv_reads_back_and_holds_no_formula(given_: list[Entry]) -> None:
    """A reader of RFC 4180 gets every cell, less the guard; none begins with what a spreadsheet takes for a formula."""
    rows = list(csv.reader(io.StringIO(exported(given_, "csv"), newline="")))
    assert rows.pop(0) == list(CSV_COLUMNS)
    for row, entry in zip(rows, given_, strict=True):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")) for cell in row)
        cells = [cell.removeprefix("'") for cell in row]
        values = expected(entry).values()
        assert cells == [value if isinstance(value, str) else canonical(value) for value in values]


def parse_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """Read CEF by its rules: a header of seven fields, then name=value pairs, with escapes in each."""
    parts = re.match(r"((?:[^|\\]|\\.)*\|){7}", line)
    assert parts is not None
    header = [re.sub(r"\\(.)", r"\1", field) for field in re.findall(r"((?:[^|\\]|\\.)*)\|", parts[0])]
    pairs = re.findall(r"(?:^| )(\w+)=((?:[^\\=]|\\.)*?)(?= \w+=|$)", line[parts.end() :], re.DOTALL)
    escapes = {"n": "\n", "r": "\r"}
    return header, {name: re.sub(r"\\(.)", lambda e: escapes.get(e[1], e[1]), value) for name, value in pairs}


@given(st.lists(entries, min_size=1, max_size=3))
def test_cef_reads_back(given_: list[Entry]) -> None:
    """Header and extension come back by the escaping rules of CEF; an entry is one line and cannot forge a field."""
    lines = exported(given_, "cef").split("\n")
    assert lines.pop() == ""
    for line, entry in zip(lines, given_, strict=True):
        header, fields = parse_cef(line)
        assert header[:4] == ["CEF:0", "Maestro", "maestro-audit-logger", "1"]
        assert header[4:6] == [entry.action, entry.action]
        assert header[6] in ("3", "6")
        got = [fields[name] for name in ("externalId", "suser", "act", "outcome", "cs1")]
        assert got == [str(entry.seq), entry.actor, entry.action, entry.outcome, entry.object]
        for number, value in ((2, entry.details), (3, entry.context)):
            assert json.loads(fields.get(f"cs{number}", "{}")) == value
        assert abs(int(fields["rt"]) - entry.at.timestamp() * 1000) <= 1


def test_cef_by_hand() -> None:
    """One line as a SIEM gets it."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    entry = Entry(7, at, "a=b", "log|in", "o\\", "denied", {"x": "1=2"}, {}, {}, b"")
    assert exported([entry], "cef").startswith(
        "CEF:0|Maestro|maestro-audit-logger|1|log\\|in|log\\|in|6|rt=1767225600000 externalId=7 suser=a\\=b act=log|in "
        'outcome=denied cs1Label=object cs1=o\\\\ cs2Label=details cs2={"x":"1\\=2"} cs4Label=personal'
    )
