"""What the step kinds share in reading their arguments."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias

from maestro_workflow_engine._errors import BadArguments
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._problems import did_you_mean

Readers: TypeAlias = Mapping[str, Callable[[Any], Any]]
"""Per argument a function that gives what it means, and raises ValueError when it means nothing."""

_MAX_TITLE: Final = 256
_MAX_S: Final = 10 * 366 * 86_400.0


def is_open(value: object) -> bool:
    """Whether a value holds an expression, so that only a run will tell what it is."""
    if isinstance(value, str):
        return "${{" in value
    if isinstance(value, dict):
        return any(is_open(inner) for inner in value.values())
    return isinstance(value, list) and any(is_open(inner) for inner in value)


def unknown_names(arguments: Mapping[str, object], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """A problem for each argument that the kind does not know."""
    for name in arguments:
        if name not in known:
            yield f"/{name}", f"unknown argument {name[:64]!r}{did_you_mean(name, sorted(known))}"


def static_problems(arguments: Mapping[str, object], readers: Readers) -> Iterator[tuple[str, str]]:
    """What is wrong with arguments before anything is rendered."""
    yield from unknown_names(arguments, readers)
    for name, reader in readers.items():
        if name in arguments and not is_open(arguments[name]):
            try:
                reader(arguments[name])
            except ValueError as error:
                yield f"/{name}", str(error)


def read(arguments: Mapping[str, object], readers: Readers, required: Collection[str] = ()) -> dict[str, Any]:
    """What the rendered arguments mean, those left out too when they are required; raises BadArguments."""
    values: dict[str, Any] = {}
    for name, reader in readers.items():
        if name in arguments or name in required:
            try:
                values[name] = reader(arguments.get(name))
            except ValueError as error:
                raise BadArguments(f"/with/{name}: {error}") from error
    return values


# --- readers ---


def title(value: object) -> str:
    """A short text."""
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_TITLE or not value.isprintable():
        raise ValueError(f"a text of 1 to {_MAX_TITLE} printable characters was expected")
    return value


def duration_s(value: object) -> float:
    """Seconds, from 0 to ten years."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a number of seconds was expected")
    if not 0 <= value <= _MAX_S:
        raise ValueError("the seconds are from 0 to ten years")
    return float(value)


def mapping(value: object) -> dict[str, JSON]:
    """An object."""
    if not isinstance(value, dict):
        raise ValueError("an object was expected")
    return value


def one_of(*allowed: str) -> Callable[[object], str]:
    """A reader of one of these words."""

    def reader(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"one of {', '.join(allowed)} was expected")
        return str(value)

    return reader
