"""Every store of this package passes the suite for stores."""

import pytest
from libraries.maestro_cache.conftest import age

from kit.redis_server import RedisServer
from maestro_cache import AsyncStore, MemoryStore
from maestro_cache.redis import AsyncRedisStore, RedisStore
from maestro_cache.testing import CacheStoreConformance, Immediate, ManualClock


class TestMemoryStore(CacheStoreConformance):
    """In memory, by a clock that stands still."""

    @pytest.fixture(autouse=True)
    def _clock(self) -> None:
        self.clock = ManualClock()

    def open_store(self) -> AsyncStore:
        return Immediate(MemoryStore(clock=self.clock))

    async def pass_time(self, delay_s: float) -> None:
        self.clock.advance(delay_s)


class InRedis(CacheStoreConformance):
    """What both stores in Redis share."""

    tolerance_s = 2.0

    @pytest.fixture(autouse=True)
    def _server(self, empty_redis: RedisServer) -> None:
        self.url = empty_redis.url

    async def pass_time(self, delay_s: float) -> None:
        age(self.url, delay_s)


class TestRedisStore(InRedis):
    """A real Redis, for threads."""

    def open_store(self) -> AsyncStore:
        return Immediate(RedisStore(self.url, timeout_s=10.0))


class TestAsyncRedisStore(InRedis):
    """A real Redis, for tasks."""

    def open_store(self) -> AsyncStore:
        return AsyncRedisStore(self.url, timeout_s=10.0)
