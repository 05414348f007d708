"""What was computed before an invalidation is never served after it, in memory and in Redis, in whatever order."""

import asyncio
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.redis_server import RedisServer
from maestro_cache import AsyncCache, AsyncStore, Claim, Draft, Key, MemoryStore, Policy, Reading
from maestro_cache.redis import AsyncRedisStore
from maestro_cache.testing import Immediate

KEY = Key[int]("k")
OpenStore = Callable[[], AsyncStore]


@pytest.fixture(params=["memory", "redis"])
def open_store(request: pytest.FixtureRequest, empty_redis: RedisServer) -> OpenStore:
    if request.param == "memory":
        return lambda: Immediate(MemoryStore())
    return lambda: AsyncRedisStore(empty_redis.url, timeout_s=10.0)


@pytest.mark.parametrize("by", ["delete", "invalidate_tags", "clear"])
async def test_a_value_computed_before_and_written_after_does_not_survive(open_store: OpenStore, by: str) -> None:
    """The function has read its old data, another process invalidates, the function returns: the race."""
    store, other_store = open_store(), open_store()
    if isinstance(store, Immediate):
        other_store = store
    async with AsyncCache(Policy(ttl_s=60), store) as cache, AsyncCache(Policy(ttl_s=60), other_store) as other:
        has_read, may_return = asyncio.Event(), asyncio.Event()

        async def old() -> int:
            has_read.set()
            await may_return.wait()
            return 1

        async def new() -> int:
            return 2

        async def invalidate() -> bool:
            if by == "delete":
                return await other.delete(KEY)
            return await (other.invalidate_tags("t") if by == "invalidate_tags" else other.clear())

        early = asyncio.ensure_future(cache.get_or_compute(KEY, old, tags=("t",)))
        async with asyncio.timeout(20):
            await has_read.wait()
            assert await invalidate()
            # A reader who comes after the invalidation does not even join the old computation.
            late = asyncio.ensure_future(
                cache.get_or_compute(KEY, new, policy=Policy(ttl_s=60, lease_s=None), tags=("t",))
            )
            assert await late == 2
            may_return.set()
            assert await early == 1, "who asked before the invalidation gets what it asked for"
        assert await cache.get(KEY) == 2
        assert await other.get(KEY) == 2
        assert cache.stats().outdated_writes == 1
    await store.aclose()
    await other_store.aclose()


class Shuffled:
    """A store whose every operation happens after a random number of turns of the loop, and answers after some more."""

    def __init__(self, store: AsyncStore, rng: random.Random) -> None:
        self._store = store
        self._rng = rng
        self.now_s = store.now_s

    async def _turns(self) -> None:
        for _ in range(self._rng.randrange(4)):
            await asyncio.sleep(0)

    async def read(self, key: str, tags: object) -> Reading:
        await self._turns()
        answer = await self._store.read(key, tags)  # type: ignore[arg-type]  # passed through
        await self._turns()
        return answer

    async def claim(self, key: str, tags: object, lease_s: float | None) -> Claim:
        await self._turns()
        answer = await self._store.claim(key, tags, lease_s)  # type: ignore[arg-type]  # passed through
        await self._turns()
        return answer

    async def write(self, key: str, draft: Draft, claim: Claim) -> bool:
        await self._turns()
        answer = await self._store.write(key, draft, claim)
        await self._turns()
        return answer

    async def release(self, key: str, claim: Claim) -> None:
        await self._turns()
        await self._store.release(key, claim)

    async def invalidate(self, keys: object, tags: object) -> None:
        await self._turns()
        await self._store.invalidate(keys, tags)  # type: ignore[arg-type]  # passed through
        await self._turns()

    async def aclose(self) -> None:
        await self._store.aclose()


async def race(store: AsyncStore, seed: int, workers: int, lease_s: float | None) -> None:
    """Readers and changers at random; a read that begins after a change was invalidated sees that change."""
    rng = random.Random(seed)
    truth, confirmed = 0, 0
    policy = Policy(ttl_s=60, stale_s=60, lease_s=lease_s)
    caches = [AsyncCache(policy, Shuffled(store, rng)) for _ in range(2)]

    async def function() -> int:
        read = truth
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        return read

    async def worker() -> None:
        nonlocal truth, confirmed
        for _ in range(6):
            cache = rng.choice(caches)
            if rng.random() < 0.3:
                truth += 1
                change = truth
                how = rng.randrange(3)
                if how == 0:
                    await cache.delete(KEY)
                elif how == 1:
                    await cache.invalidate_tags("t")
                else:
                    await cache.clear()
                confirmed = max(confirmed, change)
            else:
                at_least = confirmed
                found = await cache.get_or_compute(KEY, function, tags=("t",))
                assert found >= at_least, f"served {found}, and {at_least} was invalidated before"

    async with asyncio.timeout(30):
        await asyncio.gather(*(worker() for _ in range(workers)))
    for cache in caches:
        await cache.aclose()


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from([None, 30.0]))
def test_no_interleaving_in_memory_serves_what_was_invalidated(seed: int, workers: int, lease_s: float | None) -> None:
    asyncio.run(race(Immediate(MemoryStore()), seed, workers, lease_s))


async def test_no_interleaving_in_redis_serves_what_was_invalidated(empty_redis: RedisServer) -> None:
    store = AsyncRedisStore(empty_redis.url, timeout_s=10.0)
    for seed in range(40):
        await race(store, seed, 4, None if seed % 2 else 30.0)
    await store.aclose()
