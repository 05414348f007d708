"""Schedules over a real store and a real backend: what they start, and what not."""

import asyncio
import os
import sqlite3
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from services.maestro_engine.scheduling import T0, Desk, SetClock, desk_in, nominal, one_step, register

from maestro_engine.database.file import DatabaseUnavailable, DatabaseUnusable
from maestro_engine.schedules.contract import NewBackfill, ScheduleSpec
from maestro_engine.schedules.errors import BackfillRefused, ScheduleChanged, ScheduleExists, UnknownSchedule
from maestro_engine.schedules.service import version_of
from maestro_engine.schedules.store import ScheduleStore
from maestro_engine.templates.errors import TemplateInUse, UnknownTemplate
from maestro_workflow_engine import InvalidDefinition, InvalidInputs

MINUTE = timedelta(minutes=1)


def backfill(first: float, last: float, **more: int) -> NewBackfill:
    return NewBackfill.model_validate({"from_at": T0 + first * MINUTE, "to_at": T0 + last * MINUTE, **more})


async def test_a_workflow_starts_at_each_time_and_knows_for_which(tmp_path: Path) -> None:
    """The nominal time is in its labels, in the inputs that ask for it, and in its id; who started it is told."""
    async with desk_in(tmp_path) as desk:
        definition = {**one_step(), "inputs": {"day": {"type": "string"}, "list": {"type": "array"}}}
        inputs = {"day": "of ${{ schedule.nominal_at }}", "list": ["${{schedule.name}}", 1]}
        settings: dict[str, Any] = {"definition": definition, "inputs": inputs, "labels": {"team": "a"}, "priority": 7}
        id_ = await desk.add(every_s=60, **settings)
        desk.clock.advance(60)
        (run,) = await desk.until_states(id_, "started")
        state = await desk.backend.wait(str(run.workflow_id), 10)
        assert state.inputs == {"day": "of 2026-03-01T12:01:00Z", "list": ["it", 1]}
        assert state.labels == {
            "team": "a",
            "maestro.schedule": "it",
            "maestro.nominal-at": "2026-03-01T12:01:00Z",
        }
        assert (state.priority, run.workflow_id) == (7, f"it-20260301T120100Z-{id_}")
        assert desk.schedules.named("it").starts == 1


async def test_it_sleeps_until_the_next_time_and_only_that_long(tmp_path: Path) -> None:
    """One timer for all schedules, at the soonest time; none at all when nothing is to come."""
    async with desk_in(tmp_path) as desk:
        assert desk.clock.next_due_at is None
        id_ = await desk.add("first", every_s=45)
        await desk.add("second", every_s=50)
        desk.clock.advance(45)
        await desk.until_states(id_, "started")
        await desk.schedules.delete("first")
        await desk.schedules.delete("second")
        desk.clock.advance(600)
        assert len(await desk.workflows()) == 1


async def test_a_template_by_its_bare_name_is_the_latest_of_each_time(tmp_path: Path) -> None:
    """`name` follows the versions, `name@version` stays; each workflow carries its own."""
    async with desk_in(tmp_path) as desk:
        await register(desk, "job")
        latest = await desk.add("a", every_s=60, template="job")
        pinned = await desk.add("b", every_s=60, template="job@1")
        desk.clock.advance(60)
        await desk.until_states(latest, "started")
        await desk.until_states(pinned, "started")
        assert await register(desk, "job", description="other") == "2"
        desk.clock.advance(60)
        versions = {}
        for id_ in (latest, pinned):
            runs = await desk.until_states(id_, "started", "started")
            states = [await desk.backend.wait(str(run.workflow_id), 10) for run in runs]
            versions[id_] = [(state.template, state.version) for state in states]
        assert versions == {latest: [("job", "1"), ("job", "2")], pinned: [("job", "1"), ("job", "1")]}


async def test_what_cannot_start_is_told_when_the_schedule_is_made(tmp_path: Path) -> None:
    """Wrong definitions, inputs and templates are refused, and nothing is kept."""
    async with desk_in(tmp_path) as desk:
        with pytest.raises(InvalidDefinition):
            await desk.add(every_s=60, definition=one_step("nope"))
        with pytest.raises(InvalidInputs):
            await desk.add(every_s=60, inputs={"x": 1})
        with pytest.raises(UnknownTemplate):
            await desk.add(every_s=60, template="nope")
        with pytest.raises(UnknownSchedule):
            desk.schedules.named("it")


async def test_what_can_start_no_more_fails_with_its_reason_and_the_schedule_goes_on(tmp_path: Path) -> None:
    """History says why; it does not count as a start; the next time is tried again."""
    async with desk_in(tmp_path) as desk:
        (tmp_path / "templates").mkdir()
        file = tmp_path / "templates" / "job.yml"
        file.write_text("name: job\nsteps: {a: {kind: echo}}\n")
        id_ = await desk.add(every_s=60, template="job", max_runs=1)
        file.rename(file.with_suffix(".off"))
        desk.clock.advance(60)
        (run,) = await desk.until_states(id_, "failed")
        assert run.reason == "template.unknown: There is no template 'job'; known: there are none."
        file.with_suffix(".off").rename(file)
        desk.clock.advance(60)
        await desk.until_states(id_, "failed", "started")
        desk.clock.advance(600)
        assert desk.schedules.next_at(desk.schedules.named("it")) is None


async def test_a_start_is_skipped_while_an_earlier_one_runs(tmp_path: Path) -> None:
    """overlap skip: history says so; after the end it starts again."""
    async with desk_in(tmp_path) as desk:
        id_ = await desk.add(every_s=60, definition=one_step("gate"))
        desk.clock.advance(60)
        await desk.gate.arrival()
        desk.clock.advance(60)
        first, skipped = await desk.until_states(id_, "started", "skipped")
        assert skipped.reason == "an earlier start still runs"
        desk.gate.open()
        await desk.backend.wait(str(first.workflow_id), 10)
        desk.clock.advance(60)
        await desk.until_states(id_, "started", "skipped", "started")
        assert len(await desk.workflows()) == 2


async def test_starts_queue_up_and_begin_as_soon_as_earlier_ones_end(tmp_path: Path) -> None:
    """overlap queue: no clock has to move for the next; beyond max_queued they are skipped."""
    async with desk_in(tmp_path) as desk:
        id_ = await desk.add(every_s=60, definition=one_step("gate"), overlap="queue", max_queued=2)
        for states in (["started"], ["started", "queued"], ["started", "queued", "queued"]):
            desk.clock.advance(60)
            await desk.until_states(id_, *states)
        desk.clock.advance(60)
        runs = await desk.until_states(id_, "started", "queued", "queued", "skipped")
        assert runs[3].reason == "as many starts wait as may"
        assert len(await desk.workflows()) == 1
        desk.gate.open()
        runs = await desk.until_states(id_, "started", "started", "started", "skipped")
        assert nominal(runs) == [1, 2, 3, 4]


async def test_a_later_start_takes_the_place_of_one_that_runs(tmp_path: Path) -> None:
    """overlap cancel_running: the earlier one has ended before the later one begins."""
    async with desk_in(tmp_path) as desk:
        id_ = await desk.add(every_s=60, definition=one_step("gate"), overlap="cancel_running")
        desk.clock.advance(60)
        await desk.gate.arrival()
        desk.clock.advance(60)
        first, second = await desk.until_states(id_, "started", "started")
        states = [await desk.backend.get(str(run.workflow_id)) for run in (first, second)]
        assert [state.status for state in states] == ["cancelled", "running"]
        assert states[0].reason == "a later start of its schedule takes its place"
        ended, began = states[0].finished_at, states[1].started_at
        assert ended is not None
        assert began is not None
        assert ended <= began


async def test_with_allow_they_run_side_by_side(tmp_path: Path) -> None:
    """overlap allow: nothing waits, nothing is skipped."""
    async with desk_in(tmp_path) as desk:
        id_ = await desk.add(every_s=60, definition=one_step("gate"), overlap="allow")
        desk.clock.advance(60)
        await desk.until_states(id_, "started")
        desk.clock.advance(60)
        runs = await desk.until_states(id_, "started", "started")
        assert len({run.workflow_id for run in runs}) == 2
        assert not any(run.is_awaited for run in runs)


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("none", [(10, 160, "skipped")]),
        ("last", [(10, 150, "skipped"), (160, None, "started")]),
        ("all", [(10, 100, "skipped"), *((minute, None, "started") for minute in range(110, 170, 10))]),
    ],
)
async def test_what_was_missed_while_nothing_ran_is_made_up_for(
    tmp_path: Path, catch_up: str, expected: list[tuple[int, int | None, str]]
) -> None:
    """After an absence of 165 minutes, with a window of an hour: history tells of each time."""
    clock = SetClock(T0)
    async with desk_in(tmp_path, clock) as desk:
        id_ = await desk.add(every_s=600, catch_up=catch_up, catch_up_window_s=3600, overlap="allow")
    clock.advance(165 * 60)
    async with desk_in(tmp_path, clock) as desk:
        runs = await desk.store.until(id_, lambda rows: [row.state for row in rows] == [each[2] for each in expected])
        found = [
            ((run.nominal_at - T0) / MINUTE, (run.until_at - T0) / MINUTE if run.until_at else None, run.state)
            for run in runs
        ]
        assert found == expected
        assert len(await desk.workflows()) == len([each for each in expected if each[2] == "started"])


async def test_a_pause_holds_the_calendar_and_is_told_in_history(tmp_path: Path) -> None:
    """Nothing starts meanwhile, nothing is made up for, and the restart in between changes nothing."""
    clock = SetClock(T0)
    async with desk_in(tmp_path, clock) as desk:
        id_ = await desk.add(every_s=60, catch_up="all")
        row = await desk.schedules.set_paused("it", True)
        assert desk.schedules.next_at(row) is None
        assert await desk.schedules.set_paused("it", True) == row
        clock.advance(200)
    async with desk_in(tmp_path, clock) as desk:
        assert desk.schedules.upcoming("it", 2)[0][0] == T0 + 4 * MINUTE
        await desk.schedules.set_paused("it", False)
        (skipped,) = await desk.until_states(id_, "skipped")
        assert (skipped.reason, skipped.until_at) == ("the schedule was paused", T0 + 3 * MINUTE)
        clock.advance(60)
        runs = await desk.until_states(id_, "skipped", "started")
        assert nominal(runs) == [1, 4]


async def test_a_clock_that_jumps_ahead_is_noticed_and_catch_up_decides(tmp_path: Path) -> None:
    """No timer goes off when somebody sets the clock: it looks again after a minute."""
    async with desk_in(tmp_path) as desk:
        id_ = await desk.add(every_s=3600, catch_up="last")
        desk.clock.set(T0 + 10 * 60 * MINUTE + 30 * MINUTE)
        desk.clock.advance(61)
        skipped, started = await desk.until_states(id_, "skipped", "started")
        assert (skipped.until_at, started.nominal_at) == (T0 + 9 * 60 * MINUTE, T0 + 10 * 60 * MINUTE)


async def test_a_clock_that_is_set_back_starts_nothing_twice(tmp_path: Path) -> None:
    """Times that were decided stay decided; what lies after them comes when the clock shows it."""
    async with desk_in(tmp_path) as desk:
        id_ = await desk.add(every_s=600)
        desk.clock.advance(600)
        await desk.until_states(id_, "started")
        desk.clock.set(T0 - 60 * MINUTE)
        other = await desk.add("other", every_s=60)
        desk.clock.advance(61)
        await desk.until_states(other, "started")
        for minute in range(-58, 10):
            desk.clock.set(T0 + minute * MINUTE)
            desk.clock.advance(0.5)
        desk.clock.set(T0 + 20 * MINUTE)
        desk.clock.advance(61)
        runs = await desk.until_states(id_, "started", "started")
        assert nominal(runs) == [10, 20]


async def test_other_times_begin_when_they_are_set(tmp_path: Path) -> None:
    """A change of the times forgets what was due by the old ones; a change of the rest does not."""
    async with desk_in(tmp_path) as desk:
        id_ = await desk.add(every_s=3600)
        desk.clock.advance(1800)
        row = desk.schedules.named("it")
        spec = ScheduleSpec.model_validate(
            {"definition": one_step(), "cron": "*/5 * * * *", "time_zone": "Asia/Kolkata"}
        )
        changed = await desk.schedules.change("it", spec, version=version_of(row))
        assert (changed.version, changed.decided_until) == (2, T0 + 30 * MINUTE)
        with pytest.raises(ScheduleChanged):
            await desk.schedules.change("it", spec, version=version_of(row))
        with pytest.raises(ScheduleChanged):
            await desk.schedules.delete("it", version=version_of(row))
        desk.clock.advance(300)
        (run,) = await desk.until_states(id_, "started")
        assert run.nominal_at == T0 + 35 * MINUTE


async def test_it_ends_after_its_last_run_and_outside_its_dates(tmp_path: Path) -> None:
    """start_at and end_at are included; max_runs counts starts by the calendar, over restarts."""
    clock = SetClock(T0)
    async with desk_in(tmp_path, clock) as desk:
        counted = await desk.add("counted", every_s=60, max_runs=2)
        dated = await desk.add("dated", every_s=60, start_at=T0 + 2 * MINUTE, end_at=T0 + 3 * MINUTE)
        clock.advance(60)
        await desk.until_states(counted, "started")
        await desk.schedules.run_now("counted")
    async with desk_in(tmp_path, clock) as desk:
        for _ in range(4):
            clock.advance(60)
            await desk.add(f"mark{_}", at=clock.now() + timedelta(seconds=30))
            clock.advance(30)
            await desk.until_states(desk.schedules.named(f"mark{_}").id, "started")
        runs = await desk.until_states(counted, "started", "started", "started")
        assert [run.kind for run in runs] == ["schedule", "manual", "schedule"]
        assert nominal(await desk.until_states(dated, "started", "started")) == [2, 3]
        assert [desk.schedules.next_at(desk.schedules.named(name)) for name in ("counted", "dated")] == [None, None]
        assert desk.schedules.upcoming("counted", 5) == []


async def test_a_run_now_starts_whatever_else_runs_and_once_per_request(tmp_path: Path) -> None:
    """The same request again gives the same; what cannot start raises why and is in history."""
    async with desk_in(tmp_path) as desk:
        id_ = await desk.add(every_s=3600, definition=one_step("gate"))
        first = await desk.schedules.run_now("it", request="a")
        assert await desk.schedules.run_now("it", request="a") == first
        second = await desk.schedules.run_now("it", request="b")
        assert {first.workflow_id, second.workflow_id} == set(await desk.workflows())
        await register(desk, "job", inputs={"n": {"type": "integer", "default": 1}})
        await desk.schedules.change(
            "it", ScheduleSpec.model_validate({"every_s": 60, "template": "job", "inputs": {"n": 2}})
        )
        await register(desk, "job", description="without inputs")
        with pytest.raises(InvalidInputs):
            await desk.schedules.run_now("it")
        runs = await desk.until_states(id_, "started", "started", "failed")
        assert str(runs[2].reason).startswith("workflow.invalid-inputs")


async def test_a_backfill_starts_past_times_so_many_at_once(tmp_path: Path) -> None:
    """Progress is told; a time that was started before is not started again; it goes on after a restart."""
    clock = SetClock(T0 + 10 * MINUTE)
    async with desk_in(tmp_path, clock) as desk:
        id_ = await desk.add(every_s=60, anchor_at=T0, definition=one_step("gate"), overlap="skip")
        clock.advance(60)
        await desk.gate.arrival()
        made = await desk.schedules.backfill("it", backfill(5, 11, max_parallel=2), by="ann", request="a")
        assert (await desk.schedules.backfill("it", backfill(5, 11), by="ann", request="a")).id == made.id
        await desk.gate.arrival()
        await desk.gate.arrival()
        states = ["started", *["started"] * 2, *["queued"] * 4, "skipped"]
        runs = await desk.until_states(id_, *states)
        assert (nominal(runs), runs[7].reason) == ([11, 5, 6, 7, 8, 9, 10, 11], "it was started before")
        (told,) = await desk.schedules.backfills("it")
        assert (dict(told.counts), told.running) == ({"queued": 4, "started": 2, "skipped": 1}, 2)
    async with desk_in(tmp_path, clock) as desk:
        desk.gate.open()
        await desk.until_states(id_, *["started"] * 7, "skipped")
        assert len(await desk.workflows()) == 7
        await desk.store.until(id_, lambda rows: not any(row.is_awaited for row in rows if row.backfill))
        (told,) = await desk.schedules.backfills("it")
        assert (dict(told.counts), told.running) == ({"started": 6, "skipped": 1}, 0)


async def test_a_backfill_is_refused_or_cancelled(tmp_path: Path) -> None:
    """Too many times, none at all, or times to come are refused; after a cancel no more start."""
    async with desk_in(tmp_path, SetClock(T0 + 60 * MINUTE)) as desk:
        id_ = await desk.add(every_s=60, anchor_at=T0, definition=one_step("gate"))
        for order, message in [
            (backfill(0, 20, max_runs=20), "more than 20 times"),
            (backfill(0.2, 0.8), "no time there"),
            (backfill(5, 4), "from an earlier to a later"),
            (backfill(5, 61), "of the past"),
        ]:
            with pytest.raises(BackfillRefused, match=message):
                await desk.schedules.backfill("it", order, by="ann")
        made = await desk.schedules.backfill("it", backfill(1, 3), by="ann")
        await desk.until_states(id_, "started", "queued", "queued")
        await desk.schedules.cancel_backfill("it", made.id)
        desk.gate.open()
        runs = await desk.until_states(id_, "started", "skipped", "skipped")
        assert runs[1].reason == "the backfill was cancelled"


async def test_a_template_that_a_schedule_starts_is_not_deleted(tmp_path: Path) -> None:
    """Not while any schedule names it, by version or without; afterwards it is."""
    async with desk_in(tmp_path) as desk:
        await register(desk, "job")
        await desk.add(every_s=60, template="job@1")
        with pytest.raises(ScheduleExists):
            await desk.add(every_s=60)
        with pytest.raises(TemplateInUse, match="started by schedules: it"):
            await desk.templates.delete("job", users_of=desk.schedules.users_of)
        await desk.schedules.delete("it")
        await desk.templates.delete("job", users_of=desk.schedules.users_of)
        with pytest.raises(UnknownTemplate):
            await desk.templates.find("job")


async def test_a_disk_that_takes_nothing_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    """The probe says why nothing starts; once it takes data again, what was due starts, once."""
    async with desk_in(tmp_path) as desk:
        id_ = await desk.add(every_s=60, catch_up="all")
        await _set_read_only(desk, True)
        desk.clock.advance(60)
        await _failing(desk)
        with pytest.raises(DatabaseUnavailable, match="readonly"):
            await desk.schedules.probe()
        await _set_read_only(desk, False)
        desk.clock.advance(5)
        await desk.until_states(id_, "started")
        await desk.schedules.probe()
        assert len(await desk.workflows()) == 1


async def _set_read_only(desk: Desk, is_so: bool) -> None:
    """Have the store refuse to write, between its transactions."""
    database = desk.store._database
    assert database._connection is not None
    pragma = f"PRAGMA query_only = {int(is_so)}"
    await asyncio.get_running_loop().run_in_executor(database._thread, database._connection.execute, pragma)


async def _failing(desk: Desk) -> None:
    """Wait until a decision could not be written."""
    while not desk.schedules._failures:
        desk.store._touched.clear()
        await asyncio.wait_for(desk.store._touched.wait(), 10)


async def test_history_is_bounded_and_keeps_what_is_open(tmp_path: Path) -> None:
    """Of all that is decided the last thousand are kept, and what still runs."""
    store = ScheduleStore(tmp_path / "schedules.db", synchronous="NORMAL")
    async with desk_in(tmp_path) as desk:
        id_ = await desk.add(every_s=3600, definition=one_step("gate"))
        run = await desk.schedules.run_now("it")
        for _ in range(12):
            await desk.store.decide(id_, [T0] * 100, None, T0, reason="", now=T0)
            pending = [row for row in await desk.store.open_runs(id_) if row.state == "pending"]
            await desk.store.mark(pending, "skipped", "by the test")
        await desk.store.decide(id_, (), None, T0, reason="", now=T0)
    await store.open()
    rows = await store.runs(id_, before=None, state=None, limit=5000)
    assert (len(rows), rows[-1].id) == (1001, run.id)
    await store.close()


async def test_the_file_is_private_and_of_a_known_kind(tmp_path: Path) -> None:
    """Mode 0600, WAL; a newer schema and another program's file are refused by name."""
    path = tmp_path / "schedules.db"
    store = ScheduleStore(path)
    await store.open()
    assert [stat.S_IMODE(os.stat(f"{path}{end}").st_mode) for end in ("", "-wal")] == [0o600, 0o600]
    await store.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(DatabaseUnusable, match="has schema 99"):
        await ScheduleStore(path).open()
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    with pytest.raises(DatabaseUnusable, match="belongs to something else"):
        await ScheduleStore(other).open()
    other.write_bytes(b"no database at all, but a text" * 100)
    with pytest.raises(DatabaseUnusable, match="cannot be used"):
        await ScheduleStore(other).open()
    with pytest.raises(DatabaseUnavailable, match="cannot be opened"):
        await ScheduleStore(tmp_path).open()
