"""Whether an answer has the shape that a command reads. Whoever answers may be anything: it is checked once, here."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

Shape: TypeAlias = "type | tuple[Shape, ...] | list[Shape] | Mapping[object, Shape] | Callable[[object], bool] | None"
"""A type; None; any of several; a list of one shape; names with their shapes, where one that ends in `?` may be missing
and the type `str` in place of a name stands for all; or a function that says whether a value fits."""


def is_time(value: object) -> bool:
    """Whether a value is a moment as the API writes it."""
    if not isinstance(value, str):
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def misfit(value: object, shape: Shape, place: str = "") -> str | None:
    """The place of the first value that does not fit, as a JSON Pointer ("" is the whole); None when all do."""
    if isinstance(shape, tuple):
        places = [misfit(value, each, place) for each in shape]
        return None if None in places else max(filter(None, places), key=len, default=place)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return place
        return _first(misfit(each, shape[0], f"{place}/{number}") for number, each in enumerate(value))
    if isinstance(shape, Mapping):
        return _misfit_in(value, shape, place)
    if shape is None:
        return None if value is None else place
    if isinstance(shape, type):
        # A truth value is an int in Python, and none in JSON; a whole number is as good as a float.
        is_right = type(value) in (int, float) if shape is float else isinstance(value, shape)
        return place if not is_right or (isinstance(value, bool) and shape is int) else None
    return None if shape(value) else place


def _first(places: Any) -> str | None:
    return next((place for place in places if place is not None), None)


def _misfit_in(value: object, shape: Mapping[object, Shape], place: str) -> str | None:
    if not isinstance(value, dict):
        return place
    if str in shape:
        return _first(misfit(each, shape[str], f"{place}/{name}") for name, each in value.items())
    for name, wanted in shape.items():
        key = str(name).removesuffix("?")
        if key in value:
            found = misfit(value[key], wanted, f"{place}/{key}")
            if found is not None:
                return found
        elif key == name:
            return f"{place}/{key}"
    return None


TEXT: Final[Shape] = (str, None)
TIME: Final[Shape] = (is_time, None)
OBJECT: Final[Shape] = {str: object}
ERROR: Final[Shape] = ({"code": str, "message": str}, None)
WAIT: Final[Shape] = {"kind": str, "to?": [object]}
_RUN: Final[dict[object, Shape]] = {
    "status": str,
    "attempt": int,
    "error?": ERROR,
    "due_at?": TIME,
    "waits_on?": (WAIT, None),
    "why?": TEXT,
    "started_at": TIME,
    "finished_at": TIME,
}
_FACTS: Final[dict[object, Shape]] = {
    "id": str,
    "name": str,
    "status": str,
    "started_at": TIME,
    "finished_at": TIME,
    "error": ERROR,
}
LINE: Final[Shape] = _FACTS
WORKFLOW: Final[Shape] = _FACTS | {
    "seq": int,
    "phase": str,
    "updated_at": TIME,
    "template": TEXT,
    "version?": TEXT,
    "by?": TEXT,
    "reason": TEXT,
    "labels": {str: str},
    "origin": ({"workflow": str}, None),
    "parent": ({"workflow": str, "step": str}, None),
    "budget": ({str: float}, None),
    "spent": {str: float},
    "failed_step": TEXT,
    "failed_item": (int, None),
    "inputs": OBJECT,
    "outputs": object,
    "outputs_ref?": ({"sha256": str, "size_bytes": int, "media_type": str}, None),
    "steps": {str: _RUN | {"items?": ([_RUN], None)}},
}
EVENT: Final[Shape] = {"seq": int, "workflow_id": str, "type": str, "at": is_time, "data": OBJECT}
STARTED: Final[Shape] = {"id": str, "name": str}
DONE: Final[Shape] = {"id": str, "seq": int}
