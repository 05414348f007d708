"""The harness for tests of workflows: skipped time, stubs, cassettes, faults by a flag."""

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import parse_definition
from maestro_workflow_engine.testing import Cassette, Flaky, ScriptedKind, WorkflowHarness


def define(steps: dict[str, Any], **rest: Any) -> Any:
    """A definition."""
    return parse_definition({"name": "case", "steps": steps, **rest})


DAY_S = 86_400
MONTH = {
    "ask": {"kind": "approval", "with": {"title": "Begin?"}},
    "nap": {"kind": "sleep", "needs": ["ask"], "with": {"seconds": 29 * DAY_S}},
    "poll": {
        "kind": "test", "needs": ["nap"],
        "repeat": {"until": "${{ iteration == 24 }}", "max_iterations": 30, "delay_s": 3600},
    },
    "go": {"kind": "signal", "needs": ["poll"], "with": {"name": "go"}},
}  # fmt: skip


async def test_a_month_takes_no_time(tmp_path: Path) -> None:
    """Sleeps, loops with a delay, approvals and signals; and the harness says how long it would have taken."""
    kinds = {**WorkflowHarness(tmp_path).kinds, "test": ScriptedKind()}
    harness = WorkflowHarness(
        tmp_path, kinds, answers={"ask": {"approved": True, "data": {}}}, signals=[(31 * DAY_S, "go", {"n": 1})]
    )
    began_s = time.monotonic()
    outcome = await harness.run(define(MONTH))
    assert outcome.status == "succeeded"
    assert outcome.took == timedelta(days=31)
    assert outcome.output("go") == {"n": 1}
    assert time.monotonic() - began_s < 20


async def test_steps_are_stubbed_by_id(tmp_path: Path) -> None:
    """With a value, a function, an exception, or one after the other."""
    steps = {
        "a": {"kind": "http", "with": {"url": "http://127.0.0.1:1/never"}},
        "b": {"kind": "shell", "with": {"command": "exit ${{ steps.a.output.n }}"}},
        "c": {
            "kind": "http",
            "with": {"url": "http://127.0.0.1:1/never"},
            "retry": {"max_attempts": 3, "initial_delay_s": 60},
        },
    }
    stubs = {"a": {"n": 7}, "b": lambda call: call.arguments["command"], "c": [Flaky(), Flaky(), "third"]}
    outcome = await WorkflowHarness(tmp_path, stubs=stubs).run(define(steps))
    assert (outcome.output("b"), outcome.output("c")) == ("exit 7", "third")
    assert outcome.took > timedelta(seconds=60)


async def test_a_workflow_that_waits_for_ever_is_told_apart(tmp_path: Path) -> None:
    """With what it waits for."""
    steps = {"a": {"kind": "signal", "with": {"name": "never-sent"}}}
    with pytest.raises(AssertionError, match="never-sent"):
        await WorkflowHarness(tmp_path).run(define(steps))


async def test_faults_are_given_by_a_flag(tmp_path: Path) -> None:
    """Failures, delays and crashes: the workflow comes to its end all the same."""
    kind = ScriptedKind()
    steps = {
        "a": {"kind": "test", "retry": {"max_attempts": 3, "initial_delay_s": 10, "jitter": 0}},
        "b": {"kind": "test", "needs": ["a"]},
    }
    harness = WorkflowHarness(tmp_path, {"test": kind}, faults="a:fail=2; b:crash=2,delay_s=100")
    outcome = await harness.run(define(steps))
    assert outcome.status == "succeeded"
    assert kind.count("a") == 1
    assert kind.count("b") == 3
    assert outcome.took >= timedelta(seconds=130)


async def test_steps_that_are_not_idempotent_are_named(tmp_path: Path) -> None:
    """Each call is made twice with the same key."""
    seen: list[str] = []

    def run(call: Any) -> object:
        seen.append(call.idempotency_key)
        return len(seen) if call.step_id == "counts" else "same"

    steps = {"counts": {"kind": "test"}, "steady": {"kind": "test", "needs": ["counts"]}}
    outcome = await WorkflowHarness(tmp_path, {"test": ScriptedKind(run)}, faults="*:twice").run(define(steps))
    assert outcome.not_idempotent == ("counts",)
    assert len(seen) == 4


@pytest.mark.parametrize("flag", ["a", ":fail=1", "a:fail", "a:fail=x", "a:nonsense=1", "a:delay_s=", "a:_x=1"])
async def test_a_flag_that_means_nothing_is_refused(tmp_path: Path, flag: str) -> None:
    """It says what is known."""
    with pytest.raises(ValueError, match="fault"):
        await WorkflowHarness(tmp_path, {"test": ScriptedKind()}, faults=flag).run(define({"a": {"kind": "test"}}))


async def test_a_cassette_records_and_plays(tmp_path: Path) -> None:
    """The second run asks nobody, and fails where the first one failed."""
    steps = {
        "a": {"kind": "test", "with": {"n": "${{ inputs.n }}"}, "retry": 2},
        "b": {"kind": "test", "needs": ["a"]},
    }
    definition = define(steps, inputs={"n": {"type": "integer"}})

    def run(call: Any) -> object:
        if call.step_id == "a" and call.attempt == 1:
            raise Flaky("once")
        return {"from": call.step_id}

    tape = tmp_path / "tape.json"
    kind = ScriptedKind(run)
    first = await WorkflowHarness(tmp_path / "1", {"test": kind}, cassette=Cassette(tape, "record")).run(
        definition, {"n": 1}
    )
    silent = ScriptedKind()
    second = await WorkflowHarness(tmp_path / "2", {"test": silent}, cassette=Cassette(tape, "play")).run(
        definition, {"n": 1}
    )
    assert silent.calls == []
    assert [event.type for event in first.events] == [event.type for event in second.events]
    assert second.output("b") == {"from": "b"}
    other = await WorkflowHarness(tmp_path / "3", {"test": silent}, cassette=Cassette(tape, "play")).run(
        definition, {"n": 2}
    )
    assert other.state.error is not None
    assert other.state.error["code"] == "workflow.not-on-cassette"
    assert silent.calls == []


async def test_auto_records_what_is_missing(tmp_path: Path) -> None:
    """And plays what is there."""
    tape, kind = tmp_path / "tape.json", ScriptedKind()
    for folder in ("1", "2"):
        await WorkflowHarness(tmp_path / folder, {"test": kind}, cassette=Cassette(tape)).run(
            define({"a": {"kind": "test"}})
        )
    assert kind.count("a") == 1


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 9, "tracks": {}}', '{"version": 1, "tracks": {"a": 1}}']
)
def test_a_file_that_is_no_cassette_is_refused(tmp_path: Path, content: str) -> None:
    """It names the file."""
    tape = tmp_path / "tape.json"
    tape.write_text(content)
    with pytest.raises(ValueError, match=r"tape\.json"):
        Cassette(tape)


def test_a_secret_stands_on_a_cassette_by_its_name(tmp_path: Path) -> None:
    """Never by its value, and a new value finds the old recording."""
    from dataclasses import replace

    from maestro_workflow_engine.testing import make_call

    tape = Cassette(tmp_path / "tape.json", "record")
    call = replace(make_call(tmp_path, {"key": "Bearer s3cr3t-1"}), secrets={"token": "s3cr3t-1"})
    tape.keep(call, {"result": 1})
    assert "s3cr3t" not in (tmp_path / "tape.json").read_text()
    changed = replace(make_call(tmp_path, {"key": "Bearer s3cr3t-2"}), secrets={"token": "s3cr3t-2"})
    assert Cassette(tmp_path / "tape.json", "play").find(changed) == {"result": 1}
    assert json.loads((tmp_path / "tape.json").read_text())["version"] == 1
