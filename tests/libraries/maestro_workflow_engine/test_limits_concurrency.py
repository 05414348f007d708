"""How many workflows of one key run at once, decided without a runner."""

from datetime import UTC, datetime
from typing import Any

from libraries.maestro_workflow_engine.limit_desk import Desk

from maestro_workflow_engine._run import Run

ONE: dict[str, Any] = {"concurrency": {"key": "deploy", "limit": 1}}
NEWEST: dict[str, Any] = {"concurrency": {"key": "deploy", "limit": 1, "when_full": "cancel_oldest"}}


def finish(desk: Desk, run: Run) -> list[str]:
    """The workflow has ended; gives what begins then."""
    for name in [name for name in desk.begun if name.startswith(f"{run.id}/")]:
        desk.end(name)
    run.state.in_flight.clear()
    desk.limits.release(run)
    return desk.take()


def test_a_workflow_whose_key_is_full_is_not_dispatched_at_all() -> None:
    """It waits with all of its steps until the one before it has ended, not merely has nothing to run."""
    desk = Desk()
    first, second = desk.run("first", {}, {}, **ONE), desk.run("second", {}, {}, **ONE)
    assert desk.offer(first, 0) == ["first/s0"]
    assert desk.offer(second) == []
    assert desk.why(second, 1) == (
        "concurrency",
        "only 1 workflow with the key 'deploy' may run at once: 'first' must end first",
    )
    assert desk.end("first/s0") == []
    assert desk.offer(first, 1) == ["first/s1"]
    assert finish(desk, first) == ["second/s0", "second/s1"]


def test_other_keys_and_workflows_without_one_are_not_held_up() -> None:
    """The key is rendered from the inputs; numbers are keys too."""
    desk = Desk()
    rules: dict[str, Any] = {
        "inputs": {"n": {"type": "integer"}},
        "concurrency": {"key": "${{ inputs.n }}", "limit": 1},
    }
    begun = []
    for id_, number in (("a", 1), ("b", 2), ("c", 1)):
        run = desk.run(id_, **rules)
        run.state.inputs = {"n": number}
        begun += desk.offer(run)
    assert begun == ["a/s0", "b/s0"]
    assert desk.offer(desk.run("free")) == ["free/s0"]


def test_the_most_important_that_waits_gets_the_slot_next_then_the_oldest() -> None:
    """A priority that changes while it waits counts."""
    desk = Desk()
    runs = {id_: desk.run(id_, priority=priority, **ONE) for id_, priority in (("a", 0), ("b", 0), ("c", 5), ("d", 0))}
    for run in runs.values():
        desk.offer(run)
    runs["d"].state.priority = 9
    desk.limits.reprioritize(runs["d"])
    order = ["a"]
    while names := finish(desk, runs[order[-1]]):
        order.append(names[0][0])
    assert order == ["a", "d", "c", "b"]


def test_a_limit_of_two_lets_two_run() -> None:
    """Each end lets one more go."""
    desk = Desk()
    runs = [desk.run(f"w{i}", concurrency={"key": "k", "limit": 2}) for i in range(4)]
    assert [desk.offer(run) for run in runs] == [["w0/s0"], ["w1/s0"], [], []]
    assert finish(desk, runs[1]) == ["w2/s0"]
    assert finish(desk, runs[0]) == ["w3/s0"]


def test_the_newest_may_ask_the_oldest_to_make_room() -> None:
    """It begins once that has ended; whoever waited in between is asked as well, and each is asked once."""
    desk = Desk()
    runs = [desk.run(f"w{i}", **NEWEST) for i in range(3)]
    desk.offer(runs[0])
    assert desk.limits.overtaken == []
    assert desk.offer(runs[1]) == []
    assert desk.limits.overtaken == [runs[0]]
    assert desk.offer(runs[2]) == []
    assert desk.limits.overtaken == runs[:2]
    runs[1].state.in_flight.clear()  # cancelled before it had begun
    desk.limits.release(runs[1])
    assert finish(desk, runs[0]) == ["w2/s0"]


def test_after_a_restart_those_that_had_begun_have_their_slots_first() -> None:
    """Whatever the order in which they are offered; and one that only waited has none."""
    desk = Desk()
    waited, begun = desk.run("waited", **ONE), desk.run("begun", {}, {}, **ONE)
    begun.state.steps["s0"].started_at = begun.state.started_at = datetime(2026, 1, 1, tzinfo=UTC)
    for run in (waited, begun):
        desk.limits.restore(run)
    assert desk.offer(waited) == []
    assert desk.offer(begun, 1) == ["begun/s1"]
    assert finish(desk, begun) == ["waited/s0"]


def test_a_paused_workflow_gives_up_its_place_in_line_but_not_its_slot() -> None:
    """Otherwise the next slot would go to one that does not run."""
    desk = Desk()
    holder, paused, other = (desk.run(id_, {}, {}, **ONE) for id_ in ("h", "p", "o"))
    desk.offer(holder, 0)
    desk.offer(paused)
    desk.offer(other)
    desk.limits.withdraw(paused)
    desk.limits.withdraw(holder)
    assert desk.end("h/s0") == []
    assert finish(desk, holder) == ["o/s0", "o/s1"]
    assert desk.offer(paused) == []
    assert finish(desk, other) == ["p/s0", "p/s1"]


def test_a_key_that_cannot_be_worked_out_fails_the_step() -> None:
    """The message says where it stands."""
    desk = Desk()
    run = desk.run("a", inputs={"o": {"type": "object"}}, concurrency={"key": "${{ inputs.o }}", "limit": 1})
    run.state.inputs = {"o": {}}
    assert desk.offer(run) == []
    assert desk.errors == ["/concurrency/key: a text was expected, an object came"]
    desk.limits.release(run)
