"""From any object to plain JSON values: bounded, without secrets, without terminal commands, and never failing."""

import dataclasses
import math
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from maestro_core_logging._limits import Limits
from maestro_core_logging._redact import Redactor
from maestro_core_logging._secrets import MASK, KnownSecrets
from maestro_core_logging._text import neutral

_PATTERN_REACH = 2048
"""How far past a cut is looked, so that a secret which lies across the cut is still seen whole."""

_NAME_CHARS = 128
_BIGGEST_INT_BITS = 256


class Cleaner:
    """Cleans the values of one record; made anew for each, since it counts what it has seen."""

    def __init__(self, redactor: Redactor, secrets: KnownSecrets, limits: Limits) -> None:
        self._redactor = redactor
        self._secrets = secrets
        self._limits = limits
        self._nodes = limits.nodes
        self._chars = limits.line_bytes
        self._inside: set[int] = set()

    def text(self, text: str, limit: int = 0) -> str:
        """The text without secrets and terminal commands, cut at the limit (of texts when 0)."""
        if self._chars <= 0:  # no more fits in the line, so that nothing more is worth the time
            return f"...[{len(text)} characters]"
        limit = limit or self._limits.text_chars
        self._chars -= min(limit, len(text))
        missing = len(text) - limit
        if missing <= 0:
            return neutral(self._redactor.text(self._secrets.mask(text)))
        reach = max(_PATTERN_REACH, self._secrets.longest)
        window = self._redactor.text(self._secrets.mask(text[: limit + reach]))
        kept = window[: max(0, len(window) - reach)] if missing > reach else window
        return f"{neutral(kept[:limit])}...[{missing} more characters]"

    def fields(self, fields: Mapping[Any, Any]) -> dict[str, Any]:
        """A record's fields, or any other table, cleaned."""
        return self._table(fields, 0)

    def value(self, value: Any, depth: int = 0) -> Any:
        """Any value as plain JSON."""
        self._nodes -= 1
        if self._nodes < 0:
            return "...[left out]"
        if value is None or value is True or value is False:
            return value
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is int or kind is float:
            return self._number(value)
        try:
            return self._other(value, depth)
        except Exception as error:  # a hostile object: its conversion must not reach the caller
            return f"<{_type_name(value)} that fails with {type(error).__name__}>"

    def _other(self, value: Any, depth: int) -> Any:
        if hasattr(type(value), "get_secret_value"):
            return MASK
        if isinstance(value, Enum):
            return self.value(value.value, depth)
        if isinstance(value, str):
            return self.text(str.__str__(value))
        if isinstance(value, bytes | bytearray | memoryview):
            head = bytes(value[: self._limits.text_chars * 4 + _PATTERN_REACH])
            return self.text(head.decode("utf-8", "backslashreplace"))
        if isinstance(value, int | float):
            return self._number(int(value) if isinstance(value, int) else float(value))
        if isinstance(value, date | time):
            return value.isoformat()
        if isinstance(value, Decimal | PurePath | UUID):
            return self.text(str(value))
        if isinstance(value, BaseException):
            return self.text(f"{_type_name(value)}: {value}")
        return self._container(value, depth)

    def _container(self, value: Any, depth: int) -> Any:
        table = _as_table(value)
        if table is None and not isinstance(value, list | tuple | set | frozenset):
            return self.text(repr(value))
        if id(value) in self._inside:
            return "<itself>"
        if depth >= self._limits.depth:
            return f"<{_type_name(value)} too deep>"
        self._inside.add(id(value))
        try:
            return self._table(table, depth + 1) if table is not None else self._list(value, depth + 1)
        finally:
            self._inside.discard(id(value))

    def _table(self, table: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        clean: dict[str, Any] = {}
        for number, key in enumerate(table):
            if number >= self._limits.items:
                clean["..."] = f"[{len(table) - number} more]"
                break
            name = key if type(key) is str else str(self.value(key, self._limits.depth))
            shown = self.text(name, _NAME_CHARS)
            value = table[key]
            clean[shown] = MASK if self._redactor.hides(name, value) else self.value(value, depth)
        return clean

    def _list(self, items: Any, depth: int) -> list[Any]:
        clean: list[Any] = []
        for number, item in enumerate(items):
            if number >= self._limits.items:
                clean.append(f"...[{len(items) - number} more]")
                break
            clean.append(self.value(item, depth))
        return clean

    def _number(self, value: int | float) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        if isinstance(value, int) and value.bit_length() > _BIGGEST_INT_BITS:
            return f"<integer of {value.bit_length()} bits>"
        return MASK if self._secrets.found_in(str(value)) else value


def _as_table(value: Any) -> Mapping[Any, Any] | None:
    """The names and values of a mapping, a named tuple or a dataclass; None for everything else."""
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value) if field.repr}
    names = getattr(type(value), "_fields", None) if isinstance(value, tuple) else None
    return dict(zip(names, value, strict=True)) if names is not None else None


def _type_name(value: object) -> str:
    return type(value).__name__
