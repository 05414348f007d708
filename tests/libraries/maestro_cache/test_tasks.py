"""Single flight among tasks: the cache owns the computation, and no caller's end is another caller's."""

import asyncio
import contextvars
from collections.abc import AsyncIterator

import pytest

from maestro_cache import (
    AsyncCache,
    Cache,
    CacheClosed,
    ComputeCancelled,
    Key,
    MemoryStore,
    Policy,
    RecursiveCompute,
    RefreshFailed,
    WrongLoop,
)
from maestro_cache.testing import ManualClock, Recorder

KEY = Key[int]("k")


class Gate:
    """A coroutine function that tells when it has begun, and goes on when it may."""

    def __init__(self, answer: int | Exception = 7) -> None:
        self.calls = 0
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.cancelled = False
        self._answer = answer

    async def __call__(self) -> int:
        self.calls += 1
        self.begun.set()
        try:
            async with asyncio.timeout(20):
                await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def cache(clock: ManualClock, recorder: Recorder) -> AsyncIterator[AsyncCache]:
    async with AsyncCache(Policy(ttl_s=10, jitter=0), MemoryStore(clock=clock), listener=recorder) as cache:
        yield cache


async def readers(cache: AsyncCache, gate: Gate, count: int) -> list[asyncio.Task[int]]:
    """Tasks that all wait for one computation."""
    tasks = [asyncio.ensure_future(cache.get_or_compute(KEY, gate)) for _ in range(count)]
    async with asyncio.timeout(20):
        await gate.begun.wait()
        for _ in range(3):
            await asyncio.sleep(0)
    return tasks


async def test_a_thousand_tasks_that_find_one_key_expired_run_the_function_once(
    cache: AsyncCache, clock: ManualClock
) -> None:
    """The issue's promise, for tasks."""
    await cache.set(KEY, 1)
    clock.advance(10)
    gate = Gate()
    tasks = await readers(cache, gate, 1000)
    gate.may_end.set()
    assert set(await asyncio.gather(*tasks)) == {7}
    assert gate.calls == 1
    stats = cache.stats()
    assert (stats.computed, stats.shared) == (1, 999)


async def test_the_leader_may_be_cancelled_and_the_followers_get_the_value(cache: AsyncCache) -> None:
    gate = Gate()
    leader, *followers = await readers(cache, gate, 4)
    leader.cancel()
    await asyncio.wait((leader,))
    assert leader.cancelled()
    gate.may_end.set()
    assert await asyncio.gather(*followers) == [7, 7, 7]
    assert gate.calls == 1


async def test_a_follower_is_cancelled_alone(cache: AsyncCache) -> None:
    gate = Gate()
    leader, follower, other = await readers(cache, gate, 3)
    follower.cancel()
    await asyncio.wait((follower,))
    assert follower.cancelled()
    gate.may_end.set()
    assert [await leader, await other] == [7, 7]


async def test_when_all_are_cancelled_the_work_goes_on_and_is_stored(cache: AsyncCache) -> None:
    """A function slower than its callers' patience gets into the cache all the same."""
    gate = Gate()
    tasks = await readers(cache, gate, 3)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    gate.may_end.set()
    assert await cache.get_or_compute(KEY, Gate()) == 7
    assert not gate.cancelled


async def test_an_error_that_nobody_waits_for_is_told(cache: AsyncCache, recorder: Recorder) -> None:
    gate = Gate(OSError("no answer"))
    (task,) = await readers(cache, gate, 1)
    task.cancel()
    await asyncio.wait((task,))
    gate.may_end.set()
    await asyncio.wait(tuple(cache._tasks._owned))
    assert [type(event.error) for event in recorder.of(RefreshFailed)] == [OSError]


async def test_followers_get_the_leaders_error_and_the_next_call_tries_again(cache: AsyncCache) -> None:
    error = OSError("no answer")
    gate = Gate(error)
    tasks = await readers(cache, gate, 3)
    gate.may_end.set()
    assert await asyncio.gather(*tasks, return_exceptions=True) == [error] * 3
    assert gate.calls == 1
    again = Gate(3)
    again.may_end.set()
    assert await cache.get_or_compute(KEY, again) == 3


async def test_a_function_that_cancels_itself_cancels_nobody_else(cache: AsyncCache) -> None:
    async def cancel_myself() -> int:
        raise asyncio.CancelledError

    with pytest.raises(ComputeCancelled):
        await cache.get_or_compute(KEY, cancel_myself)


async def test_recursion_on_one_key_is_an_error_also_through_child_tasks(cache: AsyncCache) -> None:
    async def recurse() -> int:
        return await asyncio.create_task(cache.get_or_compute(KEY, recurse))

    async with asyncio.timeout(20):
        with pytest.raises(RecursiveCompute, match="same key"):
            await cache.get_or_compute(KEY, recurse)


async def test_functions_that_wait_for_each_other_in_a_circle_are_an_error(cache: AsyncCache) -> None:
    """A asks for B, B for C, C for A, each begun by a caller of its own."""
    keys = [Key[int](name) for name in "abc"]
    begun = asyncio.Barrier(3)

    async def ask_for(number: int) -> int:
        await begun.wait()
        return await cache.get_or_compute(keys[number], Gate())

    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(
            *(cache.get_or_compute(keys[i], lambda i=i: ask_for((i + 1) % 3)) for i in range(3)),  # type: ignore[misc]  # a default of a lambda has no type
            return_exceptions=True,
        )
    assert all(isinstance(outcome, RecursiveCompute) for outcome in outcomes)


async def test_keys_that_share_a_third_are_no_circle(cache: AsyncCache) -> None:
    shared = Gate(1)

    async def ask() -> int:
        return await cache.get_or_compute(Key[int]("shared"), shared) + 1

    tasks = [asyncio.ensure_future(cache.get_or_compute(Key[int](name), ask)) for name in "ab"]
    async with asyncio.timeout(20):
        await shared.begun.wait()
        shared.may_end.set()
        assert await asyncio.gather(*tasks) == [2, 2]
    assert shared.calls == 1


async def test_closing_cancels_what_runs_and_tells_those_who_wait(cache: AsyncCache) -> None:
    gate = Gate()
    tasks = await readers(cache, gate, 3)
    await cache.aclose()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [CacheClosed] * 3
    assert gate.cancelled
    assert not cache._tasks._owned
    with pytest.raises(CacheClosed):
        await cache.get_or_compute(KEY, gate)


async def test_closing_tells_those_whose_function_has_not_begun(cache: AsyncCache) -> None:
    """The task of a computation may be cancelled before its first step; its callers do not wait for ever."""
    gate = Gate()
    leader = asyncio.create_task(cache.get_or_compute(KEY, gate))
    follower = asyncio.create_task(cache.get_or_compute(KEY, gate))
    closing = asyncio.create_task(cache.aclose())
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(leader, follower, return_exceptions=True)
        await closing
    assert [type(outcome) for outcome in outcomes] == [CacheClosed] * 2
    assert gate.calls == 0


async def test_a_task_that_a_function_left_behind_may_ask_for_its_key(cache: AsyncCache) -> None:
    """It inherits the context of the function, which nobody waits for any more."""
    may_ask = asyncio.Event()
    left: list[asyncio.Task[int]] = []

    async def ask() -> int:
        await may_ask.wait()
        return await cache.get_or_compute(KEY, answer)

    async def answer() -> int:
        if not left:
            left.append(asyncio.create_task(ask()))
        return len(left)

    assert await cache.get_or_compute(KEY, answer) == 1
    await cache.delete(KEY)
    may_ask.set()
    async with asyncio.timeout(20):
        assert await left[0] == 1


async def test_the_function_sees_the_context_of_its_caller(cache: AsyncCache) -> None:
    request: contextvars.ContextVar[int] = contextvars.ContextVar("request")
    request.set(42)

    async def read_context() -> int:
        return request.get()

    assert await cache.get_or_compute(KEY, read_context) == 42


def test_a_second_event_loop_is_an_error_and_no_hang() -> None:
    cache = AsyncCache(Policy(ttl_s=10))

    async def one() -> int:
        return 1

    async def use(key: Key[int]) -> int:
        return await cache.get_or_compute(key, one)

    assert asyncio.run(use(KEY)) == 1
    with pytest.raises(WrongLoop, match="another"):
        asyncio.run(use(Key[int]("other")))


async def test_threads_and_tasks_share_one_store(clock: ManualClock) -> None:
    """What one kind of cache computed the other serves, and invalidations reach both."""
    store = MemoryStore(clock=clock)
    threads = Cache(Policy(ttl_s=10), store)
    async with AsyncCache(Policy(ttl_s=10), store) as tasks:
        assert threads.get_or_compute(KEY, lambda: 5, tags=("t",)) == 5
        assert await tasks.get(KEY) == 5
        await tasks.invalidate_tags("t")
        assert threads.get(KEY) is None


async def test_get_gives_the_default_for_nothing(cache: AsyncCache) -> None:
    assert await cache.get(KEY) is None
    assert await cache.get(KEY, -1) == -1
    await cache.set(KEY, 0)
    assert await cache.get(KEY, -1) == 0
    assert await cache.delete(KEY)
    assert await cache.get(KEY, -1) == -1
    await cache.set(KEY, 2)
    assert await cache.clear()
    assert await cache.get(KEY) is None
