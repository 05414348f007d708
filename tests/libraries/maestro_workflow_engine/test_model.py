"""The law against a naive model: random workflows of all features, in a world where anything may happen."""

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_workflow_engine.fuzz_kit import trials
from libraries.maestro_workflow_engine.model_plans import SAFE_CHANGES, changed, random_plan
from libraries.maestro_workflow_engine.model_world import World

from maestro_workflow_engine._commands import Start
from maestro_workflow_engine._events import TERMINAL_TYPES

SEEDS = st.integers(0, 2**48)


@trials(300, 10_000)
@given(SEEDS)
def test_whatever_happens_the_law_agrees_with_the_model(seed: int) -> None:
    """Each event is allowed, nothing is left behind, and the history replays without a difference."""
    random = Random(seed)
    plan = random_plan(random)
    world = World(plan, random).run(Start(plan.definition.resolve_inputs(plan.inputs), by="ann"))
    types = [event.type for event in world.events]
    assert [type_ in TERMINAL_TYPES for type_ in types].index(True) == len(types) - 1
    assert world.referee.ended == world.state.status
    world.check_history()


@trials(60, 2_000)
@given(SEEDS)
def test_what_is_reused_never_changes_a_result(seed: int) -> None:
    """Running again, whatever happened before and whatever was changed, gives what a fresh run gives."""
    random = Random(seed)
    plan = random_plan(random, joins=False)
    first = World(plan, random).run(Start(plan.definition.resolve_inputs(plan.inputs)))
    calm = random_plan(random, calm=True, joins=False)
    again = changed(plan.document, random, SAFE_CHANGES) or (plan.document, plan.definition)
    inputs = again[1].resolve_inputs(random.choice([plan.inputs, calm.inputs]))
    wanted = frozenset(step_id for step_id in first.state.steps if random.random() < 0.2)
    origin: dict[str, Any] = {"workflow": "w", "seq": first.state.seq, "from": sorted(wanted & set(again[1].steps))}
    second = World(calm, random, origin=first.state, document=again).run(Start(inputs, origin=origin))
    fresh = World(calm, random, document=again).run(Start(inputs))
    assert second.state.status == fresh.state.status
    assert second.state.outputs == fresh.state.outputs
    reused = [event.data["step"] for event in second.events if event.type == "step.reused"]
    assert not set(reused) & wanted
    second.check_history()
