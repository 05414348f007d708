"""Random and mutated definitions: each is refused with its problems, or it runs to an end; nothing crashes or hangs."""

import math
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_workflow_engine.fuzz_kit import HOSTILE, KEYS, bounded, mutated, texts, trials
from libraries.maestro_workflow_engine.model_plans import Plan, random_plan
from libraries.maestro_workflow_engine.model_world import World

from maestro_workflow_engine import InvalidDefinition, WorkflowDefinition, parse_definition
from maestro_workflow_engine._commands import Start
from maestro_workflow_engine._errors import InvalidInputs

CALLS = 400_000
"""Enough for the largest document here many times over."""
SEEDS = st.integers(0, 2**48)
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(HOSTILE) | st.text(max_size=8) | st.integers() | st.floats(),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), below, max_size=5)
    ),
    max_leaves=20,
)  # fmt: skip


def parsed(document: Any) -> WorkflowDefinition | None:
    """The definition, or None when it was refused with problems that can be read."""
    refusal: InvalidDefinition | None = None
    try:
        with bounded(CALLS):
            return parse_definition(document)
    except InvalidDefinition as refused:
        refusal = refused
    assert refusal.problems
    assert all(problem.message and len(str(problem)) < 3_000 for problem in refusal.problems)
    assert str(refusal).encode()
    return None


@trials(300, 20_000)
@given(JUNK)
def test_junk_is_refused_with_its_problems(document: Any) -> None:
    """Whatever it is: a list of problems comes back, each with a place and a message."""
    assert parsed(document) is None or isinstance(document, dict)


@trials(500, 30_000)
@given(SEEDS)
def test_a_mutated_definition_is_refused_or_runs_to_its_end(seed: int) -> None:
    """What parses can be run: the law ends it, its books are right, and its history replays."""
    random = Random(seed)
    plan = random_plan(random, calm=True)
    document = mutated(plan.document, random)
    definition = parsed(document)
    if definition is None:
        return
    assert parse_definition(definition.document) == definition
    if any(step.kind == "workflow" for step in definition.steps.values()):
        return  # what children are given is the engine's
    try:
        inputs = definition.resolve_inputs(
            {name: value for name, value in plan.inputs.items() if name in definition.inputs}
        )
    except InvalidInputs:
        return
    world = World(Plan(document, definition, plan.inputs), random).run(Start(inputs))
    world.check_history()
    assert is_plain(world.state.outputs)


@trials(300, 10_000)
@given(SEEDS)
def test_a_secret_is_taken_only_where_it_is_never_stored(seed: int) -> None:
    """In `with` and `tools`, and nowhere else: also in a body, and whatever else is wrong."""
    random = Random(seed)
    plan = random_plan(random, calm=True)
    document = plan.document
    if random.random() < 0.3:
        document = {"name": "outer", "steps": {"child": {"body": document, "with": {"inputs": {"x": 1, "list": []}}}}}
    ways = [way for way, _ in texts(document)]
    way = random.choice(ways)
    holder: Any = document
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = random.choice(["${{ secrets.KEY }}", "is ${{ secrets.KEY }}!", "${{ default(secrets.KEY, 1) }}"])
    definition = parsed(document)
    if definition is not None:
        assert "with" in way or "tools" in way, way


def is_plain(value: Any) -> bool:
    """Whether it is JSON."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(below) for key, below in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))
