"""Reads what holds for a workflow as a whole: its priority, its budget, and how many of its kind run at once."""

from maestro_workflow_engine._definition import UNITS, Concurrency
from maestro_workflow_engine._json import JSON, json_kind
from maestro_workflow_engine._parse_flow import MAX_PARALLEL
from maestro_workflow_engine._parse_values import MAX_AMOUNT, Values

MAX_PRIORITY = 100

CONCURRENCY_KEYS = ("key", "limit", "when_full")
WHEN_FULL = ("queue", "cancel_oldest")


def read_priority(values: Values, document: dict[str, JSON]) -> int:
    """From -100 to 100, 0 without it; the highest goes first."""
    return values.integer("", document, "priority", MAX_PRIORITY, least=-MAX_PRIORITY) or 0


def read_concurrency(values: Values, document: dict[str, JSON]) -> Concurrency | None:
    """How many workflows of one key run at once."""
    raw, path = document.get("concurrency"), "/concurrency"
    if "concurrency" not in document:
        return None
    if not isinstance(raw, dict):
        message = f"concurrency is a mapping with a key, not {json_kind(raw)}: write {{key: '${{{{ inputs.… }}}}'}}"
        values.report.add(path, "wrong-type", message)
        return None
    values.report.check_keys(path, raw, CONCURRENCY_KEYS, "concurrency")
    limit = values.integer(path, raw, "limit", MAX_PARALLEL) or 1
    when_full = values.word(path, raw, "when_full", WHEN_FULL)
    if "key" not in raw:
        values.report.add(
            path, "missing-key", "concurrency has no 'key': workflows whose key is the same share the limit"
        )
        return None
    key = values.title(f"{path}/key", raw["key"], "key")
    return Concurrency(key, limit, "queue" if when_full == "queue" else "cancel_oldest") if key is not None else None


def read_budget(values: Values, document: dict[str, JSON]) -> dict[str, float] | None:
    """What a workflow may use up, by unit."""
    raw, path = document.get("budget"), "/budget"
    if "budget" not in document:
        return None
    if not isinstance(raw, dict):
        message = f"budget is a mapping from unit to number, not {json_kind(raw)}: its units are {', '.join(UNITS)}"
        values.report.add(path, "wrong-type", message)
        return None
    values.report.check_keys(path, raw, UNITS, "budget")
    return {unit: values.number(path, raw, unit, 0.0, MAX_AMOUNT, 0.0) for unit in raw if unit in UNITS}
