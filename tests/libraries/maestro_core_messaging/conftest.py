"""Settings of the property tests, and real Redis servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from kit.redis_server import RedisServer, redis_binaries, redis_server

settings.register_profile("maestro-core-messaging", database=None, deadline=None, max_examples=100)
settings.load_profile("maestro-core-messaging")


@pytest.fixture(scope="module", params=redis_binaries(), ids=lambda binary: binary.parent.parent.name)
def shared_redis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for all tests of a file, once with each Redis there is."""
    with redis_server(tmp_path_factory.mktemp("redis"), request.param) as server:
        yield server


@pytest.fixture(params=redis_binaries(), ids=lambda binary: binary.parent.parent.name)
def own_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A server for one test, which may stop it, kill it or freeze it; once with each Redis there is."""
    with redis_server(tmp_path / "redis", request.param) as server:
        yield server
