"""Queries: against a plain search through all entries, in both orders, page by page, and without reading everything."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries.maestro_audit_logger.audit_logs import make_log, open_log

from maestro_audit_logger import AuditReader, Entry, InvalidSetup, LogDamaged, NotInLog
from maestro_audit_logger._blocks import BLOCK, Block, _bloom
from maestro_audit_logger._spans import Span

START = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 3 * BLOCK + 500


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> AuditReader:
    """A log of three and a half blocks in three segments."""
    folder = tmp_path_factory.mktemp("query") / "log"
    make_log(folder, COUNT, at_once=50, segment_bytes=200_000)
    return AuditReader(folder)


names = st.none() | st.integers(0, 6)


@settings(max_examples=60, deadline=None)
@given(
    actor=names,
    action=names,
    number=st.none() | st.integers(0, COUNT + 10),
    since=st.none() | st.integers(-3, 80),
    until=st.none() | st.integers(-3, 80),
    after=st.none() | st.integers(-1, COUNT + 10),
    newest_first=st.booleans(),
    limit=st.none() | st.integers(0, 30),
)
def test_a_query_finds_what_a_plain_search_finds(
    reader: AuditReader,
    actor: int | None,
    action: int | None,
    number: int | None,
    since: int | None,
    until: int | None,
    after: int | None,
    newest_first: bool,
    limit: int | None,
) -> None:
    """Any combination of conditions, order, cursor and limit gives what reading everything gives."""

    def wanted(seq: int) -> bool:
        second = seq // 50
        return (
            (actor is None or seq % 5 == actor)
            and (action is None or seq % 3 == action)
            and (number is None or seq == number)
            and (since is None or second >= since)
            and (until is None or second < until)
            and (after is None or (seq < after if newest_first else seq > after))
        )

    expected = [seq for seq in range(COUNT) if wanted(seq)]
    found = reader.query(
        actor=None if actor is None else f"user:{actor}",
        action=None if action is None else f"act:{action}",
        object=None if number is None else f"thing:{number}",
        since=None if since is None else START + timedelta(seconds=since),
        until=None if until is None else START + timedelta(seconds=until),
        after=after,
        newest_first=newest_first,
        limit=limit,
    )
    assert [entry.seq for entry in found] == (expected[::-1] if newest_first else expected)[:limit]


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_join_without_gap_or_overlap(reader: AuditReader, newest_first: bool) -> None:
    """The cursor of a page is the number of its last entry."""
    seqs: list[int] = []
    cursor = None
    while page := list(reader.query(actor="user:1", after=cursor, limit=97, newest_first=newest_first)):
        cursor = page[-1].seq
        seqs += [entry.seq for entry in page]
    expected = [seq for seq in range(COUNT) if seq % 5 == 1]
    assert seqs == (expected[::-1] if newest_first else expected)


def test_a_query_reads_only_the_blocks_that_may_match(reader: AuditReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one object, and for a short time, one indexed block is read, beside what is not in whole blocks."""
    read: list[int] = []
    whole = Span.read

    def counted(span: Span) -> bytes:
        if span.block is not None:
            read.append(span.first)
        return whole(span)

    monkeypatch.setattr(Span, "read", counted)
    assert [entry.seq for entry in reader.query(object="thing:1500")] == [1500]
    assert read == []
    first = next(span.first for span in reader._spans(False) if span.block is not None)
    assert [entry.seq for entry in reader.query(object=f"thing:{first + 7}")] == [first + 7]
    assert read == [first]
    read.clear()
    start = START + timedelta(seconds=first // 50 + 5)
    assert len(list(reader.query(since=start, until=start + timedelta(seconds=2)))) == 100
    assert read == [first]


def test_a_query_gives_entries_as_it_reads(reader: AuditReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first page of a long log needs the first block, not all of them."""
    spans: list[Span] = []
    whole = Span.read

    def counted(span: Span) -> bytes:
        spans.append(span)
        return whole(span)

    monkeypatch.setattr(Span, "read", counted)
    results: Iterator[Entry] = reader.query()
    assert next(results).seq == 0
    assert len(spans) == 1


@given(st.sets(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=60), st.text(max_size=8))
def test_a_filter_never_says_no_wrongly(held: set[str], other: str) -> None:
    """What is held may be held; of what is not, nearly all is denied."""
    block = Block(0, 0, 0, "", "", b"", (_bloom(held),) * 3)
    assert all(block.may_hold("actor", name) for name in held)
    misses = sum(block.may_hold("actor", f"{name}-not") for name in map(str, range(200)) if f"{name}-not" not in held)
    assert misses < 40


def test_names_that_hide_in_details_are_not_found(tmp_path: Path) -> None:
    """A value in details that looks like a member, or names a member there, does not match a query for it."""
    with open_log(tmp_path / "log") as log:
        log.append(actor="eve", action="a", object="o", details={"actor": "root", "x": '"actor":"root"'})
        log.append(actor='ro"ot\\', action="a", object="o")
        assert list(log.query(actor="root")) == []
        assert [entry.seq for entry in log.query(actor='ro"ot\\')] == [1]


def test_hostile_queries(reader: AuditReader) -> None:
    """A negative limit, a naive time and half a character are refused; a strange name finds nothing."""
    with pytest.raises(InvalidSetup, match="limit"):
        reader.query(limit=-1)
    with pytest.raises(InvalidSetup, match="zone"):
        reader.query(since=datetime(2026, 1, 1))  # noqa: DTZ001  # naive on purpose
    with pytest.raises(InvalidSetup, match="surrogate"):
        reader.query(actor="\ud800")
    assert list(reader.query(actor='"},{"seq":0')) == []


def test_numbers_that_are_not_there(reader: AuditReader) -> None:
    """An entry beyond the end, or before the beginning, is an error that says how long the log is."""
    for seq in (-1, COUNT):
        with pytest.raises(NotInLog):
            reader.entry(seq)
        with pytest.raises(NotInLog):
            reader.prove_inclusion(seq)
    assert reader.entry(COUNT - 1).seq == COUNT - 1


def test_every_entry_proves(reader: AuditReader) -> None:
    """Proofs at the edges of blocks and segments, and some between, are made and hold."""
    checkpoint = reader.last_checkpoint()
    edges = {0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, COUNT - 2, COUNT - 1, *range(0, COUNT, 331)}
    edges |= {segment.first for segment in reader._layout.segments()}
    for seq in edges:
        proof = reader.prove_inclusion(seq)
        assert (proof.index, proof.checkpoint) == (seq, checkpoint)
        proof.verify_hashes()


def test_a_damaged_line_is_told_by_queries(tmp_path: Path) -> None:
    """A reader that comes upon a line that is no entry says so, and does not leave it out."""
    make_log(tmp_path / "log", 3)
    path = tmp_path / "log/segments/0000000000000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"seq":1', b'"seq"!1'))
    with pytest.raises(LogDamaged, match="verify the log"):
        list(AuditReader(tmp_path / "log").query())
