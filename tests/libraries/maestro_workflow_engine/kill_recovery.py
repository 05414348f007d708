"""Opens what a killed process has left, brings every workflow to its end, and says what is wrong."""

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from maestro_workflow_engine import (
    EmbeddedBackend,
    Event,
    StepCall,
    StepKind,
    WorkflowNotFound,
    builtin_step_kinds,
    fold,
    parse_definition,
    replay,
)
from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._errors import CommandRefused, WaitTimedOut, WorkflowFinished
from maestro_workflow_engine._events import EVENT_TYPES
from maestro_workflow_engine.testing import ManualClock, ScriptedKind

ENDS = ("step.succeeded", "step.failed", "step.repeated")
ROUNDS = 400
LOOK_AGAIN_S = 0.02
Row = tuple[str, int, str, dict[str, Any]]


def durable_events(path: Path) -> list[Row]:
    """All events of a journal, as (workflow, seq, type, data), in their order."""
    query = (
        "SELECT w.id, e.seq, e.type, e.data FROM events e JOIN workflows w ON w.key = e.workflow ORDER BY e.position"
    )
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(query).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        rows = []  # killed before there was anything
    finally:
        connection.close()
    return [(workflow, seq, EVENT_TYPES[type_], json.loads(data)) for workflow, seq, type_, data in rows]


def key_of(workflow: str, data: Mapping[str, Any]) -> str:
    """The idempotency key of the attempt that an event is about."""
    where = data["step"] if "item" not in data else f"{data['step']}[{data['item']}]"
    return f"{workflow}/{where}/{data.get('attempt', 0)}"


async def recovered(before: Mapping[Path, list[Row]], log: list[dict[str, Any]]) -> dict[str, Any]:
    """Open each folder again: the faults, and how many workflows, acknowledgements and ended attempts were seen."""
    deleted = {line["deletes"] for line in log if "deletes" in line}
    names = {name for line in log for name in line.get("kinds", ())}
    faults: list[str] = []
    limits: set[str] = set()
    counts = {"workflows": 0, "acknowledged": 0, "ended": 0}
    for path, rows in before.items():
        calls: list[str] = []
        kinds: dict[str, StepKind] = {**{name: ScriptedKind() for name in names}, **_builtin(names)}
        listening = {name: Listening(kind, calls) for name, kind in kinds.items()}
        clock = ManualClock()
        async with EmbeddedBackend(
            path.parent, kinds=listening, clock=clock, synchronous="NORMAL", retention=None
        ) as backend:
            limits |= {limit.name for limit in await backend.limits()}
            await _drive(backend, clock)
            faults += [f"{workflow} never ended" for workflow in await backend.unfinished()]
        after = durable_events(path)
        if after[: len(rows)] != rows:
            faults.append("what was durable has changed")
        ended = {key_of(workflow, data) for workflow, _, type_, data in rows if type_ in ENDS}
        faults += [f"{key} was repeated" for key in calls if key in ended]
        faults += _unreplayable(path.parent)
        counts["workflows"] += len({workflow for workflow, *_ in after})
        counts["ended"] += len(ended)
    lengths = {row[0]: row[1] for rows in before.values() for row in rows}
    for line in log:
        if "workflow" in line and line["workflow"] not in deleted:
            counts["acknowledged"] += 1
            if lengths.get(line["workflow"], 0) < line["seq"]:
                faults.append(f"{line['what']} of {line['workflow']} was acknowledged and is lost")
    dropped = {line["deletes_limit"] for line in log if "deletes_limit" in line}
    faults += [
        f"limit {name} is lost" for name in {line["limit"] for line in log if "limit" in line} - dropped - limits
    ]
    return {"faults": faults, **counts}


def _builtin(names: set[str]) -> dict[str, StepKind]:
    """The kinds that come with the engine, where the scenario had them; and children, which every engine can have."""
    return {name: kind for name, kind in builtin_step_kinds().items() if name in names or name == "workflow"}


class Listening:
    """A step kind whose calls are heard."""

    def __init__(self, kind: StepKind, calls: list[str]) -> None:
        self._kind = kind
        self._calls = calls
        self.check = kind.check
        self.close = kind.close

    async def run(self, call: StepCall) -> object:
        """Note the call and let the kind run."""
        self._calls.append(call.idempotency_key)
        return await self._kind.run(call)


async def _drive(backend: EmbeddedBackend, clock: ManualClock) -> None:
    """Give every workflow what it waits for, until all have ended."""
    for limit in await backend.limits():
        await backend.delete_limit(limit.name)
    for turn in range(ROUNDS):
        unfinished = await backend.unfinished()
        if not unfinished:
            return
        for workflow_id in unfinished:
            try:
                await _help(backend, workflow_id, is_late=turn > ROUNDS // 2)
            except (WorkflowFinished, CommandRefused, WorkflowNotFound):
                continue  # it has ended meanwhile
        clock.advance(3600.0)
        try:
            await backend.wait(unfinished[0], LOOK_AGAIN_S)
        except WaitTimedOut:
            continue


async def _help(backend: EmbeddedBackend, workflow_id: str, *, is_late: bool) -> None:
    state = await backend.get(workflow_id)
    if is_late:
        await backend.cancel(workflow_id, force=True)
    elif state.status == "paused":
        await backend.resume(workflow_id)
    elif state.starved:
        await backend.set_budget(workflow_id, {})
    for step, item in list(state.in_flight):
        run = state.place((step, item))
        if run.status == "waiting" and run.wait is not None and run.wait.kind not in (None, "workflow", "budget"):
            await backend.skip(workflow_id, step, item=item)


def _unreplayable(folder: Path) -> list[str]:
    """Histories that the law does not come to again."""
    with contextlib.closing(sqlite3.connect(folder / "journal.db")) as connection:
        documents = [json.loads(document) for (document,) in connection.execute("SELECT document FROM definitions")]
    known = {definition.digest: definition for definition in map(parse_definition, documents)}
    store = ArtifactStore(folder / "artifacts")
    histories = _histories(folder)
    faults = []
    for workflow, events in histories.items():
        start = events[0].data
        origin = None
        if start.get("origin") is not None:
            earlier = histories.get(start["origin"]["workflow"], [])[: start["origin"]["seq"]]
            if not earlier:
                continue  # it was deleted
            origin = fold(earlier, definition=known[earlier[0].data["definition"]], lookup=known.__getitem__)
        again = replay(known[start["definition"]], events, definitions=known, origin=origin, load=store.load)
        if again.difference is not None:
            faults.append(f"{workflow}: {again.difference}")
    return faults


def _histories(folder: Path) -> dict[str, list[Event]]:
    query = (
        "SELECT w.id, e.seq, e.type, e.at, e.data, e.position FROM events e JOIN workflows w ON w.key = e.workflow"
        " ORDER BY e.position"
    )
    histories: dict[str, list[Event]] = {}
    with contextlib.closing(sqlite3.connect(folder / "journal.db")) as connection:
        rows = connection.execute(query).fetchall()
    for workflow, seq, type_, at, data, position in rows:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
        histories.setdefault(workflow, []).append(
            Event(seq, workflow, EVENT_TYPES[type_], when, json.loads(data), position)
        )
    return histories
