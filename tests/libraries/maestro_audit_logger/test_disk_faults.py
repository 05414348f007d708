"""A disk that is full or broken, at each call: an error, and a log that stays valid."""

import errno
from pathlib import Path

import pytest
from libraries.maestro_audit_logger.audit_logs import ORIGIN, SIGNER, check, event, make_log, open_log

from maestro_audit_logger import AppendFailed, AuditLog, AuditReader, Event, LogStopped, NoteKey
from maestro_audit_logger.testing import FaultyDisk

FULL = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")


def outcome_of(log: AuditLog, events: list[Event]) -> str:
    """What became of an append."""
    try:
        log.append_many(events)
    except AppendFailed:
        return "refused"
    except LogStopped:
        return "stopped"
    return "taken"


@pytest.mark.parametrize("error", [FULL, BROKEN], ids=["full", "broken"])
def test_a_fault_at_each_call_of_an_append(tmp_path: Path, error: OSError) -> None:
    """Refused entries are not in the log, or the log says that it does not know and stops; either way it is sound."""
    outcomes = set()
    for at in range(1, 9):
        folder, disk = tmp_path / f"{at}", FaultyDisk()
        with open_log(folder, disk=disk) as log:
            log.append_many([event(0)])
            disk.at, disk.error = len(disk.calls) + at, error
            outcome = outcome_of(log, [event(1), event(2)])
            outcomes.add(outcome)
            if outcome == "refused":
                assert [entry.seq for entry in log.query()] == [0]
                log.append_many([event(1)])
            elif outcome == "stopped":
                with pytest.raises(LogStopped, match="open it again"):
                    log.append_many([event(1)])
        assert check(folder).problems == []
        with open_log(folder) as log:
            assert log.append_many([event(3)])[0].seq >= 1
        assert check(folder).problems == []
        assert check(folder).notes == []
    assert outcomes == {"taken", "refused", "stopped"}


def test_a_fault_at_each_call_of_a_rotation(tmp_path: Path) -> None:
    """Where a new segment cannot be begun, the append fails and a later one begins it."""
    for at in range(1, 10):
        folder, disk = tmp_path / f"{at}", FaultyDisk()
        with open_log(folder, disk=disk, segment_bytes=100) as log:
            log.append_many([event(0)])
            disk.at, disk.error = len(disk.calls) + at, FULL
            try:
                log.append_many([event(1)])
            except AppendFailed:
                log.append_many([event(1)])
            except LogStopped:
                assert disk.calls[disk.at - 1] == "sync"
        with open_log(folder) as log:
            log.append_many([event(2)])
        assert check(folder).problems == []
        numbers = [entry.details["n"] for entry in AuditReader(folder).query() if entry.action != "audit.recover"]
        assert numbers in ([0, 1, 2], [0, 2])


def test_a_failed_truncation_stops_the_log(tmp_path: Path) -> None:
    """Where what a failed append left cannot be cut off either, nothing more is written; opening mends it."""

    class Worse(FaultyDisk):
        def truncate(self, file: int, size_bytes: int) -> None:
            raise BROKEN

    disk = Worse()
    with open_log(tmp_path / "log", disk=disk) as log:
        log.append_many([event(0)])
        disk.at, disk.error = len(disk.calls) + 1, FULL
        with pytest.raises(LogStopped, match="could not be taken back"):
            log.append_many([event(1)])
    assert check(tmp_path / "log").problems == []
    with open_log(tmp_path / "log") as log:
        assert log.recovery is not None
        assert log.recovery.dropped_bytes > 0
        assert log.append_many([event(1)])[0].seq == 2


def test_a_full_disk_loses_the_summary_only(tmp_path: Path) -> None:
    """The index is not worth an error: queries and proofs do without it, and opening makes it again."""
    make_log(tmp_path / "log", 1023)
    disk = FaultyDisk()
    with open_log(tmp_path / "log", disk=disk) as log:
        disk.at, disk.error = len(disk.calls) + 7, FULL
        log.append_many([event(1023)])
        assert disk.calls[-1] == "open 0000000000000000.jsonl"
        assert len(list(log.query(actor="user:3"))) == 205
        log.prove_inclusion(1023).verify([SIGNER.note_key])
    assert not (tmp_path / "log/index/0000000000000000.jsonl").exists()
    open_log(tmp_path / "log").close()
    assert (tmp_path / "log/index/0000000000000000.jsonl").exists()


def test_a_signer_that_fails_refuses_the_append(tmp_path: Path) -> None:
    """A KMS that cannot be reached is told as the cause; nothing is in the log, and the next append works."""

    class Unreachable:
        note_key: NoteKey = SIGNER.note_key
        works = True

        def sign(self, message: bytes) -> bytes:
            if not self.works:
                raise TimeoutError("the KMS does not answer")
            return SIGNER.sign(message)

    signer = Unreachable()
    with open_log(tmp_path / "log", signer=signer, origin=ORIGIN) as log:
        signer.works = False
        with pytest.raises(AppendFailed, match="KMS does not answer"):
            log.append_many([event(0)])
        signer.works = True
        assert log.append_many([event(1)])[0].seq == 0
    assert check(tmp_path / "log").sound


def test_a_fault_while_a_key_is_made_fails_that_batch_alone(tmp_path: Path) -> None:
    """Personal values whose key cannot be stored are not appended; others are not touched by it."""
    disk = FaultyDisk()
    with open_log(tmp_path / "log", disk=disk) as log:
        disk.at, disk.error = len(disk.calls) + 1, FULL
        with pytest.raises(AppendFailed, match="No space"):
            log.append(actor="u", action="a", object="o", personal={"s": {"x": 1}})
        assert log.append_many([event(0)])[0].seq == 0
