"""What a waiting run of a step waits for, in words."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from maestro_workflow_engine._events import time_as_text
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._ports import Cause
from maestro_workflow_engine._spans import span
from maestro_workflow_engine._state import ItemState, Place


def waiting_cause(place: Place, run: ItemState, now: datetime, because: tuple[Cause, ...]) -> Cause:
    """Why a run with the status `waiting` does not go on."""
    detail: dict[str, JSON] = {}
    if run.due_at is not None:
        detail["due_at"] = time_as_text(run.due_at)
    left = None if run.due_at is None else span(max(0.0, (run.due_at - now).total_seconds()))
    on = None if run.wait is None else run.wait.on
    if run.wait is None or on is None:
        what = "the next iteration begins" if run.wait is None else "it goes on"
        until = "as soon as it can" if left is None else f"in {left}, at {time_as_text(run.due_at or now)}"
        return Cause("timer", f"{what} {until}", *place, detail, because)
    kind = str(on["kind"])
    detail["since"] = time_as_text(run.wait.since)
    detail.update({name: on[name] for name in _DETAIL.get(kind, ()) if name in on})
    message = f"{_said(kind, on)}, for {span(max(0.0, (now - run.wait.since).total_seconds()))} so far"
    if left is not None:
        message += f"; in {left} that is over"
    return Cause(kind, message, *place, detail, because)


_DETAIL = {
    "approval": ("title", "to", "escalation"),
    "signal": ("name",),
    "event": ("type", "match"),
    "workflow": ("workflow", "template", "version"),
    "budget": ("unit", "needed", "left"),
}
"""What of the thing that is waited for is told again."""


def _said(kind: str, on: Mapping[str, Any]) -> str:
    if kind == "approval":
        to = on.get("to")
        who = " or ".join(map(repr, to)) if isinstance(to, list) and to else "somebody"
        return f"it waits for {who} to approve {on.get('title')!r}"
    if kind == "signal":
        return f"it waits for the signal {on.get('name')!r}"
    if kind == "event":
        which = f" with {on['match']}" if on.get("match") else ""
        return f"it waits for an event of type {on.get('type')!r}{which}"
    if kind == "workflow":
        return f"it waits for the child workflow {on.get('workflow')!r} to end"
    if kind == "budget":
        unit, needed, left = on.get("unit"), on.get("needed", 0.0), on.get("left", 0.0)
        return f"the budget is used up: it needs {needed:g} {unit} and {left:g} are left; it waits for a larger budget"
    return f"it waits for an answer ({kind})"
