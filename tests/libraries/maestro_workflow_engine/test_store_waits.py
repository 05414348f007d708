"""The rows of those who wait: they say the same as the journals, and find at once what is due or asked for."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from libraries.maestro_workflow_engine.store_kit import NOON, Store

from maestro_workflow_engine import CommandRefused, Event
from maestro_workflow_engine._commands import Answer, Cancel, Command, Due, Migrate, Pause, Resume, RetryNow, Skip
from maestro_workflow_engine._embedded._database import transaction
from maestro_workflow_engine._embedded._reader import Reader
from maestro_workflow_engine._embedded._waits import WHOLE, places_waiting, timeout_statement, wait_statements
from maestro_workflow_engine._events import time_as_text
from maestro_workflow_engine._parse import parse_definition
from maestro_workflow_engine._state import Place
from maestro_workflow_engine.testing import LawCase

RETRY = {"max_attempts": 3, "initial_delay_s": 10, "jitter": 0}
STEPS: dict[str, Any] = {
    "a": {"kind": "test", "retry": RETRY},
    "m": {"kind": "test", "map": {"items": "${{ range(3) }}"}, "retry": RETRY},
    "r": {"kind": "test", "repeat": {"until": "${{ output }}", "max_iterations": 4, "delay_s": 5}},
    "z": {"kind": "test", "needs": ["a"], "on_error": "continue"},
}
OTHER = parse_definition(
    {"name": "case", "steps": {name: STEPS[name] for name in "mz"} | {"a": {"kind": "other", "retry": RETRY}}}
)
"""Another `a`, and no `r` any more."""
places = st.sampled_from([("a", None), ("r", None), ("m", None), ("m", 0), ("m", 1)])
verbs = st.sampled_from(["ok", "fail", "wait", "ask", "due", "answer", "retry", "skip", "pause", "resume", "migrate"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(verbs, places), min_size=10, max_size=40), st.booleans())
def test_the_rows_are_what_the_state_says(commands: list[tuple[str, Place]], is_cancelled: bool) -> None:
    """After every command, whatever the order, one row stands for each place that waits or retries, and no other."""
    case = LawCase(STEPS)
    waiting: set[Place] = set()
    with store() as made:
        case.start()
        check(made, case, waiting, 0)
        for verb, place in [*commands, *([("cancel", ("a", None))] if is_cancelled else [])]:
            before = len(case.events)
            with suppress(CommandRefused):
                carry_out(case, verb, place)
            check(made, case, waiting, before)


def carry_out(case: LawCase, verb: str, place: Place) -> None:
    """One command of those that a user, the runner or time may give."""
    step, item = place
    try:
        attempt = case.state.place(place).attempt
    except (KeyError, IndexError):
        return
    if verb == "ok":
        case.ok(step, attempt > 1, item, attempt)
    elif verb == "fail":
        case.fail(step, item, attempt)
    elif verb == "wait":
        case.wait(step, item, seconds=60)
    elif verb == "ask":
        case.wait(step, item, kind="approval", title=step)
    else:
        commands: dict[str, Command] = {
            "due": Due(step, item),
            "answer": Answer(step, item, {"approved": True}),
            "retry": RetryNow(step, item),
            "skip": Skip(step, item),
            "pause": Pause(),
            "resume": Resume(),
            "migrate": Migrate(OTHER),
            "cancel": Cancel(force=True),
        }
        case.do(commands[verb])


def check(made: Store, case: LawCase, waiting: set[Place], before: int) -> None:
    """Write what the new events change, and compare."""
    new = [at_position(event) for event in case.events[before:]]
    for sql, values in wait_statements(7, new, waiting):
        made.connection.execute(sql, values)
    state = case.state
    wanted = set() if state.is_finished else places_waiting(state)
    due = {place: state.place(place).due_at for place in wanted}
    rows = made.rows("SELECT step, item, due_at, on_kind FROM waits WHERE workflow = 7")
    found = {(step, None if item < 0 else item): (due_at, kind) for step, item, due_at, kind in rows}
    assert found.keys() == wanted == waiting
    for place, (due_at, kind) in found.items():
        due_then = due[place]
        assert (due_at is None) == (due_then is None)
        assert due_then is None or due_at == (due_then - datetime.fromtimestamp(0, tz=due_then.tzinfo)) // MICROSECOND
        wait = state.place(place).wait
        assert kind == (None if wait is None else wait.kind)


MICROSECOND = timedelta(microseconds=1)


def at_position(event: Event) -> Event:
    """The event with a position of its own."""
    return Event(event.seq, event.workflow_id, event.type, event.at, event.data, position=event.seq)


@contextmanager
def store() -> Iterator[Store]:
    """A store in a folder of its own."""
    with TemporaryDirectory() as folder:
        made = Store(Path(folder))
        try:
            yield made
        finally:
            made.close()


def waits(store: Store, workflow_id: str, step: str, until_s: float | None = None, **on: Any) -> None:
    """A step begins to wait."""
    data: dict[str, Any] = {"step": step, "attempt": 1}
    if until_s is not None:
        data["until"] = time_as_text(NOON + timedelta(seconds=until_s))
    if on:
        data["on"] = on
    store.add(workflow_id, ("step.waiting", data))


async def test_what_is_due_is_found_in_pages_the_earliest_first(tmp_path: Path) -> None:
    """Also when many are due at the same microsecond; paused workflows are left out."""
    store = Store(tmp_path)
    for number in range(6):
        store.start(f"w{number}")
        waits(store, f"w{number}", "a", 60 if number else 30)
        waits(store, f"w{number}", "b", 90)
    store.add("w3", ("workflow.paused", {}))
    reader = Reader(store.path, 5.0)
    try:
        assert await reader.next_due() == NOON + timedelta(seconds=30)
        assert await reader.next_due(NOON + timedelta(seconds=30)) == NOON + timedelta(seconds=60)
        assert await reader.next_due(NOON + timedelta(seconds=90)) is None
        until, found, cursor = NOON + timedelta(seconds=60), [], None
        while rows := await reader.due(until, cursor, limit=2):
            found += [(row.workflow_id, row.step) for row in rows]
            cursor = rows[-1].cursor
        assert found == [("w0", "a"), ("w1", "a"), ("w2", "a"), ("w4", "a"), ("w5", "a")]
        assert [row.workflow_id for row in await reader.due(until, above_key=4)] == ["w4", "w5"]
        assert await reader.next_due(above_key=99) is None
        store.add("w3", ("workflow.resumed", {}))
        assert len(await reader.due(until)) == 6
    finally:
        await reader.close()
        store.close()


async def test_those_who_wait_for_one_thing_are_found_by_it(tmp_path: Path) -> None:
    """A signal by its name, an event by its type, a child by its id; the one who waited longest comes first."""
    store = Store(tmp_path)
    for number in range(3):
        store.start(f"w{number}")
        waits(store, f"w{number}", "a", kind="event", type="order.paid", match={"subject": str(number)})
    waits(store, "w1", "b", 60, kind="signal", name="go")
    reader = Reader(store.path, 5.0)
    try:
        rows = await reader.waits_for("event", "order.paid")
        assert [row.workflow_id for row in rows] == ["w0", "w1", "w2"]
        assert rows[1].on == {"kind": "event", "type": "order.paid", "match": {"subject": "1"}}
        rest = await reader.waits_for("event", "order.paid", after=rows[0].position, limit=1)
        assert [row.workflow_id for row in rest] == ["w1"]
        assert [row.step for row in await reader.waits_for("signal", "go")] == ["b"]
        assert await reader.waits_for("signal", "order.paid") == []
        first, second = await reader.waits_of("w1")
        assert (first.step, first.due_at, second.step, second.due_at) == ("a", None, "b", NOON + timedelta(seconds=60))
    finally:
        await reader.close()
        store.close()


async def test_the_inbox_comes_in_pages_that_do_not_shift(tmp_path: Path) -> None:
    """The oldest first; what only waits for time is not in it, and what was answered is gone from it."""
    store = Store(tmp_path)
    for number in range(5):
        store.start(f"w{number}", name=f"flow-{number}")
        waits(store, f"w{number}", "a", kind="approval", title=f"Release {number}?")
        waits(store, f"w{number}", "b", 60)
    waits(store, "w2", "b", kind="signal", name="go")
    reader = Reader(store.path, 5.0)
    try:
        page = await reader.inbox("approval", 0, 2)
        assert [(item.workflow_id, item.workflow_name, item.step, item.item) for item in page.items] == [
            ("w0", "flow-0", "a", None),
            ("w1", "flow-1", "a", None),
        ]
        assert page.items[0].on == {"kind": "approval", "title": "Release 0?"}
        assert (page.items[0].since, page.items[0].due_at) == (NOON, None)
        store.add("w0", ("step.answered", {"step": "a", "attempt": 1, "answer": {"approved": True}}))
        store.end("w3")
        page = await reader.inbox("approval", int(page.next or 0), 2)
        assert ([item.workflow_id for item in page.items], page.next) == (["w2", "w4"], None)
        everything = await reader.inbox(None, 0, 10)
        assert [(item.workflow_id, item.step) for item in everything.items] == [
            ("w1", "a"),
            ("w2", "a"),
            ("w4", "a"),
            ("w2", "b"),
        ]
    finally:
        await reader.close()
        store.close()


async def test_parents_and_children_that_lost_each_other_are_found(tmp_path: Path) -> None:
    """A parent whose child has ended or never came, and a child that nobody waits for."""
    store = Store(tmp_path)
    store.start("p")
    for step, child in (("a", "ended"), ("b", "runs")):
        waits(store, "p", step, kind="workflow", workflow=child)
    store.start("q")
    waits(store, "q", "a", kind="workflow", workflow="never")
    for child in ("ended", "runs", "orphan"):
        store.start(child, parent="p")
    store.end("ended")
    reader = Reader(store.path, 5.0)
    try:
        lost = [(row.workflow_id, row.step, row.on) for row in await reader.unanswered()]
        assert lost == [
            ("p", "a", {"kind": "workflow", "workflow": "ended"}),
            ("q", "a", {"kind": "workflow", "workflow": "never"}),
        ]
        assert await reader.orphans() == ["orphan"]
        assert [row.id for row in await reader.children("p")] == ["runs", "orphan"]
    finally:
        await reader.close()
        store.close()


async def test_the_timeout_of_a_workflow_is_one_of_its_waits(tmp_path: Path) -> None:
    """It goes with the workflow, or once it has passed; and it is nothing that anyone could answer."""
    store = Store(tmp_path)
    reader = Reader(store.path, 5.0)
    try:
        for workflow_id, key, end in (("w", 1, "workflow.timed_out"), ("v", 2, "workflow.succeeded")):
            store.start(workflow_id)
            waiting: set[Place] = set()
            started = Event(1, workflow_id, "workflow.started", NOON, {}, store.position)
            await store.write([timeout_statement(key, started, NOON + timedelta(hours=1), waiting)])
            assert waiting == {WHOLE}
            (row,) = await reader.waits_of(workflow_id)
            assert (row.step, row.item, row.due_at, row.on) == ("", None, NOON + timedelta(hours=1), None)
            assert (await reader.inbox(None, 0, 10)).items == []
            with transaction(store.connection):
                for sql, values in wait_statements(key, [Event(2, workflow_id, end, NOON, {}, 99)], waiting):
                    store.connection.execute(sql, values)
            assert (await reader.waits_of(workflow_id), waiting) == ([], set())
    finally:
        await reader.close()
        store.close()


def test_a_step_that_never_waits_writes_nothing() -> None:
    """A thousand of them cost the writer nothing."""
    case = LawCase({f"s{number}": {"kind": "test"} for number in range(5)})
    case.start()
    for number in range(5):
        case.begin(f"s{number}")
        case.ok(f"s{number}")
    assert case.events[-1].type == "workflow.succeeded"
    assert wait_statements(1, case.events, set()) == []
