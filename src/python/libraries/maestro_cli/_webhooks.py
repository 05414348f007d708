"""`maestro webhook`: where an engine tells what happens."""

from argparse import Namespace
from datetime import UTC, datetime

from maestro_cli._api import path_of
from maestro_cli._client import api_of, print_json, told
from maestro_cli._shape import Shape, is_time
from maestro_cli._table import ago, print_table
from maestro_cli._text import plain
from maestro_cli._values import given

_WEBHOOK: Shape = {"id": str, "url": str, "types": [str], "is_active": bool, "waiting": int, "failed": int}
_FAILED: Shape = {
    "id": str,
    "event": {"type": str},
    "reason": str,
    "error": str,
    "attempts": int,
    "at": is_time,
}


def list_webhooks(options: Namespace) -> int:
    """List webhooks."""
    items = api_of(options).get("/api/webhooks", {"items": [_WEBHOOK]})["items"]
    if options.json:
        print_json(items)
        return 0
    if not items:
        print("There is no webhook yet: maestro webhook add URL")
        return 0
    rows = [
        (
            each["id"],
            each["url"],
            ", ".join(each["types"]),
            "" if each["is_active"] else "off",
            str(each["waiting"] or ""),
            str(each["failed"] or ""),
        )
        for each in items
    ]
    print_table(("id", "url", "hears", "", "waiting", "failed"), rows, whole=("id",), spare=("hears",))
    return 0


def add(options: Namespace) -> int:
    """Make a webhook; its secret is shown this once."""
    body = {
        "url": options.address,
        **given(
            types=options.type or None, template=options.template, name=options.name, description=options.description
        ),
    }
    made = api_of(options).send("POST", "/api/webhooks", body, {"id": str, "secret": str})
    if options.json:
        print_json(made)
        return 0
    print(plain(f"{made['id']} hears what happens from now on."))
    print("Its secret, with which deliveries are verified, is shown this once:")
    print(plain(f"    {made['secret']}"))
    return 0


def remove(options: Namespace) -> int:
    """Forget a webhook, and what it has not been told."""
    api_of(options).send("DELETE", path_of("webhooks", options.id))
    return told(options, {"id": options.id, "is_removed": True}, f"{options.id} is removed")


def failed(options: Namespace) -> int:
    """List deliveries that were given up."""
    items = list(api_of(options).pages(path_of("webhooks", options.id, "failed"), _FAILED))
    if options.json:
        print_json(items)
        return 0
    if not items:
        print("No delivery was given up.")
        return 0
    now = datetime.now(UTC)
    rows = [
        (
            each["id"],
            each["event"]["type"],
            ago(each["at"], now),
            str(each["attempts"]),
            f"{each['reason']}: {each['error']}",
        )
        for each in items
    ]
    print_table(("delivery", "event", "given up", "tries", "why"), rows, whole=("delivery",))
    return 0


def again(options: Namespace) -> int:
    """Try a delivery again that was given up."""
    api_of(options).send("POST", path_of("webhooks", options.id, "failed", options.delivery, "again"))
    return told(options, {"id": options.delivery, "is_queued": True}, f"{options.delivery} is delivered again")
