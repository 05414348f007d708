"""The check of a whole log: every entry hashed anew, and the roots compared with every checkpoint that is known."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from maestro_audit_logger._blocks import BLOCK, Block, block_of, leaves_of, parse_lines, read_index, read_lines
from maestro_audit_logger._errors import InvalidNote, LogDamaged
from maestro_audit_logger._layout import Layout, Segment
from maestro_audit_logger._merkle import Frontier, perfect_root
from maestro_audit_logger._note import MAX_NOTE_CHARS, Checkpoint, NoteKey

RETAIN_ACTION = "audit.retain"
_MAX_PROBLEMS = 20


@dataclass(slots=True)
class Report:
    """What a check found; the log is sound if `problems` is empty.

    `size` counts all entries ever, `removed` those that retention took away, `covered` those below a checkpoint that
    was compared. `signed_by` is None where no key was given: then nobody knows who wrote the checkpoint.
    """

    origin: str = ""
    size: int = 0
    root: bytes = b""
    removed: int = 0
    covered: int = 0
    signed_by: str | None = None
    compared: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether everything is as it was signed."""
        return not self.problems

    def problem(self, text: str) -> None:
        """Add a problem; after twenty they tell nothing new."""
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(text)


def check_log(
    folder: Path | str,
    *,
    keys: Sequence[NoteKey] = (),
    checkpoints: Iterable[Checkpoint] = (),
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Check a log against its own checkpoint and those given, which were kept elsewhere.

    With `keys`, a checkpoint counts only if one of them signed it. `progress` hears how many entries are checked.
    Raises InvalidSetup where there is no log, or one of a newer format, and OSError where it cannot be read.
    """
    layout, report = Layout(Path(folder)), Report()
    try:
        report.origin = layout.read_origin()
        wanted = _wanted(layout, report, keys, checkpoints)
        edge, segments = layout.read_kept()
    except LogDamaged as damage:
        report.problem(str(damage))
        return report
    report.removed = edge.size
    walk = _Walk(report, edge.copy(), wanted, progress)
    for segment in segments:
        walk.segment(segment, is_last=segment is segments[-1])
    walk.finish(edge)
    return report


def _wanted(
    layout: Layout, report: Report, keys: Sequence[NoteKey], given: Iterable[Checkpoint]
) -> dict[int, list[tuple[str, bytes]]]:
    """The roots to be found at each size, with a name for who says so."""
    checkpoints = [(f"the checkpoint of {checkpoint.size} kept elsewhere", checkpoint) for checkpoint in given]
    try:
        with layout.checkpoint.open(encoding="utf-8", newline="") as file:
            head = Checkpoint.parse(file.read(MAX_NOTE_CHARS + 1))
        checkpoints.append((f"the log's own checkpoint of {head.size}", head))
    except FileNotFoundError:
        report.problem("the file checkpoint is missing")
    except (InvalidNote, UnicodeDecodeError) as error:
        report.problem(f"the file checkpoint is damaged: {error}")
    wanted: dict[int, list[tuple[str, bytes]]] = {}
    for name, checkpoint in checkpoints:
        if checkpoint.origin != report.origin:
            report.problem(f"{name} is of another log: {checkpoint.origin}")
            continue
        try:
            if keys:
                report.signed_by = checkpoint.signed_by(keys)
        except InvalidNote as error:
            report.problem(f"{name}: {error}")
            continue
        wanted.setdefault(checkpoint.size, []).append((name, checkpoint.root))
    return wanted


class _Walk:
    """One pass over all entries, in order."""

    def __init__(
        self,
        report: Report,
        edge: Frontier,
        wanted: dict[int, list[tuple[str, bytes]]],
        progress: Callable[[int], None] | None,
    ) -> None:
        self.report = report
        self.edge = edge
        self.wanted = wanted
        self.stops = sorted(size for size in wanted if size > edge.size)
        self.progress = progress
        self.retained: list[tuple[int, Any]] = []
        self.matched = -1
        self._compare()

    def segment(self, segment: Segment, *, is_last: bool) -> None:
        """Check the entries of one segment, and its index."""
        if segment.first != self.edge.size:
            self.report.problem(f"{segment.path.name} does not follow: entry {self.edge.size} comes next")
            return
        # The index is read first: a writer at work writes an entry before its summary.
        index, offset, start = self._index(segment), 0, _BlockStart(segment.first, 0, [], [])
        with segment.path.open("rb") as file:
            while lines := self._lines(file, segment.path.name, is_last=is_last):
                hashes, entries = leaves_of(lines), self._parsed(lines, segment.path.name)
                offset += sum(map(len, lines))
                start.hashes += hashes
                start.entries += entries
                whole = self._grow(hashes)
                if self.edge.size % BLOCK == 0:
                    if start.first % BLOCK == 0 and (block := index.pop(start.first, None)) is not None:
                        self._compare_block(block, start, offset, whole or perfect_root(start.hashes))
                    start = _BlockStart(self.edge.size, offset, [], [])
        for first in index:
            self.report.problem(f"the index of {segment.path.name} has a block at {first} that the entries do not have")

    def _lines(self, file: BinaryIO, name: str, *, is_last: bool) -> list[bytes]:
        """The next lines, up to the end of the block or the next checkpoint; none at the end of the file."""
        first = self.edge.size
        end = min([first - first % BLOCK + BLOCK, *self.stops[:1]])
        lines = read_lines(file, end - first)
        for number, line in enumerate(lines):
            if not line.endswith(b"\n"):
                # A writer that died leaves this behind at the very end, and nowhere else.
                tell = self.report.notes.append if is_last else self.report.problem
                tell(f"{name}: the end of the file is no whole entry, from {line[:40]!r} on")
                file.seek(0, os.SEEK_END)
                return lines[:number]
        return lines

    def _grow(self, hashes: list[bytes]) -> bytes | None:
        """Grow the tree; returns the root of a block that came in one piece."""
        root = None
        if len(hashes) == BLOCK:
            root = perfect_root(hashes)
            self.edge.add(root, BLOCK)
        else:
            for leaf in hashes:
                self.edge.add(leaf)
        self._compare()
        if self.progress is not None:
            self.progress(self.edge.size)
        return root

    def _parsed(self, lines: list[bytes], name: str) -> list[Any]:
        """What the lines hold; those that hold no entry are told, and stand as they are."""
        first = self.edge.size
        try:
            entries = parse_lines(lines)
        except ValueError:
            entries = [_parsed_alone(line) for line in lines]
        for seq, entry in enumerate(entries, first):
            if not isinstance(entry, dict):
                self.report.problem(f"{name}: entry {seq} is not JSON of an entry")
            elif entry.get("seq") != seq:
                self.report.problem(
                    f"{name}: where entry {seq} belongs, there is one that says {entry.get('seq')!r:.40}"
                )
            elif entry.get("action") == RETAIN_ACTION:
                self.retained.append((seq, entry.get("details")))
        return entries

    def _compare(self) -> None:
        """Where a checkpoint has this size, its root must be that of the entries so far."""
        while self.stops and self.stops[0] <= self.edge.size:
            self.stops.pop(0)
        for name, root in self.wanted.pop(self.edge.size, ()):
            self.report.compared += 1
            if root == self.edge.root():
                self.matched = self.report.covered = self.edge.size
            else:
                since = f", at or after {self.matched}" if self.matched > 0 else ""
                self.report.problem(f"entries before {self.edge.size}{since} are not those of {name}")

    def _index(self, segment: Segment) -> dict[int, Block]:
        index: dict[int, Block] = {}
        try:
            data = segment.index.read_bytes()
        except FileNotFoundError:
            return index
        for line in read_index(data):
            try:
                block = Block.parse(line)
                index[block.first] = block
            except ValueError:
                self.report.problem(f"the index of {segment.path.name} is damaged; it can be made again")
        return index

    def _compare_block(self, block: Block, start: "_BlockStart", end: int, root: bytes) -> None:
        """A summary must be that of its entries: a false one would hide entries from queries."""
        try:
            same = block == block_of(start.first, start.offset, end - start.offset, start.entries, root)
        except (KeyError, TypeError, AttributeError):
            same = False
        if not same:
            last = start.first + BLOCK - 1
            self.report.problem(f"entries {start.first} to {last} do not fit their summary in the index")

    def finish(self, removed: Frontier) -> None:
        """What can be said at the end."""
        report = self.report
        report.size, report.root = self.edge.size, self.edge.root()
        for size, claims in sorted(self.wanted.items()):
            for name, _ in claims:
                if size > report.size:
                    report.problem(
                        f"the log ends after {report.size} entries: {name} saw {size}, so the last are missing"
                    )
                else:
                    report.notes.append(f"{name} is older than what retention removed, and was not compared")
        claim = {"end": removed.size, "root": removed.root().hex()}
        if removed.size and not any(
            seq < report.covered and isinstance(details, dict) and claim.items() <= details.items()
            for seq, details in self.retained
        ):
            report.problem(f"the first {removed.size} entries are gone, and no {RETAIN_ACTION} entry says so")
        if report.size > report.covered:
            report.notes.append(f"the last {report.size - report.covered:,} entries are below no checkpoint that fits")


@dataclass(slots=True)
class _BlockStart:
    """Where a block begins, and what of it has been read."""

    first: int
    offset: int
    hashes: list[bytes]
    entries: list[Any]


def _parsed_alone(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
