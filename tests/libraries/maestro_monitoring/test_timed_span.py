"""Spans whose times are told: exact, below the right parent, and current nowhere."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import StatusCode, get_current_span

from maestro_monitoring import TimedSpan, span
from maestro_monitoring.testing import SpanRecorder

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=7)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_children_hang_below_their_parent_with_the_times_that_were_told() -> None:
    """They may begin, end and overlap in any order; attributes are kept."""
    with SpanRecorder() as recorder:
        outer = TimedSpan("outer", NOON, attributes={"shop": "north"})
        first = TimedSpan("first", NOON, parent=outer)
        second = TimedSpan("second", NOON + timedelta(seconds=1), parent=outer)
        first.end(LATER)
        outer.end(LATER)
        second.end(LATER)
    kept = {each.name: each for each in recorder.spans}
    assert list(kept) == ["first", "outer", "second"]
    context = kept["outer"].context
    assert context is not None
    for name in ("first", "second"):
        parent = kept[name].parent
        assert parent is not None
        assert (parent.trace_id, parent.span_id) == (context.trace_id, context.span_id)
    assert kept["outer"].parent is None
    assert kept["outer"].attributes == {"shop": "north"}
    assert kept["outer"].start_time == int(NOON.timestamp()) * 10**9
    assert kept["outer"].end_time == int(LATER.timestamp()) * 10**9


@given(st.integers(1, 2**62 // 1000).map(lambda microseconds: EPOCH + timedelta(microseconds=microseconds)))
def test_times_are_exact_to_the_microsecond(at: datetime) -> None:
    """What is told is what the collector gets."""
    with SpanRecorder() as recorder:
        TimedSpan("x", at).end(at + timedelta(microseconds=1))
    told = recorder.named("x")
    elapsed = at - EPOCH
    microseconds = (elapsed.days * 86_400 + elapsed.seconds) * 10**6 + elapsed.microseconds
    assert (told.start_time, told.end_time) == (microseconds * 1000, (microseconds + 1) * 1000)


def test_a_traceparent_makes_it_part_of_that_trace() -> None:
    """Below the remote span, whatever span is current here."""
    with SpanRecorder() as recorder, span("current"):
        TimedSpan("told", NOON, parent=PARENT).end(LATER)
    parent = recorder.named("told").parent
    assert parent is not None
    assert (f"{parent.trace_id:032x}", f"{parent.span_id:016x}") == tuple(PARENT.split("-")[1:3])


@pytest.mark.parametrize("parent", [None, "", "nonsense", f"00-{'0' * 32}-{'0' * 16}-01", PARENT.upper() + "x"])
def test_without_a_parent_it_begins_a_trace_of_its_own(parent: str | None) -> None:
    """The span that happens to be current is none either."""
    with SpanRecorder() as recorder, span("current"):
        TimedSpan("told", NOON, parent=parent).end(LATER)
    assert recorder.named("told").parent is None


def test_it_is_current_nowhere() -> None:
    """Neither while it is open nor after."""
    with SpanRecorder() as recorder:
        before = get_current_span()
        told = TimedSpan("told", NOON)
        assert get_current_span() is before
        with span("other"):
            pass
        told.end(LATER)
    assert recorder.named("other").parent is None


def test_an_error_marks_it_by_its_name() -> None:
    """A short and stable one, as `error.type`; without one the status stays unset."""
    with SpanRecorder() as recorder:
        TimedSpan("bad", NOON).end(LATER, error="order.too-late")
        TimedSpan("good", NOON).end(LATER)
    bad = recorder.named("bad")
    assert (bad.status.status_code, bad.status.description) == (StatusCode.ERROR, "order.too-late")
    assert bad.attributes == {"error.type": "order.too-late"}
    assert recorder.named("good").status.status_code is StatusCode.UNSET
    assert json.loads(bad.to_json())["events"] == []


def test_what_is_never_ended_is_never_told() -> None:
    """A collector gets whole spans only."""
    with SpanRecorder() as recorder:
        TimedSpan("open", NOON)
    assert recorder.spans == []


def test_without_an_sdk_nothing_happens() -> None:
    """Outside of a recorder, in a process without a provider."""
    outer = TimedSpan("outer", NOON, parent=PARENT)
    TimedSpan("inner", NOON, parent=outer).end(LATER, error="x")
    outer.end(LATER)
