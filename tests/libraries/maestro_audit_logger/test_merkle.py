"""The Merkle tree against RFC 6962 by definition, its known vectors, and pymerkle."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree  # type: ignore[import-untyped]  # it has no types
from pymerkle import InvalidProof as PeerInvalidProof
from pymerkle import verify_consistency as verify_peer_consistency

from maestro_audit_logger import InvalidProof
from maestro_audit_logger._merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    perfect_root,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

# The leaves and roots that Certificate Transparency's own implementations test with.
KNOWN_LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
KNOWN_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
entries_lists = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


def defined_root(entries: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not entries:
        return sha256().digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return sha256(b"\x01" + defined_root(entries[:k]) + defined_root(entries[k:])).digest()


class Tree:
    """A whole tree in memory."""

    def __init__(self, entries: list[bytes]) -> None:
        self.entries = entries
        self.leaves = [leaf_hash(entry) for entry in entries]

    def subtree(self, first: int, width: int) -> bytes:
        """The root of a perfect subtree."""
        assert width & (width - 1) == 0
        assert first % width == 0
        assert first + width <= len(self.leaves)
        return perfect_root(self.leaves[first : first + width])

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves."""
        return tree_root(size, self.subtree)


def test_known_roots() -> None:
    """The roots of the well-known leaves are the well-known roots, by tree and by frontier."""
    tree, frontier = Tree(KNOWN_LEAVES), Frontier()
    found = [frontier.root()]
    for leaf in tree.leaves:
        frontier.add(leaf)
        found.append(frontier.root())
    assert [root.hex() for root in found] == KNOWN_ROOTS
    assert [tree.root(size).hex() for size in range(9)] == KNOWN_ROOTS


@given(entries_lists)
def test_roots_are_those_of_the_definition_and_of_pymerkle(entries: list[bytes]) -> None:
    """Tree, frontier, definition and pymerkle agree at every size."""
    tree, frontier, peer = Tree(entries), Frontier(), InmemoryTree(algorithm="sha256")
    for size, entry in enumerate(entries, 1):
        frontier.add(leaf_hash(entry))
        peer.append_entry(entry)
        assert frontier.root() == tree.root(size) == peer.get_root(size)
    assert frontier.root() == defined_root(entries)
    assert len(frontier.roots) == len(entries).bit_count()


@given(st.integers(0, 9), st.integers(0, 40))
def test_a_frontier_takes_whole_subtrees(level: int, extra: int) -> None:
    """Adding a perfect subtree is adding its leaves."""
    width = 1 << level
    leaves = [leaf_hash(bytes([n % 256, n // 256])) for n in range(2 * width + extra)]
    one_by_one, by_subtree = Frontier(), Frontier()
    for leaf in leaves:
        one_by_one.add(leaf)
    by_subtree.add(perfect_root(leaves[:width]), width)
    by_subtree.add(perfect_root(leaves[width : 2 * width]), width)
    for leaf in leaves[2 * width :]:
        by_subtree.add(leaf)
    assert (by_subtree.size, by_subtree.roots) == (one_by_one.size, one_by_one.roots)


@given(entries_lists, st.data())
def test_inclusion_proofs_are_those_of_pymerkle_and_verify(entries: list[bytes], data: st.DataObject) -> None:
    """For any entry and any later size, the path is the oracle's, and leads to the root."""
    size = data.draw(st.integers(1, len(entries)))
    index = data.draw(st.integers(0, size - 1))
    tree, peer = Tree(entries), InmemoryTree(algorithm="sha256")
    peer.append_entries(entries)
    path = inclusion_path(index, size, tree.subtree)
    assert path == peer.prove_inclusion(index + 1, size).path[1:]
    verify_inclusion(tree.leaves[index], index, size, path, tree.root(size))


def defined_subproof(m: int, entries: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2, word for word."""
    if m == len(entries):
        return [] if whole else [defined_root(entries)]
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m <= k:
        return [*defined_subproof(m, entries[:k], whole), defined_root(entries[k:])]
    return [*defined_subproof(m - k, entries[k:], False), defined_root(entries[:k])]


@given(entries_lists, st.data())
def test_consistency_proofs_are_those_of_the_definition_and_pymerkle_agrees(
    entries: list[bytes], data: st.DataObject
) -> None:
    """For any two sizes the path is that of RFC 6962; pymerkle, whose paths have another form, judges roots alike."""
    new = data.draw(st.integers(1, len(entries)))
    old = data.draw(st.integers(1, new))
    tree, peer = Tree(entries), InmemoryTree(algorithm="sha256")
    peer.append_entries(entries)
    path = consistency_path(old, new, tree.subtree)
    assert path == defined_subproof(old, entries[:new], True)
    verify_consistency(old, tree.root(old), new, tree.root(new), path)
    verify_peer_consistency(tree.root(old), tree.root(new), peer.prove_consistency(old, new))
    with pytest.raises(InvalidProof):
        verify_consistency(old, bytes(32), new, tree.root(new), path)
    with pytest.raises(PeerInvalidProof):
        verify_peer_consistency(bytes(32), tree.root(new), peer.prove_consistency(old, new))


def test_every_proof_of_small_trees_verifies_and_no_altered_one_does() -> None:
    """For every entry and pair of sizes up to 12: right as made; wrong with a step changed, missing or added."""
    tree = Tree([bytes([n]) for n in range(12)])
    for size in range(1, 13):
        root = tree.root(size)
        for index in range(size):
            path = inclusion_path(index, size, tree.subtree)
            verify_inclusion(tree.leaves[index], index, size, path, root)
            for bad in altered(path):
                with pytest.raises(InvalidProof):
                    verify_inclusion(tree.leaves[index], index, size, bad, root)
            for other in range(size + 1):
                if other != index:
                    with pytest.raises(InvalidProof):
                        verify_inclusion(tree.leaves[index], other, size, path, root)
        for old in range(size + 1):
            path = consistency_path(old, size, tree.subtree)
            verify_consistency(old, tree.root(old), size, root, path)
            for bad in altered(path):
                with pytest.raises(InvalidProof):
                    verify_consistency(old, tree.root(old), size, root, bad)
            with pytest.raises(InvalidProof):
                verify_consistency(old, bytes(32), size, root, path)
            # Everything continues the empty tree, whatever it is.
            if old:
                with pytest.raises(InvalidProof):
                    verify_consistency(old, tree.root(old), size, bytes(32), path)


def altered(path: list[bytes]) -> list[list[bytes]]:
    """Proofs that are near this one, and are not it."""
    changed = [[*path[:n], bytes(32), *path[n + 1 :]] for n in range(len(path))]
    missing = [path[:n] + path[n + 1 :] for n in range(len(path))]
    doubled = [path[: n + 1] + path[n:] for n in range(len(path))]
    return [*changed, *missing, *doubled, [*path, bytes(32)], [bytes(32), *path]]


def test_sizes_that_cannot_be_are_refused() -> None:
    """An older tree that is larger, a negative size, an edge with the wrong number of roots."""
    for old, new in ((2, 1), (-1, 1)):
        with pytest.raises(InvalidProof):
            verify_consistency(old, EMPTY_ROOT, new, EMPTY_ROOT, [])
    with pytest.raises(ValueError, match="2 subtrees"):
        Frontier(3, [EMPTY_ROOT])
