"""Scenarios: starting, cancelling, closing and going on."""

import asyncio
from pathlib import Path
from typing import Any

from maestro_workflow_engine._errors import (
    EngineClosed,
    InvalidInputs,
    UnknownStepKind,
    WaitTimedOut,
    WorkflowExists,
    WorkflowFinished,
    WorkflowNotFound,
)
from maestro_workflow_engine._ports import StepCall, Wait
from maestro_workflow_engine._testing._clock import ManualClock
from maestro_workflow_engine._testing._kinds import Gate, ScriptedKind, fails
from maestro_workflow_engine._testing._scenario import Scenarios, define, run, seen, types_of


class ControlScenarios(Scenarios):
    """Starting, cancelling, closing and going on."""

    async def test_a_start_is_durable_when_it_returns(self, tmp_path: Path) -> None:
        """The answer's seq can be read at once."""
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            started = await backend.start(define({"a": {}}), template="t", labels={"team": "x"})
            events = await backend.events(started.workflow_id)
            assert len(events) >= started.seq >= 1
            state = await backend.wait(started.workflow_id)
        assert (state.template, state.labels) == ("t", {"team": "x"})

    async def test_starts_that_cannot_be_are_refused(self, tmp_path: Path) -> None:
        """Wrong inputs, unknown kinds, bad and used ids: nothing is started."""
        definition = define({"a": {}}, inputs={"n": {"type": "integer"}})
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            await refuses(InvalidInputs, backend.start(definition, {"n": "x"}))
            await refuses(UnknownStepKind, backend.start(define({"a": {"kind": "no-such-kind"}})))
            for bad in ("", "../x", ".x", "a/b", "x" * 200, "a\n"):
                await refuses(InvalidInputs, backend.start(definition, {"n": 1}, workflow_id=bad))
            await refuses(InvalidInputs, backend.start(definition, {"n": 1}, labels={"a": "x" * 1000}))
            await backend.start(definition, {"n": 1}, workflow_id="once")
            await refuses(WorkflowExists, backend.start(definition, {"n": 1}, workflow_id="once"))
            await backend.wait("once")
            await refuses(WorkflowExists, backend.start(definition, {"n": 1}, workflow_id="once"))
            assert len((await backend.list()).items) == 1

    async def test_one_of_two_starts_with_the_same_id_wins(self, tmp_path: Path) -> None:
        """Also when they come at the same moment."""
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            starts = [backend.start(define({"a": {}}), workflow_id="same") for _ in range(5)]
            results = await asyncio.gather(*starts, return_exceptions=True)
            await backend.wait("same")
        assert sum(isinstance(result, WorkflowExists) for result in results) == 4

    async def test_questions_about_an_unknown_workflow_are_refused(self, tmp_path: Path) -> None:
        """Each of them names the id."""
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            for question in (backend.get, backend.events, backend.wait, backend.cancel, backend.definition):
                await refuses(WorkflowNotFound, question("no-such-id"))
            try:
                async for _ in backend.watch("no-such-id"):
                    raise AssertionError("there is nothing to see")
            except WorkflowNotFound:
                pass

    async def test_cancel_stops_running_steps(self, tmp_path: Path) -> None:
        """A running step is cancelled, nothing new starts, and asking again is fine."""
        gate = Gate()
        kind = ScriptedKind(gate)
        async with self.open_backend(tmp_path, {"test": kind}) as backend:
            started = await backend.start(define({"a": {}, "b": {"needs": ["a"]}}))
            await gate.arrival()
            seq = await backend.cancel(started.workflow_id, "enough")
            assert (await backend.events(started.workflow_id))[seq - 1].type == "workflow.cancel_requested"
            state = await backend.wait(started.workflow_id)
            assert await backend.cancel(started.workflow_id) == state.seq
        assert (state.status, state.reason) == ("cancelled", "enough")
        assert (state.steps["a"].status, state.steps["b"].status) == ("cancelled", "pending")
        assert len(gate.cancelled) == 1

    async def test_cancel_ends_retries_and_waits(self, tmp_path: Path) -> None:
        """What only waits for its time does not hold up a cancel."""
        clock = ManualClock()
        kinds = {"test": ScriptedKind(fails(9)), "wait": ScriptedKind(lambda call: Wait(1000.0))}
        async with self.open_backend(tmp_path, kinds, clock=clock) as backend:
            started = await backend.start(define({"a": {"retry": 9}, "b": {"kind": "wait"}}))
            await seen(backend, started.workflow_id, "step.failed", "a")
            await seen(backend, started.workflow_id, "step.waiting", "b")
            await backend.cancel(started.workflow_id)
            state = await backend.wait(started.workflow_id)
            clock.advance(10_000)
            assert (await backend.get(started.workflow_id)).seq == state.seq
        assert state.status == "cancelled"
        assert {step.status for step in state.steps.values()} == {"cancelled"}
        assert clock.next_due_at is None  # nothing is left behind

    async def test_a_finished_workflow_cannot_be_cancelled(self, tmp_path: Path) -> None:
        """It is too late."""
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            state = await run(backend, define({"a": {}}))
            await refuses(WorkflowFinished, backend.cancel(state.id))

    async def test_what_was_in_flight_runs_again_with_the_same_key(self, tmp_path: Path) -> None:
        """After closing and opening, finished steps keep their results and the interrupted one starts over."""
        gate = Gate()
        first, second = ScriptedKind(), ScriptedKind()
        steps = {
            "a": {"with": {"x": 1}},
            "b": {"kind": "gate", "needs": ["a"], "with": {"x": "${{ steps.a.output.x }}"}},
        }
        held = ScriptedKind(gate)
        backend = self.open_backend(tmp_path, {"test": first, "gate": held})
        async with backend:
            started = await backend.start(define(steps, outputs={"x": "${{ steps.b.output.x }}"}), base_dir=tmp_path)
            await gate.arrival()
            await backend.close(drain_s=0)
        freed = ScriptedKind()
        async with self.open_backend(tmp_path, {"test": second, "gate": freed}) as backend:
            state = await backend.wait(started.workflow_id)
            events = await backend.events(started.workflow_id)
        assert (state.status, state.outputs) == ("succeeded", {"x": 1})
        assert (first.count("a"), second.count("a")) == (1, 0)
        assert freed.calls[0].idempotency_key == held.calls[0].idempotency_key
        assert freed.calls[0].base_dir == tmp_path
        assert "step.failed" not in types_of(events)
        assert "step.cancelled" not in types_of(events)

    async def test_closing_lets_running_steps_end(self, tmp_path: Path) -> None:
        """Within the time given a running step ends and its result is kept; its successor waits for the next."""
        gate = Gate()
        kind = ScriptedKind(gate)
        steps: dict[str, Any] = {"a": {}, "b": {"needs": ["a"]}}
        backend = self.open_backend(tmp_path, {"test": kind})
        async with backend:
            started = await backend.start(define(steps))
            await gate.arrival()
            closing = asyncio.create_task(backend.close(drain_s=20))
            await asyncio.sleep(0)
            gate.open()
            await closing
            await refuses(EngineClosed, backend.start(define(steps)))
        again = ScriptedKind()
        async with self.open_backend(tmp_path, {"test": again}) as backend:
            state = await backend.wait(started.workflow_id)
        assert state.status == "succeeded"
        assert [call.step_id for call in kind.calls] == ["a"]
        assert [call.step_id for call in again.calls] == ["b"]

    async def test_retries_and_waits_go_on_after_opening_again(self, tmp_path: Path) -> None:
        """Attempts are counted on, and a wait ends at its time, not later."""
        clock = ManualClock()
        flaky = ScriptedKind(fails(1))
        kinds = {"test": flaky, "wait": ScriptedKind(wait_once)}
        retry = {"max_attempts": 2, "initial_delay_s": 50, "jitter": 0}
        async with self.open_backend(tmp_path, kinds, clock=clock) as backend:
            started = await backend.start(define({"a": {"retry": retry}, "b": {"kind": "wait"}}))
            await seen(backend, started.workflow_id, "step.failed", "a")
            await seen(backend, started.workflow_id, "step.waiting", "b")
        clock.advance(60)
        async with self.open_backend(tmp_path, kinds, clock=clock) as backend:
            assert await backend.unfinished() == [started.workflow_id]
            clock.advance(0)
            await seen(backend, started.workflow_id, "step.succeeded", "a")
            assert (await backend.get(started.workflow_id)).steps["b"].status == "waiting"
            clock.advance(40)
            state = await backend.wait(started.workflow_id)
            assert await backend.unfinished() == []
        assert [call.attempt for call in flaky.calls] == [1, 2]
        assert (state.steps["b"].attempt, state.steps["b"].output) == (1, "waited")

    async def test_a_waiting_step_holds_no_place(self, tmp_path: Path) -> None:
        """Others run meanwhile."""
        clock = ManualClock()
        kinds = {"test": ScriptedKind(), "wait": ScriptedKind(wait_once)}
        async with self.open_backend(tmp_path, kinds, clock=clock, max_parallel=1) as backend:
            started = await backend.start(define({"b": {"kind": "wait"}}))
            await seen(backend, started.workflow_id, "step.waiting", "b")
            assert (await run(backend, define({"a": {}}))).status == "succeeded"
            clock.advance(100)
            assert (await backend.wait(started.workflow_id)).status == "succeeded"

    async def test_a_cancel_is_finished_after_opening_again(self, tmp_path: Path) -> None:
        """A workflow that was being cancelled when the engine went ends as cancelled."""
        gate = Gate()
        backend = self.open_backend(tmp_path, {"test": ScriptedKind(gate)})
        async with backend:
            started = await backend.start(define({"a": {}}))
            await gate.arrival()
            cancelling = asyncio.create_task(backend.cancel(started.workflow_id))
            await backend.close(drain_s=0)
            await asyncio.gather(cancelling, return_exceptions=True)
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            state = await backend.wait(started.workflow_id)
        assert state.status in ("cancelled", "succeeded")
        assert not state.in_flight

    async def test_a_workflow_whose_kind_is_missing_is_left_for_later(self, tmp_path: Path) -> None:
        """An engine without the kind opens, says so in the log, and another one goes on with the workflow."""
        gate = Gate()
        backend = self.open_backend(tmp_path, {"rare": ScriptedKind(gate)})
        async with backend:
            started = await backend.start(define({"a": {"kind": "rare"}}))
            await gate.arrival()
            await backend.close(drain_s=0)
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            assert await backend.unfinished() == [started.workflow_id]
            assert (await run(backend, define({"a": {}}))).status == "succeeded"
        async with self.open_backend(tmp_path, {"rare": ScriptedKind()}) as backend:
            assert (await backend.wait(started.workflow_id)).status == "succeeded"

    async def test_waiting_has_a_limit_when_it_is_given_one(self, tmp_path: Path) -> None:
        """The workflow goes on meanwhile."""
        gate = Gate()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(gate)}) as backend:
            started = await backend.start(define({"a": {}}))
            await gate.arrival()
            await refuses(WaitTimedOut, backend.wait(started.workflow_id, 0.01))
            gate.open()
            assert (await backend.wait(started.workflow_id)).status == "succeeded"


def wait_once(call: StepCall) -> object:
    """Waits 100 seconds at the first call."""
    return Wait(100.0) if call.due_at is None else "waited"


async def refuses(error: type[Exception], asked: Any) -> None:
    """What is asked raises that error."""
    try:
        await asked
    except error:
        return
    raise AssertionError(f"{error.__name__} was expected")
