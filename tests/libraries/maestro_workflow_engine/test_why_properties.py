"""Whatever has happened to a workflow: every unfinished step says why, and finding it out ends."""

import time
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_workflow_engine import Cause
from maestro_workflow_engine import _commands as do
from maestro_workflow_engine._errors import CommandRefused
from maestro_workflow_engine._state import ENDED, Place
from maestro_workflow_engine._why import causes
from maestro_workflow_engine.testing import LawCase


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """Steps that need some of those before them, of every sort."""
    count = draw(st.integers(1, 8))
    steps: dict[str, Any] = {}
    for number in range(count):
        step: dict[str, Any] = {"kind": "test"}
        if number:
            step["needs"] = sorted(draw(st.sets(st.sampled_from([f"s{i}" for i in range(number)]), max_size=3)))
        if len(step.get("needs", [])) > 1 and draw(st.booleans()):
            step["join"] = 1
        sort = draw(st.sampled_from(["plain", "map", "repeat", "retry", "undo", "cost", "tolerant"]))
        sorts: dict[str, dict[str, Any]] = {
            "plain": {},
            "map": {"map": {"items": [1, 2, 3], "max_parallel": 2}},
            "repeat": {"repeat": {"until": "${{ output }}", "max_iterations": 2, "delay_s": 5}},
            "retry": {"retry": {"max_attempts": 2, "initial_delay_s": 5}},
            "undo": {"compensate": {"kind": "test"}},
            "cost": {"cost": {"tokens": 60}},
            "tolerant": {"on_error": "continue"},
        }
        step |= sorts[sort]
        steps[f"s{number}"] = step
    rest: dict[str, Any] = {"finally": {"f": {"kind": "test"}, "g": {"kind": "test", "needs": ["f"]}}}
    return {"steps": steps, "budget": {"tokens": 100}, **(rest if draw(st.booleans()) else {})}


WAITS = st.sampled_from([None, {"kind": "signal", "name": "x"}, {"kind": "approval", "title": "t"}, {"kind": "odd"}])
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "ok", "fail", "wait", "due", "answer", "pause", "resume", "cancel", "skip"]),
        st.integers(0, 50),
        WAITS,
    ),
    max_size=30,
)


def act(case: LawCase, name: str, number: int, on: dict[str, Any] | None) -> None:
    """Let something happen, to one of the places in flight."""
    places = list(case.state.in_flight)
    place: Place = places[number % len(places)] if places else ("s0", None)
    attempt = case.state.place(place).attempt if places else 1
    commands: dict[str, do.Command] = {
        "begin": do.StepStarted(*place, attempt),
        "ok": do.StepSucceeded(*place, attempt, number % 2 == 0),
        "fail": do.StepFailed(*place, attempt, "test.bad", "bad luck", number % 2 == 0),
        "wait": do.StepWaits(*place, attempt, 5.0 if on is None or number % 2 else None, on),
        "due": do.Due(*place),
        "answer": do.Answer(*place, 1),
        "pause": do.Pause(),
        "resume": do.Resume(),
        "cancel": do.Cancel(),
        "skip": do.Skip(*place),
    }
    try:
        case.do(commands[name])
    except CommandRefused:
        assert name in ("answer", "pause", "resume", "cancel", "skip")


def nested(cause: Cause, depth: int = 1) -> Iterator[tuple[Cause, int]]:
    """A cause with all below it."""
    yield cause, depth
    for below in cause.because:
        yield from nested(below, depth + 1)


@settings(max_examples=300, deadline=None)
@given(document=definitions(), acts=ACTS)
def test_every_unfinished_step_says_why(document: dict[str, Any], acts: list[tuple[str, int, Any]]) -> None:
    """Each that is in flight, and each that is to come in this phase; nothing is nested without end."""
    case = LawCase(document.pop("steps"), **document)
    case.start()
    for name, number, on in acts:
        act(case, name, number, on)
        state = case.state
        found = causes(state, now=case.NOW, held=lambda place: None)
        explained = [cause.step for cause in found]
        assert len(set(explained)) == len(explained)
        if state.is_finished:
            assert not found
            continue
        unfinished = {step for step, _ in state.in_flight}
        if state.phase != "compensation":
            unfinished |= {
                step.id for step in case.definition.of_phase(state.phase) if state.steps[step.id].status not in ENDED
            }
        assert unfinished <= set(explained)
        for cause in found:
            for below, depth in nested(cause):
                assert depth <= 5
                assert below.message
                assert below.as_json()["kind"]


def test_ten_thousand_steps_are_explained_at_once() -> None:
    """A chain with side branches: the work grows with the steps, not with their square."""
    steps: dict[str, Any] = {"s0": {"kind": "test"}}
    for number in range(1, 10_000):
        steps[f"s{number}"] = {"kind": "test", "needs": [f"s{number - 1}", f"s{number // 2}"][: 1 + (number > 1)]}
    case = LawCase({step_id: {**step, "needs": sorted(set(step.get("needs", [])))} for step_id, step in steps.items()})
    case.start()
    began = time.process_time()
    found = causes(case.state, now=case.NOW, held=lambda place: None)
    assert time.process_time() - began < 5
    assert len(found) == 10_000
