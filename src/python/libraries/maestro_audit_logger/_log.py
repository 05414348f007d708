"""The log as its writer sees it: append from any thread or task, checkpoint, erase, retain."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias, get_args

from maestro_audit_logger._canonical import JSON
from maestro_audit_logger._check import RETAIN_ACTION
from maestro_audit_logger._commits import Batch, Commits
from maestro_audit_logger._disk import Disk
from maestro_audit_logger._entry import NOTHING, Event, Receipt, check_name, prepare, time_text
from maestro_audit_logger._errors import InvalidEvent, InvalidSetup
from maestro_audit_logger._layout import Layout
from maestro_audit_logger._lock import WriterLock
from maestro_audit_logger._note import Checkpoint, NoteKey, check_origin
from maestro_audit_logger._opening import Recovery, create, open_log
from maestro_audit_logger._reader import AuditReader
from maestro_audit_logger._retention import Removal, plan_removal, remove
from maestro_audit_logger._signer import Signer
from maestro_audit_logger._writer import Writer

MAX_BATCH = 10_000
# So many events are checked and encoded on the event loop, in about a millisecond; more are left to a thread.
_QUICKLY_PREPARED = 64
FsyncPolicy: TypeAlias = Literal["always", "batch", "never"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AuditLog(AuditReader):
    """The one writer of a log, made where there is none; threads and tasks share it.

    `fsync` says what holds when `append` returns. "always": the entry is on the disk, and below the signed checkpoint.
    "batch": it survives the death of this process, and a power cut too once `batch_ms` have passed. "never": it
    survives the death of this process; checkpoints come with `checkpoint`, `close` and new segments only.

    Without a signer the checkpoint is not signed. `keys` are further keys whose checkpoint is accepted at opening, for
    the first time after a change of the signer. Raises LogHeld, LogDamaged, and InvalidSetup.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        origin: str,
        signer: Signer | None = None,
        keys: Sequence[NoteKey] = (),
        fsync: FsyncPolicy = "always",
        batch_ms: int = 50,
        segment_bytes: int = 64 * 2**20,
        clock: Callable[[], datetime] = _utc_now,
        disk: Disk | None = None,
    ) -> None:
        _check_setup(origin, fsync, batch_ms, segment_bytes)
        self._disk = disk or Disk()
        layout = Layout(Path(folder))
        self._disk.make_folder(layout.folder)
        self._lock = WriterLock(layout.lock)
        try:
            if not layout.format.exists():
                create(layout, origin, signer, self._disk)
            opened = open_log(layout, origin, signer, keys, self._disk)
            super().__init__(folder)
            writer = Writer(layout, opened, signer, self._disk, segment_bytes)
        except BaseException:
            self._lock.release()
            raise
        self._commits = Commits(writer, self._keys, clock, sync=fsync == "always")
        self.recovery: Recovery | None = opened.recovery
        self._retaining = threading.Lock()
        self._closed = threading.Event()
        self._flusher: threading.Thread | None = None
        if fsync == "batch":
            self._flusher = threading.Thread(
                target=self._commits.flush_often, args=(self._closed, batch_ms / 1000), name="audit-fsync", daemon=True
            )
            self._flusher.start()
        if opened.recovery is not None:
            try:
                self._note_own("audit.recover", origin, asdict(opened.recovery))
            except BaseException:
                self.close()
                raise

    def append(
        self,
        *,
        actor: str,
        action: str,
        object: str,
        outcome: str = "success",
        details: Mapping[str, JSON] = NOTHING,
        context: Mapping[str, JSON] = NOTHING,
        personal: Mapping[str, Mapping[str, JSON]] = NOTHING,
    ) -> Receipt:
        """Append one entry; raises InvalidEvent, AppendFailed or LogStopped. Fields are those of `Event`."""
        return self.append_many([Event(actor, action, object, outcome, details, context, personal)])[0]

    def append_many(self, events: Iterable[Event]) -> list[Receipt]:
        """Append up to 10,000 entries, all or none, next to each other; with one fsync."""
        return self._commits.settle(self._batch(events))

    async def aappend(
        self,
        *,
        actor: str,
        action: str,
        object: str,
        outcome: str = "success",
        details: Mapping[str, JSON] = NOTHING,
        context: Mapping[str, JSON] = NOTHING,
        personal: Mapping[str, Mapping[str, JSON]] = NOTHING,
    ) -> Receipt:
        """`append` for a task; tasks that wait at the same time share an fsync."""
        return (await self.aappend_many([Event(actor, action, object, outcome, details, context, personal)]))[0]

    async def aappend_many(self, events: Iterable[Event]) -> list[Receipt]:
        """`append_many` for a task; where the task is cancelled, the entries may still be appended."""
        import asyncio  # half of what importing this package would take, and there already where a task runs

        given = list(events)
        if len(given) > _QUICKLY_PREPARED:
            return await asyncio.to_thread(self.append_many, given)
        return await asyncio.to_thread(self._commits.settle, self._batch(given))

    def _batch(self, events: Iterable[Event]) -> Batch:
        prepared = [prepare(event) for event in events]
        if not 0 < len(prepared) <= MAX_BATCH:
            raise InvalidEvent(f"a batch has 1 to {MAX_BATCH} events, not {len(prepared)}")
        return self._commits.enqueue(Batch(prepared))

    def checkpoint(self) -> Checkpoint:
        """Bring everything to the disk and give the signed checkpoint; keep that where the log's owner can't write.

        Raises LogStopped, or what the signer raises: then the entries are on the disk, and it may be asked again.
        """
        with self._commits.alone() as writer:
            return writer.flush()

    def erase(self, subject: str) -> bool:
        """Destroy the key of a subject, so that nobody can read the subject's personal values again, and log that.

        False if there was no key. All hashes and proofs stay valid. The entry is `audit.erase`, of the subject.
        """
        check_name(subject, "subject")
        with self._commits.alone():
            destroyed = self._keys.destroy(subject)
        details: dict[str, JSON] = {"key": "destroyed" if destroyed else "absent"}
        self._note_own("audit.erase", subject, details)
        return destroyed

    def retain(self, *, since: datetime) -> Removal | None:
        """Remove the oldest segments all of whose entries are older than `since`, and log that; None if there are none.

        What stays proves as before. The segments to be removed are checked first: raises LogDamaged where they are not
        what was signed. Checkpoints of fewer entries than were removed cannot be compared with the log any more.
        """
        try:
            time_text(since)
        except ValueError as error:
            raise InvalidSetup(f"since: {error}") from error
        with self._retaining:
            with self._commits.alone() as writer:
                plan = plan_removal(self._layout, writer.flush(), since)
            if plan is None:
                return None
            self._note_own(RETAIN_ACTION, self.origin, plan.details())
            with self._commits.alone() as writer:
                writer.flush()
                remove(self._layout, plan, self._disk)
        return plan.removal()

    def _note_own(self, action: str, object: str, details: Mapping[str, JSON]) -> None:
        own = prepare(Event("maestro-audit", action, object, details=details), is_own=True)
        self._commits.settle(self._commits.enqueue(Batch([own])))

    def close(self) -> None:
        """Append what waits, bring all to the disk, sign it, and let go of the log; a second call does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._flusher is not None:
            self._commits.wake_flusher()
            self._flusher.join()
        try:
            self._commits.close()
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_setup(origin: str, fsync: str, batch_ms: int, segment_bytes: int) -> None:
    if not check_origin(origin):
        raise InvalidSetup(f"origin: {origin!r:.80} is not a name on one line, such as example.com/audit")
    if fsync not in get_args(FsyncPolicy):
        raise InvalidSetup(f"fsync: {fsync!r} is none of {', '.join(get_args(FsyncPolicy))}")
    if not 1 <= batch_ms <= 60_000:
        raise InvalidSetup(f"batch_ms: {batch_ms} is not between 1 and 60,000")
    if not 1 <= segment_bytes <= 2**32:
        raise InvalidSetup(f"segment_bytes: {segment_bytes} is not between 1 and 4 GiB")
