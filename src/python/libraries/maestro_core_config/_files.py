"""Reading of configuration files and secrets: bounded, strict, and silent about what they hold."""

import json
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, NoReturn

MAX_FILE_BYTES = 1024 * 1024
"""The largest configuration file or secret that is read."""

MAX_DEPTH = 64
"""The deepest nesting of tables and lists that is accepted."""

_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class Unreadable(Exception):
    """A file that cannot be used; the text says why and never holds a part of the file."""


class NotJson(ValueError):
    """Text that is not strict JSON; the text of the error says where and never holds a value."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line, self.column = line, column


def read_text(path: Path) -> str:
    """The text of a regular file in UTF-8; raises Unreadable."""
    data = _read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start
    raise Unreadable(f"it is not UTF-8 text (byte {place})")  # outside of `except`: that error holds the bytes


def read_table(path: Path) -> dict[str, Any]:
    """The table in a .toml or .json file; raises Unreadable with "file:line:column" where that is known."""
    if path.suffix not in (".toml", ".json"):
        raise Unreadable(f"{path}: the kind of file is not known; name it .toml or .json")
    try:
        text = read_text(path)
    except Unreadable as error:
        raise Unreadable(f"{path}: {error}") from None
    return _parse_toml(path, text) if path.suffix == ".toml" else _parse_json(path, text)


def strict_json(text: str) -> Any:
    """JSON without the liberties of the standard library: no key twice, no NaN, no unbounded depth; raises NotJson."""
    line = column = 0
    try:
        return _bounded(json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant))
    except json.JSONDecodeError as error:
        message, line, column = error.msg, error.lineno, error.colno
    except RecursionError:
        message = _TOO_DEEP
    except ValueError as error:
        message = str(error)
    raise NotJson(message, line, column)  # outside of `except`: a JSONDecodeError holds the whole text


def _read_bytes(path: Path) -> bytes:
    try:
        # Non-blocking, since a named pipe must not hold up the start.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise Unreadable(f"it is {'a folder' if stat.S_ISDIR(mode) else 'a device or pipe'}, not a file")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(MAX_FILE_BYTES + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise Unreadable("there is no such file") from None
    except (OSError, ValueError) as error:
        raise Unreadable(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable(f"it is larger than {MAX_FILE_BYTES} bytes")
    return data


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    place = str(path)
    try:
        table: dict[str, Any] = _bounded(tomllib.loads(text))
        return table
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        if match := _TOML_PLACE.search(message):
            last = text.count("\n") + 1
            place += f":{match[1] or last}" + (f":{match[2]}" if match[2] else "")
            message = message[: match.start()]
    except RecursionError:
        message = _TOO_DEEP
    except ValueError as error:
        message = str(error)
    raise Unreadable(f"{place}: not valid TOML: {message}")


def _parse_json(path: Path, text: str) -> dict[str, Any]:
    try:
        table = strict_json(text)
    except NotJson as error:
        place = f"{path}:{error.line}:{error.column}" if error.line else f"{path}"
        raise Unreadable(f"{place}: not valid JSON: {error}") from None
    if not isinstance(table, dict):
        raise Unreadable(f"{path}: it holds no table of settings; begin with {{")
    return table


def _bounded(value: Any) -> Any:
    """The value itself; raises ValueError when it is nested too deeply for what comes after."""
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
        tables = [item for item in level if isinstance(item, dict)]
        lists = [item for item in level if isinstance(item, list)]
        level = [inner for table in tables for inner in table.values()] + [inner for one in lists for inner in one]
        depth += 1
    return value


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"the key {key!r} is there twice")
        table[key] = value
    return table


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
