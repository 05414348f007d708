"""Computations under way in one cache: who runs one, who waits for it, and who would wait for ever."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol

from maestro_cache._decide import Outcome
from maestro_cache._errors import RecursiveCompute
from maestro_cache._store import Stamps

_within: ContextVar["tuple[Flight, ...]"] = ContextVar("maestro_cache_within", default=())
"""The flights whose functions this code runs inside, outermost first; tasks that a function starts inherit it."""

_graph: Final = threading.Lock()
"""Guards `waits_for` of all flights of all caches, because a circle may lead through several caches."""


class Landing(Protocol):
    """The future of a flight: of concurrent.futures for threads, of asyncio for tasks."""

    def done(self) -> bool: ...

    def result(self) -> Outcome: ...

    def set_result(self, outcome: Outcome) -> None: ...

    def set_exception(self, error: BaseException) -> None: ...


class PassedOn(Exception):
    """The flight ended without a result, and one of those who waited has to fly instead."""


class Flight:
    """One computation of one key; `stamps` are those of its claim, None until it has one."""

    __slots__ = ("flights", "key", "landing", "ran", "stamps", "waiting", "waits_for")

    def __init__(self, flights: "Flights", key: str, landing: Landing) -> None:
        self.flights = flights
        self.key = key
        self.landing = landing
        self.stamps: Stamps | None = None
        self.ran = False
        self.waiting = 0
        self.waits_for: list[Flight] = []

    def serves(self, seen: Stamps) -> bool:
        """Whether its result is good for a reader who saw these tokens: nothing was invalidated in between."""
        stamps = self.stamps
        return stamps is None or all(token is None or stamps.get(name) == token for name, token in seen.items())


class Flights:
    """The flights of one cache, at most one for each key that still serves newcomers."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._lock = threading.Lock()

    def join(self, mine: Flight, seen: Stamps) -> Flight:
        """The flight for a reader who saw `seen`: `mine`, which the reader then leads, or one that is under way.

        Raises RecursiveCompute inside the function of the same key.
        """
        # One that has landed is no longer waited for: a task that its function left behind may ask, and a thread
        # whose Ctrl-C came between two steps may stay within it.
        if any(above.key == mine.key and above.flights is self and not above.landing.done() for above in _within.get()):
            raise RecursiveCompute("the function of a key asked the cache for the same key; it would wait for itself")
        with self._lock:
            flight = self._flights.get(mine.key)
            if flight is not None and flight.serves(seen):
                return flight
            self._flights[mine.key] = mine
            return mine

    def under_way(self, key: str) -> bool:
        """Whether somebody computes this key."""
        return key in self._flights

    def end(self, flight: Flight) -> None:
        """Let newcomers no longer join it."""
        with self._lock:
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]


@contextmanager
def inside(flight: Flight, *, background: bool) -> Iterator[None]:
    """While the function of the flight runs; in the background nobody above waits for it."""
    token = _within.set((flight,) if background else (*_within.get(), flight))
    try:
        yield
    finally:
        _within.reset(token)


@contextmanager
def waiting_for(flight: Flight) -> Iterator[None]:
    """While this code waits for the flight; raises RecursiveCompute when the flight waits for this code."""
    above = _within.get()
    with _graph:
        if above and _leads_to(flight, above[-1]):
            raise RecursiveCompute("functions of keys wait for each other in a circle; break it at one of them")
        if above:
            above[-1].waits_for.append(flight)
        flight.waiting += 1
    try:
        yield
    finally:
        with _graph:
            flight.waiting -= 1
            if above:
                above[-1].waits_for.remove(flight)


def _leads_to(start: Flight, goal: Flight) -> bool:
    seen: set[int] = set()
    ahead = [start]
    while ahead:
        flight = ahead.pop()
        if flight is goal:
            return True
        if id(flight) not in seen:
            seen.add(id(flight))
            ahead += flight.waits_for
    return False
