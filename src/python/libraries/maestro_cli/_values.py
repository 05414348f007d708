"""Values from the command line, and files that go to an engine as they are."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from maestro_cli._errors import BadUsage
from maestro_cli._text import plain

_MOST_READ: Final = 8 << 20


def json_value(text: str, what: str) -> Any:
    """Text as JSON; raises BadUsage."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadUsage(f"{what} is not JSON: {error}; write text in quotes, as '\"yes\"'") from error


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """NAME=VALUE words as a mapping; raises BadUsage."""
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise BadUsage(f"{option} takes NAME=VALUE, not {plain(text)!r}")
        found[name] = value
    return found


def named_values(texts: Sequence[str], option: str) -> dict[str, Any]:
    """NAME=VALUE words, each value as JSON where it is that, else as text."""
    found: dict[str, Any] = {}
    for name, text in pairs(texts, option).items():
        try:
            found[name] = json.loads(text)
        except (ValueError, RecursionError):
            found[name] = text
    return found


def given(**fields: Any) -> dict[str, Any]:
    """What is not None: the rest is left to the engine."""
    return {name: value for name, value in fields.items() if value is not None}


def file_text(file: Path) -> str:
    """The text of a file; `-` is standard input. Raises BadUsage."""
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(_MOST_READ + 1)
        else:
            with file.open("rb") as reading:
                content = reading.read(_MOST_READ + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadUsage(f"{plain(str(file))} cannot be read: {error}") from error
    if len(content) > _MOST_READ:
        raise BadUsage(f"{plain(str(file))} is larger than {_MOST_READ >> 20} MiB")
    return text
