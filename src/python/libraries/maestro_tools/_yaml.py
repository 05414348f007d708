"""YAML as OpenAPI documents are written in: the values of JSON, keys that are always text, and bounds on all of it.

Our own YAML parser is for workflows, and refuses what is usual here: `200:` as a key, for one.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 100
_MOST_NODES = 500_000

# The two parsers have a word each for text without quotes.
_PLAIN = (None, "")
_NULL = ("", "~", "null", "Null", "NULL")
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")


class _Builder:
    """Puts values together from events, without recursion. An alias is the value itself, and counts as much."""

    def __init__(self) -> None:
        self.document: Any = None
        self._nodes = 0
        self._open: list[tuple[Any, str | None, int]] = []
        self._keys: list[str | None] = []
        self._anchors: dict[str, tuple[Any, int]] = {}

    def scalar(self, event: Any) -> None:
        if self._awaits_key:
            self._keys[-1] = event.value
            return
        is_text = event.style not in _PLAIN or not event.implicit[0]
        self._add(event.value if is_text else _plain(event.value), event.anchor, 1)

    def alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise ValueError(f"line {event.start_mark.line + 1}: the alias {event.anchor!r} has no anchor before it")
        if self._awaits_key:
            raise ValueError(f"line {event.start_mark.line + 1}: an alias cannot be a key")
        value, size = self._anchors[event.anchor]
        self._add(value, None, size)

    def begin(self, value: Any, event: Any) -> None:
        if len(self._open) >= _DEEPEST:
            raise ValueError(f"is nested deeper than {_DEEPEST}")
        if self._awaits_key:
            raise ValueError(f"line {event.start_mark.line + 1}: a key must be text")
        self._open.append((value, event.anchor, self._nodes))
        self._keys.append(None)

    def end(self) -> None:
        value, anchor, before = self._open.pop()
        self._keys.pop()
        self._add(value, anchor, self._nodes - before + 1, counted=True)

    @property
    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1][0], dict) and self._keys[-1] is None

    def _add(self, value: Any, anchor: str | None, size: int, *, counted: bool = False) -> None:
        self._nodes += 1 if counted else size
        if self._nodes > _MOST_NODES:
            raise ValueError(f"holds more than {_MOST_NODES} values")
        if anchor is not None:
            self._anchors[anchor] = (value, size)
        if not self._open:
            self.document = value
            return
        parent = self._open[-1][0]
        if isinstance(parent, list):
            parent.append(value)
            return
        key = self._keys[-1]
        if key in parent:
            raise ValueError(f"holds the key {key!r} twice")
        parent[key] = value
        self._keys[-1] = None


def read_yaml(text: str) -> Any:
    """The one document of a text, as JSON data. Raises ValueError with the place of what is wrong."""
    builder = _Builder()
    documents = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.ScalarEvent):
                builder.scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                builder.alias(event)
            elif isinstance(event, yaml.MappingStartEvent):
                builder.begin({}, event)
            elif isinstance(event, yaml.SequenceStartEvent):
                builder.begin([], event)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                builder.end()
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise ValueError("holds more than one document")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1} column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{place}{getattr(error, 'problem', None) or 'is not YAML'}") from error
    return builder.document


def _plain(text: str) -> Any:
    """The value of text without quotes, by the core schema of YAML 1.2: a date is text, and so are yes and on."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return text
