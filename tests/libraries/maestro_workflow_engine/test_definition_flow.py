"""What says how often, how many at once, after what and for how much a step or a workflow runs."""

import json
from typing import Any

import pytest

from maestro_workflow_engine import (
    Concurrency,
    InvalidDefinition,
    Join,
    LimitUse,
    Problem,
    Repeat,
    RetryPolicy,
    Step,
    compile_template,
    parse_definition,
)

STEP: dict[str, Any] = {"kind": "shell"}
FAR = 10**30


def step_of(**step: Any) -> Step:
    """The step `a` of a definition in which it needs `b` and `c`."""
    steps = {"a": {**STEP, "needs": ["b", "c"], **step}, "b": STEP, "c": STEP}
    return parse_definition({"name": "n", "inputs": {"x": {"type": "string"}}, "steps": steps}).steps["a"]


def problem_of(document: object) -> Problem:
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition(document)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        ("all", None),
        ("any", Join(1)),
        (1, Join(1)),
        (2, Join(2)),
        ({"count": "any"}, Join(1)),
        ({"count": 2, "cancel_rest": True}, Join(2, cancel_rest=True)),
        ({"count": "any", "cancel_rest": False}, Join(1)),
    ],
)
def test_join_is_read(join: Any, expected: Join | None) -> None:
    """A join is all, any, a number, or a mapping that also says what becomes of the rest."""
    assert step_of(join=join).join == expected


def test_join_counts_needs_that_only_expressions_name() -> None:
    """Implied needs count as needs."""
    step = step_of(needs=["b"], join=2, **{"with": {"k": "${{ default(steps.c.output, 0) }}"}})
    assert (step.needs, step.join) == (("b", "c"), Join(2))


def test_repeat_is_read() -> None:
    """A loop has its condition, its bound and its pause."""
    repeat = step_of(repeat={"until": "${{ output.done }}", "max_iterations": 5, "delay_s": 0.5}).repeat
    assert repeat == Repeat(compile_template("${{ output.done }}"), 5, 0.5)
    assert step_of(repeat={"until": "${{ true }}", "max_iterations": 10_000}).repeat == Repeat(
        compile_template("${{ true }}"), 10_000, 0.0
    )


def test_on_error_is_read() -> None:
    """`continue` lets the workflow go on; `fail` is what happens without it."""
    assert step_of(on_error="continue").tolerates_failure
    assert not step_of(on_error="fail").tolerates_failure
    assert not step_of().tolerates_failure


def test_limits_are_read() -> None:
    """A limit is a name, or a name with figures; names may hold expressions, and what those read is needed."""
    step = step_of(
        needs=[],
        limits=[
            "api",
            "host-${{ inputs.x }}",
            {"name": "${{ steps.b.output }}", "max_parallel": 3, "rate_count": 10, "rate_per_s": 60},
            {"name": "plain"},
        ],
    )
    assert step.limits == (
        LimitUse(compile_template("api")),
        LimitUse(compile_template("host-${{ inputs.x }}")),
        LimitUse(compile_template("${{ steps.b.output }}"), 3, 10, 60.0),
        LimitUse(compile_template("plain"), None, None, 1.0),
    )
    assert step.needs == ("b",)


def test_cost_is_read() -> None:
    """A cost renders to numbers by unit."""
    cost = step_of(cost={"money_usd": "${{ steps.b.output }}", "tokens": 1000}).cost
    assert cost is not None
    assert cost.references == {"b"}
    scope = {"steps": {"b": {"output": 0.25}}}
    assert cost.render(scope) == {"money_usd": 0.25, "tokens": 1000}


def test_settings_of_the_workflow_are_read() -> None:
    """Priority, time limit, concurrency and budget belong to the whole."""
    workflow = parse_definition(
        {
            "name": "n",
            "inputs": {"env": {"type": "string"}},
            "priority": -100,
            "timeout_s": 3600,
            "concurrency": {"key": "deploy-${{ inputs.env }}", "limit": 2, "when_full": "cancel_oldest"},
            "budget": {"money_usd": 5, "tokens": 1_000_000, "calls": 10, "time_s": 60.5},
            "steps": {"a": STEP},
        }
    )
    assert (workflow.priority, workflow.timeout_s) == (-100, 3600.0)
    assert workflow.concurrency == Concurrency(compile_template("deploy-${{ inputs.env }}"), 2, "cancel_oldest")
    assert workflow.budget == {"money_usd": 5.0, "tokens": 1_000_000.0, "calls": 10.0, "time_s": 60.5}
    assert parse_definition(json.loads(json.dumps(workflow.document))) == workflow


def test_without_settings_there_are_defaults() -> None:
    """A plain definition has priority 0 and no limits of any kind."""
    workflow = parse_definition({"name": "n", "steps": {"a": STEP}})
    assert (workflow.priority, workflow.timeout_s, workflow.concurrency, workflow.budget) == (0, None, None, None)
    step = workflow.steps["a"]
    assert (step.phase, step.join, step.repeat, step.undoes, step.limits, step.cost) == (
        "main", None, None, None, (), None,
    )  # fmt: skip
    key_only = {"name": "n", "concurrency": {"key": "k"}, "steps": {"a": STEP}}
    assert parse_definition(key_only).concurrency == Concurrency(compile_template("k"), 1, "queue")


def with_step(**step: Any) -> dict[str, Any]:
    return {"name": "n", "steps": {"a": {**STEP, **step}, "b": STEP, "c": STEP}}


def with_top(**top: Any) -> dict[str, Any]:
    return {"name": "n", "steps": {"a": STEP}, **top}


UNTIL = "${{ output }}"
CASES: list[tuple[object, str, str, str]] = [
    (with_step(join="most", needs=["b"]), "/steps/a/join", "wrong-type", "1 to 20,000, all, any or a mapping"),
    (with_step(join=0, needs=["b"]), "/steps/a/join", "bad-value", "not 0"),
    (with_step(join=-1, needs=["b"]), "/steps/a/join", "bad-value", "not -1"),
    (with_step(join=True, needs=["b"]), "/steps/a/join", "wrong-type", "not a boolean"),
    (with_step(join=1.5, needs=["b"]), "/steps/a/join", "wrong-type", "not 1.5"),
    (with_step(join=3, needs=["b", "c"]), "/steps/a/join", "contradiction", "write 2 or fewer"),
    (with_step(join="any"), "/steps/a/join", "contradiction", "needs no other, so there is nothing to join"),
    (with_step(join={}), "/steps/a/join", "missing-key", "join has no 'count'"),
    (with_step(join={"count": "all"}, needs=["b"]), "/steps/a/join/count", "wrong-type", "or any"),
    (with_step(join={"count": 1, "cancel": True}, needs=["b"]), "/steps/a/join/cancel", "unknown-key", "cancel_rest"),
    (with_step(join={"count": 1, "cancel_rest": 1}, needs=["b"]), "/steps/a/join/cancel_rest", "wrong-type", "true or"),
    (with_step(repeat=3), "/steps/a/repeat", "wrong-type", "a mapping with until and max_iterations, not a number"),
    (with_step(repeat={"until": UNTIL}), "/steps/a/repeat", "missing-key", "say how often it runs at most"),
    (with_step(repeat={"max_iterations": 3}), "/steps/a/repeat", "missing-key", "such as ${{ output.done }}"),
    (with_step(repeat={"until": True, "max_iterations": 3}), "/steps/a/repeat/until", "wrong-type", "exactly one"),
    (
        with_step(repeat={"until": UNTIL + "!", "max_iterations": 3}),
        "/steps/a/repeat/until",
        "not-one-expression",
        "remove the text around",
    ),
    (
        with_step(repeat={"until": UNTIL, "max_iterations": 10_001}),
        "/steps/a/repeat/max_iterations",
        "bad-value",
        "from 1 to 10,000, not 10,001",
    ),
    (
        with_step(repeat={"until": UNTIL, "max_iterations": 2, "delay_s": 86_401}),
        "/steps/a/repeat/delay_s",
        "bad-value",
        "from 0 to 86,400",
    ),
    (
        with_step(repeat={"until": UNTIL, "max_iterations": 2, "delay": 1}),
        "/steps/a/repeat/delay",
        "unknown-key",
        "(did you mean 'delay_s'?)",
    ),
    (with_step(on_error="contineu"), "/steps/a/on_error", "bad-value", "(did you mean 'continue'?)"),
    (with_step(on_error=True), "/steps/a/on_error", "wrong-type", "fail or continue, not a boolean"),
    (with_step(limits="api"), "/steps/a/limits", "wrong-type", "write [name]"),
    (with_step(limits=["l"] * 17), "/steps/a/limits", "too-large", "17 limits, at most 16"),
    (with_step(limits=[1]), "/steps/a/limits/0", "wrong-type", "which may hold expressions, not a number"),
    (with_step(limits=[""]), "/steps/a/limits/0", "bad-value", "1 to 200 printable"),
    (with_step(limits=["x" * 201]), "/steps/a/limits/0", "bad-value", "1 to 200 printable"),
    (with_step(limits=["a\nb"]), "/steps/a/limits/0", "bad-value", "one line"),
    (with_step(limits=["a", {"name": "a"}]), "/steps/a/limits/1", "duplicate", "'a' is named twice"),
    (with_step(limits=["${{ 1 + }}"]), "/steps/a/limits/0", "bad-expression", "expected a value"),
    (with_step(limits=["a", "${{ inputs.y }}"]), "/steps/a/limits/1", "unknown-input", "no input 'y'"),
    (with_step(limits=[{"name": "${{ inputs.y }}"}]), "/steps/a/limits/0/name", "unknown-input", "no input 'y'"),
    (with_step(limits=[{}]), "/steps/a/limits/0", "missing-key", "the limit has no 'name'"),
    (with_step(limits=[{"name": "a", "max_parallel": 0}]), "/steps/a/limits/0/max_parallel", "bad-value", "not 0"),
    (
        with_step(limits=[{"name": "a", "rate_count": FAR}]),
        "/steps/a/limits/0/rate_count",
        "not-json",
        "beyond 64 bits",
    ),
    (
        with_step(limits=[{"name": "a", "rate_count": 1, "rate_per_s": 0}]),
        "/steps/a/limits/0/rate_per_s",
        "bad-value",
        "from 0.001 to 86,400",
    ),
    (with_step(limits=[{"name": "a", "rate_per_s": 1}]), "/steps/a/limits/0", "missing-key", "how many may begin"),
    (with_step(limits=[{"name": "a", "rate": 1}]), "/steps/a/limits/0/rate", "unknown-key", "a limit has no key"),
    (with_step(cost=1), "/steps/a/cost", "wrong-type", "its units are money_usd, tokens, calls, time_s"),
    (with_step(cost={"token": 1}), "/steps/a/cost/token", "unknown-key", "(did you mean 'tokens'?)"),
    (with_step(cost={"tokens": -1}), "/steps/a/cost/tokens", "bad-value", "from 0 to 1,000,000,000,000"),
    (with_step(cost={"tokens": "7"}), "/steps/a/cost/tokens", "wrong-type", "or exactly one ${{ … }}"),
    (with_step(cost={"tokens": "x${{ 1 }}"}), "/steps/a/cost/tokens", "not-one-expression", "remove the text"),
    (with_step(cost={"tokens": "${{ 1 + }}"}), "/steps/a/cost/tokens", "bad-expression", "expected a value"),
    (with_step(cost={"tokens": "${{ steps.x.output }}"}), "/steps/a/cost/tokens", "unknown-step", "no step 'x'"),
    (with_top(priority=101), "/priority", "bad-value", "from -100 to 100, not 101"),
    (with_top(priority="high"), "/priority", "wrong-type", "not a string"),
    (with_top(timeout_s=0), "/timeout_s", "bad-value", "more than 0"),
    (with_top(timeout_s=1e8), "/timeout_s", "bad-value", "from 0 to 31,536,000"),
    (with_top(concurrency="k"), "/concurrency", "wrong-type", "a mapping with a key, not a string"),
    (with_top(concurrency={}), "/concurrency", "missing-key", "concurrency has no 'key'"),
    (with_top(concurrency={"key": 1}), "/concurrency/key", "wrong-type", "key is a string"),
    (with_top(concurrency={"key": ""}), "/concurrency/key", "bad-value", "1 to 200"),
    (with_top(concurrency={"key": "k", "limit": 1001}), "/concurrency/limit", "bad-value", "from 1 to 1,000"),
    (with_top(concurrency={"key": "k", "when_full": "drop"}), "/concurrency/when_full", "bad-value", "cancel_oldest"),
    (with_top(concurrency={"key": "k", "max": 1}), "/concurrency/max", "unknown-key", "concurrency has no key 'max'"),
    (with_top(concurrency={"key": "${{ inputs.y }}"}), "/concurrency/key", "unknown-input", "no input 'y'"),
    (with_top(budget=5), "/budget", "wrong-type", "from unit to number, not a number"),
    (with_top(budget={"usd": 1}), "/budget/usd", "unknown-key", "it has money_usd, tokens"),
    (with_top(budget={"calls": -0.5}), "/budget/calls", "bad-value", "not -0.5"),
    (with_top(budget={"calls": "${{ 1 }}"}), "/budget/calls", "wrong-type", "not a string"),
    (with_top(budget={"calls": 1e13}), "/budget/calls", "bad-value", "to 1,000,000,000,000"),
]


@pytest.mark.parametrize(("document", "path", "code", "message"), CASES, ids=lambda value: str(value)[:60])
def test_a_problem_has_path_code_and_advice(document: object, path: str, code: str, message: str) -> None:
    """One mistake is one problem, at the value that is wrong."""
    problem = problem_of(document)
    assert (problem.path, problem.code) == (path, f"definition.{code}")
    assert message in problem.message


def test_a_bad_limit_does_not_move_the_place_of_the_next() -> None:
    """Each problem stands at its own limit, also behind one that cannot be read."""
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition(with_step(limits=[1, "${{ inputs.y }}"]))
    assert [problem.path for problem in caught.value.problems] == ["/steps/a/limits/0", "/steps/a/limits/1"]


DECIDING: dict[str, Any] = {
    "kind": "http",
    "with": {"k": 1},
    "when": "${{ true }}",
    "map": {"items": [1, 2]},
    "repeat": {"until": UNTIL, "max_iterations": 2},
}
TIMING: dict[str, Any] = {
    "needs": ["b"],
    "join": "any",
    "retry": 3,
    "timeout_s": 5,
    "on_error": "continue",
    "compensate": {"kind": "undo"},
    "limits": ["l"],
    "cost": {"calls": 1},
}


def test_the_digest_of_a_step_is_that_of_what_decides_its_result() -> None:
    """Each deciding key changes it; when, how often and after what it runs does not."""
    plain = step_of()
    bare = {key: step_of(**{key: value}).digest for key, value in DECIDING.items()}
    assert len({plain.digest, *bare.values()}) == len(DECIDING) + 1
    full = step_of(**DECIDING)
    assert full.digest == step_of(**DECIDING, **TIMING).digest
    assert full.digest == step_of(**{**DECIDING, "map": {"items": [1, 2], "max_parallel": 5}}).digest
    assert full.digest != step_of(**{**DECIDING, "map": {"items": [2, 1]}}).digest
    assert step_of(needs=[]).digest == plain.digest == step_of(**TIMING).digest
    assert len(plain.digest) == 64


def test_a_compensation_has_a_digest_of_its_own() -> None:
    """What undoes a step changes when its own call does, and the step stays as it is."""
    documents = [with_step(compensate={"kind": "undo", "with": {"k": value}}) for value in (1, 2)]
    first, second = (parse_definition(document).steps for document in documents)
    assert first["a"].digest == second["a"].digest
    assert first["a.undo"].digest != second["a.undo"].digest


def test_a_retry_of_a_compensation_is_read() -> None:
    """Undoing is tried as often, and for as long, as it says."""
    undo = {"kind": "undo", "retry": {"max_attempts": 4, "initial_delay_s": 2}, "timeout_s": 9}
    step = parse_definition(with_step(compensate=undo)).steps["a.undo"]
    assert (step.retry, step.timeout_s) == (RetryPolicy(4, 2.0), 9.0)
