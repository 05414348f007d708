"""Scenarios: what a user may ask of a workflow that has begun, and of one that has ended."""

from pathlib import Path
from typing import Any

from maestro_workflow_engine._backend import ExecutionBackend
from maestro_workflow_engine._errors import CommandRefused, InvalidInputs, WorkflowFinished, WorkflowNotFound
from maestro_workflow_engine._ports import FlowLimit, StepCall, Wait
from maestro_workflow_engine._refusals import BadSetting, MigrationRefused, StepEnded, StepNotFound, StepNotWaiting
from maestro_workflow_engine._state import WorkflowState
from maestro_workflow_engine._testing._clock import ManualClock
from maestro_workflow_engine._testing._conformance_control import refuses, wait_once
from maestro_workflow_engine._testing._kinds import Gate, ScriptedKind, fails
from maestro_workflow_engine._testing._scenario import PATIENCE_S, Scenarios, define, run, seen, types_of

LATER = {"max_attempts": 9, "initial_delay_s": 1000, "max_delay_s": 1000, "jitter": 0}


class CommandScenarios(Scenarios):
    """What a user may ask of a workflow that has begun, and of one that has ended."""

    # --- pausing ---

    async def test_a_paused_workflow_starts_nothing(self, tmp_path: Path) -> None:
        """What runs may end; its successor waits for the end of the pause, also in the next engine."""
        gate, kind = Gate(), ScriptedKind()
        steps: dict[str, Any] = {"a": {"kind": "gate"}, "b": {"needs": ["a"]}}
        async with self.open_backend(tmp_path, {"test": kind, "gate": ScriptedKind(gate)}) as backend:
            started = await backend.start(define(steps))
            await gate.arrival()
            await backend.resume(started.workflow_id)  # changes nothing
            seq = await backend.pause(started.workflow_id, "look", by="ann")
            assert await backend.pause(started.workflow_id) == seq
            gate.open()
            await seen(backend, started.workflow_id, "step.succeeded", "a")
            assert (await run(backend, define({"other": {}}))).status == "succeeded"
            state = await backend.get(started.workflow_id)
            assert (state.status, state.reason, kind.count("b")) == ("paused", "look", 0)
        async with self.open_backend(tmp_path, {"test": kind, "gate": ScriptedKind(gate)}) as backend:
            assert (await run(backend, define({"other": {}}))).status == "succeeded"
            assert (await backend.get(started.workflow_id)).status == "paused"
            await backend.resume(started.workflow_id)
            state = await backend.wait(started.workflow_id)
        assert (state.status, kind.count("b")) == ("succeeded", 1)

    async def test_no_timer_ends_in_a_pause(self, tmp_path: Path) -> None:
        """What was due meanwhile goes on with the end of it."""
        clock = ManualClock()
        kinds = {"test": ScriptedKind(wait_once)}
        async with self.open_backend(tmp_path, kinds, clock=clock) as backend:
            started = await backend.start(define({"a": {}}))
            await seen(backend, started.workflow_id, "step.waiting", "a")
            await backend.pause(started.workflow_id)
            clock.advance(1000)
            assert (await backend.get(started.workflow_id)).steps["a"].status == "waiting"
            await backend.resume(started.workflow_id)
            clock.advance(0)
            assert (await backend.wait(started.workflow_id)).status == "succeeded"

    async def test_a_paused_workflow_can_be_cancelled(self, tmp_path: Path) -> None:
        """It need not be resumed for that; one that is being cancelled cannot be paused."""
        gate = Gate()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(gate)}) as backend:
            started = await backend.start(define({"a": {}}))
            await gate.arrival()
            await backend.pause(started.workflow_id)
            await backend.cancel(started.workflow_id)
            assert (await backend.wait(started.workflow_id)).status == "cancelled"
            await refuses(WorkflowFinished, backend.pause(started.workflow_id))

    # --- single steps ---

    async def test_a_retry_can_be_had_at_once(self, tmp_path: Path) -> None:
        """The attempt is a new one; only what is retrying can be retried."""
        clock, kind = ManualClock(), ScriptedKind(fails(1))
        async with self.open_backend(tmp_path, {"test": kind}, clock=clock) as backend:
            started = await backend.start(define({"a": {"retry": LATER}, "b": {"needs": ["a"], "retry": LATER}}))
            await seen(backend, started.workflow_id, "step.failed", "a")
            await refuses(StepNotFound, backend.retry(started.workflow_id, "z"))
            await refuses(StepNotWaiting, backend.retry(started.workflow_id, "b"))
            await backend.retry(started.workflow_id, "a", by="ann")
            await seen(backend, started.workflow_id, "step.failed", "b")
            state = await backend.get(started.workflow_id)
            assert [call.attempt for call in kind.calls if call.step_id == "a"] == [1, 2]
            assert (state.steps["a"].status, state.steps["b"].status) == ("succeeded", "retrying")
            await backend.cancel(started.workflow_id)

    async def test_a_step_can_be_skipped_whatever_it_does(self, tmp_path: Path) -> None:
        """Running, retrying or not begun: it counts as done with the output given, and what it did is stopped."""
        clock, gate = ManualClock(), Gate()
        steps = {
            "held": {"kind": "gate"},
            "poor": {"kind": "poor", "retry": LATER},
            "unborn": {"needs": ["held", "poor"]},
            "last": {"needs": ["unborn"], "with": {"x": "${{ steps.unborn.output }}"}},
        }
        kinds = {"test": ScriptedKind(), "gate": ScriptedKind(gate), "poor": ScriptedKind(fails(9))}
        async with self.open_backend(tmp_path, kinds, clock=clock) as backend:
            started = await backend.start(define(steps))
            await gate.arrival()
            await seen(backend, started.workflow_id, "step.failed", "poor")
            await refuses(StepNotFound, backend.skip(started.workflow_id, "z"))
            await refuses(BadSetting, backend.skip(started.workflow_id, "held", output="x" * 300_000))
            await backend.skip(started.workflow_id, "unborn", output=7, reason="known", by="ann")
            await backend.skip(started.workflow_id, "poor")
            await refuses(StepEnded, backend.skip(started.workflow_id, "poor"))
            await backend.skip(started.workflow_id, "held")
            state = await backend.wait(started.workflow_id)
        assert (state.status, state.steps["last"].output) == ("succeeded", {"x": 7})
        assert {state.steps[step].status for step in ("held", "poor", "unborn")} == {"skipped"}
        assert len(gate.cancelled) == 1

    async def test_one_item_can_be_skipped(self, tmp_path: Path) -> None:
        """The others go on; the output stands in its place."""
        gate = Gate()

        async def hold_first(call: StepCall) -> object:
            return await gate(call) if call.item_index == 0 else call.item_index

        steps = {"m": {"map": {"items": [0, 1, 2]}}}
        async with self.open_backend(tmp_path, {"test": ScriptedKind(hold_first)}) as backend:
            started = await backend.start(define(steps))
            await gate.arrival()
            await backend.skip(started.workflow_id, "m", item=0, output="zero")
            state = await backend.wait(started.workflow_id)
        assert state.steps["m"].output == ["zero", 1, 2]

    # --- cancelling ---

    async def test_a_forced_cancel_cleans_nothing_up(self, tmp_path: Path) -> None:
        """Without force, what is done is undone and the last steps run; a second cancel with force cuts that short."""
        gate = Gate()
        steps = {"a": {"compensate": {"kind": "undo"}}, "b": {"kind": "gate", "needs": ["a"]}}
        definition = define(steps, **{"finally": {"f": {"kind": "test"}}})
        for is_forced in (False, True):
            undo = ScriptedKind(gate if is_forced else None)
            kinds = {"test": ScriptedKind(), "gate": ScriptedKind(gate), "undo": undo}
            async with self.open_backend(tmp_path, kinds) as backend:
                started = await backend.start(definition)
                await gate.arrival()
                await backend.cancel(started.workflow_id, "enough")
                if is_forced:
                    assert (await gate.arrival()).step_id == "a.undo"
                    await backend.cancel(started.workflow_id, force=True)
                state = await backend.wait(started.workflow_id)
            assert (state.status, state.reason, undo.count("a.undo")) == ("cancelled", "enough", 1)
            assert state.steps["a.undo"].status == ("cancelled" if is_forced else "succeeded")
            assert state.steps["f"].status == ("pending" if is_forced else "succeeded")

    # --- running again ---

    async def test_running_again_takes_over_what_is_still_right(self, tmp_path: Path) -> None:
        """A step runs again when it had not succeeded, when its input is another, or when it is asked for."""
        flaky = ScriptedKind(fails(1, retryable=False))
        kind = ScriptedKind()
        steps = {
            "a": {"with": {"x": "${{ inputs.x }}"}},
            "b": {"needs": ["a"], "with": {"fixed": 1}},
            "c": {"kind": "flaky", "needs": ["b"]},
        }
        definition = define(steps, inputs={"x": {"type": "integer"}})
        async with self.open_backend(tmp_path, {"test": kind, "flaky": flaky}) as backend:
            first = await run(backend, definition, x=1)
            assert first.status == "failed"
            second = await again(backend, first.id, by="ann")
            assert second.origin == {"workflow": first.id, "seq": first.seq, "from": []}
            assert (kind.count("a"), kind.count("b"), flaky.count("c")) == (1, 1, 2)
            assert second.steps["b"].why is not None
            third = await again(backend, first.id, inputs={"x": 2})
            assert (kind.count("a"), kind.count("b"), third.steps["a"].output) == (2, 1, {"x": 2})
            await again(backend, first.id, from_steps=["b"])
            assert (kind.count("a"), kind.count("b")) == (2, 2)

    async def test_a_fork_begins_where_another_workflow_was(self, tmp_path: Path) -> None:
        """With `at_seq` only what had been achieved by then is taken over; the earlier workflow goes its own way."""
        kind = ScriptedKind()
        async with self.open_backend(tmp_path, {"test": kind}) as backend:
            first = await run(backend, define({"a": {}, "b": {"needs": ["a"]}}))
            events = await backend.events(first.id)
            (seq,) = [each.seq for each in events if each.type == "step.succeeded" and each.data["step"] == "a"]
            fork = await again(backend, first.id, at_seq=seq, new_id="fork")
            assert (fork.id, kind.count("a"), kind.count("b")) == ("fork", 1, 2)
            await refuses(StepNotFound, backend.rerun(first.id, from_steps=["z"]))
            await refuses(WorkflowNotFound, backend.rerun("nobody"))
            await refuses(InvalidInputs, backend.rerun(first.id, inputs={"unknown": 1}))
            assert await backend.events(first.id) == events

    async def test_a_rerun_goes_on_with_another_engine(self, tmp_path: Path) -> None:
        """Which steps are taken over is known there, too."""
        gate, kind = Gate(), ScriptedKind()
        steps: dict[str, Any] = {"a": {"kind": "gate"}, "b": {"needs": ["a"]}}
        async with self.open_backend(tmp_path, {"test": kind, "gate": ScriptedKind()}) as backend:
            first = await run(backend, define(steps))
        backend = self.open_backend(tmp_path, {"test": kind, "gate": ScriptedKind(gate)})
        async with backend:
            await backend.rerun(first.id, from_steps=["a"], new_id="second")
            await gate.arrival()
            await backend.close(drain_s=0)
        async with self.open_backend(tmp_path, {"test": kind, "gate": ScriptedKind()}) as backend:
            state = await backend.wait("second")
        assert (state.status, kind.count("b")) == ("succeeded", 2)
        assert state.steps["b"].why is not None

    # --- another definition ---

    async def test_a_workflow_goes_on_with_another_definition(self, tmp_path: Path) -> None:
        """What has ended stays, what runs otherwise begins anew, what is new runs; in the next engine, too."""
        gate = Gate()
        old = define({"a": {}, "b": {"kind": "gate", "needs": ["a"]}, "old": {"needs": ["b"]}})
        steps: dict[str, Any] = {
            "a": {},
            "b": {"kind": "gate", "needs": ["a"], "with": {"x": 1}},
            "new": {"needs": ["b"], "with": {"x": "${{ steps.b.output.x }}"}},
        }
        new = define(steps, outputs={"x": "${{ steps.new.output.x }}"})
        kind, held = ScriptedKind(), ScriptedKind(gate)
        backend = self.open_backend(tmp_path, {"test": kind, "gate": held})
        async with backend:
            started = await backend.start(old)
            await gate.arrival()
            before = await backend.events(started.workflow_id)
            plan = await backend.migrate(started.workflow_id, new, dry_run=True)
            assert (plan.kept, plan.restarted, plan.added, plan.dropped) == (("a",), ("b",), ("new",), ("old",))
            assert await backend.events(started.workflow_id) == before
            assert await backend.migrate(started.workflow_id, new, by="ann") == plan
            assert (await gate.arrival()).arguments == {"x": 1}
            assert [call.arguments for call in gate.cancelled] == [{}]
            await backend.close(drain_s=0)
        async with self.open_backend(tmp_path, {"test": kind, "gate": ScriptedKind()}) as backend:
            state = await backend.wait(started.workflow_id)
            assert (await backend.get(started.workflow_id)).steps.keys() == {"a", "b", "new"}
            await refuses(WorkflowFinished, backend.migrate(started.workflow_id, old))
        assert (state.status, state.outputs, kind.count("a")) == ("succeeded", {"x": 1}, 1)

    async def test_what_a_migration_keeps_runs_on(self, tmp_path: Path) -> None:
        """Its attempt is the same, and is called once."""
        gate = Gate()
        kind = ScriptedKind(gate)
        async with self.open_backend(tmp_path, {"test": kind}) as backend:
            started = await backend.start(define({"a": {}, "b": {"needs": ["a"]}}))
            await gate.arrival()
            await backend.migrate(started.workflow_id, define({"a": {}, "c": {"needs": ["a"]}}))
            gate.open()
            state = await backend.wait(started.workflow_id, PATIENCE_S)
        assert (state.status, list(state.steps)) == ("succeeded", ["a", "c"])
        assert (kind.count("a"), state.steps["a"].attempt) == (1, 1)

    async def test_a_migration_that_cannot_be_changes_nothing(self, tmp_path: Path) -> None:
        """An input that is lacking, a step that is not there."""
        gate = Gate()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(gate)}) as backend:
            started = await backend.start(define({"a": {}}))
            await gate.arrival()
            needy = define({"a": {}}, inputs={"x": {"type": "integer"}})
            await refuses(MigrationRefused, backend.migrate(started.workflow_id, needy))
            await refuses(MigrationRefused, backend.migrate(started.workflow_id, define({"a": {}}), rerun=["z"]))
            await seen(backend, started.workflow_id, "step.started", "a")
            assert "workflow.migrated" not in types_of(await backend.events(started.workflow_id))
            gate.open()
            assert (await backend.wait(started.workflow_id)).status == "succeeded"

    # --- settings ---

    async def test_a_used_up_budget_asks_for_more(self, tmp_path: Path) -> None:
        """What lacks it waits, and goes on when the budget is raised."""
        definition = define({"m": {"map": {"items": [1, 2, 3]}, "cost": {"calls": 1}}}, budget={"calls": 2})
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            started = await backend.start(definition)
            event = await seen(backend, started.workflow_id, "step.waiting", "m")
            assert event.data["on"]["kind"] == "budget"
            await refuses(StepNotWaiting, backend.answer(started.workflow_id, "m", 1, item=event.data["item"]))
            for bad in ({"calls": -1}, {"bananas": 1}, {"calls": "many"}, {"calls": float("nan")}):
                await refuses(BadSetting, backend.set_budget(started.workflow_id, bad))  # type: ignore[arg-type]  # that is the point
            await backend.set_budget(started.workflow_id, {"calls": 3}, by="ann")
            state = await backend.wait(started.workflow_id)
        assert (state.status, state.spent) == ("succeeded", {"calls": 3})

    async def test_a_priority_can_be_changed(self, tmp_path: Path) -> None:
        """It is seen in listings; beyond 100 there is none."""
        gate = Gate()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(gate)}) as backend:
            started = await backend.start(define({"a": {}}), priority=3)
            await gate.arrival()
            assert (await backend.get(started.workflow_id)).priority == 3
            seq = await backend.set_priority(started.workflow_id, -7)
            assert await backend.set_priority(started.workflow_id, -7) == seq
            for bad in (101, True, "high"):
                await refuses(BadSetting, backend.set_priority(started.workflow_id, bad))  # type: ignore[arg-type]  # that is the point
            assert [each.priority for each in (await backend.list()).items] == [-7]
            gate.open()
            assert (await backend.wait(started.workflow_id)).priority == -7

    async def test_flow_limits_are_kept(self, tmp_path: Path) -> None:
        """They hold at once and in the next engine, until they are changed or deleted."""
        kind = ScriptedKind()
        definition = define({"a": {"limits": ["mail"]}})
        async with self.open_backend(tmp_path, {"test": kind}) as backend:
            await refuses(BadSetting, backend.set_limit(FlowLimit("mail", max_parallel=-1)))
            await backend.set_limit(FlowLimit("other", max_parallel=1))
            await backend.set_limit(FlowLimit("mail", is_paused=True))
        async with self.open_backend(tmp_path, {"test": kind}) as backend:
            assert await backend.limits() == [FlowLimit("mail", is_paused=True), FlowLimit("other", max_parallel=1)]
            started = await backend.start(definition)
            assert (await run(backend, define({"b": {}}))).status == "succeeded"
            assert kind.count("a") == 0
            (cause,) = await backend.why(started.workflow_id)
            assert (cause.kind, cause.step) == ("limit", "a") or cause.because[0].kind == "paused"
            await backend.delete_limit("mail")
            await backend.delete_limit("mail")
            assert (await backend.wait(started.workflow_id)).status == "succeeded"
            assert [limit.name for limit in await backend.limits()] == ["other"]

    # --- the end ---

    async def test_commands_to_nobody_are_refused(self, tmp_path: Path) -> None:
        """No such workflow, or one that has ended: only a cancel of a cancelled one is fine."""
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            ended = (await run(backend, define({"a": {}}))).id
            for workflow_id, error in (("nobody", WorkflowNotFound), (ended, WorkflowFinished)):
                await refuses(error, backend.cancel(workflow_id))
                await refuses(error, backend.pause(workflow_id))
                await refuses(error, backend.resume(workflow_id))
                await refuses(error, backend.signal(workflow_id, "go"))
                await refuses(error, backend.answer(workflow_id, "a", 1))
                await refuses(error, backend.retry(workflow_id, "a"))
                await refuses(error, backend.skip(workflow_id, "a"))
                await refuses(error, backend.set_budget(workflow_id, {}))
                await refuses(error, backend.set_priority(workflow_id, 1))
                await refuses(error, backend.migrate(workflow_id, define({"a": {}}), dry_run=True))
            assert await backend.why(ended) == []
            await refuses(WorkflowNotFound, backend.why("nobody"))

    async def test_an_ended_workflow_can_be_deleted(self, tmp_path: Path) -> None:
        """One that has not ended cannot; the id is free again."""
        gate = Gate()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(gate)}) as backend:
            started = await backend.start(define({"a": {}}), workflow_id="w")
            await gate.arrival()
            await refuses(CommandRefused, backend.delete("w"))
            gate.open()
            await backend.wait("w")
            await backend.delete("w")
            for question in (backend.get("w"), backend.events("w"), backend.delete("w")):
                await refuses(WorkflowNotFound, question)
            await backend.start(define({"a": {}}), workflow_id="w")
            assert (await backend.wait("w")).status == "succeeded"
        assert started.workflow_id == "w"

    async def test_why_names_the_cause(self, tmp_path: Path) -> None:
        """Of each unfinished step, down to what keeps it."""
        clock, gate = ManualClock(), Gate()
        steps: dict[str, Any] = {
            "held": {"kind": "gate"},
            "asks": {"kind": "asks"},
            "poor": {"kind": "poor", "retry": LATER},
            "last": {"needs": ["held", "asks", "poor"]},
        }
        kinds = {
            "test": ScriptedKind(),
            "gate": ScriptedKind(gate),
            "asks": ScriptedKind(lambda call: Wait(None, {"kind": "approval", "title": "Pay?"})),
            "poor": ScriptedKind(fails(9)),
        }
        async with self.open_backend(tmp_path, kinds, clock=clock) as backend:
            started = await backend.start(define(steps))
            await gate.arrival()
            await seen(backend, started.workflow_id, "step.waiting", "asks")
            await seen(backend, started.workflow_id, "step.failed", "poor")
            causes = {cause.step: cause for cause in await backend.why(started.workflow_id)}
            kinds_of = {step: cause.kind for step, cause in causes.items()}
            assert kinds_of == {"held": "running", "asks": "approval", "poor": "retry", "last": "dependency"}
            await backend.cancel(started.workflow_id)


async def again(backend: ExecutionBackend, workflow_id: str, **how: Any) -> WorkflowState:
    """Run a workflow again, to its end."""
    started = await backend.rerun(workflow_id, **how)
    return await backend.wait(started.workflow_id, PATIENCE_S)
