"""Summaries of blocks of entries: what the index holds, so that queries and proofs need not read everything."""

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import repeat, takewhile
from typing import Any, BinaryIO

BLOCK = 1024
MAX_LINE_BYTES = 65_537
_FOUR_NUMBERS = struct.Struct("<4H24x").unpack
NAMES = ("action", "actor", "object")


@dataclass(frozen=True, slots=True)
class Block:
    """1,024 entries whose first number 1,024 divides, all in one segment.

    `names` holds a Bloom filter for each of action, actor and object: it may say yes wrongly, and never no wrongly.
    """

    first: int
    offset: int
    size_bytes: int
    min_at: str
    max_at: str
    root: bytes
    names: tuple[bytes, bytes, bytes]

    def may_hold(self, what: str, name: str) -> bool:
        """Whether an entry of the block may have that name as its action, actor or object."""
        bloom = self.names[NAMES.index(what)]
        return all(bloom[bit >> 3] >> (bit & 7) & 1 for bit in _bits(name, len(bloom) * 8))

    def line(self) -> bytes:
        """The block as a line of the index, with a checksum in front that tells accidents."""
        names = [b64encode(bloom).decode() for bloom in self.names]
        values = [self.first, self.offset, self.size_bytes, self.min_at, self.max_at, self.root.hex(), names]
        text = json.dumps(values, separators=(",", ":"))
        return f'["{_check(text)}",{text}]\n'.encode()

    @classmethod
    def parse(cls, line: bytes) -> "Block":
        """Read a line of the index; raises ValueError."""
        try:
            _, (first, offset, size_bytes, min_at, max_at, root, names) = json.loads(line)
            action, actor, object_ = (b64decode(bloom, validate=True) for bloom in names)
            block = cls(first, offset, size_bytes, min_at, max_at, bytes.fromhex(root), (action, actor, object_))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("a line of the index is not a block") from error
        if block.line() != line:
            raise ValueError("a line of the index is damaged")
        return block


def block_of(first: int, offset: int, size_bytes: int, entries: Sequence[Any], root: bytes) -> Block:
    """Summarise 1,024 entries that lie in so many bytes, and have that root."""
    times = [entry["at"] for entry in entries]
    action, actor, object_ = (_bloom({entry[what] for entry in entries}) for what in NAMES)
    return Block(first, offset, size_bytes, min(times), max(times), root, (action, actor, object_))


def read_lines(file: BinaryIO, count: int) -> list[bytes]:
    """Up to `count` lines with their newlines; one that is longer than an entry can be comes without its end."""
    return list(takewhile(bool, map(file.readline, repeat(MAX_LINE_BYTES, count))))


def parse_lines(lines: Sequence[bytes]) -> list[Any]:
    """What lines of JSON hold, parsed in one go; raises ValueError where they are not one value each."""
    try:
        values = json.loads(b"[" + b",".join(lines) + b"]")
    except RecursionError as error:
        raise ValueError("the JSON is too deep") from error
    if len(values) != len(lines):
        raise ValueError("a line holds more or less than one value")
    return list(values)


def leaves_of(lines: Sequence[bytes]) -> list[bytes]:
    """The hashes of lines, which end in a newline."""
    return [sha256(b"\x00" + line[:-1]).digest() for line in lines]


def read_index(data: bytes) -> Iterator[bytes]:
    """The whole lines of an index file; what follows the last newline was never finished."""
    yield from data[: data.rfind(b"\n") + 1].splitlines(keepends=True)


def _check(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _bloom(names: set[str]) -> bytes:
    """Eight bits or more for each name: about one answer in forty is a wrong yes."""
    bits = max(64, 1 << (8 * len(names) - 1).bit_length())
    bloom = bytearray(bits // 8)
    for name in names:
        for bit in _bits(name, bits):
            bloom[bit >> 3] |= 1 << (bit & 7)
    return bytes(bloom)


def _bits(name: str, bits: int) -> list[int]:
    """Four bits for a name; `bits` is a power of two, and 2**13 at most, since a block has 2**10 names at most."""
    mask = bits - 1
    return [number & mask for number in _FOUR_NUMBERS(sha256(name.encode()).digest())]
