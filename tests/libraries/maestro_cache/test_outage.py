"""A store that fails makes the cache slower, never wrong, and raises nothing unless asked to. By a store that fails on
purpose; test_redis_faults.py does it with real servers."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from maestro_cache import (
    AsyncCache,
    Cache,
    CacheStats,
    Key,
    MemoryStore,
    Policy,
    StoreFailed,
    StoreRecovered,
    StoreRefused,
    StoreUnavailable,
)
from maestro_cache._owed import MAX_OWED
from maestro_cache.testing import AsyncFlakyStore, FlakyStore, ManualClock, Recorder

KEY = Key[int]("k")
POLICY = Policy(ttl_s=60, jitter=0)


class Setting:
    """Two caches, as of two processes, on one store; the way of the first to it can fail."""

    def __init__(self, *, raise_errors: bool = False) -> None:
        self.clock = ManualClock()
        store = MemoryStore(clock=self.clock)
        self.store = FlakyStore(store)
        self.recorder = Recorder()
        self.cache = Cache(POLICY, self.store, listener=self.recorder, raise_errors=raise_errors)
        # It does not wait for leases, because nobody moves the clock while it does.
        self.other = Cache(Policy(ttl_s=60, jitter=0, lease_s=None), store)


def test_without_its_store_a_cache_computes_every_time_and_raises_nothing() -> None:
    setting = Setting()
    setting.store.go_down()
    assert [setting.cache.get_or_compute(KEY, lambda number=number: number) for number in range(3)] == [0, 1, 2]  # type: ignore[misc]  # a default of a lambda has no type
    assert setting.cache.get(KEY) is None
    assert setting.cache.set(KEY, 1) is False
    assert setting.cache.delete(KEY) is False
    assert setting.cache.invalidate_tags("t") is False
    assert setting.cache.clear() is False


def test_a_store_that_does_not_answer_is_asked_once_a_second() -> None:
    """A thousand calls in a second cost one attempt, not a thousand timeouts."""
    setting = Setting()
    setting.store.go_down()
    for second in range(3):
        for number in range(1000):
            setting.cache.get_or_compute(Key[int](number), lambda: 1)
        assert len(setting.store.calls) == second + 1
        setting.clock.advance(1.0)
    setting.store.come_back()
    setting.cache.get_or_compute(KEY, lambda: 1)
    assert setting.cache.get_or_compute(KEY, lambda: 2) == 1
    assert [event.operation for event in setting.recorder.of(StoreFailed)] == ["read"] * 3
    assert len(setting.recorder.of(StoreRecovered)) == 1


def test_what_this_cache_invalidated_during_an_outage_it_never_serves() -> None:
    """The invalidation is owed: nothing is read before it is delivered, and then it holds for everybody."""
    setting = Setting()
    setting.cache.get_or_compute(KEY, lambda: 1, tags=("t",))
    setting.store.unavailable = {"invalidate"}
    assert setting.cache.invalidate_tags("t") is False
    assert setting.cache.get_or_compute(KEY, lambda: 2, tags=("t",)) == 2, "the store could be read, and is not"
    assert setting.cache.get(KEY) is None
    assert setting.other.get(KEY) == 1, "the bound: others serve it until it is delivered, or expires"
    setting.store.come_back()
    setting.clock.advance(1.0)
    assert setting.cache.get_or_compute(KEY, lambda: 3, tags=("t",)) == 3
    assert setting.other.get(KEY) == 3


def test_others_serve_an_undelivered_invalidation_no_longer_than_the_value_lives() -> None:
    """The bound when the process that owes it dies: the entry's own ttl and stale time."""
    setting = Setting()
    setting.cache.get_or_compute(KEY, lambda: 1)
    setting.store.go_down()
    setting.cache.delete(KEY)
    setting.cache.close()
    setting.clock.advance(59.9)
    assert setting.other.get(KEY) == 1
    setting.clock.advance(0.1)
    assert setting.other.get(KEY) is None


def test_a_store_that_refuses_is_still_read() -> None:
    """Full, or read-only: hits stay hits, misses compute without storing."""
    setting = Setting()
    setting.cache.get_or_compute(KEY, lambda: 1)
    setting.store.refused = {"claim", "write"}
    assert setting.cache.get_or_compute(KEY, lambda: 2) == 1
    assert setting.cache.get_or_compute(Key[int]("other"), lambda: 3) == 3
    assert setting.cache.get(Key[int]("other")) is None
    assert setting.cache.get_or_compute(KEY, lambda: 2) == 1
    assert {type(event.error) for event in setting.recorder.of(StoreFailed)} == {StoreRefused}


def test_a_refused_invalidation_is_owed_like_an_unanswered_one() -> None:
    setting = Setting()
    setting.cache.get_or_compute(KEY, lambda: 1)
    setting.store.refused = {"invalidate"}
    assert setting.cache.delete(KEY) is False
    for number in range(100):
        assert setting.cache.get_or_compute(KEY, lambda: 2) == 2, number
    assert setting.store.calls.count("invalidate") == 1
    setting.store.come_back()
    setting.clock.advance(1.0)
    assert setting.cache.get_or_compute(KEY, lambda: 3) == 3
    assert setting.other.get(KEY) == 3


def test_a_write_that_fails_loses_the_store_and_not_the_value() -> None:
    setting = Setting()
    setting.store.unavailable = {"write"}
    assert setting.cache.get_or_compute(KEY, lambda: 1) == 1
    assert setting.cache.stats().store_failures == 1


def test_who_asks_for_errors_gets_them() -> None:
    setting = Setting(raise_errors=True)
    setting.store.go_down()
    with pytest.raises(StoreUnavailable):
        setting.cache.get_or_compute(KEY, lambda: 1)
    with pytest.raises(StoreUnavailable) as error:
        setting.cache.get(KEY)
    assert error.value.retry_after_s == 1.0
    with pytest.raises(StoreUnavailable):
        setting.cache.delete(KEY)
    setting.store.come_back()
    setting.clock.advance(1.0)
    setting.store.refused = {"invalidate"}
    with pytest.raises(StoreRefused):
        setting.cache.invalidate_tags("t")


def test_the_error_of_a_function_is_not_hidden_by_one_of_the_store() -> None:
    setting = Setting(raise_errors=True)
    setting.store.refused = {"release"}

    def fail() -> int:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        setting.cache.get_or_compute(KEY, fail)


def test_more_invalidations_than_can_be_kept_become_one_of_everything() -> None:
    """Memory stays bounded in a long outage, and what comes of it is more invalidated, never less."""
    setting = Setting()
    for number in (1, 2):
        setting.other.set(Key[int](number), number)
    setting.store.go_down()
    for number in range(MAX_OWED + 10):
        setting.cache.delete(Key[int]("gone", number))
    assert len(setting.cache._engine.guard._owed._keys) < 20
    setting.store.come_back()
    setting.clock.advance(1.0)
    assert setting.cache.get(Key[int](1)) is None
    assert setting.other.get(Key[int](2)) is None


def test_a_lease_that_could_not_be_given_back_is_given_back_first_after_the_outage() -> None:
    """Or this cache would wait for itself until the lease ends."""
    setting = Setting()
    setting.store.unavailable = {"write", "release"}
    assert setting.cache.get_or_compute(KEY, lambda: 1) == 1
    setting.store.come_back()
    setting.clock.advance(1.0)
    assert setting.cache.get_or_compute(KEY, lambda: 2) == 2
    assert setting.cache.get(KEY) == 2
    setting.store.refused = {"write"}
    assert setting.cache.get_or_compute(Key[int]("other"), lambda: 3) == 3
    setting.store.come_back()
    assert setting.cache.get_or_compute(Key[int]("other"), lambda: 4) == 4


class NeverWrong(RuleBasedStateMachine):
    """Any order of changes, reads, time and faults: a cache never serves what it was told to forget."""

    def __init__(self) -> None:
        super().__init__()
        self.setting = Setting()
        self.truth = dict.fromkeys("xy", 0)

    @rule(name=st.sampled_from("xy"))
    def read(self, name: str) -> None:
        found = self.setting.cache.get_or_compute(Key[int](name), lambda: self.truth[name], tags=(name,))
        assert found == self.truth[name]
        stored = self.setting.cache.get(Key[int](name))
        assert stored in (None, self.truth[name])

    @rule(name=st.sampled_from("xy"))
    def other_process_reads(self, name: str) -> None:
        self.setting.other.get_or_compute(Key[int](name), lambda: self.truth[name], tags=(name,))

    @rule(name=st.sampled_from("xy"), how=st.sampled_from(["key", "tag", "all", "set"]))
    def change(self, name: str, how: str) -> None:
        self.truth[name] += 1
        if how == "key":
            self.setting.cache.delete(Key[int](name))
        elif how == "tag":
            self.setting.cache.invalidate_tags(name)
        elif how == "all":
            self.setting.cache.clear()
        else:
            self.setting.cache.set(Key[int](name), self.truth[name], tags=(name,))

    @rule(
        operations=st.sets(st.sampled_from(["read", "claim", "write", "release", "invalidate"])), refuse=st.booleans()
    )
    def fault(self, operations: set[str], refuse: bool) -> None:
        self.setting.store.come_back()
        if refuse:
            self.setting.store.refused = operations
        else:
            self.setting.store.unavailable = operations

    @rule(delay_s=st.sampled_from([0.5, 1.0, 40.0]))
    def wait(self, delay_s: float) -> None:
        self.setting.clock.advance(delay_s)


TestNeverWrong = settings(max_examples=200, stateful_step_count=30)(NeverWrong).TestCase


async def test_single_flight_holds_without_the_store() -> None:
    store = AsyncFlakyStore(MemoryStore())
    store.go_down()
    calls = 0
    may_end = asyncio.Event()

    async def function() -> int:
        nonlocal calls
        calls += 1
        await may_end.wait()
        return 1

    async with AsyncCache(POLICY, store) as cache:
        tasks = [asyncio.ensure_future(cache.get_or_compute(KEY, function)) for _ in range(1000)]
        for _ in range(5):
            await asyncio.sleep(0)
        may_end.set()
        assert set(await asyncio.gather(*tasks)) == {1}
        assert calls == 1
        assert cache.stats() == CacheStats(computed=1, shared=999, store_failures=1)


class Hanging(AsyncFlakyStore):
    """Invalidations arrive, and their answer never comes."""

    async def invalidate(self, keys: object, tags: object) -> None:
        if "invalidate" in self.unavailable:
            await asyncio.Event().wait()
        await super().invalidate(keys, tags)  # type: ignore[arg-type]  # passed through


async def test_a_cancelled_invalidation_is_owed() -> None:
    """Nobody knows whether it arrived, so it is delivered again before anything is read."""
    clock = ManualClock()
    store = Hanging(MemoryStore(clock=clock))

    async def one() -> int:
        return 1

    async def two() -> int:
        return 2

    async with AsyncCache(POLICY, store) as cache:
        await cache.get_or_compute(KEY, one)
        store.unavailable = {"invalidate"}
        task = asyncio.ensure_future(cache.delete(KEY))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        store.come_back()
        assert await cache.get_or_compute(KEY, two) == 2
