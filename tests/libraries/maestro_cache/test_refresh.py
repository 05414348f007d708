"""Stale-while-revalidate and early refresh: serve at once, refresh once in the background, survive its failures."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from maestro_cache import AsyncCache, Cache, Key, MemoryStore, Policy, RefreshFailed
from maestro_cache.testing import ManualClock, Recorder

KEY = Key[int]("k")
POLICY = Policy(ttl_s=10, stale_s=20, jitter=0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def threads(clock: ManualClock, recorder: Recorder) -> Iterator[Cache]:
    with Cache(POLICY, MemoryStore(clock=clock), listener=recorder) as cache:
        yield cache


@pytest.fixture
async def tasks(clock: ManualClock, recorder: Recorder) -> AsyncIterator[AsyncCache]:
    async with AsyncCache(POLICY, MemoryStore(clock=clock), listener=recorder) as cache:
        yield cache


async def refreshed(cache: AsyncCache) -> None:
    """Until no refresh runs."""
    async with asyncio.timeout(20):
        while cache._tasks._owned:
            await asyncio.wait(tuple(cache._tasks._owned))


class Function:
    """Answers 1, 2, 3, …, or raises the error that is set; waits at the gate when it is shut."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> int:
        self.calls += 1
        number = self.calls
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return number


async def test_a_stale_value_is_served_at_once_while_one_refresh_runs(tasks: AsyncCache, clock: ManualClock) -> None:
    function = Function()
    assert await tasks.get_or_compute(KEY, function) == 1
    clock.advance(15)
    function.gate.clear()
    assert [await tasks.get_or_compute(KEY, function) for _ in range(100)] == [1] * 100
    await asyncio.sleep(0)
    assert function.calls == 2, "one refresh for a hundred readers"
    function.gate.set()
    await refreshed(tasks)
    assert await tasks.get_or_compute(KEY, function) == 2
    stats = tasks.stats()
    assert (stats.stale_hits, stats.refreshes, stats.computed, stats.hits) == (100, 1, 1, 1)


async def test_a_value_is_not_served_after_its_stale_time(tasks: AsyncCache, clock: ManualClock) -> None:
    function = Function()
    await tasks.get_or_compute(KEY, function)
    clock.advance(30)
    assert await tasks.get_or_compute(KEY, function) == 2


async def test_a_failed_refresh_is_told_and_the_old_value_served_until_its_end(
    tasks: AsyncCache, clock: ManualClock, recorder: Recorder
) -> None:
    """And the failing function is asked again after a pause only, not by every reader."""
    function = Function()
    await tasks.get_or_compute(KEY, function)
    function.error = OSError("no answer")
    clock.advance(12)
    for _ in range(10):
        assert await tasks.get_or_compute(KEY, function) == 1
        await refreshed(tasks)
    assert function.calls == 2
    clock.advance(1.5)
    assert await tasks.get_or_compute(KEY, function) == 1
    await refreshed(tasks)
    assert function.calls == 3
    assert [event.error for event in recorder.of(RefreshFailed)] == [function.error] * 2
    assert tasks.stats().refresh_failures == 2
    clock.advance(17)
    with pytest.raises(OSError, match="no answer"):
        await tasks.get_or_compute(KEY, function)


async def test_who_comes_after_the_end_waits_for_the_refresh_that_runs(tasks: AsyncCache, clock: ManualClock) -> None:
    function = Function()
    await tasks.get_or_compute(KEY, function)
    clock.advance(15)
    function.gate.clear()
    await tasks.get_or_compute(KEY, function)
    clock.advance(20)
    late = asyncio.ensure_future(tasks.get_or_compute(KEY, function))
    await asyncio.sleep(0)
    function.gate.set()
    assert await late == 2
    assert function.calls == 2


async def test_a_fresh_value_is_refreshed_early_when_chance_says_so(clock: ManualClock) -> None:
    """With a function that took 2 s and 4 s left, the chance is exp(-2): a reader below it refreshes, others do not."""
    chances = [0.5]
    function = Function()

    async def slow() -> int:
        clock.advance(2)
        return await function()

    store = MemoryStore(clock=clock)
    async with AsyncCache(Policy(ttl_s=10, jitter=0), store, random=lambda: chances[0]) as cache:
        await cache.get_or_compute(KEY, slow)
        clock.advance(6)
        assert await cache.get_or_compute(KEY, slow) == 1
        assert not cache._tasks._owned
        chances[0] = 0.9
        assert await cache.get_or_compute(KEY, slow) == 1
        await refreshed(cache)
        assert await cache.get(KEY) == 2
        assert cache.stats().refreshes == 1


async def test_closing_ends_a_refresh_that_runs(tasks: AsyncCache, clock: ManualClock, recorder: Recorder) -> None:
    function = Function()
    await tasks.get_or_compute(KEY, function)
    clock.advance(15)
    function.gate.clear()
    await tasks.get_or_compute(KEY, function)
    await asyncio.sleep(0)
    await tasks.aclose()
    assert not tasks._tasks._owned
    assert not recorder.events, "being closed is no failure"


async def test_no_more_refreshes_run_than_allowed(clock: ManualClock) -> None:
    """A thousand keys that are stale together do not become a thousand calls at once; all are served."""
    running, most = 0, 0

    async def function() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return 1

    async with AsyncCache(POLICY, MemoryStore(clock=clock), max_refreshes=4) as cache:
        for number in range(1000):
            await cache.set(Key[int](number), 0)
        clock.advance(15)
        for number in range(1000):
            assert await cache.get_or_compute(Key[int](number), function) == 0
            if number % 100 == 99:
                await refreshed(cache)
        assert most == 4


async def test_an_invalidation_during_a_refresh_wins(tasks: AsyncCache, clock: ManualClock) -> None:
    function = Function()
    await tasks.get_or_compute(KEY, function, tags=("t",))
    clock.advance(15)
    function.gate.clear()
    await tasks.get_or_compute(KEY, function, tags=("t",))
    await asyncio.sleep(0)
    await tasks.invalidate_tags("t")
    function.gate.set()
    await refreshed(tasks)
    assert await tasks.get(KEY) is None
    assert await tasks.get_or_compute(KEY, function, tags=("t",)) == 3


def test_threads_refresh_in_the_background_too(threads: Cache, clock: ManualClock) -> None:
    """The reader's thread is not the one that computes; closing waits for the refresh."""
    computed_in: list[str] = []
    begun, may_end = threading.Event(), threading.Event()

    def function() -> int:
        computed_in.append(threading.current_thread().name)
        if len(computed_in) > 1:
            begun.set()
            assert may_end.wait(20)
        return len(computed_in)

    assert threads.get_or_compute(KEY, function) == 1
    clock.advance(15)
    assert [threads.get_or_compute(KEY, function) for _ in range(20)] == [1] * 20
    assert begun.wait(20)
    may_end.set()
    threads.close()
    assert threads.get(KEY) == 2
    assert computed_in[0] == threading.current_thread().name
    assert computed_in[1].startswith("maestro-cache")
    assert len(computed_in) == 2


def test_refreshes_of_threads_that_need_each_others_keys_do_not_starve(clock: ManualClock) -> None:
    """With one thread for refreshes, the refresh of A needs B, whose value is gone: it computes B itself."""
    a, b = Key[int]("a"), Key[int]("b")
    with Cache(POLICY, MemoryStore(clock=clock), max_refreshes=1) as cache:
        cache.get_or_compute(a, lambda: 1)
        clock.advance(15)
        done = threading.Event()

        def function() -> int:
            found = cache.get_or_compute(b, lambda: 5)
            done.set()
            return found

        assert cache.get_or_compute(a, function) == 1
        assert done.wait(20)


def test_a_failed_refresh_in_a_thread_is_told(threads: Cache, clock: ManualClock, recorder: Recorder) -> None:
    def fail() -> int:
        raise OSError("no answer")

    threads.get_or_compute(KEY, lambda: 1)
    clock.advance(15)
    assert threads.get_or_compute(KEY, fail) == 1
    threads.close()
    assert [type(event.error) for event in recorder.of(RefreshFailed)] == [OSError]


def test_the_default_listener_logs_without_keys_and_texts(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> int:
        raise OSError("password=hunter2")

    cache = Cache(POLICY, MemoryStore(clock=clock), namespace="shop")
    secret = Key[int]("secret-user")
    cache.get_or_compute(secret, lambda: 1)
    clock.advance(15)
    cache.get_or_compute(secret, fail)
    cache.close()
    assert "cache.refresh_failed namespace=shop:1 operation=- error=OSError" in caplog.text
    assert "hunter2" not in caplog.text
    assert "secret" not in caplog.text


def test_a_listener_that_fails_breaks_nothing(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> int:
        raise OSError("no answer")

    def broken(event: object) -> None:
        raise RuntimeError("broken listener")

    with Cache(POLICY, MemoryStore(clock=clock), listener=broken) as cache:
        cache.get_or_compute(KEY, lambda: 1)
        clock.advance(15)
        assert cache.get_or_compute(KEY, fail) == 1
    assert "cache.listener_failed event=cache.refresh_failed" in caplog.text
