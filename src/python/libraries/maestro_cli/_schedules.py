"""`maestro schedule`: what an engine starts by the calendar."""

from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from maestro_cli._api import path_of
from maestro_cli._client import api_of, print_json, told
from maestro_cli._shape import OBJECT, TEXT, TIME, Shape, is_time
from maestro_cli._start import source
from maestro_cli._table import print_table, until
from maestro_cli._text import plain
from maestro_cli._values import given, named_values, pairs

_LINE: Shape = {"name": str, "timing": str, "template": TEXT, "paused": bool, "starts": int, "next_at": TIME}
_RUN: Shape = {"nominal_at": is_time, "state": str, "kind": str, "reason": TEXT, "workflow_id": TEXT}
_VIEW: Shape = {"name": str, "settings": OBJECT, "starts": int, "next_at": TIME}
_UPCOMING: Shape = {"items": [{"nominal_at": is_time, "due_at": is_time}]}
_SHOWN = 10


def list_schedules(options: Namespace) -> int:
    """List schedules."""
    items = list(api_of(options).pages("/api/schedules", _LINE, limit=200))
    if options.json:
        print_json(items)
        return 0
    if not items:
        print("There is no schedule yet: maestro schedule add NAME WHAT --cron …")
        return 0
    now = datetime.now(UTC)
    rows = [
        (
            each["name"],
            each["timing"],
            each["template"] or "",
            "paused" if each["paused"] else until(each["next_at"], now) or "ended",
            str(each["starts"]),
        )
        for each in items
    ]
    heads = ("name", "when", "template", "next", "starts")
    print_table(heads, rows, whole=("name",), spare=("starts", "template"))
    return 0


def show(options: Namespace) -> int:
    """Show a schedule, and what it has started."""
    api = api_of(options)
    view = api.get(path_of("schedules", options.name), _VIEW)
    runs = api.get(path_of("schedules", options.name, "runs"), {"items": [_RUN]}, limit=_SHOWN)["items"]
    if options.json:
        print_json({**view, "runs": runs})
        return 0
    print(plain(view["name"]))
    for name, value in view["settings"].items():
        if value not in (None, {}, False, 0):
            print(f"  {plain(name):<17} {plain(str(value))[:400]}")
    print(f"  {'next':<17} {local_time(view['next_at']) if view['next_at'] else 'never'}")
    if runs:
        print()
        print_table(
            ("time", "start", "workflow", "about"),
            [_run_row(each) for each in runs],
            ids=("workflow",),
            spare=("about",),
        )
    return 0


def _run_row(run: Mapping[str, Any]) -> tuple[str, ...]:
    kind = "" if run["kind"] == "schedule" else run["kind"]
    about = " · ".join(part for part in (kind, run["reason"] or "") if part)
    return local_time(run["nominal_at"]), run["state"], run["workflow_id"] or "", about


def add(options: Namespace) -> int:
    """Make a schedule."""
    body = {
        "name": options.name,
        **source(options.what),
        "inputs": named_values(options.input, "--input"),
        "labels": pairs(options.label, "--label"),
        **given(
            cron=options.cron,
            every_s=options.every,
            at=options.at,
            time_zone=options.time_zone,
            overlap=options.overlap,
            catch_up=options.catch_up,
            jitter_s=options.jitter,
            start_at=options.since,
            end_at=options.until,
            max_runs=options.max_runs,
        ),
    }
    view = api_of(options).send_once("/api/schedules", body, _VIEW)
    when = f"starts next {local_time(view['next_at'])}" if view["next_at"] else "has no start before it"
    return told(options, view, f"{view['name']} {when}")


def remove(options: Namespace) -> int:
    """Remove a schedule."""
    # Whoever types the name means it as it is now.
    api_of(options).send("DELETE", path_of("schedules", options.name), headers={"If-Match": "*"})
    return told(
        options, {"name": options.name, "is_removed": True}, f"{options.name} is removed; what it started goes on"
    )


def pause(options: Namespace) -> int:
    """Start nothing by the calendar until it is resumed."""
    view = api_of(options).send("POST", path_of("schedules", options.name, "pause"), None, _VIEW)
    return told(options, view, f"{options.name} is paused")


def resume(options: Namespace) -> int:
    """Go on after a pause."""
    view = api_of(options).send("POST", path_of("schedules", options.name, "resume"), None, _VIEW)
    when = f", and starts next {local_time(view['next_at'])}" if view["next_at"] else ""
    return told(options, view, f"{options.name} goes on{when}")


def run(options: Namespace) -> int:
    """Start a workflow of a schedule now."""
    started = api_of(options).send_once(path_of("schedules", options.name, "run"), None, _RUN)
    return told(options, started, f"{options.name} · {started['workflow_id'] or started['state']}")


def backfill(options: Namespace) -> int:
    """Start the workflows of times that are past."""
    body = {
        "from_at": options.from_at,
        "to_at": options.to_at,
        **given(max_runs=options.max_runs, max_parallel=options.max_parallel),
    }
    path = path_of("schedules", options.name, "backfill")
    kept = api_of(options).send_once(path, body, {"id": str, "total": int, "max_parallel": int})
    text = f"{options.name}: {kept['total']} starts, {kept['max_parallel']} at once (backfill {kept['id']})"
    return told(options, kept, text)


def upcoming(options: Namespace) -> int:
    """Say when a schedule starts next."""
    items = api_of(options).get(path_of("schedules", options.name, "upcoming"), _UPCOMING, limit=options.limit)["items"]
    if options.json:
        print_json(items)
        return 0
    now = datetime.now(UTC)
    for each in items:
        print(f"{local_time(each['due_at'])}  {until(each['due_at'], now)}")
    if not items:
        print(plain(f"{options.name} has no start before it."))
    return 0


def local_time(text: str) -> str:
    """A time of the API as the clock on the wall shows it."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
