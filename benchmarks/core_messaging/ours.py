"""One case on maestro-core-messaging: `python -m core_messaging.ours CASE URL|FILE`; prints seconds."""

import asyncio
import sys
import time

from core_messaging.cases import AT_ONCE, CASES
from maestro_core_messaging import Broker, Consumer, Delivery, Message, SqliteBroker


def open_broker(where: str) -> Broker:
    """The broker at a Redis URL, or in a file with synchronous=FULL."""
    if not where.startswith("redis:"):
        return SqliteBroker(where, synchronous="full")
    from maestro_core_messaging.redis import RedisBroker

    return RedisBroker(where)


async def publish(broker: Broker, count: int, at_once: int) -> None:
    """So many messages by so many tasks, each message a call of its own."""
    numbers = iter(range(count))

    async def task() -> None:
        for number in numbers:
            await broker.publish("bench", Message(type="bench.v1", source="/bench", data={"number": number}))

    await asyncio.gather(*(task() for _ in range(at_once)))


async def handle(broker: Broker, count: int) -> None:
    """Handle so many messages that are there."""
    left, done = count, asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    async with Consumer(broker, "bench", "g", handler, concurrency=AT_ONCE):
        await done.wait()


async def run(name: str, where: str) -> float:
    """Seconds for one run of a case."""
    count = next(case.messages for case in CASES if case.name == name)
    broker = open_broker(where)
    await broker.subscribe("bench", "g")
    if name == "handle":
        await publish(broker, count, AT_ONCE)
    begun_s = time.perf_counter()
    if name == "handle":
        await handle(broker, count)
    else:
        await publish(broker, count, 1 if name == "one" else AT_ONCE)
    seconds = time.perf_counter() - begun_s
    await broker.close()
    return seconds


if __name__ == "__main__":
    print(asyncio.run(run(sys.argv[1], sys.argv[2])))
