"""The one writer of a log: puts entries into segments, and signs what the log then is. Not for two threads at once."""

import logging
import os
from collections.abc import Sequence

from maestro_audit_logger._blocks import BLOCK, block_of, leaves_of, parse_lines, read_lines
from maestro_audit_logger._disk import Disk
from maestro_audit_logger._errors import AppendFailed, LogDamaged, LogStopped
from maestro_audit_logger._layout import Layout, Segment
from maestro_audit_logger._merkle import Frontier, leaf_hash, perfect_root
from maestro_audit_logger._note import Checkpoint
from maestro_audit_logger._opening import Opened
from maestro_audit_logger._signer import Signer, sign_checkpoint
from maestro_audit_logger._spans import spans_of

_logger = logging.getLogger("maestro_audit_logger")


class Writer:
    """Appends lines, and moves the head: the checkpoint over all that is synced."""

    def __init__(self, layout: Layout, opened: Opened, signer: Signer | None, disk: Disk, segment_bytes: int) -> None:
        self._layout = layout
        self._signer = signer
        self._disk = disk
        self._segment_bytes = segment_bytes
        self.segment = opened.segment
        self._file = disk.open(opened.segment.path)
        self._size_bytes = opened.size_bytes
        self._block = _open_block(opened.segment)
        self.edge = opened.edge
        self.head = opened.head
        self.stopped: str | None = None

    def append(self, lines: Sequence[bytes], *, sync: bool) -> list[bytes]:
        """Append entries (without newlines) and return their hashes; with `sync`, all is on the disk and signed first.

        Raises AppendFailed where the log is as it was before, and LogStopped where that is not known.
        """
        self.check_running()
        edge, hashes = self.edge.copy(), [leaf_hash(line) for line in lines]
        for leaf in hashes:
            edge.add(leaf)
        try:
            if self._size_bytes >= self._segment_bytes:
                self._rotate()
            self._write(b"\n".join([*lines, b""]))
            if sync:
                self._sync()
                self._sign(edge)
        except (LogStopped, LogDamaged):
            raise
        except Exception as error:
            self._take_back(error)
            raise AppendFailed(f"nothing was appended: {error}") from error
        except BaseException:
            self.stop("an append was interrupted")
            raise
        old, offset = self.edge.size, self._size_bytes
        self.edge = edge
        self._size_bytes += sum(map(len, lines)) + len(lines)
        self._index(old, offset, lines)
        return hashes

    def flush(self) -> Checkpoint:
        """Bring all that was appended to the disk, and sign it.

        Raises LogStopped where the disk refuses the entries. Other errors are those of the signer, or of the
        checkpoint's file: the entries are safe, and the next flush tries again.
        """
        self.check_running()
        if self.head.size < self.edge.size:
            self._sync()
            self._sign(self.edge)
        return self.head

    def check_running(self) -> None:
        """Raise LogStopped if this writer was stopped or closed."""
        if self.stopped is not None:
            raise LogStopped(f"this log takes no more entries: {self.stopped}; open it again")

    def stop(self, reason: str) -> None:
        """Take no more entries."""
        if self.stopped is None:
            self.stopped = reason
            self._disk.close(self._file)

    def _write(self, data: bytes) -> None:
        if os.fstat(self._file).st_size != self._size_bytes:
            self.stop(f"{self.segment.path.name} was changed by someone else")
            raise LogDamaged(f"{self.segment.path.name} was changed by someone else; verify the log")
        self._disk.write(self._file, data)

    def _sync(self) -> None:
        try:
            self._disk.sync(self._file)
        except OSError as error:
            # After a failed fsync nobody knows which pages the disk has, and a second fsync would say that all is well.
            self.stop(f"fsync failed: {error}")
            raise LogStopped(
                f"the disk did not take the entries, and they may be lost: {error}; open it again"
            ) from error

    def _sign(self, edge: Frontier) -> None:
        head = sign_checkpoint(Checkpoint(self.head.origin, edge.size, edge.root()), self._signer)
        self._disk.replace(self._layout.checkpoint, head.note.encode())
        self.head = head

    def _take_back(self, cause: Exception) -> None:
        """Cut off what a failed append left behind."""
        try:
            self._disk.truncate(self._file, self._size_bytes)
            self._disk.sync(self._file)
        except OSError as error:
            self.stop(f"a failed append could not be taken back: {error}")
            raise LogStopped(f"an append failed ({cause}), and what it left could not be taken back") from error

    def _rotate(self) -> None:
        """Begin a new segment, once all of the old one is on the disk and signed."""
        self.flush()
        segment = self._layout.segment(self.edge.size)
        file = self._disk.open(segment.path)
        try:
            self._disk.sync_folder(segment.path.parent)
        except BaseException:
            self._disk.close(file)
            raise
        self._disk.close(self._file)
        self.segment, self._file, self._size_bytes = segment, file, 0
        self._block = _open_block(segment)

    def _index(self, old: int, offset: int, lines: Sequence[bytes]) -> None:
        """Summarise the blocks that have become full by lines that begin at that number and offset."""
        done = 0
        for end in range(old - old % BLOCK + BLOCK, self.edge.size + 1, BLOCK):
            offset += sum(len(line) + 1 for line in lines[done : end - old])
            done = end - old
            if self._block is not None:
                self._summarise(*self._block)
            self._block = (end, offset)

    def _summarise(self, first: int, offset: int) -> None:
        """Write the summary of a block; where that fails, readers do without it until the next opening makes it."""
        try:
            with self.segment.path.open("rb") as file:
                file.seek(offset)
                lines = read_lines(file, BLOCK)
            root = perfect_root(leaves_of(lines))
            block = block_of(first, offset, sum(map(len, lines)), parse_lines(lines), root)
            file_number = self._disk.open(self.segment.index)
            try:
                self._disk.write(file_number, block.line())
            finally:
                self._disk.close(file_number)
        except OSError as error:
            _logger.warning("no summary of entries %d and on: %s", first, error)


def _open_block(segment: Segment) -> tuple[int, int] | None:
    """Where the block begins that a segment's last entries are in; None where it began in the segment before."""
    first, offset = segment.first, 0
    for span in spans_of(segment):
        if span.block is not None or span.end % BLOCK == 0:
            first, offset = span.end, span.offset + span.size_bytes
        else:
            first, offset = span.first, span.offset
    return (first, offset) if first % BLOCK == 0 else None
