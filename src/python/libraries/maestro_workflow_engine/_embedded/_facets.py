"""The search index: which workflows have a name, a label, an input or another facet, as sets of bits.

A facet is a 64-bit hash of what it says. Its workflows are kept by blocks of 4,096 keys: as a list of 2-byte numbers
while there are few, as 4,096 bits when there are many. So any combination of filters is an `and` of bits, block by
block from the newest on, and costs no more when each filter fits half of a million workflows and all of them none.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Final, TypeGuard

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._embedded._values import Statement, encode, microseconds
from maestro_workflow_engine._json import JSON

BLOCK: Final = 4096
MAX_INPUT_CHARS: Final = 256
_BITS_BYTES: Final = BLOCK // 8
_LIST_BYTES: Final = 64
ALWAYS: Final = 2**62
_BLOCKS: Final = (
    "SELECT block, first_at, last_at FROM blocks WHERE block <= ? AND last_at >= ? AND first_at <= ? "
    "ORDER BY block DESC"
)
_KEYS: Final = "SELECT block, keys FROM facets WHERE facet = ? AND block >= ? AND block <= ?"
_FEW_BLOCKS: Final = 4
_MANY_BLOCKS: Final = 64


@lru_cache(maxsize=4096, typed=True)
def facet(kind: str, value: str | float | None, name: str = "") -> int:
    """The number of a facet; numbers that are equal as JSON give the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # Nobody gains by forging a collision: who starts a workflow may as well give it the label itself.
    digest = blake2b(encode([kind, name, value]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def can_be_searched(value: JSON) -> TypeGuard[str | float | None]:
    """Whether an input with this value is found by it."""
    return not isinstance(value, list | dict) and not (isinstance(value, str) and len(value) > MAX_INPUT_CHARS)


def facets_of(
    *,
    status: str | None,
    name: str | None,
    template: str | None,
    parent: str | None,
    labels: Mapping[str, str],
    inputs: Mapping[str, JSON],
) -> list[int]:
    """All facets of a workflow, or of a filter."""
    plain = {"status": status, "name": name, "template": template, "parent": parent}
    found = [facet(kind, value) for kind, value in plain.items() if value is not None]
    found += [facet("label", value, name) for name, value in labels.items()]
    found += [facet("input", value, name) for name, value in inputs.items() if can_be_searched(value)]
    return found


# --- writing ---


def register_functions(connection: sqlite3.Connection) -> None:
    """Teach a connection that writes how to add a key to a set of bits, and how to take one away."""
    connection.create_function("with_key", 2, with_key, deterministic=True)
    connection.create_function("without_key", 2, without_key, deterministic=True)


def with_key(keys: bytes, added: bytes) -> bytes:
    """The keys of a block and one more, which is given as its 2-byte number."""
    if len(keys) < _LIST_BYTES:
        return keys if added in _numbers(keys) else keys + added
    bits = _bits(keys)
    number = int.from_bytes(added, "little")
    bits[number >> 3] |= 1 << (number & 7)
    return bytes(bits)


def without_key(keys: bytes, taken: bytes) -> bytes:
    """The keys of a block but one."""
    if len(keys) < _BITS_BYTES:
        return b"".join(number for number in _numbers(keys) if number != taken)
    bits = bytearray(keys)
    number = int.from_bytes(taken, "little")
    bits[number >> 3] &= ~(1 << (number & 7))
    return bytes(bits) if any(bits) else b""


def adding(facets: Iterable[int], key: int) -> list[Statement]:
    """Note that a workflow has these facets."""
    block, number = key // BLOCK, (key % BLOCK).to_bytes(2, "little")
    values = [value for each in dict.fromkeys(facets) for value in (each, block, number)]
    rows = ", ".join(["(?, ?, ?)"] * (len(values) // 3))
    merged = "ON CONFLICT (facet, block) DO UPDATE SET keys = with_key(keys, excluded.keys)"
    return [(f"INSERT INTO facets (facet, block, keys) VALUES {rows} {merged}", values)] if values else []


def taking(facets: Sequence[int], key: int, *, unless_there: bool = False) -> Statement:
    """Note that a workflow no longer has these facets; `unless_there` does so only when the workflow itself is gone."""
    block, number = key // BLOCK, (key % BLOCK).to_bytes(2, "little")
    guard = " AND NOT EXISTS (SELECT 1 FROM workflows WHERE key = ?)" if unless_there else ""
    sql = f"UPDATE facets SET keys = without_key(keys, ?) WHERE block = ? AND facet IN ({_places(facets)}){guard}"
    return sql, (number, block, *facets, *((key,) if unless_there else ()))


def clearing(facets: Sequence[int], key: int) -> Statement:
    """Remove those of these facets that no workflow near this one has any more."""
    sql = f"DELETE FROM facets WHERE block = ? AND facet IN ({_places(facets)}) AND keys = x''"
    return sql, (key // BLOCK, *facets)


def started_in_block(key: int, started_at: datetime) -> Statement:
    """Note when workflows of a block were started."""
    sql = (
        "INSERT INTO blocks (block, first_at, last_at) VALUES (?, ?, ?) ON CONFLICT (block) DO UPDATE SET "
        "first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)"
    )
    at = microseconds(started_at)
    return sql, (key // BLOCK, at, at)


def _places(facets: Sequence[int]) -> str:
    return ", ".join("?" * len(facets))


# --- searching ---


@dataclass(frozen=True, slots=True)
class Search:
    """Which workflows are wanted: they have all facets, were started in the span (in microseconds), and a lower key."""

    facets: Sequence[int] = ()
    first_at: int = -ALWAYS
    last_at: int = ALWAYS
    before_key: int = ALWAYS

    def keys(self, connection: sqlite3.Connection) -> Iterator[int]:
        """The keys of the workflows that fit, the highest first."""
        if not self.facets and self.first_at == -ALWAYS and self.last_at == ALWAYS:
            query = "SELECT key FROM workflows WHERE key < ? ORDER BY key DESC"
            yield from (key for (key,) in connection.execute(query, (self.before_key,)))
            return
        last_block, rest = divmod(self.before_key, BLOCK)
        cursor = connection.execute(_BLOCKS, (last_block, self.first_at, self.last_at))
        sizes: dict[int, int] = {}
        at_once = _FEW_BLOCKS
        while blocks := cursor.fetchmany(at_once):
            at_once = _MANY_BLOCKS  # the first page seldom needs more than a few
            found = self._having_all(connection, [block for block, _, _ in blocks], sizes)
            for block, first_at, last_at in blocks:
                bits = found.get(block, 0)
                if bits and not (self.facets and self.first_at <= first_at and last_at <= self.last_at):
                    bits &= _started_in(connection, block, self.first_at, self.last_at)
                if block == last_block:
                    bits &= (1 << rest) - 1
                while bits:
                    number = bits.bit_length() - 1
                    bits ^= 1 << number
                    yield block * BLOCK + number

    def _having_all(self, connection: sqlite3.Connection, blocks: list[int], sizes: dict[int, int]) -> dict[int, int]:
        """The bits of those blocks in which any workflow has all facets.

        The rarest facet comes first, as far as `sizes` knows by now, since after it there is little left to look at.
        """
        found = dict.fromkeys(blocks, -1)
        for each in sorted(self.facets, key=lambda each: sizes.get(each, 0)):
            rows = connection.execute(_KEYS, (each, blocks[-1], blocks[0])).fetchall()
            sizes[each] = sum(len(keys) for _, keys in rows)
            found = {
                block: bits
                for block, keys in rows
                if block in found and (bits := found[block] & int.from_bytes(_bits(keys), "little"))
            }
            if not found:
                break
        return found


def _started_in(connection: sqlite3.Connection, block: int, first: int, last: int) -> int:
    """Workflows of a block that were started in a span, as bits."""
    query = "SELECT key FROM workflows WHERE key >= ? AND key < ? AND started_at >= ? AND started_at <= ?"
    bits = bytearray(_BITS_BYTES)
    for (key,) in connection.execute(query, (block * BLOCK, (block + 1) * BLOCK, first, last)):
        bits[key % BLOCK >> 3] |= 1 << (key & 7)
    return int.from_bytes(bits, "little")


def _numbers(keys: bytes) -> list[bytes]:
    return [keys[start : start + 2] for start in range(0, len(keys), 2)]


def _bits(keys: bytes) -> bytearray:
    if len(keys) == _BITS_BYTES:
        return bytearray(keys)
    bits = bytearray(_BITS_BYTES)
    for start in range(0, len(keys), 2):
        number = keys[start] | keys[start + 1] << 8
        bits[number >> 3] |= 1 << (number & 7)
    return bits
