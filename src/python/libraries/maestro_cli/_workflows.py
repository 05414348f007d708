"""`maestro ls`, `show`, `why`, `logs`: what a running engine knows of its workflows."""

import json
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from maestro_cli._api import Api, path_of
from maestro_cli._client import api_of, print_json, workflow_id
from maestro_cli._shape import EVENT, LINE, WORKFLOW, Shape
from maestro_cli._table import ago, print_table
from maestro_cli._text import fitted, plain
from maestro_cli._values import pairs
from maestro_cli._view import error_text, print_workflow, took_text

_PAGE: Final = 200
_NARROW: Final = 72
_CAUSE: Final[dict[object, Shape]] = {"message": str, "step?": (str, None), "item?": (int, None)}
_CAUSE["because?"] = [_CAUSE]


def ls(options: Namespace) -> int:
    """List workflows."""
    api = api_of(options)
    filters: dict[str, Any] = {
        "status": options.status,
        "name": options.name,
        "template": options.template,
        "parent": options.parent,
        "started_after": options.since,
        "started_before": options.until,
        "label": [f"{name}={value}" for name, value in pairs(options.label, "--label").items()] or None,
        "input": [f"{name}={value}" for name, value in pairs(options.input, "--input").items()] or None,
    }
    found = api.pages("/api/workflows", LINE, **filters, limit=min(options.limit, _PAGE))
    items = list(islice(found, options.limit))
    if options.json:
        print_json(items)
    elif items:
        now = datetime.now(UTC)
        rows = [_line(each, now) for each in items]
        print_table(
            ("id", "name", "status", "started", "took", "error"), rows, ids=("id",), spare=("took", "started", "error")
        )
    else:
        print("There is no workflow that fits." if any(filters.values()) else "There is no workflow yet.")
    return 0


def _line(each: Mapping[str, Any], now: datetime) -> tuple[str, ...]:
    error = "" if each["error"] is None else error_text(each["error"])
    return each["id"], each["name"], each["status"], ago(each["started_at"], now), took_text(each), error


def show(options: Namespace) -> int:
    """Show one workflow with its steps, now or as it was."""
    api = api_of(options)
    parts = ("workflows", workflow_id(api, options.workflow))
    path = path_of(*parts, "states", str(options.at_seq)) if options.at_seq else path_of(*parts)
    state = api.get(path, WORKFLOW)
    if options.json:
        print_json(state)
    else:
        print_workflow(state, is_past=options.at_seq is not None)
    return 0


def why(options: Namespace) -> int:
    """Say why each unfinished step has not ended yet."""
    api = api_of(options)
    id_ = workflow_id(api, options.workflow)
    causes = api.get(path_of("workflows", id_, "why"), {"items": [_CAUSE]})["items"]
    if options.json:
        print_json(causes)
        return 0
    if not causes:
        state = api.get(path_of("workflows", id_), LINE)
        print(f"Nothing waits: {plain(state['name'])} is {plain(state['status'])}.")
    for cause in causes:
        _print_cause(cause, 0)
    return 0


def _print_cause(cause: Mapping[str, Any], depth: int) -> None:
    where = "" if cause.get("step") is None else cause["step"]
    where += f"[{cause['item']}]" if cause.get("item") is not None else ""
    line = "  " * depth + (f"{plain(where)}: " if where and not depth else "") + plain(cause["message"])
    print(_wrapped(line, depth + 1) if sys.stdout.isatty() else line)
    for each in cause.get("because", ()):
        _print_cause(each, depth + 1)


def _wrapped(line: str, depth: int) -> str:
    columns = max(20, shutil.get_terminal_size().columns)
    return textwrap.fill(line, columns, subsequent_indent="  " * depth, drop_whitespace=True)


def logs(options: Namespace) -> int:
    """Print the events of a workflow, one a line; with --follow, those to come too."""
    api = api_of(options)
    id_ = workflow_id(api, options.workflow)
    events = api.events(id_, options.from_seq) if options.follow else _stored(api, id_, options.from_seq)
    for event in events:
        if options.step is None or event["data"].get("step") == options.step:
            print(json.dumps(event) if options.json else _event_line(event), flush=options.follow)
    return 0


def _stored(api: Api, id_: str, from_seq: int) -> Iterator[dict[str, Any]]:
    upcoming: int | None = from_seq
    while upcoming is not None:
        shape: Shape = {"items": [EVENT], "next_from_seq": (int, None)}
        page = api.get(path_of("workflows", id_, "events"), shape, from_seq=upcoming, limit=1000)
        yield from page["items"]
        following = page["next_from_seq"]
        upcoming = following if following is not None and following > upcoming else None


def _event_line(event: Mapping[str, Any]) -> str:
    data = dict(event["data"])
    step, item, attempt = data.pop("step", None), data.pop("item", None), data.pop("attempt", None)
    where = "" if step is None else str(step) + (f"[{item}]" if item is not None else "")
    where += f" #{attempt}" if attempt not in (None, 0, 1) else ""
    error = data.pop("error", None)
    said = error.get("message", "") if isinstance(error, dict) else ""
    rest = json.dumps(data, ensure_ascii=False) if data else ""
    text = " ".join(part for part in (where, str(said), rest) if part)
    clock = datetime.fromisoformat(event["at"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
    line = plain(f"{event['seq']:>5}  {clock}  {event['type']:<24}  {text}").rstrip()
    if not sys.stdout.isatty():
        return line
    columns = shutil.get_terminal_size().columns
    return fitted(line if columns >= _NARROW else plain(f"{event['seq']:>5} {event['type']} {text}"), columns)
