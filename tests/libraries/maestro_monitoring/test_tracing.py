"""Spans and trace context over the OpenTelemetry API: useful with an SDK, harmless without one."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import StatusCode, get_current_span

from kit.processes import import_path
from maestro_monitoring import inject_headers, span, trace_headers
from maestro_monitoring._tracing import remote_context
from maestro_monitoring.testing import SpanRecorder

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_block_is_a_span_with_attributes_and_children() -> None:
    """The name, the attributes, and the order in which spans hang from each other."""
    with SpanRecorder() as recorder, span("outer", shop="north"), span("inner", **{"db.system.name": "sqlite"}):
        pass
    outer, inner = recorder.named("outer"), recorder.named("inner")
    assert outer.attributes == {"shop": "north"}
    assert inner.attributes == {"db.system.name": "sqlite"}
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert outer.parent is None


def test_an_exception_marks_the_span_without_its_secrets() -> None:
    """Type and cleaned text are told, the traceback with its values is not; the exception goes on."""
    with SpanRecorder() as recorder, pytest.raises(ConnectionError), span("packing"):
        raise ConnectionError("postgres://app:hunter2secret@db/shop refused")
    failed = recorder.named("packing")
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes == {"error.type": "ConnectionError"}
    assert "hunter2secret" not in failed.to_json()
    assert "db/shop refused" in failed.to_json()
    assert "Traceback" not in failed.to_json()


def test_outgoing_headers_carry_the_current_span_and_replace_any_other() -> None:
    """Whatever the case of the old header; outside of a span nothing is touched."""
    headers = {"TraceParent": "old", "accept": "*/*"}
    inject_headers(headers)
    assert headers == {"TraceParent": "old", "accept": "*/*"}
    with SpanRecorder() as recorder, span("calling"):
        inject_headers(headers)
        assert trace_headers() == {"traceparent": headers["traceparent"]}
    context = recorder.named("calling").context
    assert context is not None
    expected = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    assert headers == {"accept": "*/*", "traceparent": expected}


@given(st.text(max_size=80) | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True))
def test_no_traceparent_breaks_anything(header: str) -> None:
    """Malformed ones are as good as none; what is taken is exactly what was sent."""
    remote = get_current_span(remote_context({"traceparent": [header]})).get_span_context()
    if remote.is_valid:
        assert f"{remote.trace_id:032x}-{remote.span_id:016x}" in header


def test_two_traceparents_are_none() -> None:
    """There is no telling which of them is the true one."""
    assert get_current_span(remote_context({"traceparent": [PARENT]})).get_span_context().is_valid
    assert not get_current_span(remote_context({"traceparent": [PARENT, PARENT]})).get_span_context().is_valid


def test_without_an_sdk_nothing_is_recorded_and_context_passes_through() -> None:
    """A process that has only the API: spans do nothing, and the caller's `traceparent` reaches the next service."""
    program = f"""
import asyncio, json, sys
for name in ("opentelemetry.sdk", "opentelemetry.exporter"):
    sys.modules[name] = None
from maestro_monitoring import TraceRequests, span, trace_headers
passed = []
async def app(scope, receive, send):
    with span("inner", shop="north") as inner:
        assert not inner.is_recording()
        passed.append(trace_headers())
async def main():
    for headers in ([(b"traceparent", b"{PARENT}"), (b"tracestate", b"a=1"), (b"baggage", b"user=7")], []):
        await TraceRequests(app)({{"type": "http", "path": "/", "method": "GET", "headers": headers}}, None, None)
asyncio.run(main())
print(json.dumps(passed))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"traceparent": PARENT, "tracestate": "a=1"}, {}]
