"""Random workflow definitions that use every feature the law knows, and random changes of them."""

import copy
from dataclasses import dataclass
from random import Random
from typing import Any

from maestro_workflow_engine import InvalidDefinition, WorkflowDefinition, parse_definition

INTERFERENCE = (
    "crash", "pause", "retry", "skip", "cancel", "force", "time up", "budget", "priority", "signal", "migrate", "late",
    "clock",
)  # fmt: skip
"""What may come between."""


@dataclass(frozen=True)
class Plan:
    """A definition, how its steps behave, and what comes between."""

    document: dict[str, Any]
    definition: WorkflowDefinition
    inputs: dict[str, Any]
    interference: tuple[str, ...] = ()
    unrest: float = 0.0
    """How often something of it happens."""
    trouble: float = 0.0
    """How likely an attempt fails."""
    waits: float = 0.0
    """How likely an attempt waits."""


def random_plan(random: Random, *, calm: bool = False, joins: bool = True) -> Plan:
    """Up to seven steps with everything that steps can have; `calm`: nothing fails by itself, nothing comes between."""
    document = _document(random, joins=joins, spoiled=0.0 if calm else 0.04)
    interference = () if calm else tuple(random.sample(INTERFERENCE, random.choice([0, 1, 2, 4, 8])))
    return Plan(
        document,
        parse_definition(document),
        random_inputs(random),
        interference,
        unrest=random.choice([0.05, 0.15, 0.4]) if interference else 0.0,
        trouble=0.0 if calm else random.choice([0.0, 0.1, 0.3]),
        waits=0.0 if calm else random.choice([0.0, 0.1, 0.3]),
    )


def random_inputs(random: Random) -> dict[str, Any]:
    """What a start gives."""
    return {"x": random.randint(0, 6), "list": [random.randint(0, 9) for _ in range(random.randint(0, 4))]}


CHANGES = ("argument", "drop", "add", "setting", "map", "undo", "join", "cost")
SAFE_CHANGES = CHANGES[:6]
"""Those after which the outputs still follow from the inputs alone."""


def changed(
    document: dict[str, Any], random: Random, changes: tuple[str, ...] = CHANGES
) -> tuple[dict[str, Any], WorkflowDefinition] | None:
    """The document with some changes; None when they do not fit together."""
    other = copy.deepcopy(document)
    steps = other["steps"]
    for _ in range(random.randint(1, 3)):
        what = random.choice(changes)
        step_id = random.choice(sorted(steps))
        step = steps[step_id]
        if what == "argument":
            step["with"]["version"] = random.randint(0, 3)
        elif what == "drop" and len(steps) > 1:
            del steps[step_id]
            _forget(other, step_id)
        elif what == "add":
            new = f"s{random.randint(0, 7)}"
            if new not in steps:
                steps[new] = _step(
                    random, new, [each for each in steps if each != new], spoiled=0.0, joins="join" in changes
                )
        elif what == "setting":
            step["on_error"] = random.choice(["fail", "continue"])
            step["retry"] = random.randint(1, 3)
        elif what == "join" and step.get("needs"):
            step["join"] = random.choice(["any", "all", len(step["needs"])])
        elif what == "cost":
            step["cost"] = {"tokens": random.choice([0, 1, 3, "${{ 0 - inputs.x }}"])}
        elif what == "map":
            step["map"] = {"items": random.choice(["${{ inputs.list }}", "${{ range(2) }}", "${{ range(0) }}"])}
        elif what == "undo":
            step["compensate"] = {"kind": "undo"}
    try:
        return other, parse_definition(other)
    except InvalidDefinition:
        return None


def _forget(document: dict[str, Any], gone: str) -> None:
    """Nobody refers to a step any more."""
    document["outputs"].pop(gone, None)
    for step in document["steps"].values():
        step["needs"] = [need for need in step.get("needs", []) if need != gone]
        step["with"].pop(gone, None)
        join = step.get("join")
        count = join.get("count") if isinstance(join, dict) else join
        if not step["needs"] or (isinstance(count, int) and count > len(step["needs"])):
            step.pop("join", None)
        for key in ("when", "cost"):
            if f"steps.{gone}." in str(step.get(key)):
                step.pop(key, None)


def _document(random: Random, *, joins: bool, spoiled: float) -> dict[str, Any]:
    steps: dict[str, Any] = {}
    for number in range(random.randint(1, 7)):
        steps[f"s{number}"] = _step(random, f"s{number}", list(steps), spoiled=spoiled, joins=joins)
    document: dict[str, Any] = {
        "name": "random",
        "inputs": {"x": {"type": "integer", "default": 2}, "list": {"type": "array", "default": []}},
        "steps": steps,
        "outputs": {step_id: f"${{{{ steps.{step_id}.output }}}}" for step_id in steps},
    }
    for phase, prefix, likely in (("on_failure", "f", 0.3), ("finally", "z", 0.4)):
        if random.random() < likely:
            late: dict[str, Any] = {}
            for number in range(random.randint(1, 3)):
                late[f"{prefix}{number}"] = _step(random, f"{prefix}{number}", list(late), spoiled=spoiled, late=True)
            document[phase] = late
    if random.random() < 0.4:
        document["budget"] = {"tokens": random.choice([3, 6, 12]), "calls": random.choice([2, 5, 20])}
    if random.random() < 0.3:
        document["timeout_s"] = random.choice([20, 100])
    if random.random() < 0.2:
        document["priority"] = random.randint(-3, 3)
    if random.random() < spoiled:
        document["outputs"]["bad"] = "${{ inputs.list[99] }}"
    return document


def _step(
    random: Random, step_id: str, earlier: list[str], *, spoiled: float, late: bool = False, joins: bool = True
) -> dict[str, Any]:
    needs = [other for other in earlier if random.random() < 0.5]
    arguments: dict[str, Any] = {need: f"${{{{ steps.{need}.output }}}}" for need in needs if random.random() < 0.7}
    step: dict[str, Any] = {"kind": "test", "needs": needs, "with": arguments}
    if random.random() < 0.3:
        arguments["x"] = "${{ inputs.x }}"
    if random.random() < 0.4:
        step["retry"] = {"max_attempts": random.randint(1, 3), "initial_delay_s": random.choice([0, 5])}
    if random.random() < 0.25:
        step["when"] = _condition(random, needs, spoiled)
    if random.random() < 0.3:
        items = random.choice(["${{ range(0) }}", "${{ range(3) }}", "${{ inputs.list }}"])
        step["map"] = {"items": "${{ inputs.x }}" if random.random() < spoiled else items}
        arguments["item"] = "${{ item }}"
        if random.random() < 0.6:
            step["map"]["max_parallel"] = random.randint(1, 3)
    if needs and joins and random.random() < 0.3:
        step["join"] = random.choice(["any", random.randint(1, len(needs)), {"count": "any", "cancel_rest": True}])
    if random.random() < 0.2:
        arguments["turn"] = "${{ iteration }}"
        until = random.choice(["${{ iteration >= 2 }}", "${{ output.n >= inputs.x }}", "${{ output.n > 3 }}"])
        step["repeat"] = {"until": until, "max_iterations": random.randint(2, 6), "delay_s": random.choice([0, 0, 3])}
        if random.random() < spoiled:
            step["repeat"]["until"] = "${{ output.nothing }}"
    if random.random() < 0.25:
        step["on_error"] = "continue"
    if not late and random.random() < 0.35:
        step["compensate"] = {"kind": "undo", "with": {"of": "${{ output }}"}, "retry": random.randint(1, 2)}
    if random.random() < 0.4:
        step["cost"] = _cost(random, needs, spoiled)
    return step


def _condition(random: Random, needs: list[str], spoiled: float) -> Any:
    if random.random() < spoiled:
        return "${{ inputs.x }}"
    if needs and random.random() < 0.5:
        return f"${{{{ steps.{random.choice(needs)}.status == 'succeeded' }}}}"
    return random.choice([False, "${{ inputs.x > 2 }}"])


def _cost(random: Random, needs: list[str], spoiled: float) -> dict[str, Any]:
    if random.random() < spoiled:
        return {"tokens": random.choice(["${{ 0 - 1 }}", "${{ 'many' }}"])}
    if needs and random.random() < 0.2:
        return {"tokens": f"${{{{ len(steps.{random.choice(needs)}.status) - 4 }}}}"}
    return {"tokens": random.choice([0, 1, 2, 5, "${{ inputs.x }}"]), "calls": random.choice([0, 1])}
