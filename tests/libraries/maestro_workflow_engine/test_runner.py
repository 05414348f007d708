"""The runner by itself: what calls are given, what is made of what they give, and what is stopped."""

import asyncio
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import FlowLimit, StepCall, Wait
from maestro_workflow_engine import _commands as do
from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._run import Run, ScratchDir
from maestro_workflow_engine._runner import Runner
from maestro_workflow_engine._state import Place
from maestro_workflow_engine.testing import Gate, LawCase, ManualClock, ScriptedKind, Stubborn


class Secrets:
    """Two of them."""

    async def get(self, name: str) -> str:
        """The value."""
        return {"TOKEN": "s3cr3t-value", "OTHER": "0th3r-value"}[name]


class Floor:
    """A runner with one workflow, and the law in place of the engine."""

    def __init__(
        self,
        folder: Path,
        function: Callable[[StepCall], object],
        steps: dict[str, Any],
        *,
        grace_s: float = 0.05,
        **rest: Any,
    ) -> None:
        self.kind = ScriptedKind(function)
        self.case = LawCase({step_id: {"kind": "test", **step} for step_id, step in steps.items()}, **rest)
        self.reports: list[do.Command] = []
        self.clock = ManualClock()
        self.quiet = asyncio.Event()
        store = ArtifactStore(folder / "artifacts")
        store.prepare()
        self.run = Run(1, self.case.definition, self.case.state, folder, ScratchDir(folder / "work"))
        self.runner = Runner(
            {"test": self.kind},
            store,
            self.clock,
            max_parallel=4,
            max_output_bytes=1 << 20,
            stop_grace_s=grace_s,
            report=self._report,
            give_up=self._give_up,
            secrets=Secrets(),
            idle_s=math.inf,
        )

    def start(self, *places: Place, **inputs: Any) -> None:
        """Start the workflow and offer its first steps, or these."""
        self.case.start(**inputs)
        self.run.state = self.case.state
        for place in places or [*self.run.state.in_flight]:
            self.runner.offer(self.run, place)

    def decide(self, command: do.Command, *offered: Place) -> None:
        """Something else happens to the workflow."""
        self.case.do(command)
        self.run.state = self.case.state
        for place in offered:
            self.runner.offer(self.run, place)

    def _report(self, run: Run, command: do.Command) -> None:
        self.reports.append(command)
        self.decide(command)
        if not isinstance(command, do.StepStarted):
            self.quiet.set()

    def _give_up(self, error: OSError) -> None:
        raise AssertionError(f"given up: {error}")

    async def outcome(self) -> do.Command:
        """What the next attempt came to."""
        await asyncio.wait_for(self.quiet.wait(), 10)
        self.quiet.clear()
        return self.reports[-1]


async def test_a_call_that_goes_on_after_an_answer_has_it_and_the_memo(tmp_path: Path) -> None:
    """With who gave it, and when; the key is the same."""

    def ask(call: StepCall) -> object:
        return Wait(60, {"kind": "task"}, {"page": 3}) if call.answer is None else call.answer.value

    floor = Floor(tmp_path, ask, {"a": {}})
    floor.start()
    assert await floor.outcome() == do.StepWaits("a", None, 1, 60.0, {"kind": "task"}, {"page": 3})
    floor.decide(do.Answer("a", None, "yes", "ada"), ("a", None))
    assert await floor.outcome() == do.StepSucceeded("a", None, 1, "yes")
    first, second = floor.kind.calls
    assert (first.answer, first.memo, first.due_at) == (None, None, None)
    assert second.answer is not None
    assert (second.answer.by, second.answer.at, second.memo, second.due_at) == (
        "ada",
        floor.case.NOW,
        {"page": 3},
        None,
    )
    assert first.idempotency_key == second.idempotency_key == "w/a/1"
    await floor.runner.close()


async def test_a_call_that_goes_on_in_time_says_when_that_was_due(tmp_path: Path) -> None:
    """And has the memo, but no answer."""
    floor = Floor(tmp_path, lambda call: Wait(60, None, 1) if call.due_at is None else "done", {"a": {}})
    floor.start()
    await floor.outcome()
    floor.decide(do.Due("a", None), ("a", None))
    assert await floor.outcome() == do.StepSucceeded("a", None, 1, "done")
    call = floor.kind.calls[1]
    assert call.due_at is not None
    assert ((call.due_at - floor.case.NOW).total_seconds(), call.memo, call.answer) == (60, 1, None)
    await floor.runner.close()


@pytest.mark.parametrize(
    ("wait", "message"),
    [
        (Wait(), "needs seconds, or something"),
        (Wait(-1), "cannot wait for -1 s"),
        (Wait(math.nan), "cannot wait for nan s"),
        (Wait(math.inf), "cannot wait for inf s"),
        (Wait(True), "cannot wait for True s"),
        (Wait("60"), "cannot wait for '60' s"),  # type: ignore[arg-type]  # what a foreign kind may give
        (Wait(1, {}), "a mapping with a `kind`"),
        (Wait(1, {"kind": ""}), "a mapping with a `kind`"),
        (Wait(1, {"kind": 3}), "a mapping with a `kind`"),
        (Wait(1, {"kind": "budget"}), "not 'budget'"),
        (Wait(1, ["kind"]), "a mapping with a `kind`"),  # type: ignore[arg-type]  # what a foreign kind may give
        (Wait(1, {"kind": "x", "y": object()}), "not plain JSON"),  # type: ignore[dict-item]  # as above
        (Wait(1, {"kind": "x", "y": "z" * 70_000}), "more than 64 KiB"),
        (Wait(1, None, {"x": math.nan}), "not plain JSON"),
        (Wait(1, None, "x" * 70_000), "the memo of a Wait has more than 64 KiB"),
    ],
)
async def test_a_wait_that_cannot_be_fails_the_attempt(tmp_path: Path, wait: Wait, message: str) -> None:
    """With what is wrong with it."""
    floor = Floor(tmp_path, lambda call: wait, {"a": {}})
    floor.start()
    outcome = await floor.outcome()
    assert isinstance(outcome, do.StepFailed)
    assert outcome.code == "workflow.bad-step-result"
    assert message in outcome.message
    await floor.runner.close()


async def test_usage_is_reported_also_by_a_failure(tmp_path: Path) -> None:
    """As far as it is sound; noting what is none fails the attempt."""

    def use(call: StepCall) -> object:
        call.usage.update(call.arguments["usage"])  # type: ignore[call-overload]  # as the test gives it
        if call.arguments.get("fails"):
            raise ValueError("too bad")
        return 1

    async def outcome(usage: dict[str, Any], name: str, *, fails: bool = False) -> do.Command:
        floor = Floor(tmp_path / name, use, {"a": {"with": {"usage": usage, "fails": fails}}})
        floor.start()
        command = await floor.outcome()
        await floor.runner.close()
        return command

    spent = {"tokens": 12, "money_usd": 0.5}
    assert await outcome(spent, "ok") == do.StepSucceeded("a", None, 1, 1, (), spent)
    failed = await outcome(spent, "failed", fails=True)
    assert isinstance(failed, do.StepFailed)
    assert (failed.message, failed.usage) == ("ValueError: too bad", spent)
    for name, bad in (("unit", {"apples": 1}), ("sign", {"tokens": -1}), ("type", {"tokens": "1"})):
        failed = await outcome(bad, name)
        assert isinstance(failed, do.StepFailed)
        assert (failed.code, failed.usage) == ("workflow.bad-step-result", None)


async def test_secrets_are_in_the_call_and_nowhere_in_what_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Outputs, errors, names of artifacts and what is waited on are masked; a memo that holds one is refused."""
    seen: list[StepCall] = []

    async def tell(call: StepCall) -> object:
        seen.append(call)
        header = str(call.arguments["header"])
        reference = await call.artifacts.put(b"plain", f"for {header}.txt")
        match call.step_id:
            case "output":
                return {"header": header, header: [reference.name]}
            case "waits":
                return Wait(1, {"kind": "task", "url": f"https://host/?key={header}"})
            case "memo":
                return Wait(1, None, {"header": header})
            case "child":
                return Wait(None, {"kind": "workflow", "workflow": "c", "inputs": {"key": header}})
            case _:
                raise RuntimeError(f"refused: {header}")

    caplog.set_level(logging.DEBUG)
    messages = {}
    for step in ("output", "waits", "memo", "child", "error"):
        given = {"header": "Bearer ${{ secrets.TOKEN }}"}
        floor = Floor(tmp_path / step, tell, {step: {"with": given}})
        floor.start()
        messages[step] = repr(await floor.outcome())
        await floor.runner.close()
    assert {repr(call.arguments["header"]) for call in seen} == {"'Bearer s3cr3t-value'"}
    assert seen[0].secrets == {"TOKEN": "s3cr3t-value"}
    assert "s3cr3t" not in repr(messages) + caplog.text
    assert "Bearer ***" in messages["output"]
    assert "for Bearer ***.txt" in messages["output"]
    assert "key=Bearer ***" in messages["waits"]
    assert "the memo of a Wait holds the value of a secret" in messages["memo"]
    assert "let the child read it itself" in messages["child"]
    assert "RuntimeError: refused: Bearer ***" in messages["error"]


async def test_a_stopped_place_reports_nothing_and_begins_again_when_it_is_offered(tmp_path: Path) -> None:
    """Not before the old attempt is over, so that no two of them run at once."""
    stubborn = Stubborn()
    floor = Floor(tmp_path, lambda call: stubborn(call) if call.attempt == 1 else "second", {"a": {"retry": 3}})
    floor.start()
    await asyncio.wait_for(stubborn.started.wait(), 10)
    floor.runner.stop(floor.run, ("a", None))
    floor.decide(do.StepFailed("a", None, 1, "test.bad", "bad luck", True))
    floor.decide(do.RetryNow("a", None), ("a", None))
    assert len(floor.kind.calls) == 1
    stubborn.release()
    assert await floor.outcome() == do.StepSucceeded("a", None, 2, "second")
    assert floor.reports == [
        do.StepStarted("a", None, 1),
        do.StepStarted("a", None, 2),
        do.StepSucceeded("a", None, 2, "second"),
    ]
    await floor.runner.close()


async def test_stopping_again_leaves_the_cleaning_up_alone(tmp_path: Path) -> None:
    """A step is cancelled once, however often its workflow is."""
    began, cleaning, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()
    cleaned: list[str] = []

    async def clean(call: StepCall) -> object:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await may_end.wait()
            cleaned.append(call.step_id)
        return None

    floor = Floor(tmp_path, clean, {"a": {}}, grace_s=10.0)
    floor.start()
    await asyncio.wait_for(began.wait(), 10)
    floor.runner.cancel(floor.run)
    await asyncio.wait_for(cleaning.wait(), 10)
    floor.runner.cancel(floor.run)
    may_end.set()
    assert await floor.outcome() == do.StepStopped("a", None, 1)
    assert cleaned == ["a"]
    await floor.runner.close()


async def test_offering_twice_begins_once(tmp_path: Path) -> None:
    """Before it has begun, while it runs, and after its end."""
    gate = Gate()
    floor = Floor(tmp_path, gate, {"a": {}, "b": {}})
    floor.start(("a", None), ("a", None))
    await gate.arrival()
    floor.runner.offer(floor.run, ("a", None))
    gate.open()
    await floor.outcome()
    floor.runner.offer(floor.run, ("a", None))
    floor.runner.offer(floor.run, ("b", None))
    await floor.outcome()
    assert [call.step_id for call in floor.kind.calls] == ["a", "b"]
    await floor.runner.close()


async def test_an_abandoned_attempt_gives_its_limit_back(tmp_path: Path) -> None:
    """Whatever it still does."""
    stubborn = Stubborn()
    limited = {"limits": ["api"], "timeout_s": 5}
    floor = Floor(
        tmp_path, lambda call: stubborn(call) if call.step_id == "a" else 1, {"a": limited, "b": {**limited}, "z": {}}
    )
    floor.runner.set_limit(FlowLimit("api", max_parallel=1))
    floor.start(("a", None), ("b", None))
    await asyncio.wait_for(stubborn.started.wait(), 10)
    held = floor.runner.held(floor.run, ("b", None))
    assert held is not None
    assert held.kind == "limit"
    assert floor.runner.held(floor.run, ("a", None)) is None
    floor.case.do(do.Skip("a", None))
    floor.run.state = floor.case.state
    floor.runner.stop(floor.run, ("a", None))
    assert await floor.outcome() == do.StepSucceeded("b", None, 1, 1)
    assert not stubborn.ended.is_set()
    stubborn.release()
    await asyncio.wait_for(stubborn.ended.wait(), 10)
    await floor.runner.close()


async def test_a_limit_whose_name_cannot_be_worked_out_fails_the_step(tmp_path: Path) -> None:
    """It never begins, and says where the fault is."""
    floor = Floor(
        tmp_path, lambda call: 1, {"a": {"limits": ["${{ inputs.list }}"]}}, inputs={"list": {"type": "array"}}
    )
    floor.start(list=[1])
    outcome = await floor.outcome()
    assert isinstance(outcome, do.StepFailed)
    assert (outcome.code, outcome.message) == (
        "workflow.expression-failed",
        "/limits/0/name: a text was expected, an array came",
    )
    assert floor.kind.calls == []
    await floor.runner.close()


async def test_an_iteration_sees_the_one_before(tmp_path: Path) -> None:
    """`previous` is null at first, then what the last one gave; `iteration` counts from 1."""
    step = {
        "with": {"n": "${{ iteration }}", "last": "${{ previous }}"},
        "repeat": {"until": "${{ output.n == 3 }}", "max_iterations": 5},
    }
    floor = Floor(tmp_path, lambda call: dict(call.arguments), {"a": step})
    floor.start()
    for _ in range(2):
        await floor.outcome()
        floor.runner.offer(floor.run, ("a", None))
    assert (await floor.outcome()) == do.StepSucceeded(
        "a", None, 3, {"n": 3, "last": {"n": 2, "last": {"n": 1, "last": None}}}
    )
    await floor.runner.close()


async def test_what_undoes_a_step_sees_its_output(tmp_path: Path) -> None:
    """Of a map: that of the item, with the item."""
    undo = {"kind": "test", "with": {"id": "${{ output.id }}", "item": "${{ item }}", "index": "${{ index }}"}}
    steps = {
        "a": {"map": {"items": ["x", "y"]}, "with": {"id": "${{ item }}-id"}, "compensate": undo},
        "b": {"needs": ["a"], "with": {"fails": True}},
    }

    def call(call: StepCall) -> object:
        if call.arguments.get("fails"):
            raise ValueError("b fails")
        return dict(call.arguments)

    floor = Floor(tmp_path, call, steps)
    floor.start()
    while not floor.run.state.is_finished:
        await floor.outcome()
        for place in list(floor.run.state.in_flight):
            floor.runner.offer(floor.run, place)
    undone = {call.item_index: dict(call.arguments) for call in floor.kind.calls if call.step_id == "a.undo"}
    assert undone == {
        1: {"id": "y-id", "item": "y", "index": 1},
        0: {"id": "x-id", "item": "x", "index": 0},
    }
    await floor.runner.close()
