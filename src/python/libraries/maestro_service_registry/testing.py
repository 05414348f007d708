"""For tests: a clock that a test moves, a registry that fails on demand, and the promises that every registry keeps."""

from maestro_service_registry._conformance import RegistryConformance
from maestro_service_registry._errors import Unreachable
from maestro_service_registry._model import ANY, Changes, Instance, Lease, Query, Registration, Snapshot, Status
from maestro_service_registry._registry import Registry

__all__ = ["FlakyRegistry", "ManualClock", "RegistryConformance"]


class ManualClock:
    """A monotonic clock in seconds that stands still until it is moved; `rate` makes it run fast or slow."""

    def __init__(self, start_s: float = 1000.0, rate: float = 1.0) -> None:
        self._now_s = start_s
        self._rate = rate

    def __call__(self) -> float:
        return self._now_s

    def advance(self, true_s: float) -> None:
        """Let true time pass; the clock shows more or less of it, by its rate."""
        self._now_s += true_s * self._rate


class FlakyRegistry:
    """A registry in front of another one; while `away`, every call raises Unreachable.

    `lose_answers` lets a call reach the other one, and then fails: what was asked has happened and nobody was told.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.away = False
        self.lose_answers = False

    def register(self, registration: Registration, key: str) -> Lease:
        """See Registry."""
        self._reach()
        lease = self._registry.register(registration, key)
        self._answer()
        return lease

    def renew(self, lease: Lease, status: Status | None = None) -> None:
        """See Registry."""
        self._reach()
        self._registry.renew(lease, status)
        self._answer()

    def deregister(self, lease: Lease) -> None:
        """See Registry."""
        self._reach()
        self._registry.deregister(lease)
        self._answer()

    def get(self, service: str, instance: str) -> Instance:
        """See Registry."""
        self._reach()
        return self._registry.get(service, instance)

    def snapshot(self, query: Query = ANY) -> Snapshot:
        """See Registry."""
        self._reach()
        return self._registry.snapshot(query)

    def changes(self, after: int, query: Query = ANY, wait_s: float = 0.0) -> Changes:
        """See Registry."""
        self._reach()
        return self._registry.changes(after, query, wait_s)

    def _reach(self) -> None:
        if self.away:
            raise Unreachable("the registry is away, as the test wants")

    def _answer(self) -> None:
        if self.lose_answers:
            raise Unreachable("the answer is lost, as the test wants")
