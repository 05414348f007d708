"""What was read: plain data, and where each part of it stands in the text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias


class Position(NamedTuple):
    """A place in a text; both count from 1, the column in characters."""

    line: int
    column: int


class Place:
    """Where one value stands: the value itself, its key (in a mapping), and the places of what it holds."""

    __slots__ = ("column", "key_column", "key_line", "line", "members")

    def __init__(self, line: int, column: int, key_line: int, key_column: int) -> None:
        self.line = line
        self.column = column
        self.key_line = key_line
        self.key_column = key_column
        self.members: Members = None


Members: TypeAlias = dict[str, Place] | list[Place] | None


class Positions(Mapping[str, Position]):
    """Positions by JSON Pointer, of values or of keys; a pointer is put together only when someone asks."""

    def __init__(self, root: Place, *, of_keys: bool = False) -> None:
        self._root = root
        self._of_keys = of_keys

    def __getitem__(self, pointer: str) -> Position:
        place = self._root
        holder: Members = None
        if pointer and not pointer.startswith("/"):
            raise KeyError(pointer)
        for part in pointer.split("/")[1:]:
            holder = place.members
            try:
                if isinstance(holder, dict):
                    place = holder[part.replace("~1", "/").replace("~0", "~")]
                elif isinstance(holder, list) and _is_index(part):
                    place = holder[int(part)]
                else:
                    raise KeyError(pointer)
            except LookupError:
                raise KeyError(pointer) from None
        if not self._of_keys:
            return Position(place.line, place.column)
        if isinstance(holder, dict):
            return Position(place.key_line, place.key_column)
        raise KeyError(pointer)

    def __iter__(self) -> Iterator[str]:
        if not self._of_keys:
            yield ""
        stack = [("", self._root)]
        while stack:
            pointer, place = stack.pop()
            members = place.members
            if isinstance(members, dict):
                below = [(f"{pointer}/{_escaped(key)}", member) for key, member in members.items()]
            else:
                below = [(f"{pointer}/{index}", member) for index, member in enumerate(members or ())]
            if not self._of_keys or isinstance(members, dict):
                yield from (path for path, _ in below)
            stack.extend(reversed([(path, member) for path, member in below if member.members]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) <= 10 and (part == "0" or part[0] != "0")


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data and the positions of its values and of its keys, by JSON Pointer ("" is the whole)."""

    data: Any
    positions: Mapping[str, Position]
    key_positions: Mapping[str, Position]
    file: str | None = None
