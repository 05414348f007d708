"""Commands to a running workflow: `maestro cancel`, `pause`, `resume`, `retry`, `skip`, `signal`, `rerun` …"""

from argparse import Namespace
from typing import Any

from maestro_cli._api import path_of
from maestro_cli._client import api_of, print_json, told, workflow_id
from maestro_cli._errors import BadUsage
from maestro_cli._shape import DONE, STARTED, Shape
from maestro_cli._table import print_table
from maestro_cli._text import plain
from maestro_cli._values import file_text, given, json_value, named_values, pairs

_STEPS: Shape = {"steps": {str: {"status": str, "why?": (str, None)}}}


def _order(options: Namespace, done: str, body: dict[str, Any] | None, *path: str, method: str = "POST") -> int:
    """Send one command to the workflow that was meant, and say that it is stored."""
    api = api_of(options)
    id_ = workflow_id(api, options.workflow)
    return told(options, api.send(method, path_of("workflows", id_, *path), body, DONE), f"{id_}: {done}")


def cancel(options: Namespace) -> int:
    """Cancel a workflow."""
    body = given(reason=options.reason, force=options.force or None)
    return _order(options, "is being cancelled", body, "cancel")


def pause(options: Namespace) -> int:
    """Pause a workflow."""
    return _order(options, "is paused; what runs may end", given(reason=options.reason), "pause")


def resume(options: Namespace) -> int:
    """Resume a workflow."""
    return _order(options, "goes on", None, "resume")


def signal(options: Namespace) -> int:
    """Send a signal."""
    payload = None if options.payload is None else json_value(options.payload, "the payload")
    body = {"name": options.name, "payload": payload, **given(id=options.id)}
    return _order(options, f"has the signal {options.name}", body, "signals")


def retry(options: Namespace) -> int:
    """Try a retrying step at once."""
    return _order(options, f"tries {options.step} now", given(item=options.item), "steps", options.step, "retry")


def skip(options: Namespace) -> int:
    """Skip a step."""
    body = given(item=options.item, reason=options.reason)
    if options.output is not None:
        body["output"] = json_value(options.output, "--output")
    return _order(options, f"counts {options.step} as done", body, "steps", options.step, "skip")


def budget(options: Namespace) -> int:
    """Set the limits of a budget."""
    amounts: dict[str, float] = {}
    for unit, text in pairs(options.amount, "the budget").items():
        try:
            amounts[unit] = float(text)
        except ValueError:
            raise BadUsage(f"{plain(unit)} takes a number, not {plain(text)!r}") from None
    return _order(options, "has a new budget", amounts, "budget", method="PUT")


def rerun(options: Namespace) -> int:
    """Run a workflow again."""
    api = api_of(options)
    id_ = workflow_id(api, options.workflow)
    body: dict[str, Any] = {"from_steps": options.from_step, **given(at_seq=options.at_seq)}
    if options.file is not None:
        body["definition"] = file_text(options.file)
    if options.input:
        earlier = api.get(path_of("workflows", id_), {"inputs": {str: object}})["inputs"]
        body["inputs"] = {**earlier, **named_values(options.input, "--input")}
    answer = api.send("POST", path_of("workflows", id_, "rerun"), body, STARTED)
    if options.json:
        print_json(answer)
        return 0
    steps = api.get(path_of("workflows", answer["id"]), _STEPS)["steps"]
    print(plain(f"{answer['id']} runs {answer['name']} again"))
    rows = [(name, step["status"], step["why"]) for name, step in steps.items() if step.get("why")]
    if rows:
        print()
        print_table(("step", "status", "why"), rows, whole=("step",))
    return 0


def migrate(options: Namespace) -> int:
    """Go on with another definition."""
    api = api_of(options)
    id_ = workflow_id(api, options.workflow)
    body = {"definition": file_text(options.file), "rerun": options.rerun, "dry_run": options.dry_run}
    plan = api.send("POST", path_of("workflows", id_, "migrate"), body, {str: [str]})
    if options.json:
        print_json(plan)
        return 0
    print(plain(f"{id_}: {'would go' if options.dry_run else 'goes'} on with {options.file}"))
    for what, steps in plan.items():
        if steps:
            print(plain(f"  {what:<10} {', '.join(steps)}"))
    return 0
