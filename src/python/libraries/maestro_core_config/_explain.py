"""Questions about loaded settings: where each value comes from, and what differs between two loads."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python

from maestro_core_config._errors import NotComparable, UnknownSetting
from maestro_core_config._origin import Layer, Origin, printable
from maestro_core_config._section import Section
from maestro_core_config._settings import Settings
from maestro_core_config._shape import Name, suggestion

_WIDEST_VALUE = 60


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that differs; values are as they print (a secret is stars), and None means that it is not there."""

    setting: str
    before: str | None
    after: str | None
    before_origin: Origin | None
    after_origin: Origin | None

    def __str__(self) -> str:
        return f"{self.setting}: {_side(self.before, self.before_origin)} -> {_side(self.after, self.after_origin)}"


def origins(settings: Settings) -> dict[str, Origin]:
    """The origin of every value, by dotted name, in the order of the class."""
    return {".".join(name): _origin(settings, name) for name, _ in _values(settings)}


def origin_of(settings: Settings, name: str) -> Origin:
    """The origin of one value; raises UnknownSetting for a name that is none, or that is a table."""
    known = origins(settings)
    if name not in known:
        raise UnknownSetting(f"{type(settings).__name__} has no value {name!r}{suggestion(name, known)}")
    return known[name]


def explain(settings: Settings) -> str:
    """A table for people: every setting, its value (a secret as stars), and where that comes from."""
    rows = [("SETTING", "VALUE", "FROM")]
    for name, value in _values(settings):
        shown = show(value)
        if len(shown) > _WIDEST_VALUE:
            shown = shown[: _WIDEST_VALUE - 1] + "…"
        rows.append((printable(".".join(name)), shown, str(_origin(settings, name))))
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{row[0]:{first}}  {row[1]:{second}}  {row[2]}" for row in rows)


def diff(before: Settings, after: Settings) -> tuple[Change, ...]:
    """The settings whose values differ, in the order of the class; raises NotComparable for two classes."""
    if type(before) is not type(after):
        raise NotComparable(f"{type(before).__name__} and {type(after).__name__} are not one settings class")
    old, new = dict(_values(before)), dict(_values(after))
    return tuple(
        Change(
            ".".join(name),
            show(old[name]) if name in old else None,
            show(new[name]) if name in new else None,
            _origin(before, name) if name in old else None,
            _origin(after, name) if name in new else None,
        )
        for name in dict.fromkeys((*old, *new))
        if name not in old or name not in new or old[name] != new[name]
    )


def show(value: object) -> str:
    """A value on one line, as JSON; a secret in it is stars."""
    return printable(json.dumps(to_jsonable_python(value, fallback=str), ensure_ascii=False))


def _side(shown: str | None, origin: Origin | None) -> str:
    return "nothing" if shown is None else f"{shown} [{origin}]"


def _values(settings: Settings) -> Iterator[tuple[Name, Any]]:
    for name in type(settings).model_fields:
        yield from _below((name,), getattr(settings, name))


def _below(name: Name, value: Any) -> Iterator[tuple[Name, Any]]:
    if isinstance(value, Section):
        for key in type(value).model_fields:
            yield from _below((*name, key), getattr(value, key))
    elif isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _below((*name, str(key)), inner)
    else:
        yield name, value


def _origin(settings: Settings, name: Name) -> Origin:
    """The origin recorded for the name or the nearest name above it; what no layer gave is a default."""
    recorded = settings._origins
    for depth in range(len(name), 0, -1):
        if name[:depth] in recorded:
            return recorded[name[:depth]]
    return Origin(Layer.DEFAULT)
