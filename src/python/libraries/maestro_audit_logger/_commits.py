"""Many threads, one writer: whoever comes first commits what all have brought, and the others find it done."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from maestro_audit_logger._entry import MAX_ENTRY_BYTES, Prepared, Receipt, time_text
from maestro_audit_logger._errors import AppendFailed, AuditError, InvalidEvent, LogStopped
from maestro_audit_logger._personal import SubjectKeys, field_key, seal
from maestro_audit_logger._writer import Writer

_logger = logging.getLogger("maestro_audit_logger")


class Batch:
    """Events that are appended together, and what became of them."""

    __slots__ = ("error", "events", "receipts")

    def __init__(self, events: Sequence[Prepared]) -> None:
        self.events = events
        self.receipts: list[Receipt] | None = None
        self.error: BaseException | None = None

    @property
    def settled(self) -> bool:
        """Whether it is known what became of them."""
        return self.receipts is not None or self.error is not None

    def result(self) -> list[Receipt]:
        """The receipts; raises what went wrong."""
        if self.receipts is None:
            raise self.error or LogStopped("the append was not settled")
        return self.receipts


class Commits:
    """The queue before the writer."""

    def __init__(self, writer: Writer, keys: SubjectKeys, clock: Callable[[], datetime], *, sync: bool) -> None:
        self._writer = writer
        self._keys = keys
        self._clock = clock
        self._sync = sync
        self._queue: list[Batch] = []
        self._queue_lock = threading.Lock()
        self._commit_lock = threading.Lock()
        self._appended = threading.Event()

    def enqueue(self, batch: Batch) -> Batch:
        """Let the batch be committed by whoever settles next."""
        with self._queue_lock:
            self._queue.append(batch)
        return batch

    def settle(self, batch: Batch) -> list[Receipt]:
        """Wait until the batch is committed, by this thread or by another that was faster."""
        with self._commit_lock:
            if not batch.settled:
                self._commit_queue()
        return batch.result()

    @contextmanager
    def alone(self) -> Iterator[Writer]:
        """Have the writer for oneself."""
        with self._commit_lock:
            self._writer.check_running()
            yield self._writer

    def flush_often(self, closed: threading.Event, interval_s: float) -> None:
        """Flush whatever was appended, at most `interval_s` later, until `closed` is set or the writer has stopped."""
        while self._appended.wait() and not closed.wait(interval_s):
            self._appended.clear()
            with self._commit_lock:
                if self._writer.stopped is not None:
                    return
                try:
                    self._writer.flush()
                except Exception:
                    _logger.exception("the audit log could not be flushed; it is tried again")
                    self._appended.set()

    def wake_flusher(self) -> None:
        """Let `flush_often` see that it is over."""
        self._appended.set()

    def close(self) -> None:
        """Commit what waits, flush, and stop the writer."""
        with self._commit_lock:
            try:
                if self._writer.stopped is None:
                    self._commit_queue()
                if self._writer.stopped is None:
                    self._writer.flush()
            finally:
                self._writer.stop("it is closed")

    def _commit_queue(self) -> None:
        with self._queue_lock:
            batches, self._queue = self._queue, []
        try:
            self._commit(batches)
        except BaseException as error:
            failure = error if isinstance(error, AuditError) else LogStopped(f"an append was interrupted: {error!r}")
            for batch in batches:
                if not batch.settled:
                    batch.error = failure
            if not isinstance(error, AuditError):
                self._writer.stop("an append was interrupted")
                raise

    def _commit(self, batches: Sequence[Batch]) -> None:
        """Give numbers and times, seal, and append all batches as one; a batch that cannot be sealed fails alone."""
        lines: list[bytes] = []
        taken: list[tuple[Batch, int, datetime]] = []
        for batch in batches:
            at, first = self._clock(), self._writer.edge.size + len(lines)
            try:
                encoded = self._encoded(batch, time_text(at), first)
            except AuditError as error:
                batch.error = error
                continue
            except OSError as error:
                batch.error = AppendFailed(f"nothing was appended, since no key could be read or made: {error}")
                batch.error.__cause__ = error
                continue
            taken.append((batch, len(lines), at))
            lines += encoded
        if not lines:
            return
        size = self._writer.edge.size
        hashes = self._writer.append(lines, sync=self._sync)
        self._appended.set()
        for batch, start, at in taken:
            own = enumerate(hashes[start : start + len(batch.events)], size + start)
            batch.receipts = [Receipt(seq, at, hash_) for seq, hash_ in own]

    def _encoded(self, batch: Batch, at: str, first: int) -> list[bytes]:
        keys: dict[str, bytes] = {}
        lines = []
        for seq, event in enumerate(batch.events, first):
            lines.append(event.line(at, seq, self._sealed(event.personal, seq, keys)))
            if len(lines[-1]) > MAX_ENTRY_BYTES:
                raise InvalidEvent(f"an entry has {len(lines[-1])} bytes, and {MAX_ENTRY_BYTES} are the limit")
        return lines

    def _sealed(
        self, personal: Mapping[str, Mapping[str, str]], seq: int, keys: dict[str, bytes]
    ) -> dict[str, dict[str, str]]:
        sealed = {}
        for subject, values in personal.items():
            if subject not in keys:
                keys[subject] = self._keys.find_or_make(subject)
            sealed[subject] = {
                name: seal(field_key(keys[subject], seq, subject, name), text) for name, text in values.items()
            }
        return sealed
