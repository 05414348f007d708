"""Invariants under many threads, each test bounded in time."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from maestro_resilience import (
    AdaptiveBulkhead,
    BreakerState,
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    CircuitOpen,
    PerKey,
    RateLimit,
    RateLimited,
    RetryBudget,
)
from maestro_resilience._breaker import BreakerGuard
from maestro_resilience.testing import ManualClock

T = TypeVar("T")
THREADS = 8
BOUND_S = 30.0


def _together(work: Callable[[int], T]) -> list[T]:
    """Run work(0) … work(7) in threads that all start at the same moment."""
    barrier = threading.Barrier(THREADS)

    def start(number: int) -> T:
        barrier.wait(BOUND_S)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return [future.result(BOUND_S) for future in [pool.submit(start, number) for number in range(THREADS)]]


def test_a_breaker_counts_every_call() -> None:
    """No outcome is lost or counted twice."""
    breaker = CircuitBreaker(window_calls=100_000, clock=ManualClock())
    breaker.metrics_only()

    def work(number: int) -> None:
        for call in range(500):
            if (number + call) % 4:
                breaker.call(len, "ok")
            else:
                with pytest.raises(ConnectionError), breaker.guard():
                    raise ConnectionError

    _together(work)
    metrics = breaker.metrics
    assert (metrics.calls, metrics.failures) == (THREADS * 500, THREADS * 125)


def test_a_half_open_breaker_lets_only_its_probes_through() -> None:
    """However many threads ask at once, no more than the quota is let in."""
    clock = ManualClock()
    breaker = CircuitBreaker(minimum_calls=1, probes=3, open_s=5.0, clock=clock)
    for _ in range(20):
        with pytest.raises(ConnectionError), breaker.guard():
            raise ConnectionError
        assert breaker.state is BreakerState.OPEN
        clock.advance(5.0)
        guards: list[BreakerGuard] = []

        def probe(number: int, entered: list[BreakerGuard] = guards) -> bool:
            guard = breaker.guard()
            try:
                guard.__enter__()
            except CircuitOpen:
                return False
            entered.append(guard)
            return True

        assert _together(probe).count(True) == 3
        for guard in guards:
            guard.__exit__(None, None, None)
        assert breaker.metrics.state is BreakerState.CLOSED


def test_a_bucket_gives_exactly_its_tokens() -> None:
    """With time standing still, threads together get the burst and not one more."""
    limit = RateLimit(1.0, burst=100, clock=ManualClock())

    def work(number: int) -> int:
        taken = 0
        for _ in range(100):
            try:
                limit.acquire()
                taken += 1
            except RateLimited:
                continue
        return taken

    assert sum(_together(work)) == 100


def test_a_budget_pays_exactly_its_tokens() -> None:
    """Threads together withdraw what is in the purse and not one more."""
    budget = RetryBudget(ratio=0.0, burst=100)
    paid = _together(lambda number: sum(budget.withdraw() for _ in range(100)))
    assert sum(paid) == 100


class Occupancy:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = self.served = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            self.inside += 1
            self.served += 1
            self.most = max(self.most, self.inside)

    def leave(self) -> None:
        with self._lock:
            self.inside -= 1


def test_a_bulkhead_holds_over_threads_and_event_loops() -> None:
    """Threads and tasks of several event loops share one limit, and with room to wait all are served."""
    bulkhead, occupancy = Bulkhead(3, max_waiting=1000, max_wait_s=BOUND_S), Occupancy()

    def work() -> None:
        occupancy.enter()
        occupancy.leave()

    async def awork() -> None:
        occupancy.enter()
        await asyncio.sleep(0)
        occupancy.leave()

    async def tasks() -> None:
        await asyncio.gather(*(bulkhead.acall(awork) for _ in range(50)))

    def run(number: int) -> None:
        if number % 2:
            for _ in range(50):
                bulkhead.call(work)
        else:
            asyncio.run(tasks())

    _together(run)
    assert occupancy.most <= 3
    assert occupancy.served == THREADS * 50
    assert (bulkhead.in_use, bulkhead.waiting, occupancy.inside) == (0, 0, 0)


def test_an_adaptive_bulkhead_returns_every_slot() -> None:
    """With the limit moving under load, it is never exceeded by more than calls begun before a cut, and ends empty."""
    bulkhead, occupancy = AdaptiveBulkhead(initial=4, max_concurrent=6), Occupancy()

    def work(fails: bool) -> None:
        occupancy.enter()
        occupancy.leave()
        if fails:
            raise TimeoutError

    def run(number: int) -> None:
        for call in range(200):
            try:
                bulkhead.call(work, call % 10 == 0)
            except (TimeoutError, BulkheadFull):
                continue

    _together(run)
    assert occupancy.most <= 6
    assert bulkhead.in_use == 0
    assert 1 <= bulkhead.limit <= 6


def test_one_policy_per_key_for_all_threads() -> None:
    """Threads that ask for the same key at once get the same policy."""
    hosts: PerKey[int, CircuitBreaker] = PerKey(lambda key: CircuitBreaker(name=f"host {key}"), max_keys=100)
    found = _together(lambda number: [hosts.get(key) for key in range(50)])
    assert all(policies == found[0] for policies in found)
