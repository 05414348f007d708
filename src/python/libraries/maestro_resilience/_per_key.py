"""One policy per key (host, tenant, model), in bounded memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from maestro_resilience._checks import Checks
from maestro_resilience._policy import Policy

K = TypeVar("K", bound=Hashable)
PolicyT = TypeVar("PolicyT", bound=Policy)


class PerKey(Generic[K, PolicyT]):
    """Makes a policy for each key when it is first asked for, and keeps the `max_keys` most recently used.

    A key that was dropped starts afresh: a breaker closed, a bucket full, a bulkhead empty. So set `max_keys` above
    the number of keys that are in use at the same time.
    """

    def __init__(self, make: Callable[[K], PolicyT], *, max_keys: int = 1000) -> None:
        checks = Checks("per key")
        if not callable(make):
            checks.fail("make", "a function of the key", make)
        self._max_keys = checks.count("max_keys", max_keys)
        checks.done()
        self._make = make
        self._policies: OrderedDict[K, PolicyT] = OrderedDict()
        self._lock = threading.RLock()  # `make` may ask for another key

    def get(self, key: K) -> PolicyT:
        """The policy of that key: the same object for as long as it is kept."""
        with self._lock:
            policy = self._policies.get(key)
            if policy is None:
                policy = self._policies[key] = self._make(key)
                if len(self._policies) > self._max_keys:
                    self._policies.popitem(last=False)
            else:
                self._policies.move_to_end(key)
            return policy

    def snapshot(self) -> dict[K, PolicyT]:
        """The keys now kept and their policies, least recently used first; for metrics."""
        with self._lock:
            return dict(self._policies)

    def __len__(self) -> int:
        return len(self._policies)
