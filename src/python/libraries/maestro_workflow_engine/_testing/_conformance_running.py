"""Scenarios: how steps are run."""

import asyncio
from pathlib import Path
from typing import Any

from maestro_workflow_engine._backend import ExecutionBackend
from maestro_workflow_engine._events import ArtifactRef
from maestro_workflow_engine._ports import StepCall
from maestro_workflow_engine._testing._clock import ManualClock
from maestro_workflow_engine._testing._kinds import Flaky, Gate, ScriptedKind, Stubborn, fails, large_output
from maestro_workflow_engine._testing._scenario import Scenarios, define, run, seen


class RunningScenarios(Scenarios):
    """How steps are run."""

    async def test_outputs_flow_along_a_chain(self, tmp_path: Path) -> None:
        """A step sees the outputs of those before it, and the workflow gives what it says."""
        kind = ScriptedKind(lambda call: {"n": int(str(call.arguments["n"])) + 1})
        chain = {"a": {"with": {"n": 0}}, "b": {"with": {"n": "${{ steps.a.output.n }}"}}}
        async with self.open_backend(tmp_path, {"test": kind}) as backend:
            state = await run(backend, define(chain, outputs={"n": "${{ steps.b.output.n }}"}))
        assert state.status == "succeeded"
        assert state.outputs == {"n": 2}
        assert [call.step_id for call in kind.calls] == ["a", "b"]

    async def test_a_call_says_what_it_is(self, tmp_path: Path) -> None:
        """Ids, attempt, key, tools and folders reach the step kind; the scratch folder ends with the workflow."""
        folders: list[Path] = []

        def look(call: StepCall) -> object:
            (call.work_dir / "note").write_text("x")
            folders.append(call.work_dir)
            return None

        kind = ScriptedKind(look)
        tools = {"git": {"root": "${{ inputs.root }}"}}
        definition = define({"a": {}}, tools=tools, inputs={"root": {"type": "string"}})
        async with self.open_backend(tmp_path / "data", {"test": kind}) as backend:
            started = await backend.start(definition, {"root": "/r"}, workflow_id="w-1", base_dir=tmp_path)
            await backend.wait(started.workflow_id)
        (call,) = kind.calls
        assert (call.workflow_id, call.workflow_name, call.step_id, call.item_index) == ("w-1", "scenario", "a", None)
        assert (call.attempt, call.idempotency_key, call.base_dir) == (1, "w-1/a/1", tmp_path)
        assert call.tools == {"git": {"root": "/r"}}
        assert not folders[0].exists()
        assert kind.closed == 1

    async def test_a_result_is_durable_before_its_successors_start(self, tmp_path: Path) -> None:
        """Whoever runs finds the results of its needs in the journal."""
        found: dict[str, list[str]] = {}

        async def look(call: StepCall) -> object:
            events = await backend.events(call.workflow_id)
            found[call.step_id] = [event.data["step"] for event in events if event.type == "step.succeeded"]
            return None

        steps: dict[str, Any] = {"a": {}, "b": {"needs": ["a"]}, "c": {"needs": ["a", "b"]}}
        backend: ExecutionBackend
        async with self.open_backend(tmp_path, {"test": ScriptedKind(look)}) as backend:
            await run(backend, define(steps))
        assert found == {"a": [], "b": ["a"], "c": ["a", "b"]}

    async def test_map_gives_outputs_in_the_order_of_the_items(self, tmp_path: Path) -> None:
        """Whatever ends first; each item has a key of its own."""
        gates = [asyncio.Event() for _ in range(3)]

        async def in_turn(call: StepCall) -> object:
            index = call.item_index or 0
            if index < 2:
                await gates[index].wait()
            if index > 0:
                gates[index - 1].set()
            return call.arguments["x"]

        kind = ScriptedKind(in_turn)
        step = {"map": {"items": "${{ inputs.list }}"}, "with": {"x": "${{ item }}-${{ index }}"}}
        definition = define({"m": step}, inputs={"list": {"type": "array"}}, outputs={"all": "${{ steps.m.output }}"})
        async with self.open_backend(tmp_path, {"test": kind}) as backend:
            state = await run(backend, definition, list=["a", "b", "c"])
        assert state.outputs == {"all": ["a-0", "b-1", "c-2"]}
        assert {call.idempotency_key for call in kind.calls} == {f"{state.id}/m[{i}]/1" for i in range(3)}

    async def test_map_and_backend_keep_to_their_limits(self, tmp_path: Path) -> None:
        """Never more at once than `max_parallel` of the map, nor than that of the backend."""
        running: dict[str, int] = {"m": 0, "n": 0}
        most: dict[str, int] = {"m": 0, "n": 0, "all": 0}

        async def count(call: StepCall) -> object:
            running[call.step_id] += 1
            most[call.step_id] = max(most[call.step_id], running[call.step_id])
            most["all"] = max(most["all"], sum(running.values()))
            for _ in range(5):
                await asyncio.sleep(0)
            running[call.step_id] -= 1
            return None

        items = "${{ range(12) }}"
        steps = {"m": {"map": {"items": items, "max_parallel": 2}}, "n": {"map": {"items": items}}}
        async with self.open_backend(tmp_path, {"test": ScriptedKind(count)}, max_parallel=5) as backend:
            state = await run(backend, define(steps))
        assert state.status == "succeeded"
        assert most["m"] == 2
        assert most["all"] == 5

    async def test_workflows_take_turns(self, tmp_path: Path) -> None:
        """A wide workflow does not keep a small one that was started later from running."""
        order: list[str] = []
        may_go_on = asyncio.Event()

        async def note(call: StepCall) -> object:
            order.append(call.workflow_id)
            await may_go_on.wait()
            return None

        wide = define({"m": {"map": {"items": "${{ range(50) }}"}}})
        async with self.open_backend(tmp_path, {"test": ScriptedKind(note)}, max_parallel=1) as backend:
            await backend.start(wide, workflow_id="wide")
            await backend.start(define({"a": {}}), workflow_id="small")
            may_go_on.set()
            await backend.wait("wide")
            await backend.wait("small")
        assert order.index("small") <= 2

    async def test_a_failing_step_is_retried_after_its_delays(self, tmp_path: Path) -> None:
        """The attempts wait as the policy says, by the clock of the backend."""
        clock = ManualClock()
        kind = ScriptedKind(fails(2))
        retry = {"max_attempts": 3, "initial_delay_s": 10, "multiplier": 6, "jitter": 0}
        async with self.open_backend(tmp_path, {"test": kind}, clock=clock) as backend:
            started = await backend.start(define({"a": {"retry": retry, "with": {"x": 1}}}))
            for delay_s, attempts in ((10.0, 1), (60.0, 2)):
                await seen_times(backend, started.workflow_id, "step.failed", attempts)
                clock.advance(delay_s - 0.5)
                assert kind.count("a") == attempts
                clock.advance(0.5)
            state = await backend.wait(started.workflow_id)
        assert (state.status, state.steps["a"].attempt, state.steps["a"].output) == ("succeeded", 3, {"x": 1})

    async def test_a_step_that_fails_for_good_fails_the_workflow(self, tmp_path: Path) -> None:
        """The error names the step, and keeps code and message of what was raised."""
        kind = ScriptedKind(fails(9, retryable=False))
        async with self.open_backend(tmp_path, {"test": kind}) as backend:
            state = await run(backend, define({"a": {"retry": 5}, "b": {"needs": ["a"]}}))
        assert (state.status, state.failed_step) == ("failed", "a")
        assert state.error == {"code": "workflow.step-raised", "message": "Flaky: no luck", "retryable": False}
        assert [call.step_id for call in kind.calls] == ["a"]

    async def test_what_a_step_raises_never_harms_the_engine(self, tmp_path: Path) -> None:
        """Whatever comes, the step fails with a bounded message and the engine goes on."""

        class Rude(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no text for you")

        def raise_it(call: StepCall) -> object:
            raise {
                "rude": Rude(),
                "exit": SystemExit(3),
                "long": Flaky("x" * 1_000_000),
                "cancelled": asyncio.CancelledError(),
                "group": ExceptionGroup("several", [ValueError("one"), ValueError("two")]),
            }[call.step_id]

        async with self.open_backend(tmp_path, {"test": ScriptedKind(raise_it)}) as backend:
            for step_id in ("rude", "exit", "long", "cancelled", "group"):
                state = await run(backend, define({step_id: {}}))
                assert state.status == "failed"
                assert state.error is not None
                assert len(str(state.error["message"])) < 5000

    async def test_an_expression_that_fails_in_a_run_fails_the_step_for_good(self, tmp_path: Path) -> None:
        """The error names step and place, and trying again is of no use."""
        kind = ScriptedKind(lambda call: {"n": 1})
        steps = {"a": {}, "b": {"retry": 3, "with": {"deep": {"x": "${{ steps.a.output.missing.more }}"}}}}
        tools = {"t": {"x": "${{ inputs.list[7] }}"}}
        inputs = {"list": {"type": "array", "default": []}}
        async with self.open_backend(tmp_path, {"test": kind}) as backend:
            state = await run(backend, define(steps))
            of_tools = await run(backend, define({"a": {}}, tools=tools, inputs=inputs))
        assert state.failed_step == "b"
        assert state.error is not None
        assert (state.error["code"], state.error["retryable"]) == ("workflow.expression-failed", False)
        assert str(state.error["message"]).startswith("/with/deep/x: ")
        assert kind.count("b") == 0
        assert of_tools.error is not None
        assert str(of_tools.error["message"]).startswith("/tools/t/x: ")

    async def test_a_step_that_takes_too_long_is_stopped(self, tmp_path: Path) -> None:
        """At its timeout it is cancelled, and fails with a code that says so."""
        clock, gate = ManualClock(), Gate()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(gate)}, clock=clock) as backend:
            started = await backend.start(define({"a": {"timeout_s": 30}}))
            await gate.arrival()
            clock.advance(30)
            state = await backend.wait(started.workflow_id)
        assert state.status == "failed"
        assert state.error is not None
        assert (state.error["code"], state.error["retryable"]) == ("workflow.step-timed-out", True)
        assert len(gate.cancelled) == 1

    async def test_a_step_that_ignores_its_cancellation_is_abandoned(self, tmp_path: Path) -> None:
        """After the grace time its place is free again, and what it gives later is thrown away."""
        clock, stubborn = ManualClock(), Stubborn()
        kinds = {"test": ScriptedKind(stubborn), "good": ScriptedKind()}
        backend = self.open_backend(tmp_path, kinds, clock=clock, max_parallel=1, stop_grace_s=0.02)
        async with backend:
            started = await backend.start(define({"a": {"timeout_s": 5}}))
            await stubborn.started.wait()
            clock.advance(5)
            state = await backend.wait(started.workflow_id)
            assert state.status == "failed"
            assert (await run(backend, define({"b": {"kind": "good"}}))).status == "succeeded"
            stubborn.release()
            await stubborn.ended.wait()
            assert (await backend.get(started.workflow_id)).status == "failed"

    async def test_results_that_are_no_json_fail_the_step(self, tmp_path: Path) -> None:
        """NaN, objects of Python, cycles and endless nesting are refused clearly."""
        cycle: list[object] = []
        cycle.append(cycle)
        deep: list[object] = []
        for _ in range(150):
            deep = [deep]
        bad = {"nan": float("nan"), "object": object(), "bytes": b"x", "cycle": cycle, "deep": deep, "set": {1}}
        async with self.open_backend(
            tmp_path, {"test": ScriptedKind(lambda call: {"in": bad[call.step_id]})}
        ) as backend:
            for step_id in bad:
                state = await run(backend, define({step_id: {"retry": 3}}))
                assert state.error is not None, step_id
                assert state.error["code"] == "workflow.bad-step-result", step_id

    async def test_large_outputs_are_kept_beside_the_journal(self, tmp_path: Path) -> None:
        """The journal holds a reference; expressions see the value; the artifact can be read."""
        kinds = {"test": ScriptedKind(large_output(100_000)), "echo": ScriptedKind()}
        steps = {"a": {}, "b": {"kind": "echo", "with": {"n": "${{ len(steps.a.output) }}"}}}
        async with self.open_backend(tmp_path, kinds) as backend:
            state = await run(
                backend, define(steps, outputs={"n": "${{ steps.b.output.n }}", "a": "${{ steps.a.output }}"})
            )
            output, outputs = state.steps["a"].output, state.outputs
            assert isinstance(output, ArtifactRef)
            assert isinstance(outputs, ArtifactRef)
            assert (await backend.artifact(output.sha256)).read_text() == '"' + "x" * 100_000 + '"'
            assert state.steps["b"].output == {"n": 100_000}
            events = await backend.events(state.id)
        assert max(len(str(event.data)) for event in events) < 1000

    async def test_too_large_outputs_fail_the_step(self, tmp_path: Path) -> None:
        """The limit and the size are named, and trying again is of no use."""
        kind = ScriptedKind(large_output(10_001))
        async with self.open_backend(tmp_path, {"test": kind}, max_output_bytes=10_000) as backend:
            state = await run(backend, define({"a": {"retry": 3}}))
        assert state.error is not None
        assert state.error["code"] == "workflow.output-too-large"
        assert "10003 bytes" in str(state.error["message"])
        assert kind.count("a") == 1

    async def test_artifacts_of_a_step_are_noted_and_readable(self, tmp_path: Path) -> None:
        """Bytes and files become artifacts, named in the state, with a media type."""
        (tmp_path / "report.html").write_text("<p>hello</p>")

        async def write(call: StepCall) -> object:
            await call.artifacts.put(b"{}", "data.json")
            reference = await call.artifacts.put(tmp_path / "report.html", "report.html")
            return {"report": reference.as_json()}

        async with self.open_backend(tmp_path / "data", {"test": ScriptedKind(write)}) as backend:
            state = await run(backend, define({"a": {}}))
            data, report = state.steps["a"].artifacts
            assert (data.name, data.media_type, data.size_bytes) == ("data.json", "application/json", 2)
            assert (report.name, report.media_type) == ("report.html", "text/html")
            assert (await backend.artifact(report.sha256)).read_text() == "<p>hello</p>"


async def seen_times(backend: ExecutionBackend, workflow_id: str, type_: str, times: int) -> None:
    """Wait until an event of a type is durable for the given time."""
    count = 0
    await seen(backend, workflow_id, type_)
    async for event in backend.watch(workflow_id):
        count += event.type == type_
        if count == times:
            return
