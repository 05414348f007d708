"""A process of its own that reads one key through a cache in Redis; test_processes.py starts several of them.

Its function counts its runs in Redis, says that it has begun, and waits until it may end.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import redis

from maestro_cache import Cache, Key, Policy
from maestro_cache.redis import RedisStore

WITHIN_S = 60
KEY = Key[str]("k")


def main(url: str, lease_s: float | None, threads: int) -> None:
    client = redis.Redis.from_url(url, socket_timeout=WITHIN_S + 5)
    store = RedisStore(url, timeout_s=10.0)
    all_ready = threading.Barrier(threads + 1)

    def function() -> str:
        run = client.incr("runs")
        client.rpush("begun", str(run))
        assert client.blpop(["may-end"], WITHIN_S) is not None, "nobody let it end"
        return f"value of run {run}"

    def read() -> str:
        all_ready.wait(WITHIN_S)
        return cache.get_or_compute(KEY, function)

    with Cache(Policy(ttl_s=600, lease_s=lease_s), store) as cache, ThreadPoolExecutor(threads) as pool:
        reads = [pool.submit(read) for _ in range(threads)]
        client.rpush("ready", "1")
        assert client.blpop(["go"], WITHIN_S) is not None, "nobody said go"
        all_ready.wait(WITHIN_S)
        print(json.dumps(sorted({read.result(WITHIN_S) for read in reads})), flush=True)
    store.close()
    client.close()


if __name__ == "__main__":
    main(sys.argv[1], None if sys.argv[2] == "none" else float(sys.argv[2]), int(sys.argv[3]))
