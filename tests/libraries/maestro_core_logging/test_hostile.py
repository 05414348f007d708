"""Whatever a program logs, the call returns, quickly, and the line stays a line."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_core_logging import Limits, get_logger
from maestro_core_logging._clean import Cleaner
from maestro_core_logging._pipeline import Pipeline
from maestro_core_logging._redact import Redactor
from maestro_core_logging._secrets import KnownSecrets
from maestro_core_logging.testing import captured

Read = Callable[..., list[dict[str, Any]]]
Rendered = Callable[..., str]
log = get_logger("hostile")


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    password: str


class Raises:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[int]:
        raise RuntimeError("no")


class RaisesOnLookup(dict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no")


class Everything:
    """Answers to every name, as mocks do."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_a, **_k: "answer"


class Holds:
    def get_secret_value(self) -> str:
        return "s3cret"


class LoudText(str):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Raises(), "<Raises that fails with RuntimeError>"),
        (RaisesOnLookup(a=1), "<RaisesOnLookup that fails with RuntimeError>"),
        ([1, Raises()], [1, "<Raises that fails with RuntimeError>"]),
        (Holds(), "[redacted]"),
        (LoudText("plain"), "plain"),
        (Colour.RED, "red"),
        (Point(1, "s3cret"), {"x": 1, "password": "[redacted]"}),
        (b"caf\xc3\xa9\xff", "café\\\\xff".replace("\\\\", "\\")),
        (bytearray(b"ab"), "ab"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (1 << 4000, "<integer of 4001 bits>"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (Decimal("1.5"), "1.5"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("/a"), "/a"),
        ({1}, [1]),
        ({(1, 2): "v", None: 3}, {"<tuple too deep>": "v", "None": 3}),
        (ValueError("x"), "ValueError: x"),
        (range(3), "range(0, 3)"),
        ("\ud800", "\ud800"),
        (True, True),
    ],
)
def test_any_value_becomes_plain_json(records: Read, value: Any, expected: Any) -> None:
    """Values of every kind are written in a stable, harmless form."""
    (record,) = records(lambda: log.info("x", value=value))

    assert record["value"] == expected


def test_an_object_that_answers_to_every_name_is_written(records: Read) -> None:
    """Mocks and proxies are judged by their type, not by the attributes that they pretend to have."""
    (record,) = records(lambda: log.info("x", value=Everything()))

    assert record["value"].startswith("<")
    assert "Everything" in record["value"]


def test_cycles_end(records: Read) -> None:
    """A structure that holds itself is written once; the same part in two places is written twice."""
    cycle: dict[str, Any] = {"a": 1}
    cycle["self"] = [cycle]
    shared = {"b": 2}

    (record,) = records(lambda: log.info("x", cycle=cycle, twice=[shared, shared]))

    assert record["cycle"] == {"a": 1, "self": ["<itself>"]}
    assert record["twice"] == [{"b": 2}, {"b": 2}]


def test_sizes_are_bounded_with_a_mark(records: Read) -> None:
    """Long texts, wide and deep structures are cut, and the mark says how much is missing."""
    deep: Any = "bottom"
    for _ in range(20):
        deep = [deep]

    (record,) = records(
        lambda: log.info(
            "e" * 50, text="x" * 100, wide=list(range(10)), table={str(n): n for n in range(9)}, deep=deep
        ),
        limits=Limits(text_chars=20, items=5, depth=3),
    )

    assert record["event"] == "e" * 20 + "...[30 more characters]"
    assert record["text"] == "x" * 20 + "...[80 more characters]"
    assert record["wide"] == [0, 1, 2, 3, 4, "...[5 more]"]
    assert record["table"] == {"0": 0, "1": 1, "2": 2, "3": 3, "4": 4, "...": "[4 more]"}
    assert record["deep"] == [[["<list too deep>"]]]


def test_a_line_never_exceeds_its_limit(rendered: Rendered) -> None:
    """A record that is too large in all is cut further, down to a notice if it must be, and counted."""
    huge = {f"key-{n}-{'k' * 100}": "\U0001f600" * 8000 for n in range(100)}

    def work() -> None:
        log.info("huge", **huge)
        log.info("h" * 100_000, table=[huge] * 100)
        try:
            raise ValueError("v" * 1_000_000)
        except ValueError:
            log.exception("failed")

    for kind in ("json", "console"):
        output = rendered(work, format=kind, limits=Limits(line_bytes=4096))
        records = output.split("\n20") if kind == "console" else output.splitlines()
        assert len(records) == 3
        assert all(len(record.encode("utf-8", "backslashreplace")) <= 4096 for record in records)


def test_no_time_is_spent_on_texts_for_which_there_is_no_room() -> None:
    """When the texts of a record have filled a line, further ones are only counted."""
    cleaner = Cleaner(Redactor(), KnownSecrets(), Limits(line_bytes=1024, text_chars=600))

    assert [cleaner.text("x" * 600)[:5] for _ in range(3)] == ["xxxxx", "xxxxx", "...[6"]
    assert cleaner.text("x" * 700) == "...[700 characters]"


def test_a_billion_nodes_take_no_time(records: Read) -> None:
    """A small structure that unfolds to a huge one is cut by the number of its values."""
    bomb: list[Any] = ["x"]
    for _ in range(7):
        bomb = [bomb] * 100

    started = time.perf_counter()
    (record,) = records(lambda: log.info("bomb", bomb=bomb))

    assert time.perf_counter() - started < 5
    assert "left out" in json.dumps(record["bomb"])


@pytest.mark.parametrize(
    "text",
    [
        "://a:" * 2000 + "@",
        "password" + "\\" * 8000 + ":",
        'token="' * 1200,
        "password='" + "\\" * 8000,
        "sk-" * 2700,
        "-----BEGIN PRIVATE KEY-----" * 300,
        "eyJ" * 2700,
        "Authorization:" * 600,
        "secret" + " " * 8000 + "=",
        "a" * 8000,
    ],
)
def test_no_text_makes_the_patterns_slow(records: Read, text: str) -> None:
    """Texts made to lead a regular expression astray cost no more than others."""
    started = time.perf_counter()
    records(lambda: log.info("x", text=text))

    assert time.perf_counter() - started < 2


INJECTION = 'done\n{"level":"info","event":"forged"}\r\x1b[2J\x1b]0;title\x07\x9b31m\u2028\u202egnp.exe\x00\x7f'


@pytest.mark.parametrize("kind", ["json", "console"])
def test_no_record_can_forge_another_or_command_a_terminal(rendered: Rendered, kind: str) -> None:
    """Line ends and control characters in messages, fields, names and exceptions become visible text."""

    def work() -> None:
        log.info(INJECTION, value=INJECTION, nested=[{INJECTION: INJECTION}], **{INJECTION: 1})
        logging.getLogger(INJECTION).info("by %s", INJECTION)

    output = rendered(work, format=kind)

    assert len(output.splitlines()) == 2
    assert all(char.isprintable() or char == "\n" for char in output)
    if kind == "json":
        first = json.loads(output.splitlines()[0])
        assert not any(char in first["value"] for char in "\x1b\x07\x9b\u2028\u202e\x00\x7f")


def test_a_traceback_cannot_forge_a_record_on_a_console(rendered: Rendered) -> None:
    """Each line of a traceback is set under its record."""

    def work() -> None:
        try:
            raise ValueError("x\n2026-11-21T00:00:00.000000Z [info     ] forged\x1b[31m")
        except ValueError:
            log.exception("failed", stack_info=True)

    first, *others = rendered(work, format="console").splitlines()

    assert "failed" in first
    assert all(line.startswith("    | ") for line in others)
    assert any("forged\\x1b[31m" in line for line in others)


def test_logging_while_logging_ends(records: Read) -> None:
    """An object that logs in its own repr does not recurse."""

    class Chatty:
        def __repr__(self) -> str:
            log.info("from repr")
            return "chatty"

    found = records(lambda: log.info("x", value=Chatty()))

    assert [(record["event"], record.get("value")) for record in found] == [("x", "chatty")]


def test_a_fault_of_the_library_does_not_reach_the_caller(monkeypatch: pytest.MonkeyPatch, setup_to: Any) -> None:
    """If cleaning itself broke, a notice would be written and counted, without the content."""

    def broken(*_args: object) -> None:
        raise RuntimeError("s3cret")

    setup, stream = setup_to()
    monkeypatch.setattr(Cleaner, "fields", broken)
    log.info("x", a=1)
    assert setup.flush(10)

    record = json.loads(stream.getvalue())
    assert (record["event"], record["error"]) == ("logging.record_failed", "RuntimeError")
    assert "s3cret" not in stream.getvalue()
    assert setup.dropped == {"failed": 1}


def test_a_notice_that_cannot_be_written_is_counted(monkeypatch: pytest.MonkeyPatch, setup_to: Any) -> None:
    """If not even the notice of a fault gets out, the counters still tell of both."""

    def broken(*_args: object) -> None:
        raise RuntimeError("s3cret")

    setup, stream = setup_to()
    monkeypatch.setattr(Cleaner, "fields", broken)
    monkeypatch.setattr(Pipeline, "_notice", broken)
    log.info("x", a=1)
    assert setup.flush(10)

    assert stream.getvalue() == ""
    assert setup.dropped == {"failed": 1, "unnoticed": 1}


def test_deep_recursion_of_the_program_is_survived(setup_to: Any) -> None:
    """A program near its recursion limit gets its own error, not one from logging."""
    setup_to()

    def deeper(depth: int) -> int:
        log.info("deep", depth=depth)
        return deeper(depth + 1)

    with pytest.raises(RecursionError):
        deeper(0)


def test_a_table_that_changes_meanwhile_is_survived(records: Read) -> None:
    """Another thread that writes to a logged table can cost its content, never the record."""
    table: dict[int, int] = {}
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            table[number % 500] = number
            table.pop((number * 7) % 500, None)
            number += 1

    thread = threading.Thread(target=change)
    thread.start()

    def work() -> None:
        for _ in range(50):
            log.info("x", table=table)

    try:
        found = records(work)
    finally:
        stop.set()
        thread.join()

    assert len(found) == 50


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.text()), inner, max_size=4)
        | st.tuples(inner)
        | st.frozensets(st.text() | st.integers(), max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.text(), JSON_VALUES, st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_anything_gives_exactly_one_valid_line(
    rendered: Rendered, event: str, value: Any, fields: dict[str, Any]
) -> None:
    """For random events and fields, JSON output is one parsable ASCII line with the whole frame."""
    output = rendered(lambda: log.info(event, value=value, more=fields))

    assert output.count("\n") == 1
    assert output.isascii()
    record = json.loads(output)
    assert list(record)[:4] == ["timestamp", "level", "logger", "event"]


def test_odd_logging_calls_are_records_too() -> None:
    """Records made by hand, without the usual attributes, pass the same way."""
    with captured() as logged:
        logging.getLogger().handle(logging.makeLogRecord({"msg": "by hand", "levelno": 20, "name": "n"}))
        logging.getLogger().handle(logging.makeLogRecord({"name": None, "levelno": 30, "levelname": None}))

    assert [record["logger"] for record in logged] == ["n", "None"]
