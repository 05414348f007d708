"""Scenarios: what can be read of workflows, and watched."""

import asyncio
from pathlib import Path
from typing import Any

from maestro_workflow_engine._backend import ExecutionBackend
from maestro_workflow_engine._errors import ArtifactNotFound, EngineClosed, SlowReader
from maestro_workflow_engine._events import Event
from maestro_workflow_engine._fold import fold
from maestro_workflow_engine._testing._conformance_control import refuses
from maestro_workflow_engine._testing._kinds import Gate, ScriptedKind, fails
from maestro_workflow_engine._testing._scenario import PATIENCE_S, Scenarios, define, run


class ReadingScenarios(Scenarios):
    """What can be read of workflows, and watched."""

    async def test_the_state_is_the_fold_of_the_events(self, tmp_path: Path) -> None:
        """While it runs, when it has ended, and after opening again."""
        gate = Gate()
        steps: dict[str, Any] = {"a": {}, "m": {"needs": ["a"], "map": {"items": [1, 2]}}, "g": {"kind": "gate"}}
        definition = define(steps)
        async with self.open_backend(tmp_path, {"test": ScriptedKind(), "gate": ScriptedKind(gate)}) as backend:
            started = await backend.start(definition)
            await gate.arrival()
            state = await backend.get(started.workflow_id)
            events = await backend.events(started.workflow_id)
            assert fold(events[: state.seq], definition=definition) == state
            gate.open()
            ended = await backend.wait(started.workflow_id)
        async with self.open_backend(tmp_path, {}) as backend:
            state = await backend.get(started.workflow_id)
            assert state == ended == fold(await backend.events(started.workflow_id), definition=definition)
            assert (await backend.definition(started.workflow_id)).digest == definition.digest
            assert state.as_json() == ended.as_json()

    async def test_a_state_that_was_given_out_does_not_change(self, tmp_path: Path) -> None:
        """It is a picture of its moment."""
        gate = Gate()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(gate)}) as backend:
            started = await backend.start(define({"a": {}}))
            await gate.arrival()
            before = await backend.get(started.workflow_id)
            seq = before.seq
            gate.open()
            await backend.wait(started.workflow_id)
        assert (before.status, before.seq) == ("running", seq)

    async def test_events_are_numbered_without_gaps_and_come_in_pages(self, tmp_path: Path) -> None:
        """By seq within the workflow; positions grow over all."""
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            state = await run(backend, define({"m": {"map": {"items": "${{ range(20) }}"}}}))
            all_events = await backend.events(state.id)
            assert [event.seq for event in all_events] == list(range(1, state.seq + 1))
            positions = [event.position for event in all_events]
            assert positions == sorted(set(positions))
            assert await backend.events(state.id, from_seq=5, limit=3) == all_events[4:7]
            assert await backend.events(state.id, from_seq=state.seq + 1) == []

    async def test_watching_gives_history_then_live_events(self, tmp_path: Path) -> None:
        """No gap and no repeat, wherever one begins, and an end with the workflow."""
        gate = Gate()
        steps = {"a": {}, "g": {"kind": "gate", "needs": ["a"]}, "z": {"needs": ["g"]}}
        async with self.open_backend(tmp_path, {"test": ScriptedKind(), "gate": ScriptedKind(gate)}) as backend:
            started = await backend.start(define(steps))
            watchers = [asyncio.create_task(collect(backend, started.workflow_id, from_seq=n)) for n in (1, 3)]
            await gate.arrival()
            watchers += [asyncio.create_task(collect(backend, started.workflow_id, from_seq=n)) for n in (1, 2, 6, 99)]
            await asyncio.sleep(0)
            gate.open()
            async with asyncio.timeout(PATIENCE_S):
                seen = await asyncio.gather(*watchers)
            events = await backend.events(started.workflow_id)
            late = await collect(backend, started.workflow_id, from_seq=4)
            nothing = await collect(backend, started.workflow_id, from_seq=len(events) + 1)
        for number, got in zip((1, 3, 1, 2, 6, 99), seen, strict=True):
            assert got == events[number - 1 :]
        assert late == events[3:]
        assert nothing == []

    async def test_watching_everything_follows_the_positions(self, tmp_path: Path) -> None:
        """All events of all workflows, once each, in the order in which they became durable."""
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            await run(backend, define({"a": {}}))
            whole = asyncio.create_task(collect_until(backend, 3, from_position=0))
            live = asyncio.create_task(collect_until(backend, 2, from_position=None))
            await asyncio.sleep(0)
            states = await asyncio.gather(*(run(backend, define({"m": {"map": {"items": [1, 2]}}})) for _ in range(2)))
            async with asyncio.timeout(PATIENCE_S):
                history, news = await whole, await live
            cursor = history[4].position
            rest = await collect_until(backend, 2, from_position=cursor + 1)
        assert [event.position for event in history] == sorted({event.position for event in history})
        assert news == history[-len(news) :]
        assert {event.workflow_id for event in news} == {state.id for state in states}
        assert rest[0] == history[5]

    async def test_a_slow_watcher_is_told_where_to_go_on(self, tmp_path: Path) -> None:
        """The engine does not wait for it, and nothing is lost for it either."""
        gate = Gate()
        kinds = {"test": ScriptedKind(), "gate": ScriptedKind(gate)}
        steps = {"g": {"kind": "gate"}, "m": {"map": {"items": "${{ range(50) }}"}, "needs": ["g"]}}
        async with self.open_backend(tmp_path, kinds) as backend:
            started = await backend.start(define(steps))
            await gate.arrival()
            watching = backend.watch(started.workflow_id, buffer=5)
            got: list[Event] = []
            history = (await backend.get(started.workflow_id)).seq
            while len(got) < history:
                got.append(await anext(watching))
            waiting = asyncio.ensure_future(anext(watching))
            await backend.list()
            gate.open()
            await backend.wait(started.workflow_id)
            got.append(await waiting)
            try:
                async for event in watching:
                    got.append(event)
            except SlowReader as slow:
                got += await collect(backend, started.workflow_id, from_seq=slow.resume_from)
            assert got == await backend.events(started.workflow_id)

    async def test_watching_ends_when_the_backend_closes(self, tmp_path: Path) -> None:
        """With an error that says why."""
        gate = Gate()
        backend = self.open_backend(tmp_path, {"test": ScriptedKind(gate)})
        async with backend:
            started = await backend.start(define({"a": {}}))
            await gate.arrival()
            watching = asyncio.create_task(collect(backend, started.workflow_id))
            waiting = asyncio.create_task(backend.wait(started.workflow_id))
            await backend.list()
            await backend.close(drain_s=0)
            await refuses(EngineClosed, watching)
            await refuses(EngineClosed, waiting)

    async def test_lists_come_in_pages_the_newest_first(self, tmp_path: Path) -> None:
        """Filters hold, and pages do not shift while workflows are started."""
        kinds = {"test": ScriptedKind(), "bad": ScriptedKind(fails(9, retryable=False))}
        good, bad = define({"a": {}}), define({"a": {"kind": "bad"}}, name="other")
        async with self.open_backend(tmp_path, kinds) as backend:
            for number in range(7):
                started = await backend.start(
                    bad if number % 3 == 0 else good, workflow_id=f"w{number}", template="t" if number == 4 else None
                )
                await backend.wait(started.workflow_id)
            page = await backend.list(limit=3)
            assert [item.id for item in page.items] == ["w6", "w5", "w4"]
            await backend.wait((await backend.start(good, workflow_id="new")).workflow_id)
            page = await backend.list(limit=3, after=page.next)
            assert [item.id for item in page.items] == ["w3", "w2", "w1"]
            page = await backend.list(limit=3, after=page.next)
            assert ([item.id for item in page.items], page.next) == (["w0"], None)
            failed = (await backend.list(status="failed")).items
            assert [item.id for item in failed] == ["w6", "w3", "w0"]
            assert failed[0].error is not None
            assert failed[0].finished_at is not None
            state = await backend.get("w6")
            assert (failed[0].started_at, failed[0].finished_at) == (state.started_at, state.finished_at)
            assert [item.id for item in (await backend.list(name="other", limit=1)).items] == ["w6"]
            assert [item.id for item in (await backend.list(template="t")).items] == ["w4"]
            assert (await backend.list(status="running")).items == []
            await refuses(ValueError, backend.list(after="garbage"))
            await refuses(ValueError, backend.list(limit=0))

    async def test_unknown_artifacts_are_refused(self, tmp_path: Path) -> None:
        """Also those that are no hashes, but paths."""
        async with self.open_backend(tmp_path, {}) as backend:
            for sha256 in ("0" * 64, "", "../../etc/passwd", "G" * 64):
                await refuses(ArtifactNotFound, backend.artifact(sha256))


async def collect(backend: ExecutionBackend, workflow_id: str, from_seq: int = 1) -> list[Event]:
    """All events of a workflow until it ends."""
    return [event async for event in backend.watch(workflow_id, from_seq=from_seq)]


async def collect_until(backend: ExecutionBackend, ends: int, *, from_position: int | None) -> list[Event]:
    """Events of all workflows until so many have ended."""
    events: list[Event] = []
    async for event in backend.watch(from_position=from_position):
        events.append(event)
        ends -= event.type == "workflow.succeeded"
        if ends == 0:
            break
    return events
