"""One case on huey with SQLite, WAL and fsync=True: `python -m core_messaging.peer_huey CASE FILE`; prints seconds."""

import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from huey import SqliteHuey  # type: ignore[import-untyped] # huey has no types

from core_messaging.cases import AT_ONCE, CASES

WORKERS = 8


def run(name: str, where: str) -> float:
    """Seconds for one run of a case."""
    logging.disable(logging.ERROR)
    count = next(case.messages for case in CASES if case.name == name)
    queue = SqliteHuey(filename=where, fsync=True, journal_mode="wal", results=False, timeout=60)
    lock, done, left = threading.Lock(), threading.Event(), [count]

    @queue.task()  # type: ignore[untyped-decorator] # huey has no types
    def work(data: dict[str, int]) -> None:
        with lock:
            left[0] -= 1
            if left[0] == 0:
                done.set()

    def publish(at_once: int) -> None:
        with ThreadPoolExecutor(at_once) as threads:
            list(threads.map(lambda number: work({"number": number}), range(count)))

    if name != "handle":
        begun_s = time.perf_counter()
        publish(1 if name == "one" else AT_ONCE)
        return time.perf_counter() - begun_s
    publish(WORKERS)
    consumer = queue.create_consumer(workers=WORKERS, periodic=False, initial_delay=0.001, backoff=1.0)
    begun_s = time.perf_counter()
    consumer.start()
    done.wait()
    seconds = time.perf_counter() - begun_s
    consumer.stop()
    return seconds


if __name__ == "__main__":
    print(run(sys.argv[1], sys.argv[2]))
