"""Invalidations that the store has not confirmed."""

from collections.abc import Iterable

MAX_OWED = 10_000
"""Names kept one by one; beyond that the whole namespace is owed in their place, which is never too little."""


class Owed:
    """What was invalidated and not delivered. Each name has a number, which is its token until the store gives one."""

    def __init__(self, everything: str) -> None:
        self._everything = everything
        self._keys: dict[str, int] = {}
        self._tags: dict[str, int] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._keys or self._tags)

    def add(self, keys: Iterable[str], tags: Iterable[str]) -> None:
        """Remember these until they are delivered."""
        self._count += 1
        self._keys |= dict.fromkeys(keys, self._count)
        self._tags |= dict.fromkeys(tags, self._count)
        if len(self._keys) + len(self._tags) > MAX_OWED:
            self._keys, self._tags = {}, {self._everything: self._count}

    def due(self) -> "tuple[dict[str, int], dict[str, int]]":
        """Keys and tags to deliver now, to be given back to `delivered`."""
        return dict(self._keys), dict(self._tags)

    def delivered(self, keys: dict[str, int], tags: dict[str, int]) -> None:
        """Forget what was delivered, and nothing that was added again meanwhile."""
        for owed, done in ((self._keys, keys), (self._tags, tags)):
            for name, number in done.items():
                if owed.get(name) == number:
                    del owed[name]

    def stamps(self, key: str, tags: Iterable[str]) -> dict[str, object]:
        """The tokens of a key and its tags as far as they are known without the store."""
        return {key: self._keys.get(key), **{tag: self._tags.get(tag) for tag in tags}}
