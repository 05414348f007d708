"""Schedules over a real store and a real backend, with a clock that the test moves."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from maestro_engine.schedules.contract import ScheduleSpec
from maestro_engine.schedules.service import Schedules
from maestro_engine.schedules.store import RunRow, ScheduleStore
from maestro_engine.templates.contract import NewTemplate
from maestro_engine.templates.folder import TemplateFolder
from maestro_engine.templates.service import Templates
from maestro_engine.templates.store import TemplateStore
from maestro_workflow_engine import EmbeddedBackend, StepKind
from maestro_workflow_engine.testing import Gate, ManualClock, ScriptedKind, fails

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
_T = TypeVar("_T")


class SetClock(ManualClock):
    """A clock that can be set, too: then no timer goes off, as when somebody sets the clock of a machine."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self._shift = timedelta(0)

    def set(self, at: datetime) -> None:
        """Say another time from now on; timers go on as if nothing had happened."""
        self._shift = at - super().now()

    def now(self) -> datetime:
        """The time in UTC."""
        return super().now() + self._shift


class WatchedStore(ScheduleStore):
    """A store that tells when something was read or written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, synchronous="NORMAL")
        self._touched = asyncio.Event()
        run = self._database.run

        async def run_and_tell(work: Callable[[sqlite3.Connection], _T]) -> _T:
            try:
                return await run(work)
            finally:
                self._touched.set()

        self._database.run = run_and_tell  # type: ignore[method-assign]  # what a test looks through

    async def until(self, schedule: str, is_so: Callable[[list[RunRow]], bool]) -> list[RunRow]:
        """The decisions of a schedule, oldest first, as soon as they are what is wanted."""
        while True:
            rows = (await self.runs(schedule, before=None, state=None, limit=1000))[::-1]
            if is_so(rows):
                return rows
            self._touched.clear()
            try:
                await asyncio.wait_for(self._touched.wait(), 10)
            except TimeoutError:
                raise AssertionError(f"it does not come: {rows}") from None


@dataclass
class Desk:
    """What a test of schedules needs."""

    schedules: Schedules
    store: WatchedStore
    backend: EmbeddedBackend
    templates: Templates
    clock: SetClock
    gate: Gate = field(default_factory=Gate)

    async def add(self, name: str = "it", **settings: Any) -> str:
        """The id of a schedule that was made."""
        chosen = settings if "template" in settings else {"definition": one_step(), **settings}
        return (await self.schedules.add(name, ScheduleSpec.model_validate(chosen))).id

    async def until_states(self, schedule: str, *states: str) -> list[RunRow]:
        """The decisions, as soon as these are their states."""
        return await self.store.until(schedule, lambda rows: [row.state for row in rows] == list(states))

    async def workflows(self) -> list[str]:
        """The ids of all workflows."""
        return [each.id for each in (await self.backend.list(limit=1000)).items]


def one_step(kind: str = "echo", name: str = "sample", **step: Any) -> dict[str, Any]:
    return {"name": name, "steps": {"only": {"kind": kind, "with": {"x": 1}, **step}}}


def nominal(rows: Sequence[RunRow]) -> list[float]:
    """Minutes from T0."""
    return [(row.nominal_at - T0) / timedelta(minutes=1) for row in rows]


@asynccontextmanager
async def desk_in(folder: Path, clock: SetClock | None = None) -> AsyncIterator[Desk]:
    """Everything opened, and closed afterwards in the order in which the engine does it."""
    gate = Gate()
    kinds: dict[str, StepKind] = {
        "echo": ScriptedKind(),
        "gate": ScriptedKind(gate),
        "broken": ScriptedKind(fails(99, retryable=False)),
    }
    used = clock or SetClock(T0)
    templates_store = TemplateStore(folder / "templates.db", synchronous="NORMAL")
    templates = Templates(templates_store, TemplateFolder(folder / "templates"), kinds, clock=used.now)
    store = WatchedStore(folder / "schedules.db")
    await templates_store.open()
    await store.open()
    async with EmbeddedBackend(folder, kinds=kinds, synchronous="NORMAL") as backend:
        async with Schedules(store, backend, templates, clock=used) as schedules:
            yield Desk(schedules, store, backend, templates, used, gate)
        await backend.close(0)
    await store.close()
    await templates_store.close()


async def register(desk: Desk, name: str, kind: str = "echo", **more: Any) -> str:
    """The version of a template that was registered."""
    order = NewTemplate.model_validate({"name": name, "definition": {**one_step(kind), **more}})
    return (await desk.templates.register(order, by="test")).version
