"""Traces of workflows: spans of the workflow and of each attempt, in the trace of the request, also after a restart."""

from datetime import datetime
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from services.maestro_engine.running import Engine, StartEngine, one_step

from maestro_monitoring.testing import SpanRecorder
from maestro_workflow_engine import Event

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}


def nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1000


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    number: int = span.context.span_id
    return number


async def begun(engine: Engine, definition: dict[str, Any], **more: Any) -> str:
    """The id of a workflow that was started within a trace of its caller."""
    answer = await engine.http.post("/api/workflows", json={"definition": definition, **more}, headers=CALLER)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def events_of(engine: Engine, workflow_id: str) -> list[Event]:
    """All events of a workflow, once it has ended."""
    await engine.backend.wait(workflow_id, 20)
    return await engine.backend.events(workflow_id)


async def test_spans_are_what_the_journal_says(start_engine: StartEngine) -> None:
    """The workflow below the request that started it, attempts below the workflow, from the first event to the last."""
    definition = {
        "name": "sample",
        "steps": {
            "one": {"kind": "flaky", "retry": {"max_attempts": 2, "initial_delay_s": 0}},
            "many": {"kind": "echo", "map": {"items": [7, 8]}, "needs": ["one"]},
        },
    }
    with SpanRecorder() as recorder:
        async with start_engine() as engine:
            workflow_id = await begun(engine, definition)
            events = await events_of(engine, workflow_id)
    request, workflow = recorder.named("POST /api/workflows"), recorder.named("workflow sample")
    assert (parent_of(request), parent_of(workflow)) == (0xB7AD6B7169203331, id_of(request))
    assert (workflow.start_time, workflow.end_time) == (nanoseconds(events[0].at), nanoseconds(events[-1].at))
    assert workflow.attributes == {"maestro.workflow.id": workflow_id, "maestro.workflow.name": "sample"}
    attempts = [span for span in recorder.spans if span.name.startswith("step ")]
    assert {parent_of(span) for span in attempts} == {id_of(workflow)}
    assert {f"{span.context.trace_id:032x}" for span in (*attempts, workflow, request) if span.context} == {TRACE_ID}
    told = {
        (event.data["step"], event.data.get("item"), event.data["attempt"]): nanoseconds(event.at)
        for event in events
        if event.type == "step.started"
    }
    seen = {}
    for span in attempts:
        attributes = dict(span.attributes or {})
        place = (attributes["maestro.step.id"], attributes.get("maestro.step.item"), attributes["maestro.step.attempt"])
        seen[place] = span.start_time
    assert seen == told
    assert len(seen) == 4
    failed = [span for span in attempts if span.status.status_code is StatusCode.ERROR]
    assert [dict(span.attributes or {})["error.type"] for span in failed] == ["workflow.step-raised"]


async def test_the_trace_goes_on_after_a_restart(start_engine: StartEngine) -> None:
    """The label keeps it: what runs later is in the trace of the request that started the workflow."""
    with SpanRecorder() as recorder:
        async with start_engine() as engine:
            workflow_id = await begun(engine, one_step("gate"))
            await engine.gate.arrival()
        async with start_engine() as engine:
            await engine.gate.arrival()
            engine.gate.open()
            events = await events_of(engine, workflow_id)
    request, workflow = recorder.named("POST /api/workflows"), recorder.named("workflow sample")
    assert parent_of(workflow) == id_of(request)
    assert parent_of(recorder.named("step only")) == id_of(workflow)
    assert (workflow.start_time, workflow.end_time) == (nanoseconds(events[0].at), nanoseconds(events[-1].at))


async def test_a_workflow_that_nobody_traced_has_a_trace_of_its_own(start_engine: StartEngine) -> None:
    """A label that is no trace context does no harm."""
    with SpanRecorder() as recorder:
        async with start_engine() as engine:
            for label in ("nonsense", f"00-{'0' * 32}-{'0' * 16}-00"):
                definition = {"definition": one_step(), "labels": {"maestro.traceparent": label}}
                answer = await engine.http.post("/api/workflows", json=definition)
                await engine.backend.wait(answer.json()["id"], 10)
                state = await engine.backend.get(answer.json()["id"])
                assert state.labels["maestro.traceparent"] != label
    workflows = [span for span in recorder.spans if span.name == "workflow sample"]
    assert len({span.context.trace_id for span in workflows if span.context}) == 2


async def test_no_span_holds_what_a_workflow_works_on(start_engine: StartEngine) -> None:
    """Neither inputs nor outputs, messages, labels or reasons leave the engine in a trace."""
    secret = "hunter2"
    definition = {
        "name": "secret",
        "inputs": {"password": {"type": "string"}},
        "steps": {
            "works": {"kind": "echo", "with": {"x": "${{ inputs.password }}"}},
            "breaks": {"kind": "loud", "with": {"x": "${{ inputs.password }}"}, "needs": ["works"]},
        },
    }
    with SpanRecorder() as recorder:
        async with start_engine() as engine:
            failed = await begun(engine, definition, inputs={"password": secret}, labels={"l": secret})
            stopped = await begun(engine, one_step("gate"))
            await engine.gate.arrival()
            await engine.http.post(f"/api/workflows/{stopped}/cancel?x={secret}", json={"reason": secret})
            assert secret in str(await events_of(engine, failed))
            await events_of(engine, stopped)
    assert {"workflow secret", "workflow sample", "step breaks"} <= {span.name for span in recorder.spans}
    assert not [span.name for span in recorder.spans if secret in span.to_json()]


async def test_without_a_collector_nothing_is_recorded_and_the_trace_is_kept(engine: Engine) -> None:
    """The caller's trace is in the label all the same, for an engine that is started with a collector later."""
    workflow_id = await begun(engine, one_step())
    assert (await engine.backend.get(workflow_id)).labels == {"maestro.traceparent": CALLER["traceparent"]}
