"""One case on taskiq-redis with streams: `python -m core_messaging.peer_taskiq CASE URL`; prints seconds."""

import asyncio
import logging
import os
import sys
import time

from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from core_messaging.cases import AT_ONCE, CASES


async def run(name: str, where: str) -> None:
    """Print the seconds of one run of a case."""
    logging.disable(logging.ERROR)
    count = next(case.messages for case in CASES if case.name == name)
    broker = RedisStreamBroker(where, consumer_id="0")
    left, done = count, asyncio.Event()

    @broker.task(task_name="bench")
    async def work(data: dict[str, int]) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    async def publish(at_once: int) -> None:
        numbers = iter(range(count))

        async def task() -> None:
            for number in numbers:
                await work.kiq({"number": number})

        await asyncio.gather(*(task() for _ in range(at_once)))

    await broker.startup()
    if name == "handle":
        await publish(AT_ONCE)
    begun_s = time.perf_counter()
    if name == "handle":
        receiver = asyncio.create_task(
            run_receiver_task(broker, max_async_tasks=AT_ONCE, run_startup=True, ack_time=AcknowledgeType.WHEN_EXECUTED)
        )
        await done.wait()
        print(time.perf_counter() - begun_s, flush=True)
        os._exit(not receiver)  # a receiver that is cancelled does not end
    else:
        await publish(1 if name == "one" else AT_ONCE)
        print(time.perf_counter() - begun_s)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2]))
