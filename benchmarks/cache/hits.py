"""What a hit costs: microseconds of one warm key, median of rounds in which the caches take turns."""

import asyncio
import statistics
import threading
import time
from collections.abc import Awaitable, Callable

import cachetools
from cashews import Cache as Cashews

from maestro_cache import AsyncCache, Cache, Key, Policy

CALLS = 20_000
ROUNDS = 7
KEY = Key[int]("user", 7)


def sync_hits() -> dict[str, float]:
    """Each call answered from memory, without asyncio."""
    ours = Cache(Policy(ttl_s=600))

    @cachetools.cached(cachetools.TTLCache(10_000, 600), lock=threading.Lock())
    def by_cachetools(user_id: int) -> int:
        return user_id

    @ours.cached(key=lambda user_id: KEY)
    def by_ours(user_id: int) -> int:
        return user_id

    @ours.cached()
    def by_signature(user_id: int) -> int:
        return user_id

    calls: dict[str, Callable[[], object]] = {
        "maestro get_or_compute": lambda: ours.get_or_compute(KEY, lambda: 7),
        "maestro get": lambda: ours.get(KEY),
        "maestro decorator, key=": lambda: by_ours(7),
        "maestro decorator, signature": lambda: by_signature(7),
        "cachetools cached, TTLCache and lock": lambda: by_cachetools(7),
    }
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()
            begun_s = time.perf_counter()
            for _ in range(CALLS):
                call()
            found[name].append((time.perf_counter() - begun_s) / CALLS * 1e6)
    ours.close()
    return {name: statistics.median(times) for name, times in found.items()}


async def async_hits(redis_url: str | None) -> dict[str, float]:
    """Each call awaited; from memory, and with `redis_url` from Redis."""
    ours = AsyncCache(Policy(ttl_s=600))
    cashews = Cashews()
    cashews.setup("mem://?size=10000&check_interval=0")

    async def seven() -> int:
        return 7

    by_cashews = cashews(ttl=600, key="seven")(seven)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "maestro get_or_compute": lambda: ours.get_or_compute(KEY, seven),
        "cashews decorator": by_cashews,
        "cashews get": lambda: cashews.get("seven"),
    }
    found = await _rounds(calls, CALLS)
    await ours.aclose()
    await cashews.close()
    if redis_url is not None:
        found |= await _redis_hits(redis_url)
    return found


async def _redis_hits(url: str) -> dict[str, float]:
    from maestro_cache.redis import AsyncRedisStore

    store = AsyncRedisStore(url)
    ours = AsyncCache(Policy(ttl_s=600), store)
    cashews = Cashews()
    cashews.setup(url, pickle_type="json", client_side=False)

    async def seven() -> int:
        return 7

    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "maestro get_or_compute, Redis": lambda: ours.get_or_compute(KEY, seven),
        "cashews decorator, Redis": cashews(ttl=600, key="seven")(seven),
    }
    found = await _rounds(calls, CALLS // 20)
    await ours.aclose()
    await store.aclose()
    await cashews.close()
    return found


async def _rounds(calls: dict[str, Callable[[], Awaitable[object]]], count: int) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            await call()
            begun_s = time.perf_counter()
            for _ in range(count):
                await call()
            found[name].append((time.perf_counter() - begun_s) / count * 1e6)
    return {name: statistics.median(times) for name, times in found.items()}


def all_hits(redis_url: str | None) -> tuple[dict[str, float], dict[str, float]]:
    """Without and with asyncio."""
    return sync_hits(), asyncio.run(async_hits(redis_url))
