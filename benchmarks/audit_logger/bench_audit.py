"""The audit log's rates: append, verify, query and prove, beside plain files and pymerkle; prints a table.

Each figure is the median of some runs on fresh folders. Every entry has an object of its own, the worst case for the
index, and about 240 bytes.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from pymerkle import InmemoryTree, SqliteTree  # type: ignore[import-untyped]  # it has no types

from maestro_audit_logger import AuditLog, Event, FsyncPolicy, check_log
from maestro_audit_logger.signing import Ed25519Signer

ORIGIN = "example.com/bench"
BATCH = 1_000
SINGLES = 500
FLOOR, PEER = "  floor: plain file, same lines, same fsync", "  peer: pymerkle SqliteTree, same lines"
FLOOR_SINGLE, PEER_HASH = "  floor: plain file, one line, one fsync", "  peer: pymerkle InmemoryTree, hash all anew"
# What a floor or a peer is set beside; pymerkle keeps bytes and hashes alone: no times, no checks, no signatures.
BESIDE = {
    FLOOR: f"append, batches of {BATCH:,}, fsync=always",
    PEER: f"append, batches of {BATCH:,}, fsync=always",
    FLOOR_SINGLE: "append, one by one, fsync=always",
}


def events(first: int, count: int) -> list[Event]:
    """Events as a service writes them."""
    return [
        Event(
            f"user:{number % 200}",
            "workflow.step.approve",
            f"workflow:{number}",
            details={"step": "build", "attempt": number % 3},
            context={"request_id": f"{number:032x}"},
        )
        for number in range(first, first + count)
    ]


def rate(count: int, work: Callable[[], object]) -> float:
    """How many a second."""
    begun_s = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun_s)


def append_batches(folder: Path, count: int, fsync: FsyncPolicy, signer: Ed25519Signer) -> float:
    """Entries a second, in batches of a thousand; making and checking the events included."""
    with AuditLog(folder, origin=ORIGIN, signer=signer, fsync=fsync) as log:

        def work() -> None:
            for first in range(0, count, BATCH):
                log.append_many(events(first, BATCH))
            log.checkpoint()

        return rate(count, work)


def append_singles(folder: Path, fsync: FsyncPolicy, signer: Ed25519Signer) -> float:
    """Entries a second, one append each."""
    with AuditLog(folder, origin=ORIGIN, signer=signer, fsync=fsync) as log:

        def work() -> None:
            for number in range(SINGLES):
                log.append(actor="user:1", action="workflow.step.approve", object=f"workflow:{number}")

        return rate(SINGLES, work)


def floor_batches(folder: Path, lines: list[bytes]) -> float:
    """The floor: the same lines, ready-made, written to a plain file with an fsync for each thousand."""
    with (folder / "plain.jsonl").open("ab", buffering=0) as file:

        def work() -> None:
            for first in range(0, len(lines), BATCH):
                file.write(b"".join(lines[first : first + BATCH]))
                os.fsync(file.fileno())

        return rate(len(lines), work)


def floor_singles(folder: Path, lines: list[bytes]) -> float:
    """The floor for single appends: one line, one fsync."""
    with (folder / "single.jsonl").open("ab", buffering=0) as file:

        def work() -> None:
            for line in lines[:SINGLES]:
                file.write(line)
                os.fsync(file.fileno())

        return rate(SINGLES, work)


def peer_sqlite(folder: Path, lines: list[bytes]) -> float:
    """pymerkle's durable tree: the same lines, ready-made, in batches of a thousand."""
    tree = SqliteTree(str(folder / "peer.sqlite"))

    def work() -> None:
        for first in range(0, len(lines), BATCH):
            tree.append_entries(lines[first : first + BATCH])

    found = rate(len(lines), work)
    tree.con.close()
    return found


def peer_memory(lines: list[bytes]) -> float:
    """pymerkle's tree in memory, built anew with its root: what a verifier on top of it would do at least."""

    def work() -> None:
        tree = InmemoryTree(algorithm="sha256")
        tree.append_entries(lines)
        tree.get_root()

    return rate(len(lines), work)


def report(name: str, unit: str, found: list[float], beside: float | None = None) -> None:
    """Print the median of the runs, and how many times ours it is, where it is set beside ours."""
    middle = statistics.median(found)
    ratio = "" if beside is None else f"{middle / beside:10.2f}x"
    print(f"{name:<58}{middle:>14,.1f} {unit:<6}{min(found):>14,.1f}{max(found):>14,.1f}{ratio}", flush=True)


def reading(folder: Path, count: int, signer: Ed25519Signer) -> None:
    """Verify, query and prove on a log that is there."""
    with AuditLog(folder, origin=ORIGIN, signer=signer) as log:
        outside = log.checkpoint()
        tries = {
            "query: one object": lambda: len(list(log.query(object=f"workflow:{count // 2}"))),
            "query: an actor who is not there": lambda: len(list(log.query(actor="nobody"))),
            "query: the newest 20 of one actor": lambda: len(
                list(log.query(actor="user:7", newest_first=True, limit=20))
            ),
            "inclusion proof, made": lambda: log.prove_inclusion(count // 2),
        }
        for name, attempt in tries.items():
            report(name, "ms", [1000 / rate(1, attempt) for _ in range(5)])
    report("open the log", "ms", [1000 / rate(1, lambda: AuditLog(folder, origin=ORIGIN, signer=signer).close())])
    seconds, cpu_seconds = [], []
    for _ in range(3):
        begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
        found = check_log(folder, keys=[signer.note_key], checkpoints=[outside])
        seconds.append(time.perf_counter() - begun_s)
        cpu_seconds.append(time.process_time() - begun_cpu_s)
        if not found.sound or found.size != count:
            raise SystemExit(f"the log is not sound: {found}")
    report(f"verify {count:,} entries, index and signatures included", "s", seconds)
    report("  of which on a processor", "s", cpu_seconds)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description="The audit log beside plain files and pymerkle.")
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries in the log that is verified")
    parser.add_argument("--appends", type=int, default=50_000, help="entries of each append run")
    parser.add_argument("--runs", type=int, default=3, help="runs of each append case (default 3)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="its disk is what is measured")
    asked = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"pymerkle {version('pymerkle')}, cryptography {version('cryptography')}; load {os.getloadavg()[0]:.1f}")
    print(f"{'case':<58}{'median':>14} {'':<6}{'lowest':>14}{'highest':>14}{'ratio':>11}")
    signer = Ed25519Signer.generate(ORIGIN)
    results: dict[str, list[float]] = {}
    policies: tuple[FsyncPolicy, ...] = ("always", "batch", "never")
    for _ in range(asked.runs):
        with tempfile.TemporaryDirectory(dir=asked.folder) as name:
            place = Path(name)
            for fsync in policies:
                found = append_batches(place / fsync, asked.appends, fsync, signer)
                results.setdefault(f"append, batches of {BATCH:,}, fsync={fsync}", []).append(found)
            lines = (place / "always/segments/0000000000000000.jsonl").read_bytes().splitlines(keepends=True)
            results.setdefault(FLOOR, []).append(floor_batches(place, lines))
            results.setdefault(PEER, []).append(peer_sqlite(place, lines))
            for fsync in policies:
                found = append_singles(place / f"single-{fsync}", fsync, signer)
                results.setdefault(f"append, one by one, fsync={fsync}", []).append(found)
            results.setdefault(FLOOR_SINGLE, []).append(floor_singles(place, lines))
            results.setdefault(PEER_HASH, []).append(peer_memory(lines))
    for case, rates in results.items():
        base = BESIDE.get(case)
        report(case, "/s", rates, statistics.median(results[base]) if base else None)
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        print(f"a log of {asked.entries:,} entries:", file=sys.stderr)
        append_batches(Path(name) / "log", asked.entries, "never", signer)
        reading(Path(name) / "log", asked.entries, signer)


if __name__ == "__main__":
    main()
