"""Collects what is wrong with a document, and gives each problem its place."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from maestro_workflow_engine._errors import InvalidDefinition
from maestro_workflow_engine._json import pointer
from maestro_workflow_engine._problems import Position, Problem, did_you_mean

MAX_PROBLEMS = 1000
_MAX_HINTS = 100


class Report:
    """The problems of one document; at the 1,000th it gives up and raises what it has."""

    def __init__(
        self,
        document: object,
        positions: Mapping[str, Position] | None,
        key_positions: Mapping[str, Position] | None,
        file: str | None,
    ) -> None:
        self._document = document
        self._positions = positions or {}
        self._key_positions = key_positions or {}
        self._file = file
        self._base = ""
        self._problems: list[Problem] = []
        self._hints = iter(range(_MAX_HINTS))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was noted, in the whole document."""
        return not self._problems

    def below(self, path: str) -> "Report":
        """The same report for whoever reads a part of the document as if it were all of it."""
        part = copy.copy(self)
        part._base = self._base + path
        return part

    def add(self, path: str, code: str, message: str, *, at_key: bool = False) -> None:
        """Note a problem; with `at_key`, its place is that of the key instead of the value."""
        path = self._base + path
        place = self._place(path, at_key)
        line, column = (place.line, place.column) if place else (None, None)
        self._problems.append(Problem(path, message, f"definition.{code}", line, column, self._file))
        if len(self._problems) >= MAX_PROBLEMS:
            message = f"there are {MAX_PROBLEMS:,} problems or more: correct these first"
            self._problems.append(Problem("", message, "definition.too-many-problems", file=self._file))
            self.refuse()

    def check_keys(self, path: str, value: Mapping[str, object], known: Sequence[str], owner: str) -> None:
        """Note each key that nobody reads."""
        for key in value:
            if key not in known:
                message = f"{owner} has no key {key[:64]!r}{self.hint(key, known)}: it has {', '.join(known)}"
                self.add(pointer(path, key), "unknown-key", message, at_key=True)

    def hint(self, name: str, known: Iterable[str]) -> str:
        """A did-you-mean for a misspelt name; gives up after a hundred, since finding one is slow."""
        return did_you_mean(name, known) if next(self._hints, None) is not None else ""

    def refuse_if_any(self) -> None:
        """Raise InvalidDefinition when something was noted."""
        if self._problems:
            self.refuse()

    def refuse(self) -> NoReturn:
        """Raise InvalidDefinition with everything noted, in document order."""
        order = _DocumentOrder(self._document)
        raise InvalidDefinition(sorted(self._problems, key=lambda problem: order.of(problem)))

    def _place(self, path: str, at_key: bool) -> Position | None:
        if at_key and path in self._key_positions:
            return self._key_positions[path]
        while path not in self._positions:
            if not path:
                return None
            path = path.rpartition("/")[0]
        return self._positions[path]


class _DocumentOrder:
    """Sorts problems as a reader meets them, also when no positions are known."""

    def __init__(self, document: object) -> None:
        self._document = document
        self._places: dict[int, dict[str, int]] = {}

    def of(self, problem: Problem) -> tuple[int, tuple[int, ...]]:
        """Where the value of a problem stands in the document; what speaks of the report itself comes last."""
        value = self._document
        places: list[int] = []
        for part in problem.path.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict):
                if id(value) not in self._places:
                    self._places[id(value)] = {str(name): i for i, name in enumerate(value)}
                if key not in value:
                    break
                places.append(self._places[id(value)][key])
                value = value[key]
            elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                places.append(int(key))
                value = value[int(key)]
            else:
                break
        return int(problem.code == "definition.too-many-problems"), tuple(places)
