"""Tools held to what they were when somebody looked at them: the lock file, what has drifted from it, and the guard.

A server can change what a tool says and does after it was trusted ("rug pull"). A pin is the SHA-256 of a definition.
"""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maestro_tools._errors import InvalidSource, Problem, ToolDrifted
from maestro_tools._inside import inside
from maestro_tools._questions import shown
from maestro_tools._sources import Pinning
from maestro_tools._tools import Tool, ToolSource, digest_of

LOCK_NAME = "maestro-tools.lock"

_VERSION = 1
_LARGEST_LOCK_BYTES = 16 * 1024 * 1024
_LONGEST_DIFF = 4000
_log = logging.getLogger("maestro_tools")


@dataclass(frozen=True, slots=True)
class Drift:
    """One tool that is not what it was: added, removed or changed (`kind`); `diff` shows its definition."""

    source: str
    tool: str
    kind: str
    diff: str

    def __str__(self) -> str:
        return f"{self.source}.{self.tool} was {self.kind}\n{self.diff}"


@dataclass(frozen=True, slots=True)
class ToolLock:
    """Definitions of tools as they were looked at, by source and name. Sources without any tool are not in it."""

    definitions: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, tools: Iterable[Tool]) -> ToolLock:
        """The lock of these tools."""
        found: dict[str, dict[str, Mapping[str, Any]]] = {}
        for tool in tools:
            found.setdefault(tool.source, {})[tool.name] = tool.definition
        return cls(found)

    @classmethod
    def parse(cls, text: str) -> ToolLock:
        """Read what `text` wrote. Raises ValueError with the place when it is no lock, or was changed by hand."""
        try:
            data = json.loads(text)
        except RecursionError:
            raise ValueError("is nested too deeply") from None
        if not isinstance(data, dict) or data.get("version") != _VERSION or not isinstance(data.get("sources"), dict):
            raise ValueError(f"must be an object with version {_VERSION} and sources: write it anew")
        found: dict[str, dict[str, Mapping[str, Any]]] = {}
        for source, tools in data["sources"].items():
            for name, entry in _entries(tools, f"sources/{source}").items():
                definition = entry.get("definition")
                if not isinstance(definition, dict) or entry.get("sha256") != digest_of(definition):
                    raise ValueError(f"sources/{source}/{name}: the sha256 is not that of the definition")
                found.setdefault(source, {})[name] = definition
        return cls(found)

    def text(self) -> str:
        """The lock as JSON: sorted, one line for each value, so that a change to it can be reviewed."""
        sources = {
            source: {name: {"sha256": digest_of(one), "definition": one} for name, one in tools.items()}
            for source, tools in self.definitions.items()
        }
        data = {"version": _VERSION, "sources": sources}
        return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def pins(self, source: str) -> dict[str, str]:
        """The SHA-256 of every tool of a source."""
        return {name: digest_of(one) for name, one in sorted(self.definitions.get(source, {}).items())}


def _entries(tools: Any, place: str) -> dict[str, dict[str, Any]]:
    if not isinstance(tools, dict) or not all(isinstance(entry, dict) for entry in tools.values()):
        raise ValueError(f"{place} must be an object of objects")
    return tools


async def pins_of(source: ToolSource) -> dict[str, str]:
    """The SHA-256 of every tool that a source has now, by name in order."""
    return {tool.name: tool.digest for tool in await source.list_tools()}


def drift(lock: ToolLock, now: Iterable[Tool]) -> list[Drift]:
    """What is different now from a lock, by source and tool; sources of which `now` has no tool count as removed."""
    current = ToolLock.of(now).definitions
    found = []
    for source in sorted({*lock.definitions, *current}):
        before, after = lock.definitions.get(source, {}), current.get(source, {})
        for name in sorted({*before, *after}):
            old, new = before.get(name), after.get(name)
            if old is None or new is None or digest_of(old) != digest_of(new):
                kind = "added" if old is None else "removed" if new is None else "changed"
                found.append(Drift(source, name, kind, diff_of(old, new)))
    return found


def diff_of(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """A unified diff of two definitions, without characters that hide what it says; bounded."""
    before, after = (
        [] if one is None else json.dumps(one, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
        for one in (old, new)
    )
    lines = difflib.unified_diff(before, after, "pinned", "now", n=2, lineterm="")
    return shown("\n".join(lines), _LONGEST_DIFF)


class Guard:
    """Stands before every call of one source."""

    def __init__(self, name: str, pinning: Pinning, base_dir: Path) -> None:
        """Raises InvalidSource when the lock cannot be read, or does not know the source."""
        self._name = name
        self._policy = pinning.on_drift
        self._pins = dict(pinning.pins)
        self._definitions: Mapping[str, Mapping[str, Any]] = {}
        self._warned: set[str] = set()
        self.is_on = pinning.is_given and self._policy != "allow"
        if self.is_on and pinning.lock is not None:
            lock = _read(name, pinning.lock, base_dir)
            self._definitions = lock.definitions.get(name, {})
            self._pins = {**lock.pins(name), **self._pins}

    def check(self, tool: Tool) -> None:
        """Raises ToolDrifted, or warns once, when the tool is not the pinned one."""
        if not self.is_on or self._pins.get(tool.name) == tool.digest:
            return
        message = self._difference(tool)
        if self._policy == "block":
            raise ToolDrifted(f"{message}\nLook at it, and pin it anew if it is right (sha256 {tool.digest})")
        if tool.digest not in self._warned:
            self._warned.add(tool.digest)
            _log.warning("%s", message)

    def _difference(self, tool: Tool) -> str:
        label = f"{self._name}.{tool.name}"
        if tool.name not in self._pins:
            return f"{label} is not pinned:\n{diff_of(None, tool.definition)}"
        old = self._definitions.get(tool.name)
        if old is None or digest_of(old) != self._pins[tool.name]:
            return f"{label} is not what was pinned (sha256 {self._pins[tool.name]}); now it is:\n" + diff_of(
                None, tool.definition
            )
        return f"{label} is not what was pinned:\n{diff_of(old, tool.definition)}"


def _read(name: str, path: str, base_dir: Path) -> ToolLock:
    place = f"/{name}/lock"
    try:
        with inside(base_dir, path).open("rb") as file:
            data = file.read(_LARGEST_LOCK_BYTES + 1)
        if len(data) > _LARGEST_LOCK_BYTES:
            raise ValueError(f"is larger than {_LARGEST_LOCK_BYTES} bytes")
        return ToolLock.parse(data.decode())
    except (OSError, ValueError) as error:
        raise InvalidSource([Problem(place, f"{path!r} is no lock of tools: {error}")]) from error
