"""Scenarios: approvals that take their time, and what holds up a workflow that waits for people and others."""

from pathlib import Path
from typing import Any

from maestro_workflow_engine._backend import ExecutionBackend
from maestro_workflow_engine._kinds import builtin_step_kinds
from maestro_workflow_engine._testing._clock import ManualClock
from maestro_workflow_engine._testing._conformance_limits import why
from maestro_workflow_engine._testing._kinds import Gate, ScriptedKind
from maestro_workflow_engine._testing._scenario import PATIENCE_S, Scenarios, define, run, seen

DEFAULTS = {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}, "required": ["n"]}


def ask(**more: Any) -> dict[str, Any]:
    """A step that asks."""
    return {"kind": "approval", "with": {"title": "Pay?", "to": ["ada"], **more}}


class ApprovalsScenarios(Scenarios):
    """Approvals that take their time."""

    async def test_an_approval_asks_others_as_time_goes_by(self, tmp_path: Path) -> None:
        """Also over a restart; then an answer of those is as good as one of the first."""
        clock = ManualClock()
        step = ask(deadline_s=900, escalate=[{"after_s": 300, "to": ["boss"]}, {"after_s": 600, "to": ["board"]}])
        async with self.open_backend(tmp_path, builtin_step_kinds(), clock=clock) as backend:
            await backend.start(define({"a": step}), workflow_id="w")
            await seen(backend, "w", "step.waiting", "a")
            assert [waiting.on["to"] for waiting in (await backend.waiting(kind="approval")).items] == [["ada"]]
            clock.advance(300)
            await asked(backend, "w", ["boss"])
            cause = await why(backend, "w", "a")
            assert (cause.kind, cause.detail["to"], cause.detail["escalation"]) == ("approval", ["boss"], 1)
        async with self.open_backend(tmp_path, builtin_step_kinds(), clock=clock) as backend:
            clock.advance(300)
            await asked(backend, "w", ["board"])
            (waiting,) = (await backend.waiting(kind="approval")).items
            assert (waiting.workflow_id, waiting.step, waiting.on["to"]) == ("w", "a", ["board"])
            await backend.answer("w", "a", {"approved": True}, by="carol")
            state = await backend.wait("w", PATIENCE_S)
        output = state.steps["a"].output
        assert isinstance(output, dict)
        assert (output["approved"], output["by"]) == (True, "carol")

    async def test_a_deadline_decides_as_it_was_told(self, tmp_path: Path) -> None:
        """It fails the step, or stands for a yes or a no."""
        clock = ManualClock()
        steps = {
            "fails": {**ask(deadline_s=60), "on_error": "continue"},
            "yes": ask(deadline_s=60, on_deadline="approve", form=DEFAULTS),
            "no": ask(deadline_s=60, on_deadline="reject", on_reject="continue"),
        }
        async with self.open_backend(tmp_path, builtin_step_kinds(), clock=clock) as backend:
            await backend.start(define(steps), workflow_id="w")
            for step in steps:
                await seen(backend, "w", "step.waiting", step)
            clock.advance(60)
            state = await backend.wait("w", PATIENCE_S)
        assert state.status == "succeeded"
        error = state.steps["fails"].error
        assert error is not None
        assert error["code"] == "workflow.wait-expired"
        for step, approved, data in (("yes", True, {"n": 3}), ("no", False, {})):
            output = state.steps[step].output
            assert isinstance(output, dict)
            assert (output["approved"], output["data"], output["by"]) == (approved, data, None)

    async def test_each_item_is_approved_by_itself(self, tmp_path: Path) -> None:
        """A map over three asks three times, and each answer is that of its item."""
        step = {**ask(title="Pay ${{ item }}?", on_reject="continue"), "map": {"items": [10, 20, 30]}}
        async with self.open_backend(tmp_path, builtin_step_kinds()) as backend:
            await backend.start(define({"a": step}), workflow_id="w")
            await waiting_items(backend, "w", 3)
            items = (await backend.waiting()).items
            assert sorted((item.item or 0, item.on["title"]) for item in items) == [
                (0, "Pay 10?"),
                (1, "Pay 20?"),
                (2, "Pay 30?"),
            ]
            for item in (2, 0, 1):
                await backend.answer("w", "a", {"approved": item != 1}, item=item, by=f"u{item}")
            state = await backend.wait("w", PATIENCE_S)
        outputs = state.steps["a"].output
        assert isinstance(outputs, list)
        assert [(o["approved"], o["by"]) for o in outputs if isinstance(o, dict)] == [
            (True, "u0"),
            (False, "u1"),
            (True, "u2"),
        ]

    async def test_a_wait_holds_no_place_at_the_runner(self, tmp_path: Path) -> None:
        """A hundred questions stand open, and the one place is free."""
        steps = {f"a{i}": ask() for i in range(100)}
        kinds = {**builtin_step_kinds(), "test": ScriptedKind()}
        async with self.open_backend(tmp_path, kinds, max_parallel=1) as backend:
            await backend.start(define(steps), workflow_id="w")
            await seen(backend, "w", "step.waiting", "a99")
            assert (await run(backend, define({"b": {}}))).status == "succeeded"
            assert len(await backend.why("w")) == 100
            await backend.cancel("w")
            assert (await backend.wait("w", PATIENCE_S)).status == "cancelled"

    async def test_the_chain_of_causes_ends_at_the_person(self, tmp_path: Path) -> None:
        """A step three steps on says who has to do something."""
        gate = Gate()
        steps: dict[str, Any] = {"a": ask(), "b": {"needs": ["a"]}, "c": {"needs": ["b"]}, "d": {}}
        kinds = {**builtin_step_kinds(), "test": ScriptedKind(gate)}
        async with self.open_backend(tmp_path, kinds) as backend:
            await backend.start(define(steps), workflow_id="w")
            await gate.arrival()
            await seen(backend, "w", "step.waiting", "a")
            found = {cause.step: cause for cause in await backend.why("w")}
            assert [found[step].kind for step in "abcd"] == ["approval", "dependency", "dependency", "running"]
            (chain,) = found["c"].because
            assert chain.because[0].message.startswith("it waits for 'ada' to approve 'Pay?'")
            await backend.answer("w", "a", {"approved": True})
            gate.open()
            await backend.wait("w", PATIENCE_S)
            assert await backend.why("w") == []


async def asked(backend: ExecutionBackend, workflow_id: str, to: list[str]) -> None:
    """Wait for others to be asked, durably."""
    async for event in backend.watch(workflow_id):
        if event.data.get("on", {}).get("to") == to:
            return
    raise AssertionError(f"the workflow ended, and {to} were not asked")


async def waiting_items(backend: ExecutionBackend, workflow_id: str, count: int) -> None:
    """Wait for so many items to wait, durably."""
    items = set()
    async for event in backend.watch(workflow_id):
        if event.type == "step.waiting":
            items.add(event.data["item"])
            if len(items) == count:
                return
    raise AssertionError("the workflow ended")
