"""Retention: old segments go, what is left proves as before, and nobody can hide entries behind it."""

from datetime import timedelta
from pathlib import Path

import pytest
from libraries.maestro_audit_logger.audit_logs import KEYS, check, event, make_log, open_log

from maestro_audit_logger import (
    AuditLog,
    AuditReader,
    Checkpoint,
    InvalidEvent,
    InvalidSetup,
    LogDamaged,
    NotInLog,
    Removal,
)
from maestro_audit_logger._layout import Layout, removed_text
from maestro_audit_logger._merkle import Frontier, leaf_hash
from maestro_audit_logger.testing import ManualClock, RecordedAudit

DAY = timedelta(days=1)


def daily(log: AuditLog, clock: ManualClock, days: int) -> list[Checkpoint]:
    """Append three entries a day, and give a checkpoint of each day."""
    checkpoints = []
    for day in range(days):
        log.append_many([event(3 * day + n) for n in range(3)])
        checkpoints.append(log.checkpoint())
        clock.advance(DAY)
    return checkpoints


def test_old_segments_go_and_the_rest_proves(tmp_path: Path) -> None:
    """Entries before the cut are gone; queries and proofs of what is left hold, then and later."""
    clock = ManualClock()
    with open_log(tmp_path / "log", clock=clock, segment_bytes=300) as log:
        checkpoints = daily(log, clock, 6)
        removal = log.retain(since=clock.at - 3 * DAY)
        assert removal == Removal(first=0, end=9, segments=3)
        (noted,) = log.query(action="audit.retain")
        assert (noted.details["first"], noted.details["end"]) == (0, 9)
        assert [entry.seq for entry in log.query()] == list(range(9, 19))
        for checkpoint in checkpoints[2:]:
            log.prove_consistency(checkpoint).verify(checkpoint, KEYS)
        with pytest.raises(NotInLog, match="removed by retention"):
            log.prove_consistency(checkpoints[1])
        with pytest.raises(NotInLog, match="removed by retention"):
            log.prove_inclusion(8)
        for seq in range(9, 19):
            log.prove_inclusion(seq).verify(KEYS)
    report = check(tmp_path / "log", checkpoints)
    assert report.problems == []
    assert (report.removed, report.size) == (9, 19)
    assert len([note for note in report.notes if "older than what retention removed" in note]) == 2
    with open_log(tmp_path / "log", clock=clock, segment_bytes=300) as log:
        daily(log, clock, 3)
        assert log.retain(since=clock.at - DAY) is not None
        assert log.retain(since=clock.at - DAY) is None
        log.prove_inclusion(25).verify(KEYS)
    assert check(tmp_path / "log").sound


def test_nothing_is_removed_that_is_needed(tmp_path: Path) -> None:
    """The last segment stays however old it is; a segment with one entry that is young enough stays whole."""
    clock = ManualClock()
    with open_log(tmp_path / "log", clock=clock) as log:
        daily(log, clock, 3)
        assert log.retain(since=clock.at + 365 * DAY) is None
        assert list(log.query(action="audit.retain")) == []
    with open_log(tmp_path / "log", clock=clock, segment_bytes=1) as log:
        log.append_many([event(9)])
        assert log.retain(since=clock.at - DAY) is None
        assert log.retain(since=clock.at - DAY / 2) == Removal(first=0, end=9, segments=1)


def test_a_changed_segment_is_not_removed(tmp_path: Path) -> None:
    """Retention does not wash away evidence: what is to be removed must be what was signed."""
    clock = ManualClock()
    with open_log(tmp_path / "log", clock=clock, segment_bytes=300) as log:
        daily(log, clock, 4)
        path = Layout(tmp_path / "log").segments()[1].path
        path.write_bytes(path.read_bytes().replace(b"user:4", b"user:5"))
        with pytest.raises(LogDamaged, match="Nothing was removed"):
            log.retain(since=clock.at)
        assert path.exists()
        assert list(log.query(action="audit.retain")) == []


def test_entries_cannot_be_hidden_behind_a_retention_that_never_was(tmp_path: Path) -> None:
    """Whoever deletes segments and writes the right edge over them is found: no entry of the log says so."""
    folder = tmp_path / "log"
    outside = make_log(folder, 6, at_once=3, segment_bytes=300)
    first = Layout(folder).segments()[0]
    edge = Frontier()
    for line in first.path.read_bytes().splitlines():
        edge.add(leaf_hash(line))
    (folder / "removed.json").write_bytes(removed_text(edge))
    first.path.unlink()
    assert check(folder, [outside]).problems == ["the first 3 entries are gone, and no audit.retain entry says so"]


def test_a_false_edge_makes_the_writer_remove_nothing(tmp_path: Path) -> None:
    """Opening takes segments away only once the edge over them has been shown to be the right one."""
    folder = tmp_path / "log"
    make_log(folder, 6, at_once=3, segment_bytes=300)
    (folder / "removed.json").write_bytes(removed_text(Frontier(3, [bytes(32), bytes(32)])))
    with pytest.raises(LogDamaged, match="not those that the checkpoint is of"):
        open_log(folder)
    assert len(Layout(folder).segments()) == 2


def test_a_removal_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    """Where the writer died between the edge and the files, readers pass these over, and opening takes them away."""
    clock = ManualClock()
    with open_log(tmp_path / "log", clock=clock, segment_bytes=300) as log:
        daily(log, clock, 3)
        first = Layout(tmp_path / "log").segments()[0]
        whole = first.path.read_bytes()
        log.retain(since=clock.at - 2 * DAY)
    first.path.write_bytes(whole)
    assert check(tmp_path / "log").sound
    assert next(AuditReader(tmp_path / "log").query()).seq == 3
    open_log(tmp_path / "log").close()
    assert not first.path.exists()
    assert check(tmp_path / "log").sound


def test_a_missing_segment_is_told(tmp_path: Path) -> None:
    """First, middle and last: the check and the writer both say what is missing."""
    for missing in range(3):
        folder = tmp_path / f"{missing}"
        clock = ManualClock()
        with open_log(folder, clock=clock, segment_bytes=300) as log:
            outside = daily(log, clock, 3)[-1]
        Layout(folder).segments()[missing].path.unlink()
        assert not check(folder, [outside]).sound
        assert_unreadable(folder)
        with pytest.raises(LogDamaged, match=r"missing|follow|ends after"):
            open_log(folder)


def assert_unreadable(folder: Path) -> None:
    """No proof is made over a gap."""
    with pytest.raises((LogDamaged, NotInLog)):
        AuditReader(folder).prove_inclusion(8)


def test_a_log_that_lost_its_files_is_not_begun_anew(tmp_path: Path) -> None:
    """Where FORMAT, or all segments, are gone, neither the check nor the writer takes the rest for a new log."""
    for names in (["FORMAT"], ["segments"], ["FORMAT", "segments"]):
        folder = tmp_path / "-".join(names)
        make_log(folder, 3)
        for name in names:
            (folder / name).rename(tmp_path / f"hidden-{folder.name}-{name}")
        with pytest.raises(LogDamaged):
            open_log(folder)
        with pytest.raises((InvalidSetup, AssertionError)):
            assert check(folder).sound


def test_what_does_not_belong_there_is_told(tmp_path: Path) -> None:
    """A strange file among the segments is neither read nor passed over."""
    make_log(tmp_path / "log", 1)
    (tmp_path / "log/segments/notes.txt").write_text("x")
    assert check(tmp_path / "log").problems == ["'segments/notes.txt' is not a file of this log"]
    with pytest.raises(LogDamaged, match=r"notes\.txt"):
        list(AuditReader(tmp_path / "log").query())


@pytest.mark.parametrize("action", ["audit.retain", "audit.erase", "audit.recover", "audit.anything"])
def test_nobody_else_says_what_only_the_log_may_say(tmp_path: Path, action: str) -> None:
    """Or an application could account for entries that somebody has taken away."""
    with AuditLog(tmp_path / "log", origin="test") as log:
        with pytest.raises(InvalidEvent, match="what the log says of itself"):
            log.append(actor="user:7", action=action, object="test", details={"size": 3})
        assert list(log.query()) == []
    with pytest.raises(InvalidEvent, match="what the log says of itself"):
        RecordedAudit().append(actor="user:7", action=action, object="test")
