"""`maestro secret`: what steps need and nobody may see. A value comes from a file or from standard input."""

import sys
from argparse import Namespace
from datetime import UTC, datetime
from getpass import getpass

from maestro_cli._api import path_of
from maestro_cli._client import api_of, print_json, told
from maestro_cli._errors import BadUsage
from maestro_cli._shape import TIME, Shape, is_time
from maestro_cli._table import ago, print_table, until
from maestro_cli._values import file_text, given

_SECRET: Shape = {
    "name": str,
    "version": int,
    "description": str,
    "changed_at": is_time,
    "expires_at": TIME,
    "last_used_at": TIME,
    "is_readable": bool,
}


def list_secrets(options: Namespace) -> int:
    """List secrets, without their values."""
    items = api_of(options).get("/api/secrets", {"items": [_SECRET]})["items"]
    if options.json:
        print_json(items)
        return 0
    if not items:
        print("There is no secret yet: maestro secret set NAME")
        return 0
    now = datetime.now(UTC)
    rows = [
        (
            each["name"],
            str(each["version"]),
            ago(each["changed_at"], now),
            ago(each["last_used_at"], now),
            until(each["expires_at"], now),
            each["description"] if each["is_readable"] else "its key is not there: it cannot be read",
        )
        for each in items
    ]
    print_table(
        ("name", "version", "changed", "used", "expires", "about"),
        rows,
        whole=("name",),
        spare=("version", "used", "changed"),
    )
    return 0


def set_secret(options: Namespace) -> int:
    """Give a secret a value."""
    body = {"value": _value(options), **given(description=options.description, expires_at=options.expires)}
    view = api_of(options).send("PUT", path_of("secrets", options.name), body, _SECRET)
    return told(options, view, f"{view['name']} is set (version {view['version']})")


def remove(options: Namespace) -> int:
    """Remove a secret."""
    api_of(options).send("DELETE", path_of("secrets", options.name))
    return told(options, {"name": options.name, "is_removed": True}, f"{options.name} is removed")


def _value(options: Namespace) -> str:
    """The value, without the line break at its end; typed unseen on a terminal."""
    if options.file is not None:
        text = file_text(options.file)
    elif sys.stdin.isatty():
        text = getpass(f"Value of {options.name}: ")
    else:
        text = sys.stdin.read()
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise BadUsage("the value is empty")
    return value
