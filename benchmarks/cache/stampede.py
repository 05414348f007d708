"""How often the function runs when many readers find one key expired at the same time; 1 is the best there is."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import cachetools
from cashews import Cache as Cashews

from maestro_cache import AsyncCache, Cache, Key, Policy

READERS = 1_000
COMPUTE_S = 0.1
KEY = Key[int]("k")


class Function:
    """Takes a while, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            self.runs += 1
        time.sleep(COMPUTE_S)
        return 1

    async def acall(self) -> int:
        self.runs += 1
        await asyncio.sleep(COMPUTE_S)
        return 1


def threads() -> dict[str, int]:
    """Runs for 1,000 threads."""
    ours = Cache(Policy(ttl_s=600))

    def maestro(function: Function) -> Callable[[], int]:
        return lambda: ours.get_or_compute(KEY, function)

    def cachetools_lock(function: Function) -> Callable[[], int]:
        return cachetools.cached(cachetools.TTLCache(10, 600), lock=threading.Lock())(function.__call__)

    def cachetools_condition(function: Function) -> Callable[[], int]:
        return cachetools.cached(cachetools.TTLCache(10, 600), condition=threading.Condition())(function.__call__)

    found = {}
    for name, make in {
        "maestro": maestro,
        "cachetools, lock=": cachetools_lock,
        "cachetools, condition=": cachetools_condition,
    }.items():
        function = Function()
        read, together = make(function), threading.Barrier(READERS)

        def reader(read: Callable[[], int] = read, together: threading.Barrier = together) -> int:
            together.wait()
            return read()

        with ThreadPoolExecutor(READERS) as pool:
            for done in [pool.submit(reader) for _ in range(READERS)]:
                assert done.result() == 1
        found[name] = function.runs
    ours.close()
    return found


async def tasks() -> dict[str, int]:
    """Runs for 1,000 tasks."""
    ours = AsyncCache(Policy(ttl_s=600))
    cashews = Cashews()
    cashews.setup("mem://?size=10000&check_interval=0")
    functions = {name: Function() for name in ("maestro", "cashews", "cashews, lock=True")}
    readers: dict[str, Callable[[], Awaitable[object]]] = {
        "maestro": lambda: ours.get_or_compute(KEY, functions["maestro"].acall),
        "cashews": cashews(ttl=600, key="plain")(functions["cashews"].acall),
        "cashews, lock=True": cashews(ttl=600, key="locked", lock=True)(functions["cashews, lock=True"].acall),
    }
    for read in readers.values():
        await asyncio.gather(*(read() for _ in range(READERS)))
    await ours.aclose()
    await cashews.close()
    return {name: function.runs for name, function in functions.items()}
