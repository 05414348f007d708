"""Scenarios: flow limits, priorities, concurrency of workflows, and why something waits for them."""

import asyncio
from pathlib import Path
from typing import Any

from maestro_workflow_engine._backend import ExecutionBackend
from maestro_workflow_engine._ports import Cause, FlowLimit, StepCall
from maestro_workflow_engine._refusals import BadSetting
from maestro_workflow_engine._testing._clock import ManualClock
from maestro_workflow_engine._testing._conformance_control import refuses
from maestro_workflow_engine._testing._kinds import Flaky, Gate, ScriptedKind, Turnstile
from maestro_workflow_engine._testing._scenario import PATIENCE_S, Scenarios, define, seen, types_of

API: dict[str, Any] = {"limits": ["api"]}


class LimitsScenarios(Scenarios):
    """Flow limits, priorities, and concurrency of workflows."""

    # --- flow limits ---

    async def test_a_limit_holds_over_all_workflows_and_changes_at_once(self, tmp_path: Path) -> None:
        """What is held up says so, and holds up nothing else."""
        stile = Turnstile()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(stile)}) as backend:
            await backend.set_limit(FlowLimit("api", max_parallel=1))
            await backend.start(define({"a": API, "free": {}}), workflow_id="one")
            await backend.start(define({"a": API, "free": {}}), workflow_id="two")
            assert await stile.arrivals(3) == ["one/a", "one/free", "two/free"]
            cause = await why(backend, "two", "a")
            assert (cause.kind, cause.detail["running"]) == ("limit", 1)
            await backend.set_limit(FlowLimit("api", max_parallel=2))
            assert await stile.arrivals(1) == ["two/a"]
            stile.open()
            for workflow_id in ("one", "two"):
                assert (await backend.wait(workflow_id, PATIENCE_S)).status == "succeeded"

    async def test_a_limit_outlives_the_engine(self, tmp_path: Path) -> None:
        """Until it is deleted; then what it held up begins."""
        limit = FlowLimit("kind:test", max_parallel=3, rate_count=5, rate_per_s=2.5, is_paused=True)
        kind = ScriptedKind()
        async with self.open_backend(tmp_path, {"test": kind}) as backend:
            await backend.set_limit(FlowLimit("other"))
            await backend.set_limit(limit)
            await backend.delete_limit("other")
            await backend.delete_limit("other")
            await backend.start(define({"a": {}}), workflow_id="w")
            await seen(backend, "w", "step.scheduled", "a")
        async with self.open_backend(tmp_path, {"test": kind}) as backend:
            assert await backend.limits() == [limit]
            await seen(backend, "w", "step.scheduled", "a")
            assert kind.calls == []
            await backend.delete_limit("kind:test")
            assert (await backend.wait("w", PATIENCE_S)).status == "succeeded"
            assert await backend.limits() == []

    async def test_limits_that_cannot_be_are_refused(self, tmp_path: Path) -> None:
        """Nothing is set then."""
        async with self.open_backend(tmp_path, {"test": ScriptedKind()}) as backend:
            for bad in (
                FlowLimit(""),
                FlowLimit("x", max_parallel=0),
                FlowLimit("x", rate_count=-1),
                FlowLimit("x", rate_count=1, rate_per_s=0.0),
                FlowLimit("x", breaker_failures=1, breaker_open_s=float("nan")),
            ):
                await refuses(BadSetting, backend.set_limit(bad))
            assert await backend.limits() == []

    async def test_figures_in_the_definition_hold_per_rendered_name(self, tmp_path: Path) -> None:
        """One at a time per customer, whoever started the workflow."""
        stile = Turnstile()
        step = {"limits": [{"name": "customer-${{ inputs.customer }}", "max_parallel": 1}]}
        definition = define({"a": step}, inputs={"customer": {"type": "string"}})
        async with self.open_backend(tmp_path, {"test": ScriptedKind(stile)}) as backend:
            for number, customer in enumerate(["x", "x", "y"]):
                await backend.start(definition, {"customer": customer}, workflow_id=f"w{number}")
            assert await stile.arrivals(2) == ["w0/a", "w2/a"]
            assert (await why(backend, "w1", "a")).kind == "limit"
            stile.let_through("w0/a")
            assert await stile.arrivals(1) == ["w1/a"]
            stile.open()
            assert (await backend.wait("w1", PATIENCE_S)).status == "succeeded"

    async def test_a_rate_spreads_attempts_over_time(self, tmp_path: Path) -> None:
        """Time alone lets the next one begin; it says when."""
        clock, kind = ManualClock(), ScriptedKind()
        async with self.open_backend(tmp_path, {"test": kind}, clock=clock) as backend:
            await backend.set_limit(FlowLimit("api", rate_count=2, rate_per_s=60))
            await backend.start(define({f"s{i}": API for i in range(4)}), workflow_id="w")
            for step in ("s0", "s1"):
                await seen(backend, "w", "step.succeeded", step)
            cause = await why(backend, "w", "s2")
            assert (cause.kind, cause.detail["wait_s"]) == ("rate", 30.0)
            assert len(kind.calls) == 2
            for step in ("s2", "s3"):
                clock.advance(30)
                await seen(backend, "w", "step.succeeded", step)
            assert len(kind.calls) == 4

    async def test_a_breaker_leaves_alone_what_keeps_failing(self, tmp_path: Path) -> None:
        """One trial after a while decides."""
        clock, is_well = ManualClock(), asyncio.Event()

        def call(call: StepCall) -> object:
            if not is_well.is_set():
                raise Flaky(retryable=False)
            return None

        kind = ScriptedKind(call)
        step = {**API, "on_error": "continue"}
        async with self.open_backend(tmp_path, {"test": kind}, clock=clock) as backend:
            await backend.set_limit(FlowLimit("api", breaker_failures=2, breaker_open_s=60, max_parallel=1))
            await backend.start(define({f"s{i}": step for i in range(5)}), workflow_id="w")
            await seen(backend, "w", "step.failed", "s1")
            assert (await why(backend, "w", "s2")).kind == "breaker"
            assert len(kind.calls) == 2
            is_well.set()
            clock.advance(60)
            state = await backend.wait("w", PATIENCE_S)
        assert [state.steps[f"s{i}"].status for i in range(5)] == ["failed"] * 2 + ["succeeded"] * 3

    # --- priorities ---

    async def test_the_highest_priority_goes_first(self, tmp_path: Path) -> None:
        """Also when it is given later; whoever waits for a turn says so."""
        stile = Turnstile()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(stile)}, max_parallel=1) as backend:
            await backend.start(define({"a": {}}), workflow_id="first")
            assert await stile.arrivals(1) == ["first/a"]
            await backend.start(define({"a": {}}), workflow_id="usual")
            await backend.start(define({"a": {}}), workflow_id="raised")
            await backend.start(define({"a": {}}, priority=-1), workflow_id="low")
            await backend.start(define({"a": {}}), workflow_id="high", priority=7)
            for workflow_id in ("usual", "raised", "low", "high"):
                await seen(backend, workflow_id, "step.scheduled", "a")
            assert (await why(backend, "usual", "a")).kind == "turn"
            await backend.set_priority("raised", 6)
            await refuses(BadSetting, backend.set_priority("raised", 101))
            stile.open()
            assert await stile.arrivals(4) == ["high/a", "raised/a", "usual/a", "low/a"]
            for workflow_id in ("first", "low"):
                await backend.wait(workflow_id, PATIENCE_S)

    # --- concurrency of workflows ---

    async def test_one_workflow_of_a_key_after_the_other(self, tmp_path: Path) -> None:
        """The next one begins when the one before it has ended, not when it merely has nothing to run."""
        gate = Gate()
        definition = define({"a": {}, "b": {"needs": ["a"]}}, concurrency={"key": "deploy", "limit": 1})
        async with self.open_backend(tmp_path, {"test": ScriptedKind(gate)}) as backend:
            for workflow_id in ("one", "two"):
                await backend.start(definition, workflow_id=workflow_id)
            await gate.arrival()
            cause = await why(backend, "two", "a")
            assert (cause.kind, cause.detail["holders"]) == ("concurrency", ["one"])
            gate.open()
            await backend.wait("two", PATIENCE_S)
            first, second = await backend.events("one"), await backend.events("two")
        begun = [event for event in second if event.type == "step.started"]
        assert begun[0].position > first[-1].position

    async def test_a_slot_is_kept_over_a_restart(self, tmp_path: Path) -> None:
        """Whoever had begun goes on; the other waits on, whatever the order in which they come back."""
        definition = define({"a": {}}, concurrency={"key": "deploy", "limit": 1})
        gate = Gate()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(gate)}) as backend:
            await backend.start(definition, workflow_id="z-begun")
            await gate.arrival()
            await backend.start(definition, workflow_id="a-waits", priority=9)
            await backend.close(drain_s=0)
        stile = Turnstile()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(stile)}) as backend:
            assert await stile.arrivals(1) == ["z-begun/a"]
            assert (await why(backend, "a-waits", "a")).kind == "concurrency"
            stile.open()
            assert (await backend.wait("a-waits", PATIENCE_S)).status == "succeeded"

    async def test_the_newest_of_a_key_may_end_the_oldest(self, tmp_path: Path) -> None:
        """That one is cancelled, with its clean-up, and then the newest begins."""
        stile = Turnstile()
        rules = {"key": "${{ inputs.branch }}", "limit": 1, "when_full": "cancel_oldest"}
        definition = define(
            {"a": {}}, **{"inputs": {"branch": {"type": "string"}}, "concurrency": rules, "finally": {"f": TIDY}}
        )
        async with self.open_backend(tmp_path, {"test": ScriptedKind(stile), "tidy": ScriptedKind()}) as backend:
            await backend.start(definition, {"branch": "main"}, workflow_id="old")
            await backend.start(definition, {"branch": "other"}, workflow_id="other")
            assert sorted(await stile.arrivals(2)) == ["old/a", "other/a"]
            await backend.start(definition, {"branch": "main"}, workflow_id="new")
            old = await backend.wait("old", PATIENCE_S)
            assert (old.status, old.steps["f"].status) == ("cancelled", "succeeded")
            assert await stile.arrivals(1) == ["new/a"]
            stile.open()
            assert (await backend.wait("new", PATIENCE_S)).status == "succeeded"
            assert (await backend.wait("other", PATIENCE_S)).status == "succeeded"

    # --- what is taken off ---

    async def test_a_skipped_step_is_stopped_and_not_heard_of_again(self, tmp_path: Path) -> None:
        """Its limit is free again."""
        stile = Turnstile()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(stile)}) as backend:
            await backend.set_limit(FlowLimit("api", max_parallel=1))
            await backend.start(define({"a": API, "b": API, "c": API}), workflow_id="w")
            assert await stile.arrivals(1) == ["w/a"]
            await backend.skip("w", "a", output=7)
            assert await stile.arrivals(1) == ["w/b"]
            await backend.skip("w", "c")
            stile.open()
            state = await backend.wait("w", PATIENCE_S)
            events = await backend.events("w")
        assert (state.status, state.steps["a"].output) == ("succeeded", 7)
        assert types_of(events, "a") == ["step.scheduled", "step.started", "step.skipped"]
        assert types_of(events, "c") == ["step.scheduled", "step.skipped"]

    async def test_a_paused_workflow_leaves_its_turn_to_others(self, tmp_path: Path) -> None:
        """What was offered is taken back, and offered again when it is resumed."""
        stile = Turnstile()
        async with self.open_backend(tmp_path, {"test": ScriptedKind(stile)}, max_parallel=1) as backend:
            await backend.start(define({"a": {}, "b": {}}), workflow_id="w")
            assert await stile.arrivals(1) == ["w/a"]
            await backend.pause("w", "later")
            await backend.start(define({"a": {}}), workflow_id="other")
            assert (await why(backend, "w", "b")).kind == "paused"
            stile.open()
            assert await stile.arrivals(1) == ["other/a"]
            await backend.wait("other", PATIENCE_S)
            await backend.resume("w")
            assert await stile.arrivals(1) == ["w/b"]
            assert (await backend.wait("w", PATIENCE_S)).status == "succeeded"


TIDY = {"kind": "tidy"}


async def why(backend: ExecutionBackend, workflow_id: str, step: str) -> Cause:
    """The cause that a step gives."""
    (cause,) = [cause for cause in await backend.why(workflow_id) if cause.step == step]
    return cause
