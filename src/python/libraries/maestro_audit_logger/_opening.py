"""Opening a log to write: makes a new one, or checks what is there against its checkpoint and mends a torn end."""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

from maestro_audit_logger._blocks import MAX_LINE_BYTES
from maestro_audit_logger._disk import Disk
from maestro_audit_logger._entry import parse_entry
from maestro_audit_logger._errors import InvalidNote, InvalidSetup, LogDamaged
from maestro_audit_logger._layout import Layout, Segment, format_text
from maestro_audit_logger._merkle import EMPTY_ROOT, Frontier, leaf_hash
from maestro_audit_logger._note import MAX_NOTE_CHARS, Checkpoint, NoteKey
from maestro_audit_logger._signer import Signer, sign_checkpoint
from maestro_audit_logger._spans import spans_of

_logger = logging.getLogger("maestro_audit_logger")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening found after the last checkpoint, because the writer before died.

    `adopted` whole entries were kept: they were written, and perhaps acknowledged. `dropped_bytes` of an entry that was
    never finished, and so never acknowledged, were cut off; `dropped_sha256` is their hash.
    """

    adopted: int
    dropped_bytes: int
    dropped_sha256: str


@dataclass(slots=True)
class Opened:
    """A log as it was found: its last checkpoint, the edge of its tree, and its last segment."""

    head: Checkpoint
    edge: Frontier
    segment: Segment
    size_bytes: int
    recovery: Recovery | None


def create(layout: Layout, origin: str, signer: Signer | None, disk: Disk) -> None:
    """Make the files of an empty log; FORMAT comes last, so that a log which has it is whole."""
    segment = layout.segment(0)
    for folder in (segment.path.parent, segment.index.parent, layout.keys):
        disk.make_folder(folder)
    begun = layout.checkpoint.exists() and read_head(layout, ()).size > 0
    if begun or any(path.stat().st_size for path in segment.path.parent.iterdir()):
        raise LogDamaged(f"{layout.folder} has entries or a checkpoint of some, but no file FORMAT")
    disk.close(disk.open(segment.path))
    disk.sync_folder(segment.path.parent)
    disk.replace(layout.checkpoint, sign_checkpoint(Checkpoint(origin, 0, EMPTY_ROOT), signer).note.encode())
    disk.sync_folder(layout.folder)
    disk.replace(layout.format, format_text(origin))
    disk.sync_folder(layout.folder)


def open_log(layout: Layout, origin: str, signer: Signer | None, keys: Sequence[NoteKey], disk: Disk) -> Opened:
    """Read what is there; raises LogDamaged, and changes nothing, where it is not what the checkpoint says."""
    if (found := layout.read_origin()) != origin:
        raise InvalidSetup(f"{layout.folder} is the log of {found}, not of {origin}")
    head = read_head(layout, keys if signer is None else [signer.note_key, *keys])
    if head.origin != origin:
        raise LogDamaged(f"the checkpoint is of another log: {head.origin}")
    if signer is None and head.signatures:
        raise InvalidSetup("this log is signed: give its signer, so that no unsigned checkpoint replaces a signed one")
    edge, segments = layout.read_kept()
    if not segments:
        raise LogDamaged(f"the segment that begins with entry {edge.size} is missing")
    removed, indexes = edge.size, []
    for segment in segments:
        read_bytes, index = _read_covered(segment, edge, head)
        tail = (segment, read_bytes)
        indexes.append((segment, index))
        if edge.size == head.size and read_bytes < segment.path.stat().st_size:
            break
    if edge.size < head.size:
        raise LogDamaged(f"the log ends after {edge.size} entries, and its checkpoint is of {head.size}")
    if edge.root() != head.root:
        raise LogDamaged(f"the first {head.size} entries are not those that the checkpoint is of")
    opened = _after_head(segments, head, edge, tail, disk)
    _mend(layout, removed, indexes, disk)
    return opened


def _mend(layout: Layout, removed: int, indexes: Sequence[tuple[Segment, bytes]], disk: Disk) -> None:
    """Write the indexes that are not as they should be, and take away what a retention that died has left."""
    for segment, index in indexes:
        if index != (segment.index.read_bytes() if segment.index.exists() else b""):
            disk.replace(segment.index, index)
    for segment in layout.segments():
        if segment.first < removed:
            disk.remove(segment.path)
            disk.remove(segment.index)


def read_head(layout: Layout, keys: Sequence[NoteKey]) -> Checkpoint:
    """The newest checkpoint of a log, checked with the keys where there are any; raises LogDamaged."""
    try:
        with layout.checkpoint.open(encoding="utf-8", newline="") as file:
            head = Checkpoint.parse(file.read(MAX_NOTE_CHARS + 1))
        if keys:
            head.signed_by(keys)
    except (FileNotFoundError, InvalidNote, UnicodeDecodeError) as error:
        raise LogDamaged(f"the checkpoint of {layout.folder} cannot be trusted: {error}") from error
    return head


def _read_covered(segment: Segment, edge: Frontier, head: Checkpoint) -> tuple[int, bytes]:
    """Add the entries of a segment to the edge, up to the checkpoint; gives the bytes read, and what the index is."""
    if segment.first != edge.size:
        raise LogDamaged(f"{segment.path.name} does not follow on entry {edge.size}")
    blocks, read_bytes = [], 0
    for span in spans_of(segment, stop=head.size):
        if span.first >= head.size:
            break
        span.add_to(edge)
        if span.block is not None:
            blocks.append(span.block.line())
        read_bytes = span.offset + span.size_bytes
    return read_bytes, b"".join(blocks)


def _after_head(
    segments: list[Segment], head: Checkpoint, edge: Frontier, tail: tuple[Segment, int], disk: Disk
) -> Opened:
    """Take in whole entries that are newer than the checkpoint, and cut off an unfinished one at the very end."""
    segment, offset = tail
    left_bytes, left_sha256 = 0, ""
    for segment in segments[segments.index(tail[0]) :]:
        if segment.first != edge.size and segment is not tail[0]:
            raise LogDamaged(f"{segment.path.name} does not follow on entry {edge.size}")
        offset, left_bytes, left_sha256 = _adopt(segment, edge, offset if segment is tail[0] else 0)
        if left_bytes and segment is not segments[-1]:
            raise LogDamaged(f"{segment.path.name} ends with something that is no entry")
    adopted = edge.size - head.size
    if not adopted and not left_bytes:
        return Opened(head, edge, segment, offset, None)
    if left_bytes:
        file = disk.open(segment.path)
        try:
            disk.truncate(file, offset)
            disk.sync(file)
        finally:
            disk.close(file)
    recovery = Recovery(adopted, left_bytes, left_sha256)
    _logger.warning("after the checkpoint of %s at %d entries: %s", head.origin, head.size, recovery)
    return Opened(head, edge, segment, offset, recovery)


def _adopt(segment: Segment, edge: Frontier, offset: int) -> tuple[int, int, str]:
    """Add whole entries from `offset` on to the edge; gives where they end, and size and SHA-256 of what follows."""
    with segment.path.open("rb") as file:
        file.seek(offset)
        while (line := file.readline(MAX_LINE_BYTES)) and _is_entry(line, edge.size):
            edge.add(leaf_hash(line[:-1]))
            offset += len(line)
        left_bytes = file.seek(0, os.SEEK_END) - offset
        file.seek(offset)
        return offset, left_bytes, hashlib.file_digest(file, "sha256").hexdigest() if left_bytes else ""


def _is_entry(line: bytes, seq: int) -> bool:
    try:
        return line.endswith(b"\n") and parse_entry(line).seq == seq
    except LogDamaged:
        return False
