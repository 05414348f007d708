"""The audit log of one engine: commands, refusals, and what became of every workflow."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from maestro_audit_logger import (
    AppendFailed,
    AuditError,
    AuditLog,
    Entry,
    FsyncPolicy,
    InclusionProof,
    LogDamaged,
    LogStopped,
)
from maestro_audit_logger import Event as Draft
from maestro_audit_logger.signing import Ed25519Signer
from maestro_engine.audit.errors import NotAccountedFor, SigningKeyMissing
from maestro_engine.audit.refusals import Refusals, Window
from maestro_workflow_engine import Event

ENGINE: Final = "engine"
"""The actor of what nobody asked for: a workflow ends by itself."""
ANONYMOUS: Final = "anonymous"
"""The actor who did not say who it is."""
KEEPER: Final = "maestro-engine"
"""The actor of what the audit log tells of itself."""

_ORIGIN: Final = "maestro-engine"
_TOLD: Final = frozenset({"workflow.started", "workflow.succeeded", "workflow.failed", "workflow.cancelled"})
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_MAX_TEXT: Final = 1000
_REFUSED: Final = (AppendFailed, LogDamaged, LogStopped)
"""What the log raises when it is the disk that is at fault, and not the entry."""

_log: Final = logging.getLogger("maestro_engine")

Outcome = Literal["success", "denied", "failed"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AuditTrail:
    """Keeps entries under `folder`, signed with a key of its own; one process has it at a time, from `open` on.

    With `is_durable` an entry is on the disk when it is taken; without it, 50 ms later. What was done while the disk
    took nothing is owed: `check` writes it before anything new is done.
    """

    def __init__(self, folder: Path, *, is_durable: bool = True, clock: Callable[[], datetime] = _utc_now) -> None:
        self._folder = folder
        self._is_durable = is_durable
        self._clock = clock
        self._opened: AuditLog | None = None
        self._refusals = Refusals()
        self._owed: deque[Draft] = deque()
        self._settling = asyncio.Lock()
        self._failure: AuditError | None = None
        self.public_key = ""

    def open(self) -> None:
        """Open the log, made where there is none.

        Raises AuditError for one that is damaged or held by another, SigningKeyMissing, and OSError.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        signer = _signer(self._folder / "signing-key.pem", has_log=(self._folder / "log" / "FORMAT").exists())
        self.public_key = signer.note_key.text()
        fsync: FsyncPolicy = "always" if self._is_durable else "batch"
        self._opened = AuditLog(self._folder / "log", origin=_ORIGIN, signer=signer, fsync=fsync)

    @property
    def _opened_log(self) -> AuditLog:
        assert self._opened is not None, "the audit trail was not opened"
        return self._opened

    async def probe(self) -> None:
        """Raise what the log last refused an entry with, until it has taken one again."""
        if self._failure is not None:
            raise type(self._failure)(str(self._failure))

    async def check(self) -> None:
        """To be asked before something is done: raises AuditError while no account of it could be kept."""
        if self._failure is None and not self._owed:
            return
        async with self._settling:
            while self._owed:
                await self._append(self._owed[0])
                self._owed.popleft()
            if self._failure is not None:
                await self._append(Draft(KEEPER, "trail.resume", _ORIGIN, details={"after": self._failure.code}))

    async def record(
        self,
        *,
        actor: str,
        action: str,
        object: str,
        outcome: Outcome = "success",
        details: Mapping[str, object] = _NOTHING,
        request_id: str | None = None,
    ) -> None:
        """Keep account of what was done; raises NotAccountedFor when the disk does not take it."""
        draft = _draft(actor, action, object, outcome, details, request_id)
        try:
            await self._append(draft)
        except _REFUSED as error:
            self._owed.append(draft)
            _log.error("audit.owed actor=%s action=%s object=%s: %s", actor, action, object, error)
            raise NotAccountedFor(error) from error

    async def refused(
        self, *, actor: str, action: str, object: str, details: Mapping[str, object], request_id: str | None
    ) -> None:
        """Keep account of a refusal, or count it where there are too many; raises AuditError."""
        await self._tell_counted(self._refusals.ended(self._clock()))
        if self._refusals.keeps(actor, self._clock()):
            await self._append(_draft(actor, action, object, "denied", details, request_id))

    async def heard(self, event: Event) -> None:
        """Keep account of a workflow that began or ended; of steps the journal itself is the account.

        Raises AuditError; the event may be told again then.
        """
        if event.type not in _TOLD:
            return
        error = event.data.get("error")
        details = {
            "position": event.position,
            "seq": event.seq,
            "name": event.data.get("name"),
            "step": event.data.get("step"),
            "reason": event.data.get("reason"),
            # Its code alone: what a program says of itself may be what an eternal log should not have.
            "error": error.get("code") if isinstance(error, Mapping) else None,
        }
        outcome: Outcome = "failed" if event.type == "workflow.failed" else "success"
        await self._append(_draft(ENGINE, event.type, event.workflow_id, outcome, details, None))

    def next_position(self) -> int:
        """The position of the first event that is not accounted for yet."""
        last = next(self._opened_log.query(actor=ENGINE, newest_first=True, limit=1), None)
        return 0 if last is None else int(last.details["position"]) + 1

    async def page(
        self,
        *,
        actor: str | None,
        action: str | None,
        object: str | None,
        outcome: str | None,
        since: datetime | None,
        until: datetime | None,
        after: int | None,
        limit: int,
    ) -> list[Entry]:
        """Entries that fit, newest first, from the one before `after` on."""

        def read() -> list[Entry]:
            asked = {"actor": actor, "action": action, "object": object, "outcome": outcome}
            found = self._opened_log.query(
                **asked, since=since, until=until, after=after, newest_first=True, limit=limit
            )
            return list(found)

        await self._tell_counted(self._refusals.ended(self._clock()))
        return await asyncio.to_thread(read)

    async def proof(self, seq: int) -> InclusionProof:
        """The proof that an entry is in the log; raises NotInLog."""

        def prove() -> InclusionProof:
            self._opened_log.checkpoint()  # above the newest entry too
            return self._opened_log.prove_inclusion(seq)

        return await asyncio.to_thread(prove)

    async def checkpoint(self) -> str:
        """The log's size and root as of now, signed: kept elsewhere, it shows later that nothing was taken away."""
        return (await asyncio.to_thread(self._opened_log.checkpoint)).note

    async def close(self) -> None:
        """Write what waits, and let go of the log; raises AuditError when the disk does not take it."""
        if self._opened is None:
            return
        try:
            if self._failure is not None:
                await self.check()
            await self._tell_counted(self._refusals.all())
        finally:
            await asyncio.to_thread(self._opened.close)

    async def _append(self, draft: Draft) -> None:
        try:
            await self._opened_log.aappend_many([draft])
        except _REFUSED as error:
            self._failure = error
            raise
        self._failure = None

    async def _tell_counted(self, windows: list[Window]) -> None:
        for window in windows:
            details = {"count": window.counted, "since": window.since.isoformat()}
            await self._append(_draft(window.actor, "refusals.further", "*", "denied", details, None))


def _signer(path: Path, *, has_log: bool) -> Ed25519Signer:
    """The engine's own key, made at the first start; readable by its owner alone."""
    if path.exists():
        return Ed25519Signer.from_pem(_ORIGIN, path.read_bytes())
    if has_log:
        raise SigningKeyMissing(path)
    signer = Ed25519Signer.generate(_ORIGIN)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
        file.write(signer.to_pem())
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return signer


def _draft(
    actor: str, action: str, object: str, outcome: Outcome, details: Mapping[str, object], request_id: str | None
) -> Draft:
    """An entry before it has its place; details that are None are left out."""
    kept = {name: _plain(value) for name, value in details.items() if value is not None}
    return Draft(actor, action, object, outcome, kept, {"request_id": request_id} if request_id else {})


def _plain(value: object) -> int | str:
    if isinstance(value, bool | int):
        return value
    text = str(value)
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
