"""Settings of the property tests, and real Redis servers."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from kit.redis_server import RedisServer, redis_binaries, redis_server

settings.register_profile("maestro-cache", database=None, deadline=None, max_examples=100)
settings.load_profile("maestro-cache")


@pytest.fixture(scope="session", params=redis_binaries(), ids=lambda binary: binary.parent.name)
def shared_redis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for the tests that do it no harm."""
    binary: Path = request.param
    with redis_server(tmp_path_factory.mktemp("redis"), binary) as server:
        yield server


@pytest.fixture
def empty_redis(shared_redis: RedisServer) -> RedisServer:
    """The shared server with nothing in it."""
    with redis.Redis.from_url(shared_redis.url) as client:
        client.flushall()
        client.script_flush()
    return shared_redis


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server to kill, freeze and start again."""
    with redis_server(tmp_path / "redis") as server:
        yield server


def age(url: str, delay_s: float) -> None:
    """Have time pass for everything in a Redis, by shortening what is left of each life."""
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            left_ms = client.pttl(key)
            assert isinstance(left_ms, int)
            if left_ms >= 0:
                client.pexpire(key, max(0, left_ms - round(delay_s * 1000)))


@pytest.fixture
def numbers() -> Callable[[], int]:
    """0, 1, 2, …: a function whose every call shows."""
    counter = itertools.count()
    return lambda: next(counter)
