"""How a segment reads in pieces: whole blocks by their summary, and what lies between them line by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from maestro_audit_logger._blocks import BLOCK, Block, block_of, leaves_of, parse_lines, read_index, read_lines
from maestro_audit_logger._errors import LogDamaged
from maestro_audit_logger._layout import Segment
from maestro_audit_logger._merkle import Frontier, perfect_root


@dataclass(frozen=True, slots=True)
class Span:
    """Entries that lie one after another in a segment: a block with its summary, or fewer with their hashes."""

    segment: Segment
    first: int
    count: int
    offset: int
    size_bytes: int
    block: Block | None
    leaves: tuple[bytes, ...]

    @property
    def end(self) -> int:
        """The number after that of the last entry."""
        return self.first + self.count

    def add_to(self, edge: Frontier) -> None:
        """Grow the edge of a tree by these entries."""
        if self.block is not None:
            edge.add(self.block.root, self.count)
        else:
            for leaf in self.leaves:
                edge.add(leaf)

    def read(self) -> bytes:
        """The lines."""
        with self.segment.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size_bytes)

    def read_leaves(self) -> list[bytes]:
        """The hashes of the lines."""
        return list(self.leaves) or leaves_of(self.read().splitlines(keepends=True))


def spans_of(segment: Segment, *, stop: int = 0) -> Iterator[Span]:
    """The spans of a segment, up to its last whole line; no span holds entries on both sides of `stop`.

    Summaries come from the index; where it is missing or damaged they are made from the entries.
    """
    blocks = _index(segment)
    first, offset = segment.first, 0
    with segment.path.open("rb") as file:
        while True:
            block = blocks.get(first)
            if block is not None and block.offset == offset and not first < stop < first + BLOCK:
                span = Span(segment, first, BLOCK, offset, block.size_bytes, block, ())
                file.seek(offset + span.size_bytes - 1)
                if file.read(1) != b"\n":
                    raise LogDamaged(
                        f"{segment.path.name} ends or differs within the block of entry {first}; verify the log"
                    )
            else:
                end = first - first % BLOCK + BLOCK
                end = stop if first < stop < end else end
                lines = list(takewhile(lambda line: line.endswith(b"\n"), read_lines(file, end - first)))
                leaves = leaves_of(lines)
                block = _summary(segment, first, offset, lines, leaves) if len(lines) == BLOCK else None
                size_bytes = sum(map(len, lines))
                span = Span(segment, first, len(lines), offset, size_bytes, block, () if block else tuple(leaves))
                file.seek(offset + size_bytes)
            if span.count == 0:
                return
            yield span
            first, offset = span.end, offset + span.size_bytes


def _index(segment: Segment) -> dict[int, Block]:
    blocks: dict[int, Block] = {}
    try:
        data = segment.index.read_bytes()
    except FileNotFoundError:
        return blocks
    for line in read_index(data):
        try:
            block = Block.parse(line)
        except ValueError:
            continue
        blocks[block.first] = block
    return blocks


def _summary(segment: Segment, first: int, offset: int, lines: list[bytes], leaves: list[bytes]) -> Block:
    try:
        return block_of(first, offset, sum(map(len, lines)), parse_lines(lines), perfect_root(leaves))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{segment.path.name} holds no entries where {first} to {first + BLOCK - 1} belong; verify the log"
        raise LogDamaged(message) from error
