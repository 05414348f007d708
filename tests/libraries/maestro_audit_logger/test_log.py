"""The log: what it takes, what it gives back, and what is there when it is opened again."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from libraries.maestro_audit_logger.audit_logs import ORIGIN, SIGNER, check, event, make_log, open_log

from kit.processes import import_path
from maestro_audit_logger import (
    JSON,
    AuditLog,
    AuditReader,
    Event,
    FsyncPolicy,
    HmacSigner,
    InvalidEvent,
    InvalidSetup,
    LogDamaged,
    LogHeld,
    LogStopped,
)
from maestro_audit_logger.testing import FaultyDisk, ManualClock


def test_an_entry_reads_back_as_it_was_given(tmp_path: Path) -> None:
    """Every field, hostile text and numbers included, comes back; times are UTC to the microsecond."""
    clock = ManualClock(datetime(2026, 11, 21, 15, 0, 0, 123456, tzinfo=UTC))
    details: dict[str, JSON] = {
        "text": 'a"\\\n\u2028é😀',
        "list": [1, 2.5, None, True, {"b": "", "a": -0.0}],
        "big": 2**53 - 1,
    }
    with open_log(tmp_path / "log", clock=clock) as log:
        receipt = log.append(
            actor="user:é😀", action="a", object='o"\\', outcome="denied", details=details, context={"request_id": "r"}
        )
        entry = log.entry(receipt.seq)
    assert (entry.actor, entry.action, entry.object, entry.outcome) == ("user:é😀", "a", 'o"\\', "denied")
    assert entry.details == details
    assert entry.context == {"request_id": "r"}
    assert entry.at == receipt.at == clock.at
    assert list(json.loads(entry.line)) == sorted(json.loads(entry.line))


def test_a_line_is_readable_as_it_lies_on_the_disk(tmp_path: Path) -> None:
    """The format of a line is a promise: canonical JSON, which `grep` and `jq` read."""
    make_log(tmp_path / "log", 1)
    assert (tmp_path / "log/segments/0000000000000000.jsonl").read_text() == (
        '{"action":"act:0","actor":"user:0","at":"2026-01-01T00:00:00.000000Z","details":{"n":0},'
        '"object":"thing:0","outcome":"success","seq":0}\n'
    )


def test_reopening_continues_the_log(tmp_path: Path) -> None:
    """Numbers, tree and checkpoint go on where they were, over many openings, segments and blocks."""
    for opening in range(5):
        with open_log(tmp_path / "log", segment_bytes=60_000) as log:
            receipts = log.append_many([event(n) for n in range(opening * 700, opening * 700 + 700)])
            assert [receipt.seq for receipt in receipts] == list(range(opening * 700, opening * 700 + 700))
            assert log.recovery is None
            outside = log.checkpoint()
        assert check(tmp_path / "log", [outside]).sound
    reader = AuditReader(tmp_path / "log")
    assert [entry.details["n"] for entry in reader.query()] == list(range(3500))
    assert len(list((tmp_path / "log/segments").iterdir())) == 5


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (Event("", "a", "o"), "actor"),
        (Event("u", "a\nb", "o"), "action.*U\\+000A"),
        (Event("u", "a", "o\u202e"), "object.*U\\+202E"),
        (Event("u", "a", "o", "x\x9b"), "outcome.*U\\+009B"),
        (Event("u", "a", "o" * 513), "object.*512"),
        (Event("u", "a", "\ud800"), "object"),
        (Event("u", "a", "o", details={"x": float("inf")}), "details/x"),
        (Event("u", "a", "o", details={"x": 2**53 + 1}), "details/x.*double"),
        (Event("u", "a", "o", details={"x": "\udfff"}), "details/x.*surrogate"),
        (Event("u", "a", "o", details={"x": {"y": object()}}), "details/x/y.*object"),  # type: ignore[dict-item]  # on purpose
        (Event("u", "a", "o", details={1: 2}), "details.*key 1"),  # type: ignore[dict-item]  # on purpose
        (Event("u", "a", "o", context=[1]), "context"),  # type: ignore[arg-type]  # on purpose
        (Event("u", "a", "o", details={"x": "y" * 65_536}), "65536"),
        (Event(7, "a", "o"), "actor"),  # type: ignore[arg-type]  # on purpose
        (Event("u", "a", "o", personal={"s": {}}), "personal"),
        (Event("u", "a", "o", personal={"s": {"x": float("nan")}}), "personal"),
        (Event("u", "a", "o", personal={"s": {"x": "y" * 40_000}}), "65536"),
    ],
)
def test_what_cannot_be_an_entry_is_refused_and_named(tmp_path: Path, bad: Event, what: str) -> None:
    """The error names the field; nothing of the batch is written."""
    with open_log(tmp_path / "log") as log:
        with pytest.raises(InvalidEvent, match=what):
            log.append_many([event(0), bad])
        assert list(log.query()) == []


def test_a_deep_value_is_refused(tmp_path: Path) -> None:
    """Depth has a limit, so that no reader's stack is at risk."""
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    with open_log(tmp_path / "log") as log, pytest.raises(InvalidEvent, match="16 levels"):
        log.append(actor="u", action="a", object="o", details={"x": deep})  # type: ignore[dict-item]  # on purpose


def test_an_error_about_personal_values_does_not_hold_them(tmp_path: Path) -> None:
    """Neither value nor name of a personal value gets into an error or a repr."""
    secret = Event("u", "a", "o", personal={"s": {"x": ["geheim\udfff"]}})
    assert "geheim" not in repr(secret)
    with open_log(tmp_path / "log") as log, pytest.raises(InvalidEvent) as caught:
        log.append_many([secret])
    assert "geheim" not in str(caught.value)


def test_batches_have_a_size(tmp_path: Path) -> None:
    """None and more than ten thousand are refused; the largest entry is taken."""
    with open_log(tmp_path / "log") as log:
        for count in (0, 10_001):
            with pytest.raises(InvalidEvent, match="10000"):
                log.append_many([event(n) for n in range(count)])
        log.append(actor="u", action="a", object="o", details={"x": "y" * 65_000})
        assert len(list(log.query())) == 1


@pytest.mark.parametrize(
    "settings",
    [{"origin": ""}, {"origin": "a\nb"}, {"fsync": "sometimes"}, {"batch_ms": 0}, {"segment_bytes": 0}],
)
def test_bad_settings_are_refused(tmp_path: Path, settings: dict[str, object]) -> None:
    """The error names the setting, and no folder is made."""
    with pytest.raises(InvalidSetup, match=next(iter(settings))):
        open_log(tmp_path / "log", **settings)
    assert not (tmp_path / "log").exists()


def test_another_origin_another_signer_and_a_newer_format_are_refused(tmp_path: Path) -> None:
    """Whoever opens the wrong log, with the wrong key, or with an older program, is told, and nothing is changed."""
    make_log(tmp_path / "log", 1)
    with pytest.raises(InvalidSetup, match=r"log of example.com/audit, not of other"):
        open_log(tmp_path / "log", origin="other")
    with pytest.raises(LogDamaged, match="cannot be trusted"):
        open_log(tmp_path / "log", signer=HmacSigner.generate(ORIGIN))
    (tmp_path / "log/FORMAT").write_text(f"maestro-audit 2\n{ORIGIN}\n")
    with pytest.raises(InvalidSetup, match=r"format 2.*upgrade"):
        open_log(tmp_path / "log")
    with pytest.raises(InvalidSetup, match="no audit log"):
        AuditReader(tmp_path)


def test_a_change_of_the_signer(tmp_path: Path) -> None:
    """A new key takes over where the old one is given as trusted; from then on the old one is not needed."""
    make_log(tmp_path / "log", 1)
    fresh = HmacSigner.generate(ORIGIN)
    with open_log(tmp_path / "log", signer=fresh, keys=[SIGNER.note_key]) as log:
        log.append_many([event(1)])
    with open_log(tmp_path / "log", signer=fresh) as log:
        assert log.last_checkpoint().signed_by([fresh.note_key]) == ORIGIN


def test_signatures_cannot_be_stripped_for_the_writer(tmp_path: Path) -> None:
    """A log whose checkpoint lost its signature is not taken on by a writer that signs."""
    outside = make_log(tmp_path / "log", 1)
    (tmp_path / "log/checkpoint").write_text(outside.text + "\n")
    with pytest.raises(LogDamaged, match="not signed"):
        open_log(tmp_path / "log")


def test_a_signed_log_is_not_written_without_its_signer(tmp_path: Path) -> None:
    """No unsigned checkpoint replaces a signed one."""
    make_log(tmp_path / "log", 1)
    with pytest.raises(InvalidSetup, match="this log is signed"):
        open_log(tmp_path / "log", signer=None)
    assert check(tmp_path / "log").sound


def test_there_is_one_writer(tmp_path: Path) -> None:
    """A second one is refused with the pid of the first, here and from another process; after close it is let in."""
    program = f"from maestro_audit_logger import *; AuditLog({str(tmp_path / 'log')!r}, origin={ORIGIN!r})"
    with open_log(tmp_path / "log"):
        with pytest.raises(LogHeld, match=f"pid {os.getpid()}"):
            open_log(tmp_path / "log")
        environment = {**os.environ, "PYTHONPATH": import_path()}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60
        )
        assert f"pid {os.getpid()}" in done.stderr
    open_log(tmp_path / "log").close()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """It has the same open file; a service that starts again beside it is let in."""
    log = open_log(tmp_path / "log")
    childs = os.dup(log._lock._file)
    try:
        log.close()
        open_log(tmp_path / "log").close()
    finally:
        os.close(childs)


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """Files are 0600, folders 0700."""
    with open_log(tmp_path / "log") as log:
        log.append(actor="u", action="a", object="o", personal={"s": {"x": 1}})
    for path in [tmp_path / "log", *(tmp_path / "log").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    """After close, every way to write says so; a second close is nothing."""
    log = open_log(tmp_path / "log")
    log.close()
    log.close()
    for write in (lambda: log.append(actor="u", action="a", object="o"), log.checkpoint, lambda: log.erase("s")):
        with pytest.raises(LogStopped, match="closed"):
            write()


def test_a_log_changed_under_the_writer_stops_it(tmp_path: Path) -> None:
    """Lines that someone else writes into the segment are seen before the next append, which is refused."""
    with open_log(tmp_path / "log") as log:
        log.append_many([event(0)])
        with (tmp_path / "log/segments/0000000000000000.jsonl").open("a") as file:
            file.write("{}\n")
        with pytest.raises(LogDamaged, match="changed by someone else"):
            log.append_many([event(1)])
        with pytest.raises(LogStopped):
            log.append_many([event(2)])


@pytest.mark.parametrize("fsync", ["always", "batch", "never"])
def test_many_threads_append_at_once(tmp_path: Path, fsync: FsyncPolicy) -> None:
    """Eight threads: every entry is there once, each thread's in its order, and batches are not torn apart."""

    def work(thread: int) -> None:
        for turn in range(20):
            batch = [Event(f"thread:{thread}", "turn", f"{turn}", details={"n": n}) for n in range(3)]
            seqs = [receipt.seq for receipt in log.append_many(batch)]
            assert seqs == list(range(seqs[0], seqs[0] + 3))

    with open_log(tmp_path / "log", fsync=fsync, batch_ms=5) as log, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert check(tmp_path / "log").size == 480
    assert check(tmp_path / "log").notes == []
    for thread in range(8):
        turns = [
            (entry.object, entry.details["n"])
            for entry in AuditReader(tmp_path / "log").query(actor=f"thread:{thread}")
        ]
        assert turns == [(str(turn), n) for turn in range(20) for n in range(3)]


class SlowDisk(FaultyDisk):
    """A disk whose fsync waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.waiting = threading.Event()

    def sync(self, file: int) -> None:
        super().sync(file)
        self.waiting.set()
        assert self.go.wait(30)


async def test_tasks_share_an_fsync_and_the_loop_goes_on(tmp_path: Path) -> None:
    """While the disk is slow, the loop runs; a hundred tasks that wait at the same time need two commits in all."""
    disk = SlowDisk()
    with open_log(tmp_path / "log", disk=disk) as log:
        disk.go.clear()
        disk.waiting.clear()
        first = asyncio.ensure_future(log.aappend(actor="u", action="a", object="first"))
        assert await asyncio.to_thread(disk.waiting.wait, 30)
        before = disk.calls.count("replaced checkpoint")
        rest = [asyncio.ensure_future(log.aappend(actor="u", action="a", object=f"{n}")) for n in range(100)]
        await asyncio.sleep(0)
        assert not first.done()
        disk.go.set()
        receipts = await asyncio.wait_for(asyncio.gather(first, *rest), 30)
        assert sorted(receipt.seq for receipt in receipts) == list(range(101))
        assert disk.calls.count("replaced checkpoint") - before == 2


async def test_a_cancelled_task_leaves_the_log_whole(tmp_path: Path) -> None:
    """Cancelling an append leaves no gap, and blocks nobody."""
    with open_log(tmp_path / "log") as log:
        tasks = [asyncio.ensure_future(log.aappend(actor="u", action="a", object=f"{n}")) for n in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (await log.aappend(actor="u", action="a", object="last")).seq <= 20
    assert check(tmp_path / "log").sound


def test_always_syncs_entry_and_checkpoint_before_it_returns(tmp_path: Path) -> None:
    """Under `always` an append writes, syncs, and replaces the checkpoint by a synced one, in this order."""
    disk = FaultyDisk()
    with open_log(tmp_path / "log", disk=disk) as log:
        disk.calls.clear()
        log.append_many([event(0)])
        assert disk.calls == ["write", "sync", "open .checkpoint.new", "write", "sync", "replaced checkpoint"]
        assert log.last_checkpoint().size == 1


def test_never_syncs_only_when_told(tmp_path: Path) -> None:
    """Under `never` an append only writes; `checkpoint` syncs."""
    disk = FaultyDisk()
    with open_log(tmp_path / "log", disk=disk, fsync="never") as log:
        disk.calls.clear()
        log.append_many([event(0)])
        assert disk.calls == ["write"]
        assert log.last_checkpoint().size == 0
        assert log.checkpoint().size == 1


def test_batch_syncs_by_itself(tmp_path: Path) -> None:
    """Under `batch` an append returns after the write, and the sync follows without further calls."""
    disk = SlowDisk()
    with open_log(tmp_path / "log", disk=disk, fsync="batch", batch_ms=1) as log:
        disk.waiting.clear()
        log.append_many([event(0)])
        assert disk.waiting.wait(30)
    assert check(tmp_path / "log").covered == 1


def test_reading_while_writing(tmp_path: Path) -> None:
    """Readers see a growing prefix, without gaps, and every check while the writer works is sound."""
    stop = threading.Event()

    def write() -> None:
        with open_log(tmp_path / "log", segment_bytes=50_000) as log:
            ready.set()
            for first in range(0, 6000, 50):
                log.append_many([event(n) for n in range(first, first + 50)])
        stop.set()

    ready = threading.Event()
    writer = threading.Thread(target=write)
    writer.start()
    assert ready.wait(30)
    sizes = [0]
    while not stop.is_set():
        numbers = [entry.seq for entry in AuditReader(tmp_path / "log").query()]
        assert numbers == list(range(len(numbers)))
        assert check(tmp_path / "log").sound
        sizes.append(len(numbers))
    writer.join(30)
    assert sizes == sorted(sizes)
    assert len(list(AuditReader(tmp_path / "log").query())) == 6000


def test_a_clock_that_goes_back_is_kept_as_it_was(tmp_path: Path) -> None:
    """Order is that of numbers; times say what the clock said, and queries by time find such entries too."""
    clock = ManualClock()
    with open_log(tmp_path / "log", clock=clock) as log:
        log.append_many([event(0)])
        clock.advance(timedelta(hours=-1))
        log.append_many([event(1)])
        assert [entry.seq for entry in log.query(until=clock.at + timedelta(minutes=1))] == [1]


def test_an_unsigned_log_is_possible(tmp_path: Path) -> None:
    """Without a signer the checkpoint is the bare root; it finds accidents and clumsy hands."""
    with AuditLog(tmp_path / "log", origin=ORIGIN) as log:
        log.append_many([event(0)])
        assert log.checkpoint().signatures == ()
    assert (tmp_path / "log/checkpoint").read_text().count("\n") == 4
