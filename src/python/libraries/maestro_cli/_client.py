"""What every command to a running engine begins and ends with."""

import json
import sys
from argparse import Namespace
from typing import Final

from maestro_cli._api import Api, path_of
from maestro_cli._errors import BadUsage, EngineRefused
from maestro_cli._shape import Shape
from maestro_cli._text import plain

_NEWEST: Final = 200
_LEAST_OF_ID: Final = 4
_WHOLE_ID: Final = 32
"""An id that is so long was copied whole."""
_IDS: Final[Shape] = {"items": [{"id": str}]}


def api_of(options: Namespace) -> Api:
    """The engine that the command speaks to."""
    return Api.from_environment(options.url)


def print_json(value: object) -> None:
    """One JSON document, for programs; ASCII, so that nothing in it can move a cursor."""
    json.dump(value, sys.stdout, indent=2 if sys.stdout.isatty() else None)
    sys.stdout.write("\n")


def told(options: Namespace, answer: object, text: str) -> int:
    """The end of a command that was carried out: its answer for a program, a line for a person; exit status 0."""
    if options.json:
        print_json(answer)
    else:
        print(plain(text))
    return 0


def workflow_id(api: Api, wanted: str) -> str:
    """The id that was meant: `last` is the newest workflow, and the end of an id of the newest ones will do."""
    if wanted == "last":
        newest = api.get("/api/workflows", _IDS, limit=1)["items"]
        if not newest:
            raise BadUsage("there is no workflow yet")
        return str(newest[0]["id"])
    if not _LEAST_OF_ID <= len(wanted) < _WHOLE_ID or _is_there(api, wanted):
        return wanted
    newest = api.get("/api/workflows", _IDS, limit=_NEWEST)["items"]
    found = [str(each["id"]) for each in newest if each["id"].endswith(wanted)]
    if len(found) > 1:
        raise BadUsage(f"{len(found)} workflows end with {plain(wanted)!r}; write more of the id")
    return found[0] if found else wanted


def _is_there(api: Api, workflow_id: str) -> bool:
    """Whether a workflow has exactly this id: then no other is meant."""
    try:
        api.get(path_of("workflows", workflow_id, "events"), limit=1)
    except EngineRefused as error:
        if error.status == 404:
            return False
        raise
    return True
