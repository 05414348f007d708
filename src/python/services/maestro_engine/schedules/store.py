"""Schedules, their starts and their backfills on disk."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from maestro_engine.database.file import Database, text_of, time_of
from maestro_engine.schedules.planner import Span

_APPLICATION_ID: Final = 0x4D_53_43_48  # "MSCH"
_SCHEMA: Final = (
    """
    CREATE TABLE schedules (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, settings TEXT NOT NULL, version INTEGER NOT NULL,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        decided_until TEXT NOT NULL, starts INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE backfills (
        id TEXT PRIMARY KEY, schedule TEXT NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
        from_at TEXT NOT NULL, to_at TEXT NOT NULL, max_parallel INTEGER NOT NULL,
        created_at TEXT NOT NULL, created_by TEXT NOT NULL, request TEXT, UNIQUE (schedule, request)
    ) STRICT;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, schedule TEXT NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
        kind TEXT NOT NULL, nominal_at TEXT NOT NULL, until_at TEXT, state TEXT NOT NULL, reason TEXT,
        workflow_id TEXT, is_awaited INTEGER NOT NULL DEFAULT 0, decided_at TEXT NOT NULL, started_at TEXT,
        backfill TEXT REFERENCES backfills (id) ON DELETE CASCADE, request TEXT, UNIQUE (schedule, request)
    ) STRICT;
    CREATE INDEX runs_of_schedules ON runs (schedule, id);
    CREATE INDEX runs_by_time ON runs (schedule, nominal_at);
    CREATE INDEX runs_of_backfills ON runs (backfill, state);
    CREATE INDEX runs_that_are_open ON runs (schedule, nominal_at)
        WHERE state IN ('pending', 'queued') OR is_awaited;
    """,
)
_KEPT_RUNS: Final = 1000
_OPEN: Final = "state IN ('pending', 'queued')"
_RUN: Final = "id, kind, nominal_at, until_at, state, reason, workflow_id, is_awaited, decided_at, started_at, backfill"
_SCHEDULE: Final = "id, name, settings, version, created_at, updated_at, decided_until, starts"

State = Literal["pending", "queued", "started", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule; all nominal times up to `decided_until` are decided."""

    id: str
    name: str
    settings: Mapping[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime
    decided_until: datetime
    starts: int = 0


@dataclass(frozen=True, slots=True)
class RunRow:
    """A decision; `is_awaited` as long as a later start may have to wait for the end of its workflow."""

    id: int
    kind: Literal["schedule", "backfill", "manual"]
    nominal_at: datetime
    until_at: datetime | None
    state: State
    reason: str | None
    workflow_id: str | None
    is_awaited: bool
    decided_at: datetime
    started_at: datetime | None
    backfill: str | None


@dataclass(frozen=True, slots=True)
class BackfillRow:
    """A backfill, and how many of its starts are in which state."""

    id: str
    from_at: datetime
    to_at: datetime
    max_parallel: int
    created_at: datetime
    created_by: str
    counts: Mapping[str, int]
    running: int


class ScheduleStore:
    """All of it, in the file at `path`; what belongs to one decision is written in one transaction."""

    def __init__(self, path: Path, *, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> None:
        self._database = Database(path, application_id=_APPLICATION_ID, schema=_SCHEMA, synchronous=synchronous)
        self.open = self._database.open
        self.close = self._database.close

    async def all(self) -> list[ScheduleRow]:
        """Every schedule, by name."""
        rows = await self._database.run(lambda db: db.execute(f"SELECT {_SCHEDULE} FROM schedules").fetchall())
        return sorted((_schedule(row) for row in rows), key=lambda row: row.name)

    async def put(self, row: ScheduleRow) -> None:
        """Keep a schedule, new or changed, but for how many it has started."""
        values = (row.id, row.name, json.dumps(row.settings), row.version)
        times = (text_of(row.created_at), text_of(row.updated_at), text_of(row.decided_until))
        statement = (
            f"INSERT INTO schedules ({_SCHEDULE}) VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (id) DO UPDATE SET"
            " settings = excluded.settings, version = excluded.version, updated_at = excluded.updated_at,"
            " decided_until = excluded.decided_until"
        )
        await self._database.run(lambda db: db.execute(statement, (*values, *times)))

    async def delete(self, schedule: str) -> None:
        """Forget a schedule, with its history."""
        await self._database.run(lambda db: db.execute("DELETE FROM schedules WHERE id = ?", (schedule,)))

    async def decide(
        self,
        schedule: str,
        starts: Sequence[datetime],
        skipped: Span | None,
        until: datetime,
        *,
        reason: str,
        now: datetime,
    ) -> None:
        """Keep what was decided, at once: what is to start, what is skipped and why, and up to where."""

        def decide(db: sqlite3.Connection) -> None:
            if skipped is not None:
                last = text_of(skipped.last) if skipped.last != skipped.first else None
                db.execute(
                    "INSERT INTO runs (schedule, kind, nominal_at, until_at, state, reason, decided_at)"
                    " VALUES (?, 'schedule', ?, ?, 'skipped', ?, ?)",
                    (schedule, text_of(skipped.first), last, reason, text_of(now)),
                )
            db.executemany(
                "INSERT INTO runs (schedule, kind, nominal_at, state, decided_at)"
                " VALUES (?, 'schedule', ?, 'pending', ?)",
                [(schedule, text_of(nominal), text_of(now)) for nominal in starts],
            )
            db.execute("UPDATE schedules SET decided_until = ? WHERE id = ?", (text_of(until), schedule))
            _prune(db, schedule)

        await self._database.run(decide)

    async def add_manual(self, schedule: str, request: str | None, now: datetime) -> RunRow:
        """Keep that somebody wants a start now; the same request again gives the same."""

        def add(db: sqlite3.Connection) -> RunRow:
            db.execute(
                "INSERT INTO runs (schedule, kind, nominal_at, state, decided_at, request)"
                " VALUES (?, 'manual', ?, 'pending', ?, ?) ON CONFLICT (schedule, request) DO NOTHING",
                (schedule, text_of(now), text_of(now), request),
            )
            place = "request = ?" if request is not None else "id = last_insert_rowid()"
            values = (schedule, request) if request is not None else (schedule,)
            row = db.execute(f"SELECT {_RUN} FROM runs WHERE schedule = ? AND {place}", values).fetchone()
            _prune(db, schedule)
            return _run(row)

        return await self._database.run(add)

    async def add_backfill(
        self, schedule: str, backfill: BackfillRow, times: Sequence[datetime], request: str | None
    ) -> str:
        """Keep a backfill with all its starts, and give its id; the same request again gives the same.

        A time that was started, or is about to be, is skipped.
        """

        def add(db: sqlite3.Connection) -> str:
            known = "SELECT id FROM backfills WHERE schedule = ? AND request = ?"
            if found := db.execute(known, (schedule, request)).fetchone():
                return str(found[0])
            spans = (text_of(backfill.from_at), text_of(backfill.to_at), backfill.max_parallel)
            made = (text_of(backfill.created_at), backfill.created_by, request)
            db.execute("INSERT INTO backfills VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (backfill.id, schedule, *spans, *made))
            for nominal in times:
                taken = db.execute(
                    "SELECT 1 FROM runs WHERE schedule = ? AND nominal_at = ? AND kind != 'manual'"
                    " AND state IN ('pending', 'queued', 'started') LIMIT 1",
                    (schedule, text_of(nominal)),
                ).fetchone()
                state, reason = ("skipped", "it was started before") if taken else ("pending", None)
                db.execute(
                    "INSERT INTO runs (schedule, kind, nominal_at, state, reason, decided_at, backfill)"
                    " VALUES (?, 'backfill', ?, ?, ?, ?, ?)",
                    (schedule, text_of(nominal), state, reason, text_of(backfill.created_at), backfill.id),
                )
            return backfill.id

        return await self._database.run(add)

    async def open_runs(self, schedule: str) -> list[RunRow]:
        """What is to start, or awaited, in the order of nominal times."""
        query = f"SELECT {_RUN} FROM runs WHERE schedule = ? AND ({_OPEN} OR is_awaited) ORDER BY nominal_at, id"
        rows = await self._database.run(lambda db: db.execute(query, (schedule,)).fetchall())
        return [_run(row) for row in rows]

    async def has_open(self) -> set[str]:
        """The schedules of which something is to start."""
        query = f"SELECT DISTINCT schedule FROM runs WHERE {_OPEN}"
        return {row[0] for row in await self._database.run(lambda db: db.execute(query).fetchall())}

    async def started(self, schedule: str, run: RunRow, workflow_id: str, *, is_awaited: bool, at: datetime) -> None:
        """Keep that a start has become a workflow."""
        count = int(run.kind == "schedule")

        def mark(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE runs SET state = 'started', workflow_id = ?, is_awaited = ?, started_at = ? WHERE id = ?",
                (workflow_id, is_awaited, text_of(at), run.id),
            )
            db.execute("UPDATE schedules SET starts = starts + ? WHERE id = ?", (count, schedule))

        await self._database.run(mark)

    async def mark(self, runs: Sequence[RunRow], state: State, reason: str | None) -> None:
        """Keep that starts are queued, skipped or have failed, and why."""
        statement = "UPDATE runs SET state = ?, reason = ? WHERE id = ?"
        await self._database.run(lambda db: db.executemany(statement, [(state, reason, run.id) for run in runs]))

    async def ended(self, runs: Sequence[RunRow]) -> None:
        """Keep that nobody waits for these workflows any more."""
        statement = "UPDATE runs SET is_awaited = 0 WHERE id = ?"
        await self._database.run(lambda db: db.executemany(statement, [(run.id,) for run in runs]))

    async def starts(self, schedule: str) -> int:
        """How many workflows it has started by the calendar."""
        query = "SELECT starts FROM schedules WHERE id = ?"
        return int(await self._database.run(lambda db: db.execute(query, (schedule,)).fetchone()[0]))

    async def run(self, run_id: int) -> RunRow:
        """One start, as it is now."""
        query = f"SELECT {_RUN} FROM runs WHERE id = ?"
        return _run(await self._database.run(lambda db: db.execute(query, (run_id,)).fetchone()))

    async def runs(self, schedule: str, *, before: int | None, state: State | None, limit: int) -> list[RunRow]:
        """The newest decisions of a schedule, from the one before `before` on."""
        query = (
            f"SELECT {_RUN} FROM runs WHERE schedule = ? AND id < ? AND (?3 IS NULL OR state = ?3)"
            " ORDER BY id DESC LIMIT ?"
        )
        values = (schedule, before if before is not None else 2**62, state, limit)
        return [_run(row) for row in await self._database.run(lambda db: db.execute(query, values).fetchall())]

    async def backfills(self, schedule: str, backfill: str | None = None) -> list[BackfillRow]:
        """The backfills of a schedule, or one of them, the newest first."""

        def read(db: sqlite3.Connection) -> list[BackfillRow]:
            rows = db.execute(
                "SELECT id, from_at, to_at, max_parallel, created_at, created_by FROM backfills"
                " WHERE schedule = ?1 AND (?2 IS NULL OR id = ?2) ORDER BY created_at DESC, id LIMIT 1000",
                (schedule, backfill),
            ).fetchall()
            return [_backfill(row, db) for row in rows]

        return await self._database.run(read)

    async def give_up(self, schedule: str, backfill: str, reason: str) -> None:
        """Skip all of a backfill that has not started."""
        statement = f"UPDATE runs SET state = 'skipped', reason = ? WHERE schedule = ? AND backfill = ? AND {_OPEN}"
        await self._database.run(lambda db: db.execute(statement, (reason, schedule, backfill)))


def _prune(db: sqlite3.Connection, schedule: str) -> None:
    """Forget the oldest decisions, but none that is open or awaited, and none of a backfill."""
    db.execute(
        f"DELETE FROM runs WHERE schedule = ?1 AND NOT ({_OPEN}) AND NOT is_awaited AND backfill IS NULL"
        " AND id <= (SELECT id FROM runs WHERE schedule = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        (schedule, _KEPT_RUNS),
    )


def _schedule(row: tuple[Any, ...]) -> ScheduleRow:
    id_, name, settings, version, created_at, updated_at, decided_until, starts = row
    times = (time_of(created_at), time_of(updated_at), time_of(decided_until))
    return ScheduleRow(id_, name, json.loads(settings), version, *times, starts)


def _run(row: tuple[Any, ...]) -> RunRow:
    id_, kind, nominal_at, until_at, state, reason, workflow_id, is_awaited, decided_at, started_at, backfill = row
    return RunRow(
        id=id_,
        kind=kind,
        nominal_at=time_of(nominal_at),
        until_at=None if until_at is None else time_of(until_at),
        state=state,
        reason=reason,
        workflow_id=workflow_id,
        is_awaited=bool(is_awaited),
        decided_at=time_of(decided_at),
        started_at=None if started_at is None else time_of(started_at),
        backfill=backfill,
    )


def _backfill(row: tuple[Any, ...], db: sqlite3.Connection) -> BackfillRow:
    id_, from_at, to_at, max_parallel, created_at, created_by = row
    counts = dict(db.execute("SELECT state, count(*) FROM runs WHERE backfill = ? GROUP BY state", (id_,)).fetchall())
    running = db.execute("SELECT count(*) FROM runs WHERE backfill = ? AND is_awaited", (id_,)).fetchone()[0]
    span = (time_of(from_at), time_of(to_at))
    return BackfillRow(id_, *span, max_parallel, time_of(created_at), created_by, counts, running)
