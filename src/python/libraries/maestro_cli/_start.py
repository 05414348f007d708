"""`maestro start`: starts a workflow on a running engine, once, however often the connection breaks."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from maestro_cli._client import api_of, told
from maestro_cli._errors import BadUsage
from maestro_cli._shape import STARTED
from maestro_cli._text import plain
from maestro_cli._values import file_text, named_values, pairs


def start(options: Namespace) -> int:
    """Start a workflow; with --watch, follow it to its end."""
    api = api_of(options)
    body: dict[str, Any] = source(options.what)
    body["inputs"] = {**_inputs(options.inputs_file), **named_values(options.input, "--input")}
    body["labels"] = pairs(options.label, "--label")
    started = api.send_once("/api/workflows", body, STARTED)
    if not options.watch:
        return told(options, started, f"{started['name']} · {started['id']}")
    from maestro_cli._watch import follow

    return follow(api, started["id"], as_json=options.json)


def source(what: str) -> dict[str, str]:
    """A file where there is one, or where it can be nothing else; else the name of a template."""
    if what == "-" or Path(what).suffix in (".yml", ".yaml", ".json") or "/" in what:
        return {"definition": file_text(Path(what))}
    if Path(what).is_file():
        raise BadUsage(f"{plain(what)} is a file, and could be a template too: write ./{plain(what)} for the file")
    return {"template": what}


def _inputs(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    from maestro_cli._inputs import inputs_in

    return inputs_in(file)
