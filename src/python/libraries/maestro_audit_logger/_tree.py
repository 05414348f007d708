"""The tree over what is in the files, as proofs ask for it."""

from bisect import bisect_right

from maestro_audit_logger._blocks import BLOCK
from maestro_audit_logger._errors import LogDamaged, NotInLog
from maestro_audit_logger._layout import Layout
from maestro_audit_logger._merkle import node_hash, perfect_root
from maestro_audit_logger._spans import Span, spans_of


class StoredTree:
    """Gives roots of perfect subtrees from the index; reads entries only near the leaf that is asked for."""

    def __init__(self, layout: Layout) -> None:
        self._known: dict[tuple[int, int], bytes] = {}
        self._spans: list[Span] = []
        edge, segments = layout.read_kept()
        self._add_removed(edge.size, edge.roots)
        self.size = self.removed = edge.size
        for segment in segments:
            if segment.first != self.size:
                raise LogDamaged(f"{segment.path.name} does not follow on entry {self.size}; verify the log")
            for span in spans_of(segment):
                if span.block is not None:
                    self._known[span.first, BLOCK] = span.block.root
                self._spans.append(span)
                self.size = span.end
        self._firsts = [span.first for span in self._spans]
        self._leaves: tuple[int, list[bytes]] = (0, [])

    def _add_removed(self, size: int, roots: list[bytes]) -> None:
        first = 0
        for root in roots:
            width = 1 << (size - first).bit_length() - 1
            self._known[first, width] = root
            first += width

    def subtree(self, first: int, width: int) -> bytes:
        """The root over `width` entries from `first`; raises NotInLog where retention removed what it needs."""
        known = self._known.get((first, width))
        if known is not None:
            return known
        if width > BLOCK or first < self.removed:
            if width == 1:
                raise NotInLog(
                    f"entry {first} was removed by retention, so that nothing below {self.removed} can be proved"
                )
            half = width // 2
            return node_hash(self.subtree(first, half), self.subtree(first + half, half))
        return perfect_root([self._leaf(number) for number in range(first, first + width)])

    def span_at(self, seq: int) -> Span:
        """The span that holds the entry; raises NotInLog."""
        if seq < self.removed:
            raise NotInLog(f"entry {seq} was removed by retention; the log begins at {self.removed}")
        if not seq < self.size:
            raise NotInLog(f"the log has {self.size} entries, and no entry {seq}")
        return self._spans[bisect_right(self._firsts, seq) - 1]

    def _leaf(self, seq: int) -> bytes:
        first, leaves = self._leaves
        if not first <= seq < first + len(leaves):
            span = self.span_at(seq)
            first, leaves = self._leaves = span.first, span.read_leaves()
        return leaves[seq - first]
