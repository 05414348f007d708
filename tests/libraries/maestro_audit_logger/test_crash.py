"""kill -9 at each call to the disk: every acknowledged entry is there, the log is sound, and opens again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from libraries.maestro_audit_logger.audit_logs import KEYS, ORIGIN, check, open_log

from kit.processes import import_path
from maestro_audit_logger import AuditReader, Checkpoint, LogDamaged

# Appends, rotates, erases and retains; tells each thing once it is acknowledged. A child for each call to the disk is
# killed there; the last one lives to the end. Forked, since a hundred fresh interpreters would take a minute.
PROGRAM = """
import os, sys
from datetime import timedelta
from maestro_audit_logger.testing import FaultyDisk, ManualClock
from libraries.maestro_audit_logger.audit_logs import event, open_log
from pathlib import Path

def live(folder, kill_at, fsync):
    told = open(folder.with_suffix(".told"), "w", buffering=1)
    disk, clock = FaultyDisk(kill_at), ManualClock()
    log = open_log(folder, disk=disk, clock=clock, fsync=fsync, batch_ms=60_000, segment_bytes=300)
    print("opened", file=told)
    for first in range(0, 6, 2):
        for receipt in log.append_many([event(first), event(first + 1)]):
            print(f"entry {receipt.seq}", file=told)
        clock.advance(timedelta(days=1))
    log.append(actor="u", action="personal", object="o", personal={"s": {"email": "a@example.com"}})
    print("personal", file=told)
    log.erase("s")
    print("erased", file=told)
    log.retain(since=clock.at)
    print("retained", file=told)
    log.append(actor="u", action="last", object="o")
    log.close()
    print("closed", file=told)

kill_at, status = 0, None
while status != 0:
    kill_at += 1
    child = os.fork()
    if child == 0:
        live(Path(sys.argv[1]) / f"{kill_at:03}", kill_at, sys.argv[2])
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -9), status
print(kill_at)
"""


@pytest.mark.parametrize("fsync", ["always", "batch", "never"])
def test_killed_at_every_call(tmp_path: Path, fsync: str) -> None:
    """Whatever was acknowledged survives; what was not may be there or not; nothing is torn or out of order."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), fsync],
        env={**os.environ, "PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lives = int(done.stdout)
    assert lives > 40
    for life in range(1, lives + 1):
        folder = tmp_path / f"{life:03}"
        told = folder.with_suffix(".told").read_text().splitlines()
        assert ("closed" in told) == (life == lives)
        outlives(folder, told)


def outlives(folder: Path, told: list[str]) -> None:
    """Check the log that a killed writer left, then open it again, and check what that made of it."""
    heads: list[Checkpoint] = []
    if "opened" in told:
        assert check(folder).problems == []
        heads = [AuditReader(folder).last_checkpoint()]
        heads[0].signed_by(KEYS)
    with open_log(folder, segment_bytes=300) as log:
        assert (log.recovery is not None) == any(entry.action == "audit.recover" for entry in log.query())
        log.append(actor="u", action="after", object="o")
        outside = log.checkpoint()
    report = check(folder, [*heads, outside])
    assert report.problems == []
    reader = AuditReader(folder)
    entries = {entry.seq: entry for entry in reader.query()}
    assert list(entries) == list(range(report.removed, report.size))
    for line in told:
        word, *values = line.split()
        if word == "entry" and int(values[0]) >= report.removed:
            assert entries[int(values[0])].details["n"] == int(values[0])
    actions = [entry.action for entry in entries.values()]
    assert ("personal" not in told) or "personal" in actions
    assert ("erased" not in told) or "audit.erase" in actions
    personal = [reader.reveal(entry) for entry in entries.values() if entry.personal]
    if "erased" in told:
        assert personal == [{"s": {"email": "[erased]"}}]
    elif "personal" in told:
        assert personal in ([{"s": {"email": "[erased]"}}], [{"s": {"email": "a@example.com"}}])
    if any(line.startswith("retained") for line in told):
        assert report.removed > 0


def test_a_torn_end_is_cut_off_and_told(tmp_path: Path) -> None:
    """Half an entry after the last checkpoint, which nobody was promised, is dropped; property and log entry say so."""
    with open_log(tmp_path / "log") as log:
        log.append(actor="u", action="a", object="o")
    path = tmp_path / "log/segments/0000000000000000.jsonl"
    with path.open("ab") as file:
        file.write(b'{"action":"b","act')
    with open_log(tmp_path / "log") as log:
        assert log.recovery is not None
        assert (log.recovery.adopted, log.recovery.dropped_bytes) == (0, 18)
        (entry,) = log.query(action="audit.recover")
        assert entry.details["dropped_bytes"] == 18
        assert entry.details["dropped_sha256"] == log.recovery.dropped_sha256
    assert check(tmp_path / "log").notes == []


def test_whole_entries_after_the_checkpoint_are_adopted_and_told(tmp_path: Path) -> None:
    """They may have been acknowledged under `batch` or `never`; how many there were is in the log for ever."""
    with open_log(tmp_path / "log") as log:
        log.append(actor="u", action="a", object="o")
        older = (tmp_path / "log/checkpoint").read_bytes()
        log.append(actor="u", action="b", object="o")
    (tmp_path / "log/checkpoint").write_bytes(older)
    with open_log(tmp_path / "log") as log:
        assert log.recovery is not None
        assert log.recovery.adopted == 1
        assert [entry.action for entry in log.query()] == ["a", "b", "audit.recover"]


@pytest.mark.parametrize("keep", [0, 1])
def test_a_loss_of_what_was_signed_is_not_mended(tmp_path: Path, keep: int) -> None:
    """Opening refuses a log that is shorter than its checkpoint, and leaves the evidence as it is."""
    with open_log(tmp_path / "log") as log:
        for _ in range(2):
            log.append(actor="u", action="a", object="o")
    path = tmp_path / "log/segments/0000000000000000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:keep]))
    before = {file: file.read_bytes() for file in (tmp_path / "log").rglob("*") if file.is_file()}
    before.pop(tmp_path / "log/writer.lock")
    with pytest.raises(LogDamaged, match=f"ends after {keep} entries, and its checkpoint is of 2"):
        open_log(tmp_path / "log", origin=ORIGIN)
    assert before == {file: file.read_bytes() for file in before}
