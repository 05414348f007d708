"""What a limit or a concurrency key says to a person who asks why a step has not begun."""

from typing import Final

from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._limits._gate import Gate
from maestro_workflow_engine._limits._groups import Group
from maestro_workflow_engine._ports import Cause
from maestro_workflow_engine._run import Run
from maestro_workflow_engine._spans import span
from maestro_workflow_engine._state import Place

_SHOWN: Final = 10


def gate_cause(gate: Gate, now: float, place: Place, waiting: int) -> Cause:
    """Why a limit holds up a place; `waiting` counts all that it holds up."""
    figures = gate.figures
    detail: dict[str, JSON] = {"limit": figures.name, "waiting": waiting, "running": gate.running}
    refusal = gate.refusal(now)
    if refusal is None:
        return Cause("turn", f"the limit {figures.name!r} lets it begin; others go first", *place, detail)
    kind = refusal.reason
    if kind == "paused":
        message = f"the limit {figures.name!r} is paused: nothing begins under it until somebody lets it go on"
        return Cause("limit", message, *place, {**detail, "is_paused": True})
    if kind == "parallel":
        message = f"the limit {figures.name!r} lets {figures.max_parallel} run at once, and {gate.running} run now"
        return Cause("limit", message, *place, {**detail, "max_parallel": figures.max_parallel})
    soon = "" if refusal.wait_s is None else span(refusal.wait_s)
    if refusal.wait_s is not None:
        detail["wait_s"] = round(refusal.wait_s, 3)
    if kind == "rate":
        count, per_s = figures.rate_count, figures.rate_per_s
        message = f"the limit {figures.name!r} lets {count} begin per {span(per_s)}; the next one may in {soon}"
        return Cause("rate", message, *place, {**detail, "rate_count": count, "rate_per_s": per_s})
    why = f"the breaker of the limit {figures.name!r} is open: {figures.breaker_failures} attempts in a row had failed"
    what = f"in {soon} one goes through as a trial" if soon else "one goes through as a trial now, and decides"
    return Cause("breaker", f"{why}; {what}", *place, detail)


def concurrency_cause(group: Group, run: Run, place: Place) -> Cause:
    """Why a workflow is not dispatched while others hold the slots of its key."""
    rules = run.definition.concurrency
    limit = len(group.holders) if rules is None else rules.limit
    holders: list[JSON] = [holder.id for holder in group.holders]
    shown = ", ".join(repr(holder) for holder in holders[:_SHOWN]) + (", …" if len(holders) > _SHOWN else "")
    many = "workflow" if limit == 1 else "workflows"
    message = f"only {limit} {many} with the key {group.key!r} may run at once: {shown} must end first"
    return Cause("concurrency", message, *place, {"key": group.key, "limit": limit, "holders": holders[:_SHOWN]})
