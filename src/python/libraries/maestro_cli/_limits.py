"""`maestro limit`: what may run at once and per time."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from maestro_cli._api import Api, path_of
from maestro_cli._client import api_of, print_json, told
from maestro_cli._errors import BadUsage
from maestro_cli._shape import Shape
from maestro_cli._table import print_table
from maestro_cli._text import plain
from maestro_cli._values import given

_LIMIT: Shape = {
    "name": str,
    "max_parallel": (int, None),
    "rate_count": (int, None),
    "rate_per_s": float,
    "breaker_failures": (int, None),
    "breaker_open_s": float,
    "is_paused": bool,
}


def list_limits(options: Namespace) -> int:
    """List flow limits."""
    items = _all(api_of(options))
    if options.json:
        print_json(items)
    elif items:
        print_table(("name", "at once", "rate", "breaker", ""), [_row(each) for each in items], whole=("name",))
    else:
        print("No flow limit is set: maestro limit set NAME --max-parallel N")
    return 0


def _row(limit: Mapping[str, Any]) -> tuple[str, ...]:
    rate = f"{limit['rate_count']} per {limit['rate_per_s']:g} s" if limit["rate_count"] is not None else ""
    failures = limit["breaker_failures"]
    breaker = f"{failures} failures, {limit['breaker_open_s']:g} s" if failures is not None else ""
    return limit["name"], str(limit["max_parallel"] or ""), rate, breaker, "paused" if limit["is_paused"] else ""


def set_limit(options: Namespace) -> int:
    """Set a flow limit; what is not given stays as it was."""
    wanted = given(max_parallel=options.max_parallel, breaker_failures=options.breaker, breaker_open_s=options.open)
    if options.rate is not None:
        count, _, per_s = options.rate.partition("/")
        try:
            wanted |= {"rate_count": int(count), "rate_per_s": float(per_s or 1)}
        except ValueError:
            raise BadUsage(f"--rate takes COUNT/SECONDS, as 10/1, not {plain(options.rate)!r}") from None
    if not wanted:
        raise BadUsage("say what is allowed: --max-parallel, --rate or --breaker")
    return _changed(options, wanted, "is set", must_be_there=False)


def pause(options: Namespace) -> int:
    """Let nothing begin under a limit."""
    return _changed(options, {"is_paused": True}, "is paused: nothing begins under it", must_be_there=False)


def resume(options: Namespace) -> int:
    """Let things begin again."""
    return _changed(options, {"is_paused": False}, "goes on", must_be_there=True)


def remove(options: Namespace) -> int:
    """Forget a limit."""
    api_of(options).send("DELETE", _path(options.name))
    return told(options, {"name": options.name, "is_removed": True}, f"{options.name} is removed")


def _changed(options: Namespace, wanted: Mapping[str, Any], text: str, *, must_be_there: bool) -> int:
    api = api_of(options)
    before = next((each for each in _all(api) if each["name"] == options.name), None)
    if before is None and must_be_there:
        raise BadUsage(f"there is no limit {plain(options.name)!r}")
    body = {name: value for name, value in {**(before or {}), **wanted}.items() if name != "name"}
    return told(options, api.send("PUT", _path(options.name), body, _LIMIT), f"{options.name} {text}")


def _all(api: Api) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.get("/api/limits", {"items": [_LIMIT]})["items"]
    return items


def _path(name: str) -> str:
    return path_of("limits", name)
