"""Metrics of workflows and steps: what they count is what the journal says, for every way to end."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.maestro_engine.running import Engine, StartEngine, one_step

from maestro_engine.observation.service import Observation
from maestro_engine.parts import open_parts
from maestro_engine.settings import EngineSettings
from maestro_monitoring import Metrics, render
from maestro_monitoring.testing import MetricsRecorder
from maestro_workflow_engine import Event, StepCall, Wait, parse_definition
from maestro_workflow_engine.testing import ScriptedKind, fails

STARTED, ENDED = "maestro_engine_workflows_started_total", "maestro_engine_workflows_ended_total"
ATTEMPTS, RETRIES = "maestro_engine_step_attempts_total", "maestro_engine_step_retries_total"
RUNNING = "maestro_engine_steps_running"


def waits(call: StepCall) -> object:
    return Wait(0.0) if call.due_at is None else "done"


def scripted() -> dict[str, ScriptedKind]:
    return {
        "echo": ScriptedKind(),
        "flaky": ScriptedKind(fails(1)),
        "broken": ScriptedKind(fails(99, retryable=False)),
        "waits": ScriptedKind(waits),
    }


@st.composite
def many_steps(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """One to five steps that succeed, fail, are tried again, wait, are skipped, and map, after one another."""
    made: dict[str, dict[str, Any]] = {}
    for number in range(draw(st.integers(1, 5))):
        step: dict[str, Any] = {"kind": draw(st.sampled_from(sorted(scripted())))}
        step["retry"] = {"max_attempts": draw(st.integers(1, 3)), "initial_delay_s": 0}
        if draw(st.booleans()) and made:
            step["needs"] = [draw(st.sampled_from(sorted(made)))]
        if draw(st.booleans()):
            step["map"] = {"items": list(range(draw(st.integers(0, 4)))), "max_parallel": draw(st.integers(1, 3))}
        if draw(st.integers(0, 4)) == 0:
            step["when"] = "${{ false }}"
        made[f"s{number}"] = step
    return made


Place = tuple[str, int | None]


def told_by(journal: list[Event], kinds: Mapping[str, str]) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Attempts by kind and outcome, and retries by kind, as the events of one workflow have them."""
    begun: set[tuple[Place, int]] = set()
    ended: set[tuple[Place, int]] = set()
    attempts: Counter[tuple[str, str]] = Counter()
    retries: Counter[str] = Counter()
    for event in journal:
        what, _, how = event.type.partition(".")
        if what != "step":
            continue
        place: Place = (event.data["step"], event.data.get("item"))
        attempt, kind = (place, event.data.get("attempt", 0)), kinds[event.data["step"]]
        if how == "started":
            begun.add(attempt)
        elif how == "skipped":
            attempts[kind, how] += 1
        elif how in ("succeeded", "failed") and attempt in begun:
            ended.add(attempt)
            attempts[kind, how] += 1
            retries[kind] += "retry_at" in event.data
        elif how == "cancelled":
            attempts[kind, how] += len({each for each in begun - ended if each[0] == place})
    return +attempts, +retries


@settings(max_examples=25, deadline=None)
@given(st.lists(many_steps(), min_size=1, max_size=3))
async def test_what_is_counted_is_what_has_happened(made: list[dict[str, dict[str, Any]]]) -> None:
    """Over workflows of any shape: starts, ends, attempts by kind and outcome, retries; and nothing runs at the end."""
    metrics, kinds = Metrics(), scripted()
    with tempfile.TemporaryDirectory() as folder:
        chosen = EngineSettings(data_dir=Path(folder), synchronous="NORMAL", drain_s=0)
        async with open_parts(chosen, kinds, metrics=metrics) as parts:
            recorder = MetricsRecorder(metrics)
            statuses, attempts, retries = Counter[str](), Counter[tuple[str, str]](), Counter[str]()
            for number, each in enumerate(made):
                definition = parse_definition({"name": f"n{number}", "steps": each}, kinds=kinds)
                begun = await parts.backend.start(definition)
                statuses[(await parts.backend.wait(begun.workflow_id, 30)).status] += 1
                journal = await parts.backend.events(begun.workflow_id)
                more, again = told_by(journal, {name: step["kind"] for name, step in each.items()})
                attempts, retries = attempts + more, retries + again
            async with asyncio.timeout(20):
                while recorder.delta(ENDED) < len(made):
                    await parts.backend.list(limit=1)
    assert recorder.delta(STARTED) == len(made)
    assert recorder.changed(ENDED) == {(status,): count for status, count in statuses.items()}
    counted = {key: int(value) for key, value in recorder.changed(ATTEMPTS).items()}
    assert counted == dict(attempts)
    assert {kind: int(value) for (kind,), value in recorder.changed(RETRIES).items()} == dict(retries)
    ended = sum(count for (_, outcome), count in attempts.items() if outcome != "skipped")
    assert recorder.delta("maestro_engine_step_duration_seconds_count") == ended
    assert recorder.delta("maestro_engine_workflow_duration_seconds_count") == len(made)
    assert recorder.changed(RUNNING) == {}


async def test_what_is_cancelled_is_counted_and_leaves_nothing_running(start_engine: StartEngine) -> None:
    """Attempts under way end as cancelled; those that wait for a retry were counted when they failed."""
    definition = {
        "name": "mixed",
        "steps": {
            "held": {"kind": "gate"},
            "many": {"kind": "gate", "map": {"items": [1, 2, 3], "max_parallel": 2}},
            "later": {"kind": "flaky", "retry": {"max_attempts": 2, "initial_delay_s": 3600}},
            "never": {"kind": "echo", "needs": ["held"]},
        },
    }
    async with start_engine() as engine:
        recorder = MetricsRecorder(engine.parts.metrics)
        workflow_id = await engine.start(definition)
        for _ in range(3):
            await engine.gate.arrival()
        async for event in engine.backend.watch(workflow_id):
            if event.type == "step.failed":
                break
        await engine.http.post(f"/api/workflows/{workflow_id}/cancel")
        await engine.backend.wait(workflow_id, 10)
    assert recorder.changed(ENDED) == {("cancelled",): 1}
    assert recorder.changed(ATTEMPTS) == {("gate", "cancelled"): 3, ("flaky", "failed"): 1}
    assert recorder.changed(RETRIES) == {("flaky",): 1}
    assert recorder.changed(RUNNING) == {}


async def test_what_an_earlier_engine_began_is_counted_where_it_ends(start_engine: StartEngine) -> None:
    """After a restart the attempt that runs anew, and the end, are counted; what was before is not counted again."""
    async with start_engine() as engine:
        earlier = await engine.start(one_step())
        await engine.backend.wait(earlier, 10)
        workflow_id = await engine.start(one_step("gate"))
        await engine.gate.arrival()
    async with start_engine() as engine:
        recorder = MetricsRecorder(engine.parts.metrics)
        await engine.gate.arrival()
        engine.gate.open()
        state = await engine.backend.wait(workflow_id, 10)
    assert recorder.delta(STARTED) == 0
    assert recorder.changed(ENDED) == {("succeeded",): 1}
    assert recorder.changed(ATTEMPTS) == {("gate", "succeeded"): 1}
    assert 'maestro_engine_steps_running{kind="gate"} 0.0' in render(engine.parts.metrics).decode()
    assert state.finished_at is not None
    assert state.started_at is not None
    took_s = (state.finished_at - state.started_at).total_seconds()
    assert recorder.delta("maestro_engine_workflow_duration_seconds_sum") == pytest.approx(took_s)


@pytest.mark.parametrize(
    ("accept", "media_type", "end"),
    [
        ("*/*", "text/plain", ""),
        ("text/plain", "text/plain", ""),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text", "# EOF\n"),
    ],
)
async def test_prometheus_reads_both_of_its_formats(engine: Engine, accept: str, media_type: str, end: str) -> None:
    """Text, or OpenMetrics for who asks; with what the engine, HTTP, health and the process tell."""
    await engine.backend.wait(await engine.start(one_step()), 10)
    await engine.http.get("/api/health/ready")
    answer = await engine.http.get("/metrics", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, media_type)
    assert answer.text.endswith(end)
    for name in (
        STARTED.removesuffix("_total"),
        "http_server_request_duration_seconds",
        "process_resident_memory_bytes",
    ):
        assert f"# TYPE {name}" in answer.text
    assert 'maestro_health_check_passing{check="audit"} 1.0' in answer.text
    assert 'route="/api/workflows"' in answer.text


async def test_an_engine_whose_account_breaks_off_is_not_ready(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the fault with its trace, and readiness names who hears no more; it lives, and stops cleanly."""

    async def broken(self: Observation, event: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(Observation, "heard", broken)
    async with start_engine() as engine:
        await engine.backend.wait(await engine.start(one_step()), 10)
        answer = await engine.http.get("/api/health/ready")
        while answer.status_code == 200:
            answer = await engine.http.get("/api/health/ready")
        check = answer.json()["report"]["checks"]["observation"]
        assert (check["status"], "ZeroDivisionError" in check["reason"]) == ("fail", True)
        assert (await engine.http.get("/api/health/live")).status_code == 200
    (ended,) = [record for record in caplog.records if "follower.ended" in record.getMessage()]
    assert ended.exc_info is not None
    assert "a fault of ours" in str(ended.exc_info[1])
