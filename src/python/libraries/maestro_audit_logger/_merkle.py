"""The Merkle tree of RFC 6962, section 2.1 (RFC 9162 has the same hashes): roots, inclusion and consistency proofs."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import TypeAlias

from maestro_audit_logger._errors import InvalidProof

EMPTY_ROOT = sha256().digest()

Subtree: TypeAlias = Callable[[int, int], bytes]
"""Gives the root over `width` leaves from `first`, where width is a power of two that divides first."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of an entry."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbours."""
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: list[bytes]) -> bytes:
    """The root over leaf hashes whose number is a power of two."""
    while len(hashes) > 1:
        hashes = [
            sha256(b"\x01" + left + right).digest() for left, right in zip(hashes[::2], hashes[1::2], strict=True)
        ]
    return hashes[0]


class Frontier:
    """The right edge of a growing tree: the roots of the perfect subtrees that it is made of, the widest first."""

    __slots__ = ("roots", "size")

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        self.size = size
        self.roots = list(roots)
        if len(self.roots) != size.bit_count():
            raise ValueError(
                f"a tree of {size} leaves has {size.bit_count()} subtrees at its edge, not {len(self.roots)}"
            )

    def add(self, root: bytes, width: int = 1) -> None:
        """Append a perfect subtree; its width is a power of two that divides the size so far."""
        left = self.size // width
        self.size += width
        while left & 1:
            root = node_hash(self.roots.pop(), root)
            left >>= 1
        self.roots.append(root)

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self.roots:
            return EMPTY_ROOT
        root = self.roots[-1]
        for left in self.roots[-2::-1]:
            root = node_hash(left, root)
        return root

    def copy(self) -> "Frontier":
        """The same edge, to grow on its own."""
        return Frontier(self.size, self.roots)


def _split(size: int) -> int:
    """The largest power of two below `size`, which is 2 at least."""
    return 1 << (size - 1).bit_length() - 1


def range_root(first: int, end: int, subtree: Subtree) -> bytes:
    """The root over the leaves from `first` up to `end`, as a proof needs it."""
    size = end - first
    if size & (size - 1) == 0:
        return subtree(first, size)
    middle = first + _split(size)
    return node_hash(subtree(first, middle - first), range_root(middle, end, subtree))


def tree_root(size: int, subtree: Subtree) -> bytes:
    """The root of the tree when it had `size` leaves."""
    return range_root(0, size, subtree) if size else EMPTY_ROOT


def inclusion_path(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The proof that leaf `index` is in the tree of `size` leaves, from the leaf's neighbour up."""
    path, first, end = [], 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(range_root(middle, end, subtree))
            end = middle
        else:
            path.append(range_root(first, middle, subtree))
            first = middle
    return path[::-1]


def consistency_path(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """The proof that the tree of `new` leaves begins with the tree of `old` leaves."""
    if old == 0:
        return []
    path, first, end = [], 0, new
    while end != old:
        middle = first + _split(end - first)
        if old <= middle:
            path.append(range_root(middle, end, subtree))
            end = middle
        else:
            path.append(range_root(first, middle, subtree))
            first = middle
    if first:
        path.append(range_root(first, end, subtree))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raise InvalidProof unless `path` leads from the hash of leaf `index` to the root of `size` leaves."""
    if not 0 <= index < size:
        raise InvalidProof(f"entry {index} cannot be in a tree of {size}")
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise InvalidProof("the inclusion proof is too long")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise InvalidProof("the inclusion proof is too short")
    if found != root:
        raise InvalidProof(f"the inclusion proof of entry {index} does not lead to the root")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """Raise InvalidProof unless `path` shows that the tree of `new` leaves begins with that of `old` leaves."""
    if not 0 <= old <= new:
        raise InvalidProof(f"a tree of {new} cannot begin with one of {old}")
    if old in (0, new):
        if path or old_root != (new_root if old == new else EMPTY_ROOT):
            raise InvalidProof(f"the trees of {old} and {new} are not consistent")
        return
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not steps:
        raise InvalidProof("the consistency proof is empty")
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_found = new_found = steps[0]
    for sibling in steps[1:]:
        if last == 0:
            raise InvalidProof("the consistency proof is too long")
        if node & 1 or node == last:
            old_found, new_found = node_hash(sibling, old_found), node_hash(sibling, new_found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            new_found = node_hash(new_found, sibling)
        node, last = node >> 1, last >> 1
    if last or old_found != old_root or new_found != new_root:
        raise InvalidProof(f"the tree of {new} does not begin with that of {old}")
