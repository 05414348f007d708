"""Single flight among threads: one runs the function, the others get what it gives."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from maestro_cache import Cache, CacheClosed, InvalidPolicy, Key, MemoryStore, Policy, RecursiveCompute
from maestro_cache.testing import ManualClock

KEY = Key[int]("k")


class Gate:
    """A function that tells when it has begun, and goes on when it may."""

    def __init__(self, answer: Callable[[], int] = lambda: 7) -> None:
        self.calls = 0
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self._answer = answer

    def __call__(self) -> int:
        self.calls += 1
        self.begun.set()
        assert self.may_end.wait(20), "nobody opened the gate"
        return self._answer()


def wait_for_waiting(cache: Cache, count: int) -> None:
    """Until `count` callers wait for the flight of KEY, its leader among them."""
    until = threading.Event()
    flight = cache._engine._flights._flights[cache._space.key(KEY)]
    for _ in range(20_000):
        if flight.waiting >= count:
            return
        until.wait(0.001)
    raise AssertionError(f"{flight.waiting} wait, not {count}")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Iterator[Cache]:
    with Cache(Policy(ttl_s=10, jitter=0), MemoryStore(clock=clock)) as cache:
        yield cache


def test_a_thousand_threads_that_find_one_key_expired_run_the_function_once(cache: Cache, clock: ManualClock) -> None:
    """The issue's promise, for threads: all of them wait, one runs, all get its value."""
    cache.set(KEY, 1)
    clock.advance(10)
    gate = Gate()
    with ThreadPoolExecutor(1000) as pool:
        readers = [pool.submit(cache.get_or_compute, KEY, gate) for _ in range(1000)]
        assert gate.begun.wait(30)
        wait_for_waiting(cache, 1000)
        gate.may_end.set()
        assert {reader.result(30) for reader in readers} == {7}
    assert gate.calls == 1
    stats = cache.stats()
    assert (stats.computed, stats.shared) == (1, 999)


def in_threads(count: int, cache: Cache, function: Callable[[], int]) -> tuple[list[Future[int]], ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(count)
    return [pool.submit(cache.get_or_compute, KEY, function) for _ in range(count)], pool


def test_followers_get_the_leaders_error_and_the_next_call_tries_again(cache: Cache) -> None:
    """A failing service is not asked once for each of those who wait."""
    error = OSError("no answer")

    def fail() -> int:
        raise error

    gate = Gate(fail)
    readers, pool = in_threads(5, cache, gate)
    with pool:
        wait_until_all_wait(cache, gate, 5)
        gate.may_end.set()
        assert all(reader.exception(20) is error for reader in readers)
    assert gate.calls == 1
    assert cache.get_or_compute(KEY, lambda: 3) == 3


def wait_until_all_wait(cache: Cache, gate: Gate, count: int) -> None:
    assert gate.begun.wait(20)
    wait_for_waiting(cache, count)


def test_a_leader_whose_thread_is_to_end_passes_the_work_on(cache: Cache) -> None:
    """SystemExit and KeyboardInterrupt are the leader's own; one follower runs the function instead."""
    outcomes: list[Callable[[], int]] = [lambda: 9]

    def leave() -> int:
        raise SystemExit(3)

    outcomes.append(leave)
    gate = Gate(lambda: outcomes.pop()())
    readers, pool = in_threads(3, cache, gate)
    with pool:
        wait_until_all_wait(cache, gate, 3)
        gate.may_end.set()
        errors = [reader.exception(20) for reader in readers]
        assert sum(isinstance(error, SystemExit) for error in errors) == 1
        assert [reader.result() for reader in readers if reader.exception() is None] == [9, 9]
    assert gate.calls == 2


def test_recursion_on_one_key_is_an_error_and_no_deadlock(cache: Cache) -> None:
    def recurse() -> int:
        return cache.get_or_compute(KEY, recurse)

    with pytest.raises(RecursiveCompute, match="same key"):
        cache.get_or_compute(KEY, recurse)
    assert cache.get_or_compute(KEY, lambda: 1) == 1


def test_a_function_may_ask_for_other_keys_and_other_caches(cache: Cache) -> None:
    other = Cache(Policy(ttl_s=10), namespace="other")
    total = cache.get_or_compute(
        KEY, lambda: other.get_or_compute(KEY, lambda: 2) + cache.get_or_compute(Key[int]("other"), lambda: 3)
    )
    assert total == 5


def test_two_functions_that_wait_for_each_other_are_an_error_and_no_deadlock(cache: Cache) -> None:
    """Thread 1 computes A and asks for B, thread 2 computes B and asks for A: one of them learns of the circle."""
    a, b = Key[int]("a"), Key[int]("b")
    both = threading.Barrier(2)

    def ask_for(key: Key[int]) -> int:
        both.wait(20)
        return cache.get_or_compute(key, lambda: 1)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get_or_compute, a, lambda: ask_for(b))
        second = pool.submit(cache.get_or_compute, b, lambda: ask_for(a))
        errors = [first.exception(20), second.exception(20)]
    assert all(isinstance(error, RecursiveCompute) for error in errors), "who waits for the one gets its error"


def test_two_caches_on_one_store_run_the_function_once(clock: ManualClock) -> None:
    """Leases work in memory too: the other cache looks for the result, and serves it."""
    store = MemoryStore()
    first, second = Cache(Policy(ttl_s=60), store), Cache(Policy(ttl_s=60), store)
    gate = Gate()
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(first.get_or_compute, KEY, gate)
        assert gate.begun.wait(20)
        other = pool.submit(second.get_or_compute, KEY, gate)
        gate.may_end.set()
        assert (leader.result(20), other.result(20)) == (7, 7)
    assert gate.calls == 1


def test_a_function_slower_than_the_ttl_is_stored_for_a_whole_ttl(cache: Cache, clock: ManualClock) -> None:
    """The ttl counts from the end of the function."""

    def slow() -> int:
        clock.advance(25)
        return 5

    assert cache.get_or_compute(KEY, slow) == 5
    clock.advance(9)
    assert cache.get(KEY) == 5
    clock.advance(1)
    assert cache.get(KEY) is None


def test_a_closed_cache_says_so(cache: Cache) -> None:
    cache.close()
    cache.close()
    with pytest.raises(CacheClosed):
        cache.get_or_compute(KEY, lambda: 1)


def test_a_set_is_not_replaced_by_what_was_being_computed(cache: Cache) -> None:
    gate = Gate()
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(cache.get_or_compute, KEY, gate)
        assert gate.begun.wait(20)
        assert cache.set(KEY, 100)
        gate.may_end.set()
        assert reader.result(20) == 7, "who asked before gets what was computed for it"
    assert cache.get(KEY) == 100
    assert cache.stats().outdated_writes == 1


@pytest.mark.parametrize("words", [{"retry_s": 0}, {"retry_s": float("nan")}, {"max_refreshes": 0}])
def test_settings_that_make_no_sense_are_refused(words: dict[str, float]) -> None:
    with pytest.raises(InvalidPolicy, match="|".join(words)):
        Cache(Policy(ttl_s=1), **words)  # type: ignore[arg-type]  # wrong on purpose
