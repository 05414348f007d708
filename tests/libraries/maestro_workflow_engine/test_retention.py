"""Retention: ended workflows go when their time has come, nothing that anybody needs goes, and crashes cost nothing."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from libraries.maestro_workflow_engine.store_kit import NOON, Store

from maestro_workflow_engine import CommandRefused, JournalUnavailable, WorkflowNotFound
from maestro_workflow_engine._artifacts import ArtifactStore, hash_of
from maestro_workflow_engine._embedded._deletion import EVENTS_AT_ONCE
from maestro_workflow_engine._embedded._facets import Search, facets_of
from maestro_workflow_engine._embedded._reader import Reader
from maestro_workflow_engine._embedded._retention import Retention, RetentionPolicy
from maestro_workflow_engine._embedded._values import Statement
from maestro_workflow_engine.testing import ManualClock

DAY = timedelta(days=1)
NOTHING: dict[str, Any] = {"status": None, "name": None, "template": None, "parent": None, "labels": {}, "inputs": {}}


class Case:
    """A store with retention, and what retention said."""

    def __init__(
        self, folder: Path, policy: RetentionPolicy, write: Callable[[Store, list[Statement]], None] | None = None
    ) -> None:
        self.store = Store(folder)
        self.clock = ManualClock(NOON)
        self.artifacts = ArtifactStore(folder / "artifacts")
        self.artifacts.prepare()
        self.reader = Reader(self.store.path, 5.0)
        self.forgotten: set[str] = set()
        self.digests: set[str] = set()
        self.oldest_attempt_at: datetime | None = None

        async def written(statements: list[Statement]) -> None:
            if write is not None:
                write(self.store, statements)
            await self.store.write(statements)

        self.retention = Retention(
            self.reader,
            self.artifacts,
            policy=policy,
            clock=self.clock,
            write=written,
            forget=self._forget,
            oldest_attempt_at=lambda: self.oldest_attempt_at,
        )

    def _forget(self, ids: set[str], digests: set[str]) -> None:
        self.forgotten |= ids
        self.digests |= digests

    async def ids(self) -> list[str]:
        """Who is left, the oldest first."""
        page = await self.reader.page(Search(), 1000)
        return [item.id for item in reversed(page.items)]

    async def close(self) -> None:
        """Let go of the file."""
        await self.reader.close()
        self.store.close()


@asynccontextmanager
async def case_in(folder: Path, policy: RetentionPolicy | None = None, **more: Any) -> AsyncIterator[Case]:
    """A case that is closed in any case; workflows are kept for a day unless the policy says otherwise."""
    case = Case(folder, policy or RetentionPolicy(finished_after_s=DAY.total_seconds()), **more)
    try:
        yield case
    finally:
        await case.close()


async def test_what_ended_long_ago_goes_with_all_that_finds_it(tmp_path: Path) -> None:
    """Rows, events, search, definition; what ended lately and what has not ended stays."""
    async with case_in(tmp_path) as case:
        before = case.store.dump()
        for number in range(45):
            told = {"labels": {"n": str(number)}, "inputs": {"n": number}, "template": "t", "name": f"old-{number}"}
            case.store.ended(f"old-{number}", at=NOON - 2 * DAY, **told)
        case.store.start("runs", at=NOON - 9 * DAY, name="runs")
        assert await case.retention.sweep() == 45
        assert await case.ids() == ["runs"]
        case.store.end("runs", at=NOON - 2 * DAY)
        assert await case.retention.sweep() == 1
        assert case.store.dump() == before
        assert case.forgotten == {"runs", *(f"old-{number}" for number in range(45))}
        assert len(case.digests) == 46
        assert await case.retention.sweep() == 0


async def test_it_goes_when_its_time_has_come_and_not_before(tmp_path: Path) -> None:
    """Counted from its end, by the clock of the engine."""
    async with case_in(tmp_path) as case:
        case.store.ended("w", at=NOON)
        case.clock.advance(86401)
        assert await case.retention.sweep() == 0
        case.clock.advance(1)
        assert await case.retention.sweep() == 1


async def test_only_so_many_are_kept(tmp_path: Path) -> None:
    """The last ones to end, however young the others are."""
    async with case_in(tmp_path, RetentionPolicy(finished_after_s=None, max_finished=2)) as case:
        for number in (3, 1, 2, 0):
            case.store.ended(f"w{number}", at=NOON + timedelta(minutes=number))
        case.store.start("runs", at=NOON)
        assert await case.retention.sweep() == 2
        assert sorted(await case.ids()) == ["runs", "w2", "w3"]


async def test_without_a_limit_everything_is_kept(tmp_path: Path) -> None:
    """For ever."""
    async with case_in(tmp_path, RetentionPolicy(finished_after_s=None)) as case:
        case.store.ended("w", at=NOON - 9999 * DAY)
        assert await case.retention.sweep() == 0


@pytest.mark.parametrize("bad", [{"finished_after_s": -1}, {"max_finished": -1}, {"check_every_s": 0}])
def test_a_policy_that_makes_no_sense_is_refused(bad: dict[str, Any]) -> None:
    """By the name of the setting."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        RetentionPolicy(**bad)


async def test_children_go_after_their_parents(tmp_path: Path) -> None:
    """In one look, however deep; those of an unfinished parent stay, and a parent waits for an unfinished child."""
    async with case_in(tmp_path) as case:
        case.store.start("p", at=NOON - 3 * DAY)
        case.store.ended("c", at=NOON - 3 * DAY, parent="p")
        case.store.ended("cc", at=NOON - 3 * DAY, parent="c")
        assert await case.retention.sweep() == 0
        case.store.end("p", at=NOON - 2 * DAY)
        case.store.start("late", at=NOON - 2 * DAY, parent="p")
        assert await case.retention.sweep() == 0
        case.store.end("late", at=NOON)
        assert await case.retention.sweep() == 3
        assert await case.ids() == ["late"]


async def test_the_origin_of_an_unfinished_run_stays(tmp_path: Path) -> None:
    """What runs again reads the journal of what it runs again, until it has ended."""
    async with case_in(tmp_path) as case:
        case.store.ended("first", at=NOON - 3 * DAY)
        case.store.start("again", at=NOON - 2 * DAY, origin="first")
        assert await case.retention.sweep() == 0
        case.store.end("again", at=NOON)
        assert await case.retention.sweep() == 1
        assert await case.ids() == ["again"]


async def test_a_child_whose_parent_has_not_heard_of_its_end_stays(tmp_path: Path) -> None:
    """Else the parent would start it again."""
    async with case_in(tmp_path) as case:
        case.store.start("p")
        case.store.ended("c", at=NOON - 3 * DAY, parent="p")
        case.store.add("p", ("step.waiting", {"step": "a", "attempt": 1, "on": {"kind": "workflow", "workflow": "c"}}))
        with pytest.raises(CommandRefused, match="needed by one that has not ended"):
            await case.retention.delete("c")
        assert await case.ids() == ["p", "c"]


async def test_long_workflows_go_in_slices(tmp_path: Path) -> None:
    """No transaction deletes more events than the writer can spare time for; meanwhile nobody sees the rest."""
    async with case_in(tmp_path) as case:
        many = 3 * EVENTS_AT_ONCE + 7
        case.store.start("long", at=NOON - 2 * DAY)
        signal = ("signal.received", {"name": "x", "id": "x", "payload": None})
        case.store.add("long", *([signal] * many), at=NOON - 2 * DAY)
        case.store.end("long", at=NOON - 2 * DAY)
        sizes = [len(case.store.rows("SELECT 1 FROM events"))]
        writing = case.store.write

        async def watched(statements: list[Statement]) -> None:
            await writing(statements)
            sizes.append(len(case.store.rows("SELECT 1 FROM events")))
            assert await case.reader.events_of_all(0, 10) == []

        case.store.write = watched  # type: ignore[method-assign]  # to look in after every transaction
        assert await case.retention.sweep() == 1
        assert [before - after for before, after in pairwise(sizes)] == [0, 1000, 1000, 1000, 9]


async def test_numbers_are_never_given_twice(tmp_path: Path) -> None:
    """A cursor or a position that somebody remembers must not come to mean another workflow or event."""
    async with case_in(tmp_path) as case:
        for name in ("a", "b"):
            case.store.ended(name, at=NOON - 2 * DAY)
        before = await case.reader.last_numbers()
        assert before == (case.store.position, 2)
        await case.retention.sweep()
        assert case.store.rows("SELECT count(*) FROM events") == [(0,)]
        assert await case.reader.last_numbers() == before


async def test_deleting_one_takes_its_children_along(tmp_path: Path) -> None:
    """At once, without waiting for its time; and nothing else."""
    async with case_in(tmp_path) as case:
        case.store.ended("other")
        before = case.store.dump()
        case.store.ended("p", name="p", inputs={"secret": "mine"})
        for number in range(30):
            case.store.ended(f"c{number}", parent="p", name="c")
        case.store.ended("cc", parent="c3", name="c")
        await case.retention.delete("p")
        assert case.store.dump() == before
        with pytest.raises(WorkflowNotFound):
            await case.retention.delete("p")


async def test_what_has_not_ended_cannot_be_deleted(tmp_path: Path) -> None:
    """Nor what such a one needs; it stays whole."""
    async with case_in(tmp_path) as case:
        case.store.start("runs")
        case.store.ended("first")
        case.store.start("again", origin="first")
        case.store.ended("p")
        case.store.start("child", parent="p")
        before = case.store.dump()
        with pytest.raises(CommandRefused, match="'runs' is running: only one that has ended"):
            await case.retention.delete("runs")
        for needed in ("first", "p"):
            with pytest.raises(CommandRefused, match="needed by one that has not ended"):
                await case.retention.delete(needed)
        assert case.store.dump() == before


async def test_a_definition_stays_as_long_as_one_workflow_needs_it(tmp_path: Path) -> None:
    """And goes with the last one."""
    async with case_in(tmp_path) as case:
        for name in ("a", "b"):
            case.store.ended(name, name="shared")
        await case.retention.delete("a")
        assert case.store.rows("SELECT count(*) FROM definitions") == [(1,)]
        await case.retention.delete("b")
        assert case.store.rows("SELECT count(*) FROM definitions") == [(0,)]


async def test_a_damaged_workflow_goes_like_all_others(tmp_path: Path) -> None:
    """It keeps nobody from being deleted, and is not found any more."""
    async with case_in(tmp_path) as case:
        case.store.ended("bad", at=NOON - 2 * DAY, inputs={"n": 1})
        case.store.ended("good", at=NOON - 2 * DAY, inputs={"n": 1})
        case.store.connection.execute("UPDATE events SET data = 'no JSON' WHERE workflow = 1")
        assert await case.retention.sweep() == 2
        search = Search(facets_of(**{**NOTHING, "inputs": {"n": 1}}))
        assert (await case.reader.page(search, 10)).items == []


# --- artifacts ---


def keep(case: Case, content: bytes, age: timedelta) -> str:
    """An artifact that was kept some time ago."""
    sha256 = hash_of(content)
    case.artifacts.keep_blob(sha256, content)
    at = (case.clock.now() - age).timestamp()
    os.utime(case.artifacts.path(sha256), (at, at))
    return sha256


def is_there(case: Case, sha256: str) -> bool:
    """Whether an artifact is kept."""
    return sha256 in case.artifacts.all_names()


async def test_artifacts_that_nobody_names_go_after_a_while(tmp_path: Path) -> None:
    """What a workflow names stays for as long as that is there, what was kept lately stays in any case."""
    async with case_in(tmp_path) as case:
        named, nobody, young = (keep(case, text, 2 * DAY) for text in (b"named", b"nobody", b"young"))
        keep(case, b"young", DAY / 2)
        case.store.ended("w", at=NOON, outputs={"deep": [{"sha256": named, "size_bytes": 5}]})
        assert await case.retention.collect() == len(b"nobody")
        assert [is_there(case, sha256) for sha256 in (named, nobody, young)] == [True, False, True]
        await case.retention.delete("w")
        await case.retention.collect()
        assert [is_there(case, sha256) for sha256 in (named, young)] == [False, True]


async def test_an_artifact_of_a_running_attempt_stays(tmp_path: Path) -> None:
    """However long the attempt has been running: it may still name what it has kept."""
    async with case_in(tmp_path) as case:
        before, since = keep(case, b"before", 9 * DAY), keep(case, b"since", 7 * DAY)
        case.oldest_attempt_at = NOON - 8 * DAY
        await case.retention.collect()
        assert [is_there(case, sha256) for sha256 in (before, since)] == [False, True]


async def test_an_artifact_that_a_definition_or_an_input_names_stays(tmp_path: Path) -> None:
    """Wherever it stands, as long as it stands there by itself."""
    async with case_in(tmp_path) as case:
        given, fixed = keep(case, b"given", 9 * DAY), keep(case, b"fixed", 9 * DAY)
        case.store.ended("w", inputs={"file": given})
        insert = "INSERT INTO definitions (digest, document) VALUES ('d', ?)"
        case.store.connection.execute(insert, (f'{{"steps":{{"a":{{"with":{{"file":"{fixed}"}}}}}}}}',))
        await case.retention.collect()
        assert is_there(case, given)
        assert is_there(case, fixed)


async def test_a_run_that_took_results_over_keeps_their_artifacts(tmp_path: Path) -> None:
    """Also those that it does not name itself: they may stand inside a large result that it has taken over."""
    async with case_in(tmp_path) as case:
        inner = keep(case, b"inner", 9 * DAY)
        case.store.ended("first", at=NOON - 3 * DAY, outputs={"sha256": inner})
        case.store.ended("again", at=NOON, origin="first")
        await case.retention.sweep()
        assert await case.ids() == ["again"]
        await case.retention.collect()
        assert is_there(case, inner)
        await case.retention.delete("again")
        await case.retention.collect()
        assert not is_there(case, inner)


async def test_a_definition_of_a_workflow_is_no_artifact_that_it_names(tmp_path: Path) -> None:
    """A workflow without artifacts has no row among the references."""
    async with case_in(tmp_path) as case:
        case.store.ended("w")
        assert case.store.rows("SELECT * FROM artifact_references") == []


# --- the task ---


async def test_it_looks_again_and_again_by_the_clock(tmp_path: Path) -> None:
    """At once, then every so often; artifacts too, once something was deleted."""
    policy = RetentionPolicy(finished_after_s=86400.0, check_every_s=600.0, artifact_grace_s=0.0)
    async with case_in(tmp_path, policy) as case:
        named = keep(case, b"named", DAY)
        case.store.ended("old", at=NOON - 2 * DAY, outputs={"sha256": named})
        case.store.ended("young", at=NOON - DAY + timedelta(seconds=500))
        running = asyncio.create_task(case.retention.run())
        await timer(case)
        assert await case.ids() == ["young"]
        assert not is_there(case, named)
        case.clock.advance(600)
        await timer(case)
        assert await case.ids() == []
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert case.clock.next_due_at is None


async def timer(case: Case) -> None:
    """Wait until the task has nothing to do but to wait."""
    async with asyncio.timeout(20):
        while case.clock.next_due_at is None:
            await asyncio.to_thread(lambda: None)


async def test_it_stops_quietly_when_the_journal_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The engine has stopped then; one line in the log says so."""

    def fail(store: Store, _: list[Statement]) -> None:
        raise JournalUnavailable(store.path, "the disk is full")

    async with case_in(tmp_path, write=fail) as case:
        case.store.ended("old", at=NOON - 2 * DAY)
        await asyncio.wait_for(case.retention.run(), 20)
        assert "workflow.retention_stopped" in caplog.text
        assert await case.ids() == ["old"]


async def test_the_file_does_not_grow_with_what_has_been_deleted(tmp_path: Path) -> None:
    """Room that is free is used again: ten times as many workflows, one at a time, need hardly more than once."""
    sizes = []
    async with case_in(tmp_path) as case:
        for turn in range(10):
            for number in range(40):
                case.store.ended(
                    f"{turn}-{number}", at=NOON - 2 * DAY, inputs={"n": f"{turn}-{number}"}, outputs="x" * 2000
                )
            assert await case.retention.sweep() == 40
            case.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            sizes.append(case.store.path.stat().st_size)
    assert sizes[-1] <= sizes[1] * 1.1
