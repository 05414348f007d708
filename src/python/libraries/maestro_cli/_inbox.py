"""What waits for people: `maestro inbox` and `maestro approve`."""

from argparse import Namespace
from datetime import UTC, datetime

from maestro_cli._api import Api, path_of
from maestro_cli._client import api_of, print_json, told, workflow_id
from maestro_cli._errors import BadUsage
from maestro_cli._shape import DONE, TIME, WAIT, Shape, is_time
from maestro_cli._table import ago, print_table, until
from maestro_cli._text import plain
from maestro_cli._values import given, named_values
from maestro_cli._view import subject_of

_WAITING: Shape = {
    "workflow_id": str,
    "workflow_name": str,
    "step": str,
    "item": (int, None),
    "on": WAIT,
    "since": is_time,
    "due_at": TIME,
}
_RUN: dict[object, Shape] = {"waits_on?": (WAIT, None)}
_STEPS: Shape = {"steps": {str: _RUN | {"items?": ([_RUN], None)}}}


def inbox(options: Namespace) -> int:
    """List what waits for people."""
    items = list(api_of(options).pages("/api/waiting", _WAITING, kind=options.kind))
    if options.json:
        print_json(items)
        return 0
    if not items:
        print("Nothing waits for an answer.")
        return 0
    now = datetime.now(UTC)
    rows = [
        (
            each["workflow_id"],
            each["step"] + (f"[{each['item']}]" if each["item"] is not None else ""),
            subject_of(each["on"]) or each["on"]["kind"],
            ", ".join(map(str, each["on"].get("to") or ())),
            ago(each["since"], now),
            until(each["due_at"], now),
        )
        for each in items
    ]
    print_table(
        ("workflow", "step", "what", "for", "since", "ends"),
        rows,
        whole=("step",),
        ids=("workflow",),
        spare=("since", "for", "ends"),
    )
    return 0


def approve(options: Namespace) -> int:
    """Approve or reject."""
    api = api_of(options)
    id_ = workflow_id(api, options.workflow)
    step = options.step or _only_approval(api, id_)
    body = {
        "approved": not options.reject,
        "data": named_values(options.data, "--data"),
        **given(comment=options.comment, item=options.item),
    }
    answer = api.send("POST", path_of("workflows", id_, "steps", step, "approval"), body, DONE)
    return told(options, answer, f"{id_}: {step} is {'rejected' if options.reject else 'approved'}")


def _only_approval(api: Api, id_: str) -> str:
    steps = api.get(path_of("workflows", id_), _STEPS)["steps"]
    waiting: list[str] = [
        name
        for name, step in steps.items()
        if any((run.get("waits_on") or {}).get("kind") == "approval" for run in (step, *(step.get("items") or ())))
    ]
    if len(waiting) != 1:
        which = f"these wait: {', '.join(waiting)}; name one" if waiting else "no step of it waits for an approval"
        raise BadUsage(plain(f"{id_}: {which}"))
    return waiting[0]
