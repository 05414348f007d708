"""The shapes of events, states and references, and the small parts of the run-time side."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_workflow_engine import (
    ArtifactNotFound,
    ArtifactRef,
    BadStepResult,
    EmbeddedBackend,
    Event,
    JournalGap,
    OutputTooLarge,
    Wait,
    fold,
    parse_definition,
)
from maestro_workflow_engine._artifacts import ArtifactStore, CallArtifacts
from maestro_workflow_engine._events import artifact_from_json, time_as_text, time_from_text
from maestro_workflow_engine._ids import new_workflow_id
from maestro_workflow_engine._outcome import failed, plain
from maestro_workflow_engine.testing import LawCase, ManualClock, ScriptedKind

AT = datetime(2026, 3, 1, 12, 30, 15, 42, tzinfo=UTC)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_an_event_has_one_shape() -> None:
    """Time as RFC 3339 with microseconds and Z."""
    event = Event(3, "w", "step.started", AT.astimezone(timezone(timedelta(hours=2))), {"step": "a", "attempt": 1}, 17)
    assert event.as_json() == {
        "seq": 3,
        "workflow_id": "w",
        "type": "step.started",
        "at": "2026-03-01T12:30:15.000042Z",
        "data": {"step": "a", "attempt": 1},
        "position": 17,
    }


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1971, 1, 1)))  # noqa: DTZ001 - as Hypothesis asks
def test_times_survive_as_text(at: datetime) -> None:
    """To the microsecond."""
    assert time_from_text(time_as_text(at)) == at


def test_a_reference_survives_as_json() -> None:
    """With and without a name."""
    for reference in (ArtifactRef("0" * 64, 3, "text/plain", "a.txt"), ArtifactRef("1" * 64, 0, "application/json")):
        assert artifact_from_json(json.loads(json.dumps(reference.as_json()))) == reference


def test_a_state_has_one_shape() -> None:
    """Everything a dashboard needs, as JSON: skipped, mapped, retrying and finished steps."""
    case = LawCase(
        {
            "a": {"kind": "t", "retry": 2},
            "m": {"kind": "t", "map": {"items": [1, 2], "max_parallel": 1}},
            "s": {"kind": "t", "when": "${{ false }}"},
            "z": {"kind": "t", "needs": ["a"]},
        },
        inputs={"n": {"type": "integer", "default": 1}},
    )
    case.start()
    case.begin("m", item=0)
    case.ok("m", {"x": 1}, item=0)
    case.fail("a")
    shape: Any = json.loads(json.dumps(case.state.as_json()))
    assert {key: shape[key] for key in ("id", "name", "status", "inputs", "outputs", "error", "seq")} == {
        "id": "w",
        "name": "case",
        "status": "running",
        "inputs": {"n": 1},
        "outputs": None,
        "error": None,
        "seq": 9,
    }
    steps = shape["steps"]
    assert steps["a"]["status"] == "retrying"
    assert steps["a"]["due_at"].endswith("Z")
    assert steps["a"]["error"] == {"code": "test.bad", "message": "bad luck", "retryable": True}
    assert steps["s"]["status"] == "skipped"
    assert steps["z"] == {"status": "pending", "attempt": 0, "started_at": None, "finished_at": None}
    assert [item["status"] for item in steps["m"]["items"]] == ["succeeded", "scheduled"]
    assert steps["m"]["items"][0]["output"] == {"x": 1}


def test_a_gap_between_events_is_noticed() -> None:
    """Whoever folds is told which one is missing."""
    with pytest.raises(JournalGap, match="event 2 was expected, 3 came"):
        fold(
            [
                Event(1, "w", "workflow.started", AT, {"name": "n", "inputs": {}}),
                Event(3, "w", "workflow.failed", AT, {}),
            ]
        )


@given(JSON_VALUES)
def test_plain_results_are_kept_as_they_are(value: Any) -> None:
    """And copied: what comes back shares nothing with what was given."""
    result, text = plain(value, 1 << 30)
    assert result == value == json.loads(text)
    assert result is not value or not isinstance(value, list | dict) or not value


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, {1, 2}, b"x", object(), [math.nan], {"a": {"b": object()}}, {(1, 2): 3}, [10**5000]]
)
def test_what_is_no_json_is_refused(value: object) -> None:
    """Wherever it is inside."""
    with pytest.raises(BadStepResult, match="not plain JSON"):
        plain(value, 1 << 30)


@pytest.mark.parametrize("depth", [101, 900, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    """At any depth above the limit; a hundred levels are fine."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    with pytest.raises(BadStepResult, match="100 levels"):
        plain(value, 1 << 30)
    fine: Any = 1
    for _ in range(100):
        fine = {"a": fine, "b": 1}
    assert plain(fine, 1 << 30)[0] == fine


def test_size_is_counted_as_json() -> None:
    """In bytes."""
    assert plain("é", 8)[1] == '"\\u00e9"'
    with pytest.raises(OutputTooLarge, match="8 bytes as JSON, 7 are allowed"):
        plain("é", 7)


@pytest.mark.parametrize("bad", ["\ud800", "x\udfffy", "\ude00\ud83d"])
def test_half_a_surrogate_pair_is_refused_in_results_and_replaced_in_errors(bad: str) -> None:
    """What is kept can be encoded by whoever shows it; whole pairs and backslashes are text like any other."""
    for value in (bad, [bad], {bad: 1}):
        with pytest.raises(BadStepResult, match="half of a surrogate pair"):
            plain(value, 10_000)
    assert plain("😀 \\ud800", 100)[0] == "😀 \\ud800"
    assert "?" in failed("a", None, 1, OSError(f"no file {bad}")).message.encode().decode()


def test_odd_attributes_of_an_exception_are_not_trusted() -> None:
    """Only what has the right type counts."""

    class Odd(Exception):
        code = 5
        retryable = "no"
        retry_after_s = math.nan

    command = failed("s", None, 1, Odd("hm"))
    assert (command.code, command.retryable, command.retry_after_s) == ("workflow.step-raised", True, None)
    assert command.message == "Odd: hm"


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, 1e300])
async def test_a_wait_that_makes_no_sense_fails_the_step(tmp_path: Path, seconds: float) -> None:
    """And harms nothing else."""
    async with EmbeddedBackend(tmp_path, kinds={"t": ScriptedKind(lambda call: Wait(seconds))}) as backend:
        started = await backend.start(parse_definition({"name": "n", "steps": {"a": {"kind": "t"}}}))
        state = await backend.wait(started.workflow_id, 20)
    assert state.error is not None
    assert state.error["code"] == "workflow.bad-step-result"


def test_new_ids_sort_by_time() -> None:
    """And are never the same twice."""
    ids = [new_workflow_id(AT + timedelta(milliseconds=number)) for number in range(100)]
    assert ids == sorted(set(ids))
    assert len({new_workflow_id(AT) for _ in range(1000)}) == 1000


async def test_an_artifact_is_stored_once_and_checked_when_it_is_read(tmp_path: Path) -> None:
    """The same content has the same file; damage is noticed."""
    store = ArtifactStore(tmp_path / "artifacts")
    store.prepare()
    writer = CallArtifacts(store)
    first = await writer.put(b"[1, 2]", "a.json")
    second = await writer.put(b"[1, 2]", "b.json", "text/x-mine")
    assert (first.sha256, second.media_type) == (second.sha256, "text/x-mine")
    assert store.load(first) == [1, 2]
    assert list((tmp_path / "artifacts" / "new").iterdir()) == []
    fresh = ArtifactStore(tmp_path / "artifacts")
    fresh.path(first.sha256).write_bytes(b"[1, 3]")
    with pytest.raises(ArtifactNotFound):
        fresh.load(first)
    for name in ("", "x" * 300, "a\nb"):
        with pytest.raises(ValueError, match="printable"):
            await writer.put(b"", name)


def test_a_manual_clock_calls_back_in_order() -> None:
    """At the time that was asked for, and not when it was called off."""
    clock = ManualClock(AT)
    seen: list[tuple[str, datetime]] = []
    clock.call_later(20, lambda: seen.append(("late", clock.now())))
    clock.call_later(10, lambda: seen.append(("early", clock.now())))
    clock.call_later(15, lambda: seen.append(("never", clock.now())))()
    clock.advance(9)
    assert seen == []
    assert clock.next_due_at == AT + timedelta(seconds=10)
    clock.advance(100)
    assert seen == [("early", AT + timedelta(seconds=10)), ("late", AT + timedelta(seconds=20))]
    assert clock.now() == AT + timedelta(seconds=109)
