"""For tests: virtual time, seeded randomness, recorded events, and the checks that every policy must pass."""

import random as _random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from maestro_resilience._clock import SYSTEM_CLOCK
from maestro_resilience._conformance import POLICY_CHECKS, MakePolicy, UnnamedError
from maestro_resilience._events import Event
from maestro_resilience._manual_clock import ManualClock

EventT = TypeVar("EventT", bound=Event)


def seeded(seed: int) -> Callable[[], float]:
    """Randomness for Retry and Chaos that is the same in every run."""
    return _random.Random(seed).random


@contextmanager
def no_sleep() -> Iterator[None]:
    """While inside, every sleep on the real clock is skipped, and the clock moves on as if it had been slept.

    For code whose policies were made elsewhere, by decorators at import for instance. Holds for the whole process, and
    for the waits of retries, rate limits and chaos; timeouts and queues keep waiting for what really happens.
    """
    SYSTEM_CLOCK.skip_sleeps(True)
    try:
        yield
    finally:
        SYSTEM_CLOCK.skip_sleeps(False)


class Recorder:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[EventT]) -> list[EventT]:
        """The events of one type, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]


__all__ = ["POLICY_CHECKS", "MakePolicy", "ManualClock", "Recorder", "UnnamedError", "no_sleep", "seeded"]
