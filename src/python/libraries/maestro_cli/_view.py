"""Shows one workflow with its steps, to a person."""

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from maestro_cli._table import ago, print_table, until
from maestro_cli._text import duration_text, has_symbols, plain

_SYMBOLS: Final = {
    # status: (symbol, symbol where the encoding is poor)
    "succeeded": ("✓", "+"),
    "failed": ("✗", "x"),
    "skipped": ("–", "-"),
    "cancelled": ("■", "#"),
    "running": ("●", "*"),
    "scheduled": ("○", "o"),
    "retrying": ("↻", "~"),
    "waiting": ("◌", "z"),
    "pending": ("·", "."),
}
_LONGEST_VALUE: Final = 400
_MOST_ITEMS: Final = 20


def print_workflow(state: Mapping[str, Any], *, is_past: bool) -> None:
    """Print what there is to say of it, then its steps as a table; with `is_past`, times count until that state."""
    now = datetime.fromisoformat(state["updated_at"]) if is_past and state["updated_at"] else datetime.now(UTC)
    print(f"{plain(state['name'])} · {plain(state['id'])} · {plain(state['status'])}")
    for name, value in _facts(state, now):
        text = plain(value)
        print(f"  {name:<10} {text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '… (--json shows all)'}")
    rows = list(_rows(state, now))
    if rows:
        print()
        print_table(("", "step", "status", "try", "took", "about"), rows, whole=("", "step"), spare=("try", "took"))


def _facts(state: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    by = f" by {state['by']}" if state.get("by") else ""
    facts = {
        "phase": None if state["phase"] == "main" or state["finished_at"] else state["phase"],
        "template": state["template"] and "@".join(filter(None, (state["template"], state.get("version")))),
        "started": f"{ago(state['started_at'], now)}{by}" if state["started_at"] else None,
        "took": state["finished_at"] and took_text(state),
        "reason": state["reason"],
        "labels": " ".join(f"{name}={value}" for name, value in state["labels"].items()),
        "runs again": state["origin"] and state["origin"]["workflow"],
        "child of": state["parent"] and f"{state['parent']['workflow']} (step {state['parent']['step']})",
        "budget": state["budget"] and _budget(state),
        "error": state["error"] and error_text(state["error"], state),
        "inputs": state["inputs"] and _json(state["inputs"]),
        "outputs": None if state["outputs"] is None else _json(state["outputs"]),
    }
    for name, value in facts.items():
        if value:
            yield name, str(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def error_text(error: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> str:
    """An error on one line, with the step that failed where a state names it."""
    text = " ".join(str(error["message"] or error["code"]).split())
    if state is not None and state["failed_step"]:
        item = "" if state["failed_item"] is None else f"[{state['failed_item']}]"
        text = f"{state['failed_step']}{item}: {text}"
    return f"{text} ({error['code']})" if state is not None else text


def _budget(state: Mapping[str, Any]) -> str:
    spent = state["spent"]
    return ", ".join(f"{unit} {spent.get(unit, 0):g} of {limit:g}" for unit, limit in state["budget"].items())


def _rows(state: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, ...]]:
    for name, step in state["steps"].items():
        items = step.get("items")
        done = "" if items is None else f"{sum(item['status'] == 'succeeded' for item in items)}/{len(items)} items"
        yield _row(name, step, now, done)
        open_items = [(i, item) for i, item in enumerate(items or ()) if item["status"] not in ("succeeded", "pending")]
        for index, item in open_items[:_MOST_ITEMS]:
            yield _row(f"{name}[{index}]", item, now, "")
        if len(open_items) > _MOST_ITEMS:
            yield "", "", "", "", "", f"… and {len(open_items) - _MOST_ITEMS} more items (--json shows all)"


def _row(name: str, run: Mapping[str, Any], now: datetime, done: str) -> tuple[str, ...]:
    status = run["status"]
    rich, poor = _SYMBOLS.get(status, ("?", "?"))
    about = " · ".join(part for part in (done, _note(run, now)) if part)
    symbol = rich if has_symbols(sys.stdout) else poor
    return symbol, name, status, str(run["attempt"] or ""), _took(run, now), about


def _took(run: Mapping[str, Any], now: datetime) -> str:
    if run["started_at"] is None or run["status"] in ("pending", "scheduled"):
        return ""
    return took_text(run, now)


def took_text(run: Mapping[str, Any], now: datetime | None = None) -> str:
    """From its start to its end, or to `now` where it has none; empty when there is neither."""
    end = datetime.fromisoformat(run["finished_at"]) if run["finished_at"] is not None else now
    if end is None or run["started_at"] is None:
        return ""
    return duration_text(max(0.0, (end - datetime.fromisoformat(run["started_at"])).total_seconds()))


def _note(run: Mapping[str, Any], now: datetime) -> str:
    on = run.get("waits_on")
    if run["status"] == "waiting" and on:
        due = run.get("due_at")
        return " ".join(filter(None, ("waits on", on["kind"], subject_of(on), due and f"(ends {until(due, now)})")))
    if run.get("due_at"):
        return f"goes on {until(run['due_at'], now)}" + (f": {error_text(run['error'])}" if run.get("error") else "")
    if run.get("error"):
        return error_text(run["error"])
    return str(run.get("why") or "")


def subject_of(on: Mapping[str, Any]) -> str:
    """What exactly is waited for, in a word or two."""
    return str(next((on[key] for key in ("title", "name", "type", "workflow", "unit") if on.get(key)), ""))
