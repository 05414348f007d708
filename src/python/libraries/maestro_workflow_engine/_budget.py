"""Budgets: what an attempt reserves, and whether there is room for it."""

import math
from typing import cast

from maestro_workflow_engine._definition import UNITS
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._state import WorkflowState
from maestro_workflow_engine._step_errors import BadCost

_ROUNDING = 1e-9


def reservation(cost: JSON) -> dict[str, float]:
    """A rendered cost as numbers by unit; raises BadCost."""
    reserve: dict[str, float] = {}
    for unit, amount in (cost if isinstance(cost, dict) else {}).items():
        is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
        if unit not in UNITS or not is_number or not math.isfinite(cast(float, amount)) or cast(float, amount) < 0:
            raise BadCost(f"/cost/{unit}: a number from 0 on was expected for one of {', '.join(UNITS)}")
        reserve[unit] = float(cast(float, amount))
    return reserve


def lacking(state: WorkflowState, reserve: dict[str, float]) -> dict[str, JSON] | None:
    """The first unit that the budget has too little of, what is needed and what is left; None: there is room."""
    for unit, needed in reserve.items():
        if state.budget is not None and unit in state.budget:
            left = state.budget[unit] - state.spent.get(unit, 0.0) - state.reserved.get(unit, 0.0)
            if needed > left + _ROUNDING:
                return {"unit": unit, "needed": needed, "left": max(0.0, left)}
    return None
