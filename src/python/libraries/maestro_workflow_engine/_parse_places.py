"""What an expression may read, by the place where it stands."""

from typing import Final, NamedTuple

from maestro_workflow_engine._definition import Phase

_BEFORE_MAP = "it is worked out once, before the runs for each item: read inputs and steps only"
_ONCE = "it is worked out once for the whole workflow: read inputs and steps only"
_TOOLS_ARE_FIXED = "tools are the same for all steps: read inputs and workflow only"
_AT_THE_START = "it is worked out when the workflow starts: read inputs and workflow only"
_NO_MAP = "this step has no map: add one, or read inputs and steps only"
_NO_REPEAT = "this step has no repeat: add one, or read inputs and steps only"

_OPEN: Final = {
    "with": frozenset(("steps", "item", "index", "previous", "iteration", "secrets")),
    "when": frozenset(("steps",)),
    "map.items": frozenset(("steps",)),
    "repeat.until": frozenset(("steps", "output", "iteration")),
    "limits": frozenset(("steps", "item", "index")),
    "cost": frozenset(("steps",)),
    "compensate.with": frozenset(("steps", "item", "index", "output", "secrets")),
    "tools": frozenset(("secrets",)),
    "outputs": frozenset(("steps",)),
    "concurrency.key": frozenset[str](),
}
"""The roots beside `inputs` and `workflow` that can be read at each place."""
_WHY_NO_ITEM: Final = {
    "when": _BEFORE_MAP,
    "map.items": _BEFORE_MAP,
    "repeat.until": "read output, which is that of this iteration and item, or inputs and steps",
    "cost": "it is the same for all items: read inputs and steps only",
    "tools": _TOOLS_ARE_FIXED,
    "outputs": _ONCE,
    "concurrency.key": _AT_THE_START,
}
_WHERE: Final = {
    "previous": "previous can be read only in `with` of a step that repeats",
    "iteration": "iteration can be read only in `with` and `until` of a step that repeats",
    "output": "output can be read only in repeat.until and compensate.with: elsewhere it is steps.<id>.output",
    "secrets": "a secret can be read only in `with` and `tools`, so that it is never stored",
}
_AT_THE_END: Final = frozenset(("status", "error", "failed_step"))


class Place(NamedTuple):
    """Where a template stands: at which key, and in what kind of step."""

    name: str
    phase: Phase
    step: str | None = None
    maps: bool = False
    repeats: bool = False


def refusal(place: Place, names: tuple[str, ...]) -> tuple[str, str] | None:
    """Why something cannot be read at a place, as (code, message); None when it can."""
    root = names[0]
    if root == "workflow":
        return _workflow_refusal(place, names[1])
    is_open = root in _OPEN[place.name]
    if root == "steps":
        if not is_open:
            reason = _TOOLS_ARE_FIXED if place.name == "tools" else _AT_THE_START
            return "unreadable", f"no step can be read here: {reason}"
        return _own_refusal(place, names[2]) if names[1] == place.step else None
    if root in ("item", "index"):
        if is_open and place.maps:
            return None
        return "item-outside-map", f"{root} has no value here: {_WHY_NO_ITEM.get(place.name, _NO_MAP)}"
    if not is_open:
        return "unreadable", _WHERE[root]
    if place.name == "with" and root in ("previous", "iteration") and not place.repeats:
        return "unreadable", f"{root} has no value here: {_NO_REPEAT}"
    return None


def _own_refusal(place: Place, field: str) -> tuple[str, str]:
    if place.name == "repeat.until":
        return "self-reference", f"a step cannot read its own {field} so: read `output`, that of this iteration"
    if place.repeats and place.name == "with":
        return "self-reference", f"a step cannot read its own {field}: read `previous`, or a step before it"
    return "self-reference", f"a step cannot read its own {field}: read one before it"


def _workflow_refusal(place: Place, field: str) -> tuple[str, str] | None:
    if field not in _AT_THE_END or place.phase != "main":
        return None
    return (
        "unreadable",
        f"workflow.{field} can be read only in on_failure, finally and compensate: before, it is not known",
    )
