"""maestro-cache beside cachetools and cashews in one run: cost of a hit, hit rate on traces, stampedes."""

import argparse
import asyncio
import os
import platform
from collections.abc import Callable
from importlib.metadata import version

import cachetools

from cache.hits import all_hits
from cache.stampede import COMPUTE_S, READERS, tasks, threads
from cache.traces import TRACES
from maestro_cache import Cache, Key, MemoryStore, Policy

ROOM = 1_000


def rate_of_ours(trace: list[int]) -> float:
    """Part of the requests that S3-FIFO answers, through the whole cache."""
    cache = Cache(Policy(ttl_s=3600, lease_s=None), MemoryStore(ROOM))
    for number in trace:
        cache.get_or_compute(Key[int](number), lambda: 1)
    stats = cache.stats()
    cache.close()
    return stats.hits / (stats.hits + stats.computed)


def rate_of(make: Callable[[], "cachetools.Cache[int, int]"]) -> Callable[[list[int]], float]:
    """The same for a cache of cachetools."""

    def measure(trace: list[int]) -> float:
        held, hits = make(), 0
        for number in trace:
            if number in held:
                hits += held[number]
            else:
                held[number] = 1
        return hits / len(trace)

    return measure


RATES: dict[str, Callable[[list[int]], float]] = {
    "maestro (S3-FIFO)": rate_of_ours,
    "cachetools LRU": rate_of(lambda: cachetools.LRUCache(ROOM)),
    "cachetools LFU": rate_of(lambda: cachetools.LFUCache(ROOM)),
    "cachetools FIFO": rate_of(lambda: cachetools.FIFOCache(ROOM)),
}


def main() -> None:
    """Measure all, and print it."""
    parser = argparse.ArgumentParser(description="maestro-cache beside cachetools and cashews.")
    parser.add_argument("--redis-url", help="a Redis of your own, to measure hits over it too")
    asked = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"cachetools {version('cachetools')}, cashews {version('cashews')}, redis-py {version('redis')}")
    for title, costs in zip(("a hit", "a hit, awaited"), all_hits(asked.redis_url), strict=True):
        print(f"-- {title}, microseconds, and how many times ours")
        for name, micros in costs.items():
            own = costs["maestro get_or_compute, Redis" if "Redis" in name else "maestro get_or_compute"]
            print(f"{name:<40}{micros:8.2f}{micros / own:8.2f}x")
    print(f"-- hit rate with room for {ROOM} of the keys, and misses against ours")
    for trace_name, make_trace in TRACES.items():
        trace = make_trace()
        own = RATES["maestro (S3-FIFO)"](trace)
        for name, measure in RATES.items():
            rate = measure(trace)
            print(f"{trace_name:<20}{name:<24}{rate:8.3f}{(1 - rate) / (1 - own):8.2f}x")
    print(f"-- runs of a function of {COMPUTE_S} s, for {READERS} readers of one expired key")
    for kind, found in (("threads", threads()), ("tasks", asyncio.run(tasks()))):
        for name, runs in found.items():
            print(f"{kind:<10}{name:<30}{runs:8d}")


if __name__ == "__main__":
    main()
