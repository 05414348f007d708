"""Which instance takes the next call: chosen by the caller, who sees best which ones answer."""

import contextlib
import hashlib
import random as _random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from maestro_service_registry._errors import NoInstance
from maestro_service_registry._model import Instance

Policy = Literal["least-busy", "round-robin"]

EJECT_AFTER: Final = 3
"""Failures in a row after which an instance is passed over for a while."""
FIRST_EJECTION_S: Final = 5.0
LONGEST_EJECTION_S: Final = 60.0


@dataclass(slots=True)
class _Seen:
    """What this caller has seen of an instance."""

    busy: int = 0
    failures: int = 0
    ejections: int = 0
    ejected_until_s: float = float("-inf")


class Balancer:
    """Picks instances from a source, such as `Directory.instances`, which it asks at every call.

    `least-busy` takes the one with fewer calls of this process under way, of two drawn at random (Mitzenmacher 2001:
    nearly as even as looking at all, and no herd follows a stale number); `round-robin` takes them in turn. A pick with
    a `key` gives the same instance for the same key, and moves only the keys of those that come or go (rendezvous
    hashing). An instance whose calls fail three times in a row is passed over for 5 s, twice as long each time after,
    at most 60 s; when all are, all are used.
    """

    def __init__(
        self,
        source: Callable[[], Sequence[Instance]],
        policy: Policy = "least-busy",
        *,
        clock: Callable[[], float] = time.monotonic,
        random: _random.Random | None = None,
    ) -> None:
        self._source = source
        self._policy = policy
        self._clock = clock
        self._random = random or _random.Random()
        self._lock = threading.Lock()
        self._turn = 0
        self._seen: dict[tuple[str, str, int], _Seen] = {}

    @contextlib.contextmanager
    def pick(self, key: str | None = None, *, fault: type[BaseException] = Exception) -> Iterator[Instance]:
        """An instance to call inside the block; an error of type `fault` that leaves it counts against the instance.

        Raises NoInstance when the source has none.
        """
        with self._lock:
            instance = self._choose(list(self._source()), key)
            seen = self._seen[_id(instance)]
            seen.busy += 1
        failed = False
        try:
            yield instance
        except fault:
            failed = True
            raise
        finally:
            with self._lock:
                self._judge(seen, failed)

    def _choose(self, instances: list[Instance], key: str | None) -> Instance:
        if not instances:
            raise NoInstance("no instance fits at the moment")
        present = {_id(instance) for instance in instances}
        self._seen = {each: seen for each, seen in self._seen.items() if each in present or seen.busy}
        for each in present:
            self._seen.setdefault(each, _Seen())
        now_s = self._clock()
        well = [instance for instance in instances if self._seen[_id(instance)].ejected_until_s <= now_s] or instances
        if key is not None:
            return rendezvous(key, well)
        if self._policy == "round-robin":
            self._turn += 1
            return well[self._turn % len(well)]
        drawn = self._random.sample(well, min(2, len(well)))
        return min(drawn, key=lambda instance: self._seen[_id(instance)].busy)

    def _judge(self, seen: _Seen, failed: bool) -> None:
        seen.busy -= 1
        if not failed:
            seen.failures = seen.ejections = 0
            return
        seen.failures += 1
        if seen.failures >= EJECT_AFTER:
            for_s = min(FIRST_EJECTION_S * 2**seen.ejections, LONGEST_EJECTION_S)
            seen.failures, seen.ejections = 0, min(seen.ejections + 1, 8)
            seen.ejected_until_s = self._clock() + for_s


def rendezvous(key: str, instances: Sequence[Instance]) -> Instance:
    """The instance that a key belongs to: the one with the highest hash of both (Thaler and Ravishankar 1998)."""
    return max(instances, key=lambda instance: _weight(key, instance))


def _weight(key: str, instance: Instance) -> bytes:
    # The lengths keep ("a", "bc") and ("ab", "c") apart.
    text = f"{len(key)}:{key}{len(instance.service)}:{instance.service}{instance.instance}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _id(instance: Instance) -> tuple[str, str, int]:
    """A later holder of the same name begins with a clean slate."""
    return instance.service, instance.instance, instance.token
