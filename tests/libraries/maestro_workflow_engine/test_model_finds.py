"""What the model found in the law, each by its smallest example."""

from typing import Any

from maestro_workflow_engine import parse_definition, replay
from maestro_workflow_engine._commands import Due, Migrate, Skip
from maestro_workflow_engine.testing import LawCase

T: dict[str, Any] = {"kind": "test"}


def other(steps: dict[str, Any], **rest: Any) -> Any:
    """Another definition to go on with."""
    return parse_definition({"name": "case", "steps": steps, **rest})


def check_replay(case: LawCase) -> None:
    """The law comes to its history again."""
    again = replay(case.definition, case.events, definitions=case.known, origin=case.origin)
    assert again.difference is None, str(again.difference)


def test_a_compensation_that_is_skipped_is_not_done() -> None:
    """Neither a whole one of many items, nor one whose turn has not come."""
    undone = {**T, "compensate": T}
    case = LawCase({"m": {**undone, "map": {"items": [1, 2]}}, "b": {**T, "needs": ["m"]}})
    case.start()
    case.ok("m", item=0)
    case.ok("m", item=1)
    assert case.fail("b", retryable=False)[-1] == "step.scheduled m.undo[1]"
    assert case.do(Skip("m.undo", None)) == ["step.skipped m.undo", "workflow.failed b"]
    case = LawCase({"a": undone, "b": {**undone, "needs": ["a"]}, "c": {**T, "needs": ["b"]}})
    case.start()
    case.ok("a")
    case.ok("b")
    case.fail("c", retryable=False)
    assert case.do(Skip("a.undo", None)) == ["step.skipped a.undo"]
    assert case.ok("b.undo") == ["step.succeeded b.undo", "workflow.failed c"]


def test_what_runs_is_counted_when_it_is_skipped_or_migrated_away() -> None:
    """Nobody knows what it has used, so it counts as what it had reserved."""
    paid = {**T, "cost": {"tokens": 4}}
    case = LawCase({"a": paid, "m": {**paid, "map": {"items": [1, 2]}}, "z": T}, budget={"tokens": 99})
    case.start()
    case.begin("a")
    case.begin("m", item=0)
    case.begin("m", item=1)
    case.do(Skip("a", None))
    assert (case.state.spent, case.state.reserved) == ({"tokens": 4}, {"tokens": 8})
    case.do(Migrate(other({"z": T})))
    assert (case.state.spent, case.state.reserved) == ({"tokens": 12}, {})
    check_replay(case)


def test_no_attempt_number_is_used_twice_when_a_step_comes_back() -> None:
    """A step that was dropped, and one whose list was empty for a while, count on: late reports cannot be mistaken."""
    case = LawCase({"a": T, "b": T})
    case.start()
    case.begin("b")
    case.do(Migrate(other({"a": T})))
    assert case.do(Migrate(case.definition)) == ["workflow.migrated", "step.scheduled b #2"]
    assert case.ok("b", attempt=1) == []
    mapped = {**T, "map": {"items": [1]}}
    empty = {**T, "map": {"items": []}}
    case = LawCase({"a": T, "m": mapped})
    case.start()
    case.do(Migrate(other({"a": T, "m": empty})))
    again = case.do(Migrate(other({"a": T, "m": mapped}), frozenset({"m"})))
    assert again == ["workflow.migrated", "step.expanded m", "step.scheduled m[0] #2"]


def test_a_join_that_a_migration_makes_impossible_fails_at_once() -> None:
    """Nothing would ever wake it, and the workflow would have ended well without it."""
    race = {"a": {**T, "on_error": "continue"}, "b": {**T, "on_error": "continue"}}
    case = LawCase({**race, "z": T})
    case.start()
    case.fail("a", retryable=False)
    case.fail("b", retryable=False)
    joined = other({**race, "z": T, "end": {**T, "needs": ["a", "b"], "join": "any"}})
    assert case.do(Migrate(joined))[:2] == ["workflow.migrated", "step.failed end"]


def test_a_cost_that_goes_bad_later_fails_the_step_and_the_rest_goes_on() -> None:
    """With a retry, with the next iteration, and when the budget grows: each ends as in the beginning."""
    before = {"a": {**T, "retry": 2, "on_error": "continue"}, "b": {**T, "needs": ["a"]}}
    case = LawCase(before, budget={"tokens": 9})
    case.start()
    case.do(Migrate(other({**before, "a": {**before["a"], "cost": {"tokens": "${{ 0 - 1 }}"}}}, budget={"tokens": 9})))
    case.fail("a")
    assert case.do(Due("a", None)) == ["step.failed a", "step.scheduled b"]
    check_replay(case)
    poor = {**T, "cost": {"tokens": 20}}
    case = LawCase({"a": poor, "b": T}, budget={"tokens": 9})
    assert case.start()[1:] == ["step.waiting a", "step.scheduled b"]
    bad = other({"a": {**T, "cost": {"tokens": "${{ 'x' }}"}}, "b": T}, budget={"tokens": 9})
    assert case.do(Migrate(bad)) == ["workflow.migrated", "step.failed a", "step.cancelled b", "workflow.failed a"]


def test_a_migration_that_restarts_what_was_asked_for_replays() -> None:
    """What was asked for is part of the event: it cannot be told from what became of the steps."""
    case = LawCase({"a": T, "b": T})
    case.start()
    case.do(Migrate(other({"a": T, "b": T}), frozenset({"a"})))
    assert case.events[-1].data["attempt"] == 2
    check_replay(case)


def test_a_loop_is_reused_only_while_its_condition_reads_the_same() -> None:
    """Its arguments alone do not say when it ends."""
    loop = {**T, "repeat": {"until": "${{ output.n >= inputs.x }}", "max_iterations": 9}}
    inputs = {"x": {"type": "integer"}}
    first = LawCase({"a": loop}, inputs=inputs)
    first.start(x=1)
    first.ok("a", {"n": 1})
    for x, type_ in ((1, "step.reused a"), (5, "step.scheduled a")):
        again = LawCase({"a": loop}, inputs=inputs, origin=first.state)
        assert again.start(origin={"workflow": "w", "seq": first.state.seq, "from": []}, x=x)[1] == type_


def test_a_result_of_an_earlier_definition_is_not_reused() -> None:
    """A migration that keeps it does not make it one of the new definition."""
    old, new = {"a": {**T, "with": {"v": 1}}, "z": T}, {"a": {**T, "with": {"v": 2}}, "z": T}
    first = LawCase(old)
    first.start()
    first.ok("a", "of version 1")
    first.do(Migrate(other(new)))
    first.ok("z")
    again = LawCase(new, origin=first.state)
    started = again.start(origin={"workflow": "w", "seq": first.state.seq, "from": []})
    assert started == ["workflow.started", "step.scheduled a", "step.reused z"]
