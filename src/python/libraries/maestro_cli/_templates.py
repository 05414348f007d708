"""`maestro template`: the definitions that an engine keeps by name and version."""

from argparse import Namespace
from datetime import UTC, datetime

from maestro_cli._api import path_of
from maestro_cli._client import api_of, print_json, told
from maestro_cli._errors import BadUsage
from maestro_cli._shape import OBJECT, TEXT, TIME, Shape
from maestro_cli._table import ago, print_table
from maestro_cli._text import plain
from maestro_cli._values import file_text, given

_LINE: Shape = {"name": str, "latest": TEXT}
_VERSION: dict[object, Shape] = {"version": str, "created_at": TIME, "created_by": TEXT, "deprecation?": TEXT}
_TEMPLATE: Shape = {"name": str, "latest": TEXT, "versions": [_VERSION]}
_DEFINITION: Shape = _VERSION | {"name": str, "definition": OBJECT}


def list_templates(options: Namespace) -> int:
    """List templates."""
    items = list(api_of(options).pages("/api/templates", _LINE, limit=200))
    if options.json:
        print_json(items)
    elif items:
        print_table(("name", "latest"), [(each["name"], each["latest"] or "") for each in items], whole=("name",))
    else:
        print("There is no template yet: maestro template add FILE")
    return 0


def show(options: Namespace) -> int:
    """Show the versions of a template, or one of them with its definition."""
    api = api_of(options)
    name, separator, version = options.template.partition("@")
    if separator:
        one = api.get(path_of("templates", name, "versions", version), _DEFINITION)
        print_json(one if options.json else one["definition"])
        return 0
    template = api.get(path_of("templates", name), _TEMPLATE)
    if options.json:
        print_json(template)
        return 0
    now = datetime.now(UTC)
    rows = [
        (
            each["version"],
            "latest" if each["version"] == template["latest"] else "",
            ago(each["created_at"], now),
            each["created_by"] or "",
            "" if each.get("deprecation") is None else f"deprecated: {each['deprecation']}".rstrip(": "),
        )
        for each in template["versions"]
    ]
    print_table(("version", "", "made", "by", "note"), rows, whole=("version", ""), spare=("by", "made"))
    return 0


def add(options: Namespace) -> int:
    """Register a definition as a version of a template."""
    body = {"definition": file_text(options.file), **given(name=options.name, version=options.version)}
    shape: Shape = {"name": str, "version": str, "is_new": bool}
    kept = api_of(options).send_once("/api/templates", body, shape)
    what = "is registered" if kept["is_new"] else "is there already, with this content"
    return told(options, kept, f"{kept['name']}@{kept['version']} {what}")


def deprecate(options: Namespace) -> int:
    """Take a version out of what the bare name starts, or with --undo take that back."""
    name, _, version = options.template.partition("@")
    if not name or not version:
        raise BadUsage(f"say which version: {plain(name) or 'NAME'}@VERSION")
    path = path_of("templates", name, "versions", version, "deprecation")
    if options.undo:
        api_of(options).send("DELETE", path)
    else:
        api_of(options).send("PUT", path, {"reason": options.reason})
    text = f"{name}@{version} is {'no longer ' if options.undo else ''}deprecated"
    return told(options, {"name": name, "version": version, "is_deprecated": not options.undo}, text)
