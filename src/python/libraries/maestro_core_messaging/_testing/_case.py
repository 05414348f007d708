"""What every scenario stands on: a broker of its own, and waits with a bound."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from maestro_core_messaging._broker import Broker, Delivery, Subscription
from maestro_core_messaging._consumer import Consumer, Handler
from maestro_core_messaging._message import Message
from maestro_core_messaging._policy import RetryPolicy

QUICK = RetryPolicy(max_attempts=3, initial_delay_s=0.01, max_delay_s=0.05)


class BrokerCase:
    """The parts of a scenario; `open` and `publish_raw` are yours to write."""

    lease_s: float = 1.0
    """Of scenarios in which a lease ends: your backend must answer within a third of it, even on a busy machine."""

    patience_s: float = 20.0
    """How long a scenario waits for what must come."""

    prompt_s: float = 3.0
    """How soon one who waits has to be woken; keep it shorter than your backend's waiters go without a look."""

    durable: bool = True
    """Whether what is in the store outlives the broker."""

    async def open(self, *, max_backlog: int | None = None) -> Broker:
        """A broker on this scenario's store; a second one, opened after the first was closed, finds what it left."""
        raise NotImplementedError("say how your broker is opened")

    async def publish_raw(self, broker: Broker, topic: str, body: bytes) -> None:
        """Append what need not be a CloudEvent, as a producer of another make might."""
        raise NotImplementedError("say how others write into your store")

    @asynccontextmanager
    async def opened(self, *, max_backlog: int | None = None) -> AsyncIterator[Broker]:
        """A broker that is closed at the end."""
        broker = await self.open(max_backlog=max_backlog)
        try:
            yield broker
        finally:
            await broker.close()

    async def join(self, broker: Broker, topic: str, group: str = "g", **options: Any) -> Subscription:
        """Subscribe with a lease that does not end meanwhile, unless one is given."""
        return await broker.subscribe(topic, group, **{"lease_s": 600.0, **options})

    async def take(self, subscription: Subscription, count: int) -> list[Delivery]:
        """Exactly that many deliveries, waited for."""
        taken: list[Delivery] = []
        async with asyncio.timeout(self.patience_s):
            while len(taken) < count:
                taken += await subscription.take(count - len(taken))
                if len(taken) < count:
                    await subscription.wait(self.patience_s)
        return taken

    async def nothing_for(self, subscription: Subscription, seconds: float) -> None:
        """Watch for that long that nothing comes."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        while (left_s := until_s - loop.time()) > 0:
            assert [delivery.message.data for delivery in await subscription.take(10)] == []
            await subscription.wait(left_s)

    def consumer(self, broker: Broker, topic: str, handler: Handler, **options: Any) -> Consumer:
        """A consumer with quick retries, and leases that do not end meanwhile, unless told otherwise."""
        return Consumer(broker, topic, "g", handler, **{"policy": QUICK, "lease_s": 600.0, **options})

    async def until(self, holds: Callable[[], bool], changed: asyncio.Event) -> None:
        """Wait until something holds, looking whenever `changed` is set."""
        async with asyncio.timeout(self.patience_s):
            while not holds():
                changed.clear()
                await changed.wait()

    async def dead(self, broker: Broker, topic: str, count: int) -> list[Any]:
        """That many dead letters of the group, waited for."""
        until_s = time.monotonic() + self.patience_s
        while len(letters := await broker.dead_letters(topic, "g")) < count:
            assert time.monotonic() < until_s, f"{len(letters)} dead letters, and {count} were to come"
            await asyncio.sleep(0.01)  # the port tells nobody of a letter
        return letters


class Seen:
    """A handler's memory: what it has seen, and a bell for those who wait for more."""

    def __init__(self) -> None:
        self.data: list[Any] = []
        self.deliveries: list[Delivery] = []
        self.changed = asyncio.Event()

    def add(self, delivery: Delivery) -> None:
        """Keep it."""
        self.data.append(delivery.message.data)
        self.deliveries.append(delivery)
        self.changed.set()


def topic_name() -> str:
    """A topic that nobody else uses."""
    return f"t-{uuid.uuid4().hex}"


def message(data: Any = None, key: str | None = None) -> Message:
    """A message with that data and key."""
    return Message(
        type="dev.maestro.test.v1", source="/suite", data=data, extensions={} if key is None else {"partitionkey": key}
    )


def data_of(deliveries: list[Delivery]) -> list[Any]:
    """The data of deliveries."""
    return [delivery.message.data for delivery in deliveries]
