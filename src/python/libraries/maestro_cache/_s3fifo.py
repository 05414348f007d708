"""A bounded map that keeps what is used: S3-FIFO of Yang, Zhang, Qiu, Yue and Vinayak (SOSP 2023)."""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")

_MAX_USES = 3
_USES_TO_STAY = 2


class _Node(Generic[T]):
    __slots__ = ("in_main", "item", "uses", "weight")

    def __init__(self, item: T, weight: int) -> None:
        self.item = item
        self.weight = weight
        self.uses = 0
        self.in_main = False


class S3Fifo(Generic[T]):
    """Newcomers queue in `small`, a tenth of the room; who was used there twice, or comes back soon, moves to `main`.

    A use only counts; nothing moves until something has to go. So `get` needs no lock beside one writer, and a scan of
    things that nobody wants again passes through `small` and leaves `main` alone.
    """

    def __init__(self, max_entries: int, max_weight: int | None) -> None:
        self._max_entries = max_entries
        self._max_weight = max_weight
        self._nodes: dict[str, _Node[T]] = {}
        self._small: OrderedDict[str, _Node[T]] = OrderedDict()
        self._main: OrderedDict[str, _Node[T]] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._small_weight = 0
        self.weight = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, key: str) -> T | None:
        """What is under the key, counted as a use."""
        node = self._nodes.get(key)
        if node is None:
            return None
        if node.uses < _MAX_USES:
            node.uses += 1
        return node.item

    def put(self, key: str, item: T, weight: int) -> int:
        """Put it in, and say how many had to go; never this one. `weight` must not exceed the whole room."""
        before = self._nodes.get(key)
        self.remove(key)
        node = _Node(item, weight)
        node.uses = 0 if before is None else before.uses
        main = hash(key) in self._ghosts if before is None else before.in_main
        self._ghosts.pop(hash(key), None)
        evicted = 0
        while self._has_no_room_for(weight):
            evicted += self._evict()
        self._nodes[key] = node
        self._enqueue(key, node, main=main)
        return evicted

    def remove(self, key: str) -> None:
        """Forget what is under the key, if anything."""
        node = self._nodes.pop(key, None)
        if node is not None:
            del (self._main if node.in_main else self._small)[key]
            self._count(node, -1)

    def _has_no_room_for(self, weight: int) -> bool:
        if len(self._nodes) >= self._max_entries:
            return True
        return self._max_weight is not None and self.weight + weight > self._max_weight

    def _enqueue(self, key: str, node: _Node[T], *, main: bool) -> None:
        node.in_main = main
        (self._main if main else self._small)[key] = node
        self._count(node, +1)

    def _count(self, node: _Node[T], sign: int) -> None:
        self.weight += sign * node.weight
        if not node.in_main:
            self._small_weight += sign * node.weight

    def _small_is_full(self) -> bool:
        if len(self._small) >= max(1, self._max_entries // 10):
            return True
        return self._max_weight is not None and self._small_weight >= self._max_weight // 10

    def _evict(self) -> int:
        """Take one step: move the head of a queue to where it belongs (0), or let it go (1)."""
        from_small = not self._main or (bool(self._small) and self._small_is_full())
        key, node = (self._small if from_small else self._main).popitem(last=False)
        self._count(node, -1)
        if from_small and node.uses >= _USES_TO_STAY:
            node.uses = 0
            self._enqueue(key, node, main=True)
            return 0
        if not from_small and node.uses > 0:
            node.uses -= 1
            self._enqueue(key, node, main=True)
            return 0
        del self._nodes[key]
        if from_small:
            self._remember(key)
        return 1

    def _remember(self, key: str) -> None:
        self._ghosts[hash(key)] = None
        if len(self._ghosts) > self._max_entries:
            self._ghosts.popitem(last=False)
