"""For tests: a clock, an audit that only remembers, a disk that fails or kills on purpose, and conformance suites."""

import os as _os
import signal as _signal
from collections.abc import Callable as _Callable
from collections.abc import Iterable as _Iterable
from collections.abc import Mapping as _Mapping
from datetime import UTC as _UTC
from datetime import datetime as _datetime
from datetime import timedelta as _timedelta
from pathlib import Path as _Path
from typing import Protocol as _Protocol

from maestro_audit_logger._canonical import JSON
from maestro_audit_logger._disk import Disk
from maestro_audit_logger._entry import NOTHING, Event, Receipt, prepare, time_text
from maestro_audit_logger._errors import InvalidEvent
from maestro_audit_logger._merkle import EMPTY_ROOT, leaf_hash
from maestro_audit_logger._note import Checkpoint
from maestro_audit_logger._signer import Signer, sign_checkpoint


class ManualClock:
    """Wall time that stands still until `advance`."""

    def __init__(self, at: _datetime = _datetime(2026, 1, 1, tzinfo=_UTC)) -> None:
        self.at = at

    def __call__(self) -> _datetime:
        return self.at

    def advance(self, step: _timedelta) -> None:
        """Let time pass, or turn it back."""
        self.at += step


class AuditSink(_Protocol):
    """What code that is audited needs of an AuditLog."""

    def append(
        self,
        *,
        actor: str,
        action: str,
        object: str,
        outcome: str = "success",
        details: _Mapping[str, JSON] = NOTHING,
        context: _Mapping[str, JSON] = NOTHING,
        personal: _Mapping[str, _Mapping[str, JSON]] = NOTHING,
    ) -> Receipt:
        """Append one entry."""

    def append_many(self, events: _Iterable[Event]) -> list[Receipt]:
        """Append entries, all or none."""


class RecordedAudit:
    """Takes and refuses the same events as an AuditLog, and keeps them in `events`; nothing touches the disk."""

    def __init__(self, clock: _Callable[[], _datetime] | None = None) -> None:
        self.events: list[Event] = []
        self._clock = clock or ManualClock()

    def append(
        self,
        *,
        actor: str,
        action: str,
        object: str,
        outcome: str = "success",
        details: _Mapping[str, JSON] = NOTHING,
        context: _Mapping[str, JSON] = NOTHING,
        personal: _Mapping[str, _Mapping[str, JSON]] = NOTHING,
    ) -> Receipt:
        """Keep one event."""
        return self.append_many([Event(actor, action, object, outcome, details, context, personal)])[0]

    def append_many(self, events: _Iterable[Event]) -> list[Receipt]:
        """Keep events, all or none."""
        kept = list(events)
        if not kept:
            raise InvalidEvent("a batch has 1 event or more")
        at, first = self._clock(), len(self.events)
        lines = [prepare(event).line(time_text(at), seq, {}) for seq, event in enumerate(kept, first)]
        self.events += kept
        return [Receipt(seq, at, leaf_hash(line)) for seq, line in enumerate(lines, first)]

    async def aappend(
        self,
        *,
        actor: str,
        action: str,
        object: str,
        outcome: str = "success",
        details: _Mapping[str, JSON] = NOTHING,
        context: _Mapping[str, JSON] = NOTHING,
        personal: _Mapping[str, _Mapping[str, JSON]] = NOTHING,
    ) -> Receipt:
        """Keep one event."""
        return (await self.aappend_many([Event(actor, action, object, outcome, details, context, personal)]))[0]

    async def aappend_many(self, events: _Iterable[Event]) -> list[Receipt]:
        """Keep events, all or none."""
        return self.append_many(events)


class FaultyDisk(Disk):
    """A disk whose call number `at` (from 1; None for never) fails with `error`, or kills the process with SIGKILL.

    A write that fails or kills has written half before. `calls` names what was called; `at` may be set again.
    """

    def __init__(self, at: int | None = None, error: OSError | None = None) -> None:
        self.at = at
        self.error = error
        self.calls: list[str] = []

    def _call(self, name: str, half: _Callable[[], object] | None = None) -> None:
        self.calls.append(name)
        if len(self.calls) != self.at:
            return
        if half is not None:
            half()
        if self.error is None:
            _os.kill(_os.getpid(), _signal.SIGKILL)
        else:
            raise self.error

    def open(self, path: _Path) -> int:
        self._call(f"open {path.name}")
        return super().open(path)

    def write(self, file: int, data: bytes) -> None:
        self._call("write", lambda: super(FaultyDisk, self).write(file, data[: len(data) // 2]))
        super().write(file, data)

    def truncate(self, file: int, size_bytes: int) -> None:
        self._call("truncate")
        super().truncate(file, size_bytes)

    def sync(self, file: int) -> None:
        self._call("sync")
        super().sync(file)

    def replace(self, path: _Path, data: bytes) -> None:
        super().replace(path, data)
        self._call(f"replaced {path.name}")

    def remove(self, path: _Path) -> None:
        self._call(f"remove {path.name}")
        super().remove(path)


class SignerConformance:
    """What every signer must keep: make a test class of it, and say in `make_signer` how to make yours."""

    def make_signer(self) -> Signer:
        """A signer, always with the same key."""
        raise NotImplementedError

    def test_its_signature_verifies(self) -> None:
        """A checkpoint that it signed is verified by its key, and names it."""
        signer = self.make_signer()
        signed = sign_checkpoint(Checkpoint("example.com/audit", 0, EMPTY_ROOT), signer)
        assert Checkpoint.parse(signed.note).signed_by([signer.note_key]) == signer.note_key.name

    def test_its_key_is_stable(self) -> None:
        """Two signers of the same key have the same verifying key, and verify each other."""
        first, second = self.make_signer(), self.make_signer()
        assert first.note_key == second.note_key
        assert second.note_key.verifies(b"message", first.sign(b"message"))

    def test_another_message_does_not_verify(self) -> None:
        """A signature is of one message."""
        signer = self.make_signer()
        assert not signer.note_key.verifies(b"messagf", signer.sign(b"message"))

    def test_its_key_travels_as_text(self) -> None:
        """The verifying key reads back from its text."""
        key = self.make_signer().note_key
        assert type(key).parse(key.text()) == key


class AuditSinkConformance:
    """What everything that takes audit events must keep: say in `make_audit` how to make an empty one."""

    def make_audit(self) -> AuditSink:
        """An audit without entries; what must be closed is the test's to close."""
        raise NotImplementedError

    def test_numbers_follow_each_other(self) -> None:
        """Entries are numbered from 0, without a gap, and have an aware time and a hash."""
        audit = self.make_audit()
        receipts = [audit.append(actor="user:1", action="read", object=f"file:{n}") for n in range(3)]
        receipts += audit.append_many([Event("user:1", "read", "file:3"), Event("user:1", "read", "file:4")])
        assert [receipt.seq for receipt in receipts] == [0, 1, 2, 3, 4]
        assert all(receipt.at.tzinfo is not None and len(receipt.entry_hash) == 32 for receipt in receipts)

    def test_what_is_refused_takes_no_number(self) -> None:
        """A batch with one bad event is refused whole, and the next entry has the number that it would have had."""
        audit = self.make_audit()
        no_json: dict[str, JSON] = {"x": float("nan")}
        for bad in (Event("", "read", "file:1"), Event("user:1", "re\nad", "x"), Event("u", "a", "o", details=no_json)):
            try:
                audit.append_many([Event("user:1", "read", "file:0"), bad])
            except InvalidEvent:
                continue
            raise AssertionError(f"{bad} was taken")
        assert audit.append(actor="user:1", action="read", object="file:0").seq == 0


__all__ = [
    "AuditSink",
    "AuditSinkConformance",
    "Disk",
    "FaultyDisk",
    "ManualClock",
    "RecordedAudit",
    "SignerConformance",
]
