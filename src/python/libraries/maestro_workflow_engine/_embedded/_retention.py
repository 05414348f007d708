"""Forgets workflows that ended long ago, and the artifacts that nobody names any more."""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._embedded import _deletion
from maestro_workflow_engine._embedded._deletion import Doomed
from maestro_workflow_engine._embedded._reader import Reader
from maestro_workflow_engine._embedded._references import hashes_in
from maestro_workflow_engine._embedded._values import Statement
from maestro_workflow_engine._errors import CommandRefused, EngineError
from maestro_workflow_engine._ports import Clock

_log: Final = logging.getLogger("maestro_workflow_engine")
_AT_ONCE: Final = 20
"""Workflows in one transaction: the writer is not held longer than for a few milliseconds."""


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long an ended workflow is kept: until it is too old, or too many have ended after it; None: no matter.

    An artifact goes when no workflow that is left names it, and nobody has kept it for `artifact_grace_s`.
    """

    finished_after_s: float | None = 30 * 86400.0
    max_finished: int | None = None
    check_every_s: float = 3600.0
    artifact_grace_s: float = 86400.0

    def __post_init__(self) -> None:
        for name in ("finished_after_s", "max_finished", "artifact_grace_s"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} is 0 or more, not {value}")
        if self.check_every_s <= 0:
            raise ValueError(f"check_every_s is more than 0, not {self.check_every_s}")


class Retention:
    """Deletes in small steps beside everything else; a crash between any two of them costs nothing.

    `write` makes statements durable. `forget` hears of the ids and the digests of definitions that the next write may
    delete, right before it. `oldest_attempt_at` says when the oldest attempt that runs now began: what was kept since
    then is left alone, since the attempt may still name it.
    """

    def __init__(
        self,
        reader: Reader,
        store: ArtifactStore,
        *,
        policy: RetentionPolicy,
        clock: Clock,
        write: Callable[[list[Statement]], Awaitable[None]],
        forget: Callable[[set[str], set[str]], None],
        oldest_attempt_at: Callable[[], datetime | None],
    ) -> None:
        self._reader = reader
        self._store = store
        self._policy = policy
        self._clock = clock
        self._write = write
        self._forget = forget
        self._oldest_attempt_at = oldest_attempt_at

    async def run(self) -> None:
        """Look again and again, until it is cancelled or the journal fails."""
        is_first = True
        try:
            while True:
                try:
                    count = await self.sweep()
                    if count or not is_first:
                        await self.collect()
                except OSError as error:  # of a file of the artifacts, which the next look may find in order
                    _log.warning("workflow.retention_failed: %s", error)
                is_first = False
                await self._pause()
        except EngineError as error:
            _log.warning("workflow.retention_stopped: %s", error)

    async def sweep(self) -> int:
        """Delete every workflow that is due; gives how many."""
        count = 0
        while deleted := await self._pass():
            count += deleted  # what hung on those may go now: children, and origins
        await self._finish()
        return count

    async def delete(self, workflow_id: str) -> None:
        """Forget an ended workflow and all that it started; raises WorkflowNotFound, CommandRefused."""
        row = await self._reader.workflow(workflow_id)
        if row.finished_at is None:
            raise CommandRefused(f"workflow {workflow_id!r} is {row.status}: only one that has ended can be deleted")
        members = await self._reader.ask(lambda connection: _deletion.family(connection, workflow_id))
        for start in range(0, len(members), _AT_ONCE):
            await self._remove(members[start : start + _AT_ONCE])
        if await self._reader.ask(lambda connection: _deletion.family(connection, workflow_id)):
            raise CommandRefused(f"workflow {workflow_id!r} is needed by one that has not ended: wait for that one")
        await self._finish()

    async def collect(self) -> int:
        """Remove the artifacts that nobody names; gives how many bytes are free now."""
        older_than = self._clock.now() - timedelta(seconds=self._policy.artifact_grace_s)
        oldest_attempt_at = self._oldest_attempt_at()
        if oldest_attempt_at is not None:
            older_than = min(older_than, oldest_attempt_at)
        await self._write([])  # what attempts that have just ended name is durable then
        # Who names an artifact after this was read has kept it after this, too: then it is too young to go.
        named = await self._reader.ask(_named)
        freed_bytes = 0
        for name in await asyncio.to_thread(self._store.unused, named, older_than):
            freed_bytes += await asyncio.to_thread(self._store.remove, name, older_than)
        return freed_bytes

    async def _pass(self) -> int:
        """Delete what is due, from the earliest to the latest."""
        age_s, keep = self._policy.finished_after_s, self._policy.max_finished
        if age_s is None and keep is None:
            return 0
        before = None if age_s is None else self._clock.now() - timedelta(seconds=age_s)
        count, after = 0, (-1, -1)
        while found := await self._outdated(before, keep, after):
            await self._remove(found)
            await self._finish()
            count += len(found)
            after = found[-1].finished_at, found[-1].key
        return count

    async def _outdated(self, before: datetime | None, keep: int | None, after: tuple[int, int]) -> list[Doomed]:
        return await self._reader.ask(
            lambda connection: _deletion.outdated(connection, before=before, keep=keep, after=after, limit=_AT_ONCE)
        )

    async def _remove(self, workflows: Sequence[Doomed]) -> None:
        digests = {digest for each in workflows for _, digest in each.definitions}
        self._forget({each.id for each in workflows}, digests)
        await self._write(_deletion.removal(workflows))

    async def _finish(self) -> None:
        """Delete the events that are left of workflows that are gone from sight, also by an earlier process."""
        while keys := await self._reader.ask(lambda connection: _deletion.deleted(connection, _AT_ONCE)):
            await self._write(_deletion.events_removal(keys))

    async def _pause(self) -> None:
        over = asyncio.Event()
        call_off = self._clock.call_later(self._policy.check_every_s, over.set)
        try:
            await over.wait()
        finally:
            call_off()


def _named(connection: sqlite3.Connection) -> set[str]:
    named = {sha256 for (sha256,) in connection.execute("SELECT DISTINCT sha256 FROM artifact_references")}
    for (document,) in connection.execute("SELECT document FROM definitions"):
        named |= hashes_in(document)
    return named
