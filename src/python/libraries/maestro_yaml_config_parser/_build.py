"""Puts values, mappings and lists together, whoever reads them, and holds them to the limits."""

import json
from typing import Any

from maestro_yaml_config_parser._document import Document, Place, Positions
from maestro_yaml_config_parser._errors import BadValue, DuplicateKey, NotSupported, TooLarge
from maestro_yaml_config_parser._limits import Limits

_SHOWN_CHARS = 60


class _Open:
    """A mapping or list that is being read."""

    __slots__ = ("anchor", "data", "key", "key_column", "key_line", "place")

    def __init__(self, data: Any, place: Place, anchor: str | None) -> None:
        self.data = data
        self.place = place
        self.anchor = anchor
        self.key: str | None = None
        self.key_line = 0
        self.key_column = 0


class Builder:
    """Takes the parts of one document in the order of the text; lines and columns count from 1."""

    def __init__(self, limits: Limits, file: str | None) -> None:
        self._limits = limits
        self._file = file
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, Place] | None] = {}
        self._nodes = 0
        self._alias_nodes = 0
        self._data: Any = None
        self._root = Place(1, 1, 0, 0)

    @property
    def wants_key(self) -> bool:
        """Whether the next part is the key of a mapping."""
        return bool(self._stack) and isinstance(self._stack[-1].data, dict) and self._stack[-1].key is None

    def key(self, key: object, line: int, column: int) -> None:
        """The key of what comes next."""
        top = self._stack[-1]
        if not isinstance(key, str):
            raise BadValue(
                f"a key is a string, and {_shown(key)} is not: write it in quotes",
                file=self._file,
                line=line,
                column=column,
            )
        if key in top.data:
            first = top.place.members[key]  # type: ignore[index, call-overload]  # a mapping has its places by key
            reason = (
                f"the key {_shown(key)} is written twice, first in line {first.key_line}, column {first.key_column}: "
                "remove one"
            )
            raise DuplicateKey(
                reason,
                file=self._file,
                line=line,
                column=column,
                first_line=first.key_line,
                first_column=first.key_column,
            )
        top.key, top.key_line, top.key_column = key, line, column

    def value(self, value: object, line: int, column: int, anchor: str | None = None) -> None:
        """A value that holds nothing else."""
        self._count(line, column)
        place = self._attached(value, line, column)
        if anchor is not None:
            self._anchors[anchor] = (value, place)

    def empty(self, line: int, column: int, anchor: str | None = None) -> None:
        """A value that was left out: null, placed at its key, if it has one."""
        if self._stack and self._stack[-1].key is not None:
            line, column = self._stack[-1].key_line, self._stack[-1].key_column
        self.value(None, line, column, anchor)

    def open(self, data: dict[str, Any] | list[Any], line: int, column: int, anchor: str | None = None) -> None:
        """Begin a mapping or a list."""
        self._count(line, column)
        if len(self._stack) >= self._limits.max_depth:
            raise self._too_deep(line, column)
        place = self._attached(data, line, column)
        place.members = {} if isinstance(data, dict) else []
        self._stack.append(_Open(data, place, anchor))
        if anchor is not None:
            self._anchors[anchor] = None

    def close(self) -> None:
        """End the mapping or list that was begun last."""
        done = self._stack.pop()
        if done.anchor is not None:
            self._anchors[done.anchor] = (done.data, done.place)

    def alias(self, anchor: str, line: int, column: int) -> None:
        """The value of an anchor once more, as a copy; its position stays that of its text."""
        shown = anchor[:_SHOWN_CHARS]
        if anchor not in self._anchors:
            reason = (
                f"no anchor &{shown} stands before the alias *{shown}: add it, or quote a text that begins with '*'"
            )
            raise NotSupported(reason, file=self._file, line=line, column=column)
        anchored = self._anchors[anchor]
        if anchored is None:
            reason = f"the alias *{shown} stands inside of what it repeats, which has no end: remove it"
            raise NotSupported(reason, file=self._file, line=line, column=column)
        value, source = anchored
        copy = self._copied(value, len(self._stack), line, column)
        self._attached(copy, source.line, source.column).members = source.members

    def document(self) -> Document:
        """What was read."""
        return Document(self._data, Positions(self._root), Positions(self._root, of_keys=True), self._file)

    def _attached(self, value: object, line: int, column: int) -> Place:
        """The place of a value, once both are part of what is being read."""
        if not self._stack:
            self._data, self._root = value, Place(line, column, 0, 0)
            return self._root
        top = self._stack[-1]
        place = Place(line, column, top.key_line, top.key_column)
        if top.key is None:
            top.data.append(value)
            top.place.members.append(place)  # type: ignore[union-attr]  # a list has its places in order
        else:
            top.data[top.key] = value
            top.place.members[top.key] = place  # type: ignore[index, call-overload]  # as in `key`
            top.key = None
        return place

    def _copied(self, value: Any, depth: int, line: int, column: int) -> Any:
        self._count(line, column)
        self._alias_nodes += 1
        most = self._limits.max_alias_nodes
        if self._alias_nodes > most:
            raise self._too_large(f"its aliases write more than {most:,} values", line, column)
        if not isinstance(value, dict | list):
            return value
        if depth >= self._limits.max_depth:
            raise self._too_deep(line, column)
        if isinstance(value, dict):
            return {key: self._copied(member, depth + 1, line, column) for key, member in value.items()}
        return [self._copied(item, depth + 1, line, column) for item in value]

    def _count(self, line: int, column: int) -> None:
        self._nodes += 1
        if self._nodes > self._limits.max_nodes:
            raise self._too_large(f"it holds more than {self._limits.max_nodes:,} values", line, column)

    def _too_deep(self, line: int, column: int) -> TooLarge:
        most = self._limits.max_depth
        return self._too_large(f"it has more than {most} mappings and lists inside each other", line, column)

    def _too_large(self, reason: str, line: int, column: int) -> TooLarge:
        return TooLarge(f"the document is too large: {reason}", file=self._file, line=line, column=column)


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
