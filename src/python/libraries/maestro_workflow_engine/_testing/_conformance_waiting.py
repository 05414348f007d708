"""Scenarios: signals, events, approvals, time, and child workflows."""

from pathlib import Path
from typing import Any

from maestro_workflow_engine._backend import ExecutionBackend
from maestro_workflow_engine._errors import InvalidInputs
from maestro_workflow_engine._events import Event
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._kinds import builtin_step_kinds
from maestro_workflow_engine._refusals import InvalidAnswer, SignalRefused, StepNotFound, StepNotWaiting
from maestro_workflow_engine._testing._clock import ManualClock
from maestro_workflow_engine._testing._conformance_control import refuses
from maestro_workflow_engine._testing._kinds import Gate, ScriptedKind, fails
from maestro_workflow_engine._testing._scenario import Scenarios, define, run, seen, types_of

FORM: dict[str, JSON] = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "minimum": 1}},
    "required": ["amount"],
}
CHILD = {
    "steps": {"c": {"kind": "test", "with": {"x": "${{ inputs.x }}"}}},
    "outputs": {"y": "${{ steps.c.output.x }}"},
}
BODY = {"inputs": {"x": {"type": "integer"}}, **CHILD}


def signal(name: str, **rest: Any) -> dict[str, Any]:
    """A step that waits for a signal."""
    return {"kind": "signal", "with": {"name": name}, **rest}


def child(x: JSON = 1, body: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    """A step that runs a workflow written in place."""
    body = body or BODY
    inputs = {"x": x} if "inputs" in body else {}
    return {"kind": "workflow", "body": {"name": "child", **body}, "with": {"inputs": inputs}, **rest}


class WaitingScenarios(Scenarios):
    """Signals, events, approvals, time, and child workflows."""

    # --- signals ---

    async def test_a_signal_brings_on_the_step_that_waits_for_it(self, tmp_path: Path) -> None:
        """Its payload is the output of the step."""
        async with self.open_backend(tmp_path, builtin_step_kinds()) as backend:
            started = await backend.start(define({"a": signal("paid")}))
            await seen(backend, started.workflow_id, "step.waiting", "a")
            seq = await backend.signal(started.workflow_id, "paid", {"cents": 5}, by="till")
            assert (await backend.events(started.workflow_id))[seq - 1].type == "step.answered"
            state = await backend.wait(started.workflow_id)
        assert state.steps["a"].output == {"cents": 5}

    async def test_signals_that_come_too_early_are_kept_in_order(self, tmp_path: Path) -> None:
        """Each is taken by one step; other names stay, and the same id counts once."""
        gate = Gate()
        steps = {
            "first": {},
            "a": signal("go", needs=["first"]),
            "b": signal("go", needs=["a"]),
        }
        async with self.open_backend(tmp_path, {**builtin_step_kinds(), "test": ScriptedKind(gate)}) as backend:
            started = await backend.start(define(steps))
            await gate.arrival()
            for number, signal_id in ((1, "x"), (1, "x"), (2, "y")):
                await backend.signal(started.workflow_id, "go", number, signal_id=signal_id)
            await backend.signal(started.workflow_id, "other")
            gate.open()
            state = await backend.wait(started.workflow_id)
        assert [state.steps[step].output for step in ("a", "b")] == [1, 2]
        assert [name for name, _ in state.signals.values()] == ["other"]

    async def test_a_signal_of_no_use_is_refused(self, tmp_path: Path) -> None:
        """No name, or more than can be kept; nothing has happened then."""
        async with self.open_backend(tmp_path, builtin_step_kinds()) as backend:
            started = await backend.start(define({"a": signal("go")}))
            await seen(backend, started.workflow_id, "step.waiting", "a")
            seq = (await backend.get(started.workflow_id)).seq
            bad: list[tuple[str, Any]] = [("", None), ("x" * 300, None), ("go", "x" * 300_000), ("go", object())]
            for name, payload in bad:
                await refuses(SignalRefused, backend.signal(started.workflow_id, name, payload))
            assert (await backend.get(started.workflow_id)).seq == seq

    async def test_a_signal_reaches_a_workflow_of_an_earlier_engine(self, tmp_path: Path) -> None:
        """What was kept, and what is waited for, outlive the engine."""
        steps = {"a": signal("one"), "b": signal("two", needs=["a"])}
        async with self.open_backend(tmp_path, builtin_step_kinds()) as backend:
            started = await backend.start(define(steps))
            await seen(backend, started.workflow_id, "step.waiting", "a")
            await backend.signal(started.workflow_id, "two", 2, signal_id="s")
        async with self.open_backend(tmp_path, builtin_step_kinds()) as backend:
            await backend.signal(started.workflow_id, "two", 3, signal_id="s")
            await backend.signal(started.workflow_id, "one", 1)
            state = await backend.wait(started.workflow_id)
        assert [state.steps[step].output for step in ("a", "b")] == [1, 2]

    # --- events ---

    async def test_an_event_reaches_every_run_that_waits_for_it(self, tmp_path: Path) -> None:
        """Those that match, of all workflows; the others wait on."""
        steps = {"a": {"kind": "event", "with": {"type": "paid", "match": {"data.order": "${{ inputs.order }}"}}}}
        definition = define(steps, inputs={"order": {"type": "integer"}})
        event: dict[str, JSON] = {"id": "1", "source": "/till", "type": "paid", "data": {"order": 7}}
        async with self.open_backend(tmp_path, builtin_step_kinds()) as backend:
            ids = [(await backend.start(definition, {"order": order})).workflow_id for order in (7, 7, 8)]
            for workflow_id in ids:
                await seen(backend, workflow_id, "step.waiting", "a")
            assert await backend.publish({**event, "type": "other"}) == 0
            assert await backend.publish(event) == 2
            assert await backend.publish(event) == 0
            states = [await backend.wait(workflow_id) for workflow_id in ids[:2]]
            assert (await backend.get(ids[2])).status == "running"
            await refuses(InvalidInputs, backend.publish({"data": 1}))
        assert [state.steps["a"].output for state in states] == [event, event]

    # --- answers ---

    async def test_an_approval_waits_for_a_person(self, tmp_path: Path) -> None:
        """The answer must fit the form; who gave it is part of the output, and the inbox shows it until then."""
        steps = {"a": {"kind": "approval", "with": {"title": "Pay?", "form": FORM, "to": ["boss"]}}}
        async with self.open_backend(tmp_path, builtin_step_kinds()) as backend:
            started = await backend.start(define(steps))
            await seen(backend, started.workflow_id, "step.waiting", "a")
            asked = (await backend.waiting(kind="approval")).items
            assert [(each.workflow_id, each.step, each.on["title"]) for each in asked] == [
                (started.workflow_id, "a", "Pay?")
            ]
            bad: list[Any] = ["yes", {"approved": 1}, {"approved": True, "data": {"amount": 0}}, {"approved": True}]
            for answer in bad:
                await refuses(InvalidAnswer, backend.answer(started.workflow_id, "a", answer))
            await backend.answer(started.workflow_id, "a", {"approved": True, "data": {"amount": 3}}, by="ann")
            state = await backend.wait(started.workflow_id)
            assert (await backend.waiting()).items == []
        output: Any = state.steps["a"].output
        assert (state.status, output["data"], output["by"]) == ("succeeded", {"amount": 3}, "ann")

    async def test_a_rejection_fails_the_step(self, tmp_path: Path) -> None:
        """The workflow ends as failed."""
        async with self.open_backend(tmp_path, builtin_step_kinds()) as backend:
            started = await backend.start(define({"a": {"kind": "approval", "with": {"title": "Pay?"}}}))
            await seen(backend, started.workflow_id, "step.waiting", "a")
            await backend.answer(started.workflow_id, "a", {"approved": False, "comment": "too much"})
            state = await backend.wait(started.workflow_id)
        assert state.error is not None
        assert (state.status, state.error["code"]) == ("failed", "workflow.approval-rejected")

    async def test_an_answer_that_nobody_waits_for_is_refused(self, tmp_path: Path) -> None:
        """No such step, a step that runs, and one that waits for something else."""
        gate = Gate()
        kinds = {**builtin_step_kinds(), "test": ScriptedKind(gate)}
        async with self.open_backend(tmp_path, kinds) as backend:
            started = await backend.start(define({"a": {}, "s": signal("go")}))
            await gate.arrival()
            await seen(backend, started.workflow_id, "step.waiting", "s")
            await refuses(StepNotFound, backend.answer(started.workflow_id, "b", 1))
            await refuses(StepNotFound, backend.answer(started.workflow_id, "a", 1, item=3))
            await refuses(StepNotWaiting, backend.answer(started.workflow_id, "a", 1))
            await refuses(StepNotWaiting, backend.answer(started.workflow_id, "s", 1))
            gate.open()

    # --- time ---

    async def test_a_workflow_that_runs_too_long_is_stopped(self, tmp_path: Path) -> None:
        """What runs is stopped, what cleans up runs, and the workflow has failed; also after opening again."""
        clock, gate = ManualClock(), Gate()
        late = {"f": {"kind": "echo"}}
        definition = define({"a": {}}, timeout_s=50, **{"finally": late})
        kinds = {"test": ScriptedKind(gate), "echo": ScriptedKind()}
        backend = self.open_backend(tmp_path, kinds, clock=clock)
        async with backend:
            first = await backend.start(definition)
            await gate.arrival()
            clock.advance(51)
            assert (await backend.wait(first.workflow_id)).error == await timed_out(backend, first.workflow_id)
            second = await backend.start(definition)
            await gate.arrival()
            await backend.close(drain_s=0)
        async with self.open_backend(tmp_path, kinds, clock=clock) as backend:
            await gate.arrival()
            clock.advance(51)
            state = await backend.wait(second.workflow_id)
        assert (state.status, state.steps["a"].status, state.steps["f"].status) == ("failed", "cancelled", "succeeded")

    # --- child workflows ---

    async def test_a_child_workflow_gives_its_outputs_to_its_step(self, tmp_path: Path) -> None:
        """It is a workflow of its own, which names its parent; each item of a map has one."""
        steps = {
            "one": child(4),
            "each": child("${{ item }}", map={"items": [1, 2, 3]}),
        }
        kinds = {**builtin_step_kinds(), "test": ScriptedKind()}
        outputs = {"one": "${{ steps.one.output.y }}", "each": "${{ steps.each.output }}"}
        async with self.open_backend(tmp_path, kinds) as backend:
            state = await run(backend, define(steps, outputs=outputs))
            children = (await backend.list(parent=state.id)).items
        assert state.outputs == {"one": 4, "each": [{"y": 1}, {"y": 2}, {"y": 3}]}
        assert {(each.name, each.status, each.parent) for each in children} == {("child", "succeeded", state.id)}
        assert len(children) == 4

    async def test_a_child_that_fails_fails_its_step(self, tmp_path: Path) -> None:
        """A retry begins another child."""
        kind = ScriptedKind(fails(1, retryable=False))
        kinds = {**builtin_step_kinds(), "test": kind}
        async with self.open_backend(tmp_path, kinds) as backend:
            state = await run(backend, define({"a": child(retry={"max_attempts": 2, "initial_delay_s": 0})}))
            children = (await backend.list(parent=state.id)).items
        assert state.error is not None
        assert (state.status, state.error["code"]) == ("failed", "workflow.child-failed")
        assert [each.status for each in children] == ["failed", "failed"]

    async def test_a_child_that_cannot_begin_fails_its_step(self, tmp_path: Path) -> None:
        """No such template, inputs that do not fit."""
        kinds = {**builtin_step_kinds(), "test": ScriptedKind()}
        async with self.open_backend(tmp_path, kinds) as backend:
            bad: list[dict[str, Any]] = [
                {"kind": "workflow", "with": {"template": "nowhere"}},
                child("${{ inputs.text }}"),
            ]
            for step in bad:
                state = await run(backend, define({"a": step}, inputs={"text": {"type": "string"}}), text="no number")
                assert state.error is not None
                assert (state.status, state.error["code"]) == ("failed", "workflow.child-failed")
                assert (await backend.list(parent=state.id)).items == []

    async def test_no_child_outlives_the_step_that_waits_for_it(self, tmp_path: Path) -> None:
        """Cancelling the parent, or skipping the step, cancels the child, and its children."""
        gate = Gate()
        kinds = {**builtin_step_kinds(), "test": ScriptedKind(gate)}
        grandchild = child(body={"steps": {"c": {"kind": "test"}}})
        definition = define({"a": child(body={"steps": {"b": grandchild}})})
        async with self.open_backend(tmp_path, kinds) as backend:
            for is_skipped in (True, False):
                started = await backend.start(definition)
                call = await gate.arrival()
                if is_skipped:
                    await backend.skip(started.workflow_id, "a", output="skipped")
                else:
                    await backend.cancel(started.workflow_id)
                state = await backend.wait(started.workflow_id)
                assert state.status == ("succeeded" if is_skipped else "cancelled")
                assert (await backend.wait(call.workflow_id)).status == "cancelled"
                (summary,) = (await backend.list(parent=started.workflow_id)).items
                assert (await backend.wait(summary.id)).status == "cancelled"
            assert await backend.unfinished() == []

    async def test_a_child_goes_on_after_opening_again(self, tmp_path: Path) -> None:
        """It is not started again, and its end reaches the parent."""
        gate = Gate()
        kinds = {**builtin_step_kinds(), "test": ScriptedKind(gate)}
        backend = self.open_backend(tmp_path, kinds)
        async with backend:
            started = await backend.start(define({"a": child(5)}, outputs={"y": "${{ steps.a.output.y }}"}))
            await gate.arrival()
            await backend.close(drain_s=0)
        async with self.open_backend(tmp_path, {**builtin_step_kinds(), "test": ScriptedKind()}) as backend:
            state = await backend.wait(started.workflow_id)
            children = (await backend.list(parent=started.workflow_id)).items
        assert (state.status, state.outputs, len(children)) == ("succeeded", {"y": 5}, 1)

    async def test_a_child_has_what_its_step_has_reserved(self, tmp_path: Path) -> None:
        """The reservation is its budget."""
        gate = Gate()
        kinds = {**builtin_step_kinds(), "test": ScriptedKind(gate)}
        definition = define({"a": child(cost={"calls": 3})}, budget={"calls": 10})
        async with self.open_backend(tmp_path, kinds) as backend:
            started = await backend.start(definition)
            call = await gate.arrival()
            assert (await backend.get(call.workflow_id)).budget == {"calls": 3}
            gate.open()
            assert (await backend.wait(started.workflow_id)).status == "succeeded"

    async def test_an_event_of_a_child_names_its_parent(self, tmp_path: Path) -> None:
        """Its first event says whose child it is, and how deep."""
        kinds = {**builtin_step_kinds(), "test": ScriptedKind()}
        async with self.open_backend(tmp_path, kinds) as backend:
            state = await run(backend, define({"a": child()}))
            (summary,) = (await backend.list(parent=state.id)).items
            events: list[Event] = await backend.events(summary.id)
        assert events[0].data["parent"] == {"workflow": state.id, "step": "a", "item": None, "depth": 1}
        assert types_of(events)[-1] == "workflow.succeeded"


async def timed_out(backend: ExecutionBackend, workflow_id: str) -> Any:
    """The error of the event that says so."""
    (event,) = [each for each in await backend.events(workflow_id) if each.type == "workflow.timed_out"]
    assert event.data["error"]["code"] == "workflow.timed-out"
    return event.data["error"]
