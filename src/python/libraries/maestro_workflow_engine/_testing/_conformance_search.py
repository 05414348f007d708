"""Scenarios: how workflows are found, how they stood earlier, and how they are forgotten."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from maestro_workflow_engine._backend import ExecutionBackend
from maestro_workflow_engine._errors import CommandRefused, WorkflowNotFound
from maestro_workflow_engine._fold import fold
from maestro_workflow_engine._kinds._workflow import WorkflowKind
from maestro_workflow_engine._ports import StepKind, Wait
from maestro_workflow_engine._testing._clock import ManualClock
from maestro_workflow_engine._testing._conformance_control import refuses
from maestro_workflow_engine._testing._kinds import Gate, ScriptedKind, fails
from maestro_workflow_engine._testing._scenario import PATIENCE_S, Scenarios, define, run, seen

INPUTS = {name: {"type": type_, "default": None} for name, type_ in (("n", "number"), ("who", "string"))}
INPUTS["many"] = {"type": "array", "default": None}


class SearchScenarios(Scenarios):
    """How workflows are found, how they stood earlier, and how they are forgotten."""

    async def test_workflows_are_found_by_what_they_were_started_with(self, tmp_path: Path) -> None:
        """By labels, inputs, template, name and time, each alone and all together; also after opening again."""
        clock = ManualClock()
        began_at = clock.now()
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}, clock=clock) as backend:
            for number in range(6):
                await backend.start(
                    define({"a": {}}, name=f"flow-{number % 2}", inputs=INPUTS),
                    {"n": number % 3, "who": "me" if number else None, "many": [number]},
                    workflow_id=f"w{number}",
                    template="t" if number < 3 else None,
                    labels={"env": "production" if number % 2 else "staging", "number": str(number)},
                )
                await backend.wait(f"w{number}", PATIENCE_S)
                clock.advance(60)
            await self._check_found(backend, began_at)
        async with self.open_backend(tmp_path, {}, clock=clock) as backend:
            await self._check_found(backend, began_at)

    async def _check_found(self, backend: ExecutionBackend, began_at: datetime) -> None:
        minute = timedelta(minutes=1)
        assert await ids(backend, labels={"env": "production"}) == ["w5", "w3", "w1"]
        assert await ids(backend, labels={"env": "production", "number": "3"}) == ["w3"]
        assert await ids(backend, labels={"env": "production", "number": "4"}) == []
        assert await ids(backend, labels={"number": "production"}) == []
        assert await ids(backend, inputs={"n": 1}) == ["w4", "w1"]
        assert await ids(backend, inputs={"n": 1.0, "who": "me"}) == ["w4", "w1"]
        assert await ids(backend, inputs={"who": None}) == ["w0"]
        assert await ids(backend, inputs={"n": "1"}) == await ids(backend, inputs={"n": True}) == []
        assert await ids(backend, started_after=began_at + 4 * minute) == ["w5", "w4"]
        assert await ids(backend, started_before=began_at + minute) == ["w0"]
        assert await ids(backend, started_after=began_at + minute, started_before=began_at + minute) == []
        everything: dict[str, Any] = {
            "status": "succeeded",
            "name": "flow-1",
            "template": "t",
            "labels": {"env": "production"},
            "inputs": {"n": 1, "who": "me"},
            "started_after": began_at,
            "started_before": began_at + 9 * minute,
        }
        assert await ids(backend, **everything) == ["w1"]
        assert await ids(backend, **{**everything, "status": "failed"}) == []

    async def test_a_search_follows_the_status(self, tmp_path: Path) -> None:
        """From one to the next, and never in two of them."""
        gate = Gate()
        kinds = {"test": ScriptedKind(gate), "bad": ScriptedKind(fails(9, retryable=False))}
        async with self.open_backend(tmp_path, kinds) as backend:
            started = await backend.start(define({"a": {}}), workflow_id="w", labels={"k": "v"})
            await backend.wait((await backend.start(define({"a": {"kind": "bad"}}), workflow_id="bad")).workflow_id)
            await gate.arrival()
            assert await statuses(backend, "w") == ["running"]
            await backend.pause(started.workflow_id)
            assert await statuses(backend, "w") == ["paused"]
            await backend.resume(started.workflow_id)
            gate.open()
            await backend.wait(started.workflow_id, PATIENCE_S)
            assert await statuses(backend, "w") == ["succeeded"]
            assert await ids(backend, status="failed") == ["bad"]
            assert await ids(backend, status="succeeded", labels={"k": "v"}) == ["w"]

    async def test_pages_of_a_search_do_not_shift(self, tmp_path: Path) -> None:
        """Each that fits is on one page, although others start, end and go meanwhile."""
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            for number in range(12):
                await backend.start(define({"a": {}}), workflow_id=f"w{number}", labels={"even": str(number % 2 == 0)})
                await backend.wait(f"w{number}", PATIENCE_S)
            found, after = [], None
            while True:
                page = await backend.list(labels={"even": "True"}, limit=2, after=after)
                found += [item.id for item in page.items]
                after = page.next
                if after is None:
                    break
                await backend.start(define({"a": {}}), labels={"even": "True"})
                if found[-1] == "w8":
                    await backend.delete("w10")
            assert found == ["w10", "w8", "w6", "w4", "w2", "w0"]

    async def test_children_are_found_by_their_parent(self, tmp_path: Path) -> None:
        """Each knows its own."""
        kinds: dict[str, StepKind] = {"test": ScriptedKind(), "workflow": WorkflowKind()}
        child = {"kind": "workflow", "body": {"steps": {"x": {"kind": "test"}}}}
        async with self.open_backend(tmp_path, kinds) as backend:
            parent = await run(backend, define({"c": child}))
            await run(backend, define({"c": child}))
            (found,) = (await backend.list(parent=parent.id)).items
            assert found.parent == parent.id
            assert (await backend.get(found.id)).parent is not None
            assert await ids(backend, parent=found.id) == []

    async def test_bad_questions_are_refused(self, tmp_path: Path) -> None:
        """What nothing can be found by, times without a zone, and cursors that nobody gave."""
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            await run(backend, define({"a": {}}))
            bad: list[dict[str, Any]] = [
                {"inputs": {"n": [1]}},
                {"inputs": {"n": {}}},
                {"inputs": {"n": "x" * 257}},
                {"started_after": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is what is refused
                {"started_before": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is what is refused
                {"after": "-1"},
                {"after": "9" * 40},
                {"limit": 1001},
            ]
            for asked in bad:
                await refuses(ValueError, backend.list(**asked))
            for cursor in ("garbage", "-1", "9" * 40):
                await refuses(ValueError, backend.waiting(after=cursor))
            await refuses(ValueError, backend.waiting(limit=0))
            odd: list[dict[str, Any]] = [{"labels": {"\ud800": "\0"}}, {"inputs": {"' OR 1": "%"}}, {"parent": ""}]
            for asked in odd:
                assert await ids(backend, **asked) == []

    async def test_the_state_at_any_seq_is_the_fold_up_to_there(self, tmp_path: Path) -> None:
        """From nothing to the end, while it runs and later; beyond the last event there is none."""
        gate = Gate()
        definition = define({"m": {"map": {"items": [1, 2]}}, "g": {"kind": "gate", "needs": ["m"]}})
        async with self.open_backend(tmp_path, {"test": ScriptedKind(), "gate": ScriptedKind(gate)}) as backend:
            started = await backend.start(definition)
            await gate.arrival()
            await seen(backend, started.workflow_id, "step.started", "g")
            events = await backend.events(started.workflow_id)
            for seq in range(len(events) + 1):
                state = await backend.state_at(started.workflow_id, seq)
                assert state == fold(events[:seq], definition=definition)
            for beyond in (len(events) + 1, -1, 10**30):
                await refuses(ValueError, backend.state_at(started.workflow_id, beyond))
            gate.open()
            ended = await backend.wait(started.workflow_id, PATIENCE_S)
            assert await backend.state_at(started.workflow_id, ended.seq) == ended
            await refuses(WorkflowNotFound, backend.state_at("nobody", 1))

    async def test_who_waits_for_an_answer_is_in_the_inbox(self, tmp_path: Path) -> None:
        """Of all workflows, the oldest first, by kind and in pages; who was answered is not, nor who only sleeps."""
        kinds: dict[str, StepKind] = {
            "ask": ScriptedKind(
                lambda call: call.answer.value if call.answer else Wait(on={"kind": "task/ask", "q": 1})
            ),
            "nap": ScriptedKind(lambda call: Wait(3600)),
            "other": ScriptedKind(lambda call: Wait(on={"kind": "task/other"})),
        }
        async with self.open_backend(tmp_path, kinds, clock=ManualClock()) as backend:
            for number, kind in enumerate(("ask", "nap", "other", "ask", "ask")):
                await backend.start(define({"a": {"kind": kind}}), workflow_id=f"w{number}")
                await seen(backend, f"w{number}", "step.waiting")
            assert [item.workflow_id for item in (await backend.waiting()).items] == ["w0", "w2", "w3", "w4"]
            page = await backend.waiting(kind="task/ask", limit=2)
            assert [item.workflow_id for item in page.items] == ["w0", "w3"]
            first = page.items[0]
            assert (first.step, first.item, first.on, first.due_at) == ("a", None, {"kind": "task/ask", "q": 1}, None)
            await backend.answer("w0", "a", "yes")
            await backend.wait("w0", PATIENCE_S)
            page = await backend.waiting(kind="task/ask", limit=2, after=page.next)
            assert ([item.workflow_id for item in page.items], page.next) == (["w4"], None)
            assert [item.workflow_id for item in (await backend.waiting(kind="task/ask")).items] == ["w3", "w4"]
            assert (await backend.waiting(kind="nothing")).items == []

    async def test_what_has_ended_can_be_forgotten(self, tmp_path: Path) -> None:
        """Wholly and for good, but not what runs; its id may be used again."""
        gate = Gate()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(), "gate": ScriptedKind(gate)}) as backend:
            ended = await run(backend, define({"a": {}}))
            await backend.start(define({"g": {"kind": "gate"}}), workflow_id="runs")
            await gate.arrival()
            await refuses(CommandRefused, backend.delete("runs"))
            await backend.delete(ended.id)
            for question in (backend.get, backend.events, backend.wait, backend.definition, backend.delete):
                await refuses(WorkflowNotFound, question(ended.id))
            assert await ids(backend) == ["runs"]
            again = await backend.start(define({"a": {}}), workflow_id=ended.id, labels={"second": "yes"})
            state = await backend.wait(again.workflow_id, PATIENCE_S)
            assert (state.status, state.labels) == ("succeeded", {"second": "yes"})
            gate.open()
            await backend.wait("runs", PATIENCE_S)
        async with self.open_backend(tmp_path, {}) as backend:
            assert await ids(backend) == [ended.id, "runs"]

    async def test_many_may_search_while_others_start(self, tmp_path: Path) -> None:
        """Every answer is of one moment: what is found has what it was found by."""
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:

            async def start(number: int) -> None:
                started = await backend.start(define({"a": {}}), labels={"n": str(number % 3)})
                await backend.wait(started.workflow_id, PATIENCE_S)

            async def look() -> None:
                for _ in range(20):
                    page = await backend.list(status="succeeded", labels={"n": "1"})
                    assert {(item.status, item.labels["n"]) for item in page.items} <= {("succeeded", "1")}

            await asyncio.gather(*(start(number) for number in range(30)), look(), look())
            assert len(await ids(backend, status="succeeded", labels={"n": "1"})) == 10


async def ids(backend: ExecutionBackend, **asked: Any) -> list[str]:
    """Who is found."""
    return [item.id for item in (await backend.list(**asked)).items]


async def statuses(backend: ExecutionBackend, workflow_id: str) -> list[str]:
    """By which statuses a workflow is found."""
    found: list[str] = []
    for status in ("running", "paused", "cancelling", "succeeded", "failed", "cancelled"):
        found += [status] if workflow_id in await ids(backend, status=status) else []
    return found
