"""The one suite, for Redis Streams on every real Redis there is."""

import pytest
import redis.asyncio

from kit.redis_server import RedisServer
from maestro_core_messaging import Broker
from maestro_core_messaging.redis import RedisBroker
from maestro_core_messaging.testing import BrokerConformance


class TestRedisBroker(BrokerConformance):
    prompt_s = 15.0

    @pytest.fixture(autouse=True)
    def server(self, shared_redis: RedisServer) -> None:
        self.url = shared_redis.url

    async def open(self, *, max_backlog: int | None = None) -> Broker:
        # Who waits looks by himself after 0.4 times the bound: too late for what must wake him.
        return RedisBroker(self.url, max_backlog=max_backlog, timeout_s=50)

    async def publish_raw(self, broker: Broker, topic: str, body: bytes) -> None:
        async with redis.asyncio.Redis.from_url(self.url) as client:
            await client.xadd(f"maestro:streams:{topic}", {"ce": body})
