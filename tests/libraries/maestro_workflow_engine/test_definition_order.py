"""The definition that parsing gives: order, implied needs, digest, and size."""

import json
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro_workflow_engine import (
    MISSING,
    InputSpec,
    InvalidDefinition,
    RetryPolicy,
    parse_definition,
)
from maestro_workflow_engine._parse import DOCUMENT_KEYS
from maestro_workflow_engine._parse_steps import STEP_KEYS

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

FULL: dict[str, Any] = {
    "name": "repository-report",
    "description": "What it does.",
    "inputs": {
        "path": {"type": "string", "default": ".", "description": "Where."},
        "deep": {"type": "boolean"},
        "level": {"type": "integer", "enum": [1, 2], "default": 1},
    },
    "tools": {"git": {"mcp": {"command": ["uvx", "--repository", "${{ inputs.path }}"]}}},
    "steps": {
        "report": {"kind": "python", "with": {"files": "${{ steps.read.output }}"}, "needs": ["notify"]},
        "read": {
            "kind": "shell",
            "with": {"command": ["cat", "${{ item }}"], "env": {"I": "${{ index }}"}},
            "map": {"items": "${{ steps.list.output }}", "max_parallel": 4},
            "retry": {"max_attempts": 4, "initial_delay_s": 0.2, "multiplier": 3, "max_delay_s": 30, "jitter": 0},
            "timeout_s": 30,
        },
        "list": {"kind": "shell", "retry": 3},
        "notify": {"kind": "http", "when": "${{ inputs.deep && steps.list.status == 'succeeded' }}"},
    },
    "outputs": {"report": "${{ steps.report.output }}"},
}


def test_everything_that_can_be_written_is_read() -> None:
    """Each part of a document is found in the definition with its meaning."""
    workflow = parse_definition(FULL)
    assert (workflow.name, workflow.description) == ("repository-report", "What it does.")
    assert workflow.inputs["path"] == InputSpec("string", ".", "Where.")
    assert workflow.inputs["deep"] == InputSpec("boolean", MISSING)
    assert workflow.inputs["deep"].is_required
    assert workflow.inputs["level"].enum == (1, 2)
    assert workflow.tools.inputs == {"path"}
    assert workflow.outputs.references == {"report"}
    read = workflow.steps["read"]
    assert read.retry == RetryPolicy(4, 0.2, 3.0, 30.0, 0.0)
    assert read.timeout_s == 30.0
    assert read.map is not None
    assert read.map.max_parallel == 4
    assert read.map.items.references == {"list"}
    assert read.arguments.uses_item
    assert workflow.steps["list"].retry == RetryPolicy(max_attempts=3)
    assert workflow.steps["report"].retry == RetryPolicy()
    assert workflow.steps["notify"].when is not None
    assert workflow.document == FULL


def test_needs_are_what_is_declared_and_what_expressions_read() -> None:
    """A reference anywhere in a step is a need, and the order follows."""
    workflow = parse_definition(FULL)
    assert {step.id: step.needs for step in workflow.steps.values()} == {
        "list": (),
        "read": ("list",),
        "notify": ("list",),
        "report": ("notify", "read"),
    }
    assert list(workflow.steps) == ["list", "read", "notify", "report"]
    assert workflow.dependents == {"list": ("read", "notify"), "read": ("report",), "notify": ("report",), "report": ()}


def test_a_large_first_delay_lifts_the_longest_delay() -> None:
    """Without max_delay_s, a first delay above the usual limit is still waited in full."""
    document = {"name": "n", "steps": {"a": {"kind": "shell", "retry": {"max_attempts": 2, "initial_delay_s": 300}}}}
    assert parse_definition(document).steps["a"].retry.delay_s(1, 0.0) == 300.0


@UNHURRIED
@given(
    retry=st.builds(
        RetryPolicy,
        initial_delay_s=st.floats(0, 1000),
        multiplier=st.floats(1, 100),
        max_delay_s=st.floats(0, 1000),
        jitter=st.floats(0, 1),
    ),
    failures=st.integers(1, 1000),
    random=st.floats(0, 1),
)
def test_delays_stay_within_their_bounds(retry: RetryPolicy, failures: int, random: float) -> None:
    """A delay lies between its share without jitter and its full length, never above the limit, and never shrinks."""
    full = retry.delay_s(failures, 0.0)
    assert 0 <= retry.delay_s(failures, random) <= full <= retry.max_delay_s
    assert retry.delay_s(failures, random) >= full * (1 - retry.jitter) - 1e-9
    assert retry.delay_s(failures + 1, 0.0) >= full


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Steps in any order of writing, with needs that form no cycle."""
    steps = [f"s{i}" for i in range(draw(st.integers(1, 12)))]
    needs = {step: draw(st.lists(st.sampled_from(steps[:i]), unique=True)) if i else [] for i, step in enumerate(steps)}
    return {step: needs[step] for step in draw(st.permutations(steps))}


def document_of(needs: dict[str, list[str]], by_expression: bool = False) -> dict[str, Any]:
    def step(needed: list[str]) -> dict[str, Any]:
        if by_expression:
            return {"kind": "shell", "with": {"k": [f"${{{{ steps.{other}.output }}}}" for other in needed]}}
        return {"kind": "shell", "needs": needed}

    return {"name": "n", "steps": {name: step(needed) for name, needed in needs.items()}}


@UNHURRIED
@given(needs=graphs(), by_expression=st.booleans())
def test_the_order_is_topological_and_keeps_the_document_order(
    needs: dict[str, list[str]], by_expression: bool
) -> None:
    """Every step comes after its needs, and among those that are ready the first written comes first."""
    workflow = parse_definition(document_of(needs, by_expression))
    written = list(needs)
    left, expected = list(written), []
    while left:
        step = next(step for step in left if all(needed in expected for needed in needs[step]))
        expected.append(step)
        left.remove(step)
    assert list(workflow.steps) == expected
    assert all(workflow.steps[step].needs == tuple(sorted(needed)) for step, needed in needs.items())
    for step, dependents in workflow.dependents.items():
        assert list(dependents) == [other for other in expected if step in needs[other]]


@UNHURRIED
@given(needs=graphs(), data=st.data())
def test_a_graph_with_a_way_back_is_refused_as_a_cycle(needs: dict[str, list[str]], data: st.DataObject) -> None:
    """Closing any path makes a problem whose way really runs along needs, from a step to itself."""
    steps = list(needs)
    first = data.draw(st.sampled_from(steps))
    path = [first]
    for _ in range(data.draw(st.integers(0, len(steps)))):
        if not needs[path[-1]]:
            break
        path.append(data.draw(st.sampled_from(needs[path[-1]])))
    if len(path) == 1:
        return
    needs = {**needs, path[-1]: [*needs[path[-1]], first]}
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition(document_of(needs))
    for problem in caught.value.problems:
        assert problem.code == "definition.cycle"
        way = problem.message.partition("each other: ")[2].partition(";")[0].split(" → ")
        assert way[0] == way[-1]
        assert all(after in needs[before] for before, after in pairwise(way))


@UNHURRIED
@given(data=st.data())
def test_the_digest_does_not_depend_on_the_order_of_keys(data: st.DataObject) -> None:
    """Shuffling the keys of any mapping leaves the digest alone; the order of steps in the document is kept."""

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shuffled(value[key]) for key in data.draw(st.permutations(list(value)))}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    other = shuffled(FULL)
    workflow = parse_definition(other)
    assert workflow.digest == parse_definition(FULL).digest
    assert list(workflow.document["steps"]) == list(other["steps"])  # type: ignore[arg-type]  # a mapping, as above


def test_the_digest_depends_on_every_value() -> None:
    """Changing one value changes the digest, also from 1 to true or from 1 to "1"."""
    digests = set()
    for value in (1, True, "1", None, [1], {"a": 1}, 1.5):
        document = {"name": "n", "steps": {"a": {"kind": "shell", "with": {"k": value}}}}
        digests.add(parse_definition(document).digest)
    assert len(digests) == 7
    assert all(len(digest) == 64 for digest in digests)


def test_the_document_gives_the_same_definition_again() -> None:
    """A definition that was stored as JSON and read back is equal, order and all."""
    workflow = parse_definition(FULL)
    again = parse_definition(json.loads(json.dumps(workflow.document)))
    assert again == workflow
    assert list(again.steps) == list(workflow.steps)


def test_the_definition_shares_nothing_with_the_data_it_came_from() -> None:
    """Changing the data afterwards does not change the definition."""
    data = {"name": "n", "steps": {"a": {"kind": "shell", "with": {"k": [1]}}}}
    workflow = parse_definition(data)
    data["steps"]["a"]["with"]["k"].append(2)  # type: ignore[index]  # the shape is three lines above
    assert workflow.steps["a"].arguments.render({}) == {"k": [1]}


WORDS = ["a", "b", "${{ item + }}", "${{ steps.a.output }}", "${{ secrets.a }}", "any", "string", "shell", "\ud800"]
NAMES = [
    "name",
    "steps",
    "inputs",
    "outputs",
    "tools",
    "a",
    "b",
    "kind",
    "with",
    "needs",
    "when",
    "retry",
    "map",
    "items",
    "body",
    "compensate",
    "count",
    "key",
    "until",
    "max_iterations",
    "calls",
]
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS),
    lambda below: st.lists(below, max_size=3)
    | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), below, max_size=4),
    max_leaves=15,
)
JUNK_STEPS = st.fixed_dictionaries(
    {"kind": st.just("shell")},
    optional=dict.fromkeys(set(STEP_KEYS) - {"kind"}, JUNK),
)
JUNK_DOCUMENTS = st.fixed_dictionaries(
    {"name": st.just("n"), "steps": st.dictionaries(st.sampled_from("abc"), JUNK_STEPS, min_size=1)},
    optional=dict.fromkeys(
        set(DOCUMENT_KEYS) - {"name", "steps"}, JUNK | st.dictionaries(st.sampled_from("cde"), JUNK_STEPS)
    ),
)


@UNHURRIED
@given(data=JUNK | JUNK_DOCUMENTS)
def test_any_data_is_a_definition_or_invalid(data: Any) -> None:
    """Random data raises nothing but InvalidDefinition, with at least one problem and paths that are pointers."""
    try:
        assert parse_definition(data).steps
    except InvalidDefinition as error:
        assert {problem.path[:1] for problem in error.problems} & {"", "/"}  # noqa: PT017 - both ways are right


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("by_expression", [False, True])
def test_a_chain_of_ten_thousand_steps_is_read_quickly(backwards: bool, by_expression: bool) -> None:
    """Length meets no recursion limit, in either order of writing, and costs a fraction of a second."""
    steps = [f"s{i}" for i in range(10_000)]
    needs = {step: steps[i - 1 : i] if i else [] for i, step in enumerate(steps)}
    document = document_of(dict(reversed(needs.items())) if backwards else needs, by_expression)
    started_at = time.perf_counter()
    workflow = parse_definition(document)
    seconds = time.perf_counter() - started_at
    assert list(workflow.steps) == steps
    assert seconds < 5.0


def test_a_cycle_of_twenty_thousand_steps_is_found_quickly() -> None:
    """The longest possible cycle meets no recursion limit."""
    count = 20_000
    needs = {f"s{i}": [f"s{(i + 1) % count}"] for i in range(count)}
    started_at = time.perf_counter()
    with pytest.raises(InvalidDefinition, match="these 20000 steps wait for each other: s0 → s1"):
        parse_definition(document_of(needs))
    assert time.perf_counter() - started_at < 5.0
