"""Which workflows are in memory: those that have something to do, and a few that rest; the journal keeps the others."""

import asyncio
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from maestro_workflow_engine._embedded._engine import Engine
from maestro_workflow_engine._embedded._hosted import Hosted
from maestro_workflow_engine._embedded._reader import Reader, WorkflowRow
from maestro_workflow_engine._embedded._values import microseconds
from maestro_workflow_engine._errors import (
    WorkflowError,
    WorkflowFinished,
    WorkflowNotFound,
    WorkflowNotResumed,
)
from maestro_workflow_engine._ports import Clock

_log: Final = logging.getLogger("maestro_workflow_engine")
_BATCH: Final = 200
_AT_ONCE: Final = 50


class Parking:
    """Brings workflows into memory when they are asked for or due, and lets those rest that only wait.

    At most `max_idle` that rest stay in memory, those longest at rest leave first; while `max_busy` others are there,
    no more are taken up that nobody asks for. `adopts_all` False leaves alone what earlier engines began, up to the
    key `last_key`, until it is asked for.
    """

    def __init__(
        self,
        engine: Engine,
        reader: Reader,
        clock: Clock,
        revive: Callable[[WorkflowRow], Awaitable[Hosted]],
        *,
        max_idle: int,
        max_busy: int,
        last_key: int,
        adopts_all: bool,
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._clock = clock
        self._revive = revive
        self._max_idle = max_idle
        self._max_busy = max_busy
        self._last_key = last_key
        self._above_key = 0 if adopts_all else last_key
        self._adopted: set[str] = set()
        self._held_back: dict[str, WorkflowError] = {}
        self._idle: OrderedDict[str, Hosted] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Hosted]] = {}
        self._admitted: set[str] = set()
        """What was taken up although nobody asked for it, and has something to do."""
        self._room = asyncio.Event()
        self._alarm: tuple[datetime, Callable[[], None]] | None = None
        self._rung: asyncio.Queue[datetime] = asyncio.Queue()

    # --- being asked for ---

    async def loaded(self, workflow_id: str) -> Hosted:
        """An unfinished workflow, in memory.

        Use it before anything else is awaited. Raises WorkflowNotFound, WorkflowFinished, and what keeps this engine
        from running it.
        """
        while True:
            run = self._engine.runs.get(workflow_id)
            if run is not None:
                return run
            if self._engine.failure is not None:
                raise self._engine.failure
            task = self._loading.get(workflow_id)
            if task is None:
                task = self._loading[workflow_id] = asyncio.create_task(self._load(workflow_id))
                task.add_done_callback(lambda done: self._forget_failure(workflow_id, done))
            run = await asyncio.shield(task)
            if self._loading.get(workflow_id) is task:  # whoever comes first takes it up, and asks before it goes on
                del self._loading[workflow_id]
                self._take_up(run)

    async def _load(self, workflow_id: str) -> Hosted:
        row = await self._reader.workflow(workflow_id)
        if row.finished_at is not None:
            raise WorkflowFinished(workflow_id, row.status)
        return await self._revive(row)

    def _forget_failure(self, workflow_id: str, done: asyncio.Task[Hosted]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._loading.pop(workflow_id, None)

    def _take_up(self, run: Hosted) -> None:
        if self._engine.failure is not None:
            raise self._engine.failure
        self._held_back.pop(run.id, None)
        if run.key <= self._above_key:
            self._adopted.add(run.id)
        self._engine.take_up(run)
        if run.is_parked:  # and may leave when another one comes to rest
            self._idle[run.id] = run

    def why_left(self, workflow_id: str, key: int) -> WorkflowError | None:
        """Why this engine does not bring an unfinished workflow to its end; None when it does."""
        if key <= self._above_key and workflow_id not in self._adopted:
            return WorkflowNotResumed(workflow_id)
        return self._held_back.get(workflow_id)

    async def is_ours(self, workflow_id: str) -> bool:
        """Whether it is for this engine to go on with an unfinished workflow."""
        if self._above_key == 0 or workflow_id in self._adopted or workflow_id in self._engine.runs:
            return True
        return (await self._reader.workflow(workflow_id)).key > self._above_key

    async def _admit(self, workflow_ids: list[str], until: datetime | None = None) -> None:
        """Bring in unfinished workflows that nobody asked for, some at once, and only as far as there is room.

        What of them is due by `until` goes on at once.
        """
        rest = workflow_ids
        while rest:
            while len(self._admitted) >= self._max_busy:
                self._room.clear()
                await self._room.wait()
            count = min(_AT_ONCE, self._max_busy - len(self._admitted))
            chunk, rest = rest[:count], rest[count:]
            await asyncio.gather(*(self._admit_one(workflow_id, until) for workflow_id in chunk))

    async def _admit_one(self, workflow_id: str, until: datetime | None) -> None:
        run = await self.loaded_quietly(workflow_id)
        if run is None:
            return
        if until is not None:
            self._engine.timers.fire(run, until)
        if not run.is_parked:
            self._admitted.add(workflow_id)

    async def loaded_quietly(self, workflow_id: str) -> Hosted | None:
        """An unfinished workflow that nobody asked for; None, and a line in the log, when it cannot run here."""
        if workflow_id in self._held_back:
            return None
        try:
            return await self.loaded(workflow_id)
        except (WorkflowFinished, WorkflowNotFound):
            return None
        except WorkflowError as error:
            if self._engine.failure is not None or self._engine.is_closing:
                return None
            _log.error("workflow.not_resumed workflow_id=%s: %s", workflow_id, error)
            self._held_back[workflow_id] = error
            self._engine.endings.give_up(workflow_id, error)
            return None

    async def close(self) -> None:
        """Bring nothing more into memory."""
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- coming to rest ---

    def consider(self, run: Hosted) -> None:
        """A workflow only waits now: it stays in memory as long as not too many others have come to rest after it."""
        if run.durable_seq != run.state.seq or run.id not in self._engine.runs:
            return
        self._idle[run.id] = run
        self._idle.move_to_end(run.id)
        self._make_room(run)
        while len(self._idle) > self._max_idle:
            self._lay_down(self._idle.popitem(last=False)[1])

    def forget(self, run: Hosted) -> None:
        """A workflow has ended."""
        self._idle.pop(run.id, None)
        self._adopted.discard(run.id)
        self._make_room(run)

    def _make_room(self, run: Hosted) -> None:
        if run.id in self._admitted:
            self._admitted.remove(run.id)
            self._room.set()

    def _lay_down(self, run: Hosted) -> None:
        if not run.is_parked or run.durable_seq != run.state.seq or run.id in self._adopted:
            return  # of one that was adopted, the alarm does not know
        due_at = run.next_due_at
        self._engine.lay_down(run)
        if due_at is not None:
            self._wake_at(due_at, run.state.updated_at)

    # --- being due ---

    def _wake_at(self, due_at: datetime, since: datetime | None = None) -> None:
        if self._engine.is_closing or (self._alarm is not None and self._alarm[0] <= due_at):
            return
        self.stop_alarm()
        now = self._clock.now()
        if since is not None:  # a clock that was set back must not make the wait longer than decided
            now = max(now, since)
        if due_at <= now:
            self._ring(due_at)
        else:
            call_off = self._clock.call_later((due_at - now).total_seconds(), lambda: self._ring(due_at))
            self._alarm = due_at, call_off

    def stop_alarm(self) -> None:
        """Nothing becomes due any more."""
        if self._alarm is not None:
            self._alarm[1]()
            self._alarm = None

    def _ring(self, due_at: datetime) -> None:
        self._alarm = None
        self._rung.put_nowait(max(due_at, self._clock.now()))

    async def set_alarm(self, after: datetime | None = None) -> None:
        """Wake up when the first of those that rest is due, later than a time."""
        due_at = await self._reader.next_due(after, self._above_key)
        if due_at is not None:
            self._wake_at(due_at)

    async def wake(self) -> None:
        """Bring into memory what is due, for ever."""
        while True:
            until = await self._rung.get()
            after = None
            while rows := await self._reader.due(until, after, _BATCH, self._above_key):
                after = rows[-1].cursor
                resting = dict.fromkeys(row.workflow_id for row in rows if row.workflow_id not in self._engine.runs)
                await self._admit(list(resting), until)
            await self.set_alarm(until)

    # --- opening ---

    async def take_up_late(self) -> None:
        """Bring into memory what began to wait after the time that the clock shows: the clock was set back."""
        now = microseconds(self._clock.now())
        for workflow_id in await self._reader.ask(lambda connection: _begun_after(connection, now, self._above_key)):
            await self.loaded_quietly(workflow_id)

    async def take_up_all(self) -> None:
        """Go on with what earlier engines left unfinished, the oldest first, as far as there is room.

        What may hold a place of a concurrency key comes before all others.
        """
        for workflow_id in await self._reader.ask(lambda connection: _holders(connection, self._last_key)):
            await self.loaded_quietly(workflow_id)
        self._engine.dispatch.slots_are_known()
        after = 0
        while rows := await self._reader.unparked(after, _BATCH):
            after = rows[-1].key
            await self._admit([row.id for row in rows if row.key <= self._last_key])
            if after > self._last_key:
                return


def _begun_after(connection: sqlite3.Connection, at: int, above_key: int) -> list[str]:
    query = (
        "SELECT DISTINCT w.id FROM waits v JOIN workflows w ON w.key = v.workflow "
        "WHERE v.since > ? AND v.due_at IS NOT NULL AND w.key > ? AND w.status <> 'paused' LIMIT 1000"
    )
    return [row[0] for row in connection.execute(query, (at, above_key))]


def _holders(connection: sqlite3.Connection, last_key: int) -> list[str]:
    has_key = "SELECT key FROM definitions WHERE json_type(document, '$.concurrency') IS NOT NULL"
    query = (
        "SELECT id FROM workflows WHERE finished_at IS NULL AND is_parked = 0 AND key <= ? "
        f"AND (definition IN ({has_key}) "
        f"OR key IN (SELECT workflow FROM migrations WHERE definition IN ({has_key}))) ORDER BY key"
    )
    return [row[0] for row in connection.execute(query, (last_key,))]
