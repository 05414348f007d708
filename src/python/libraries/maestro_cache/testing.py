"""For tests: a clock that stands still, stores that fail on purpose, recorded events, and the suite for stores."""

from typing import TypeVar

from maestro_cache._events import Event
from maestro_cache._store import Immediate
from maestro_cache._testing._conformance import CacheStoreConformance
from maestro_cache._testing._faults import AsyncFlakyStore, FlakyStore

EventT = TypeVar("EventT", bound=Event)


class ManualClock:
    """Seconds that pass only when told to: `MemoryStore(clock=ManualClock())`."""

    def __init__(self, start_s: float = 1000.0) -> None:
        self._now_s = start_s

    def __call__(self) -> float:
        return self._now_s

    def advance(self, delay_s: float) -> None:
        """Let that much time pass."""
        self._now_s += delay_s


class Recorder:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[EventT]) -> list[EventT]:
        """The events of one type, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]


__all__ = ["AsyncFlakyStore", "CacheStoreConformance", "FlakyStore", "Immediate", "ManualClock", "Recorder"]
