"""Real servers that are killed, frozen, full, read-only, locked or filled with something else."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from libraries.maestro_cache.conftest import age

from kit.redis_server import RedisServer, redis_server
from maestro_cache import (
    AsyncCache,
    Cache,
    ForeignValue,
    InvalidPolicy,
    Key,
    Policy,
    StoreFailed,
    StoreRecovered,
    StoreRefused,
    StoreUnavailable,
)
from maestro_cache.redis import AsyncRedisStore, RedisStore
from maestro_cache.testing import ManualClock, Recorder

KEY = Key[int]("k")
POLICY = Policy(ttl_s=60, jitter=0)
TIMEOUT_S = 1.0


class Setting:
    """A cache on a server; the clock moves only the pauses after failures, since entries live by the server's."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, raise_errors: bool = False) -> None:
        self.clock = ManualClock()
        self.recorder = Recorder()
        self.store = RedisStore(url, timeout_s=timeout_s, clock=self.clock)
        self.cache = Cache(POLICY, self.store, listener=self.recorder, raise_errors=raise_errors)

    def errors(self) -> set[type[Exception]]:
        return {type(event.error) for event in self.recorder.of(StoreFailed)}

    def close(self) -> None:
        self.cache.close()
        self.store.close()


@pytest.fixture
def setting(own_redis: RedisServer) -> Iterator[Setting]:
    setting = Setting(own_redis.url)
    yield setting
    setting.close()


def test_a_killed_server_costs_hits_and_nothing_else(setting: Setting, own_redis: RedisServer) -> None:
    assert setting.cache.get_or_compute(KEY, lambda: 1) == 1
    own_redis.kill()
    assert [setting.cache.get_or_compute(KEY, lambda: 2) for _ in range(100)] == [2] * 100
    assert setting.cache.delete(KEY) is False
    own_redis.start()
    setting.clock.advance(1.0)
    assert setting.cache.get_or_compute(KEY, lambda: 3) == 3, "what it deleted meanwhile is gone"
    assert setting.cache.get_or_compute(KEY, lambda: 4) == 3, "and the cache works again"
    assert setting.errors() == {StoreUnavailable}
    assert len(setting.recorder.of(StoreRecovered)) == 1


def test_a_restarted_server_serves_what_it_kept(setting: Setting, own_redis: RedisServer) -> None:
    """Connections that died in the pool are replaced, scripts that were forgotten are sent again."""
    setting.cache.get_or_compute(KEY, lambda: 1)
    own_redis.stop()
    own_redis.start()
    for _ in range(3):
        found = setting.cache.get_or_compute(KEY, lambda: 1)
        setting.clock.advance(1.0)
    assert found == 1
    assert setting.cache.get(KEY) == 1
    assert setting.cache.get_or_compute(Key[int]("new"), lambda: 5) == 5
    assert setting.cache.get(Key[int]("new")) == 5


def test_a_frozen_server_costs_one_timeout_a_second_and_not_one_for_each_call(
    setting: Setting, own_redis: RedisServer
) -> None:
    setting.cache.get_or_compute(KEY, lambda: 1)
    own_redis.freeze()
    begun_s = time.monotonic()
    assert [setting.cache.get_or_compute(Key[int](number), lambda: 2) for number in range(500)] == [2] * 500
    assert time.monotonic() - begun_s < TIMEOUT_S + 20
    assert len(setting.recorder.of(StoreFailed)) == 1
    assert setting.cache.invalidate_tags("t") is False
    own_redis.thaw()
    setting.clock.advance(1.0)
    assert setting.cache.get_or_compute(KEY, lambda: 3) == 1


def test_an_invalidation_owed_to_a_frozen_server_is_delivered_when_it_thaws(
    setting: Setting, own_redis: RedisServer
) -> None:
    """Also when the server, once awake, still does what was sent to it and given up."""
    other = Setting(own_redis.url, timeout_s=10.0)
    setting.cache.get_or_compute(KEY, lambda: 1, tags=("t",))
    own_redis.freeze()
    assert setting.cache.invalidate_tags("t") is False
    assert setting.cache.get_or_compute(KEY, lambda: 2, tags=("t",)) == 2
    own_redis.thaw()
    setting.clock.advance(1.0)
    assert setting.cache.get_or_compute(KEY, lambda: 3, tags=("t",)) == 3
    assert other.cache.get(KEY) == 3
    other.close()


async def test_a_thousand_tasks_at_a_frozen_server_wait_for_two_timeouts_at_most(own_redis: RedisServer) -> None:
    """One for a free connection and one for the answer; and the function still never runs twice at once."""
    store = AsyncRedisStore(own_redis.url, timeout_s=1.0, max_connections=8)
    running, most = 0, 0

    async def function() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return 1

    async with AsyncCache(POLICY, store, listener=Recorder()) as cache:
        await cache.get(KEY)
        own_redis.freeze()
        begun_s = time.monotonic()
        assert set(await asyncio.gather(*(cache.get_or_compute(KEY, function) for _ in range(1000)))) == {1}
        assert time.monotonic() - begun_s < 2 * 1.0 + 20
        assert most == 1
    await store.aclose()
    own_redis.thaw()


def test_a_full_server_is_read_and_invalidated_and_not_written(setting: Setting, own_redis: RedisServer) -> None:
    setting.cache.get_or_compute(KEY, lambda: 1, tags=("t",))
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory", "1")
        assert setting.cache.get_or_compute(KEY, lambda: 2, tags=("t",)) == 1
        assert setting.cache.get_or_compute(Key[int]("new"), lambda: 3) == 3
        assert setting.cache.get(Key[int]("new")) is None
        assert setting.errors() == {StoreRefused}
        assert setting.cache.invalidate_tags("t") is True, "a full server still forgets"
        assert setting.cache.get(KEY) is None
        client.config_set("maxmemory", "0")
    assert setting.cache.get_or_compute(KEY, lambda: 4, tags=("t",)) == 4
    assert setting.cache.get(KEY) == 4


def test_a_read_only_replica_is_read_and_its_refusals_are_not_raised(tmp_path: Path, own_redis: RedisServer) -> None:
    with redis_server(tmp_path / "replica") as replica:
        primary = Setting(own_redis.url)
        with redis.Redis.from_url(replica.url) as client, redis.Redis.from_url(own_redis.url) as primary_client:
            client.replicaof("127.0.0.1", str(own_redis.port))
            primary.cache.get_or_compute(KEY, lambda: 1)
            until_s = time.monotonic() + 20
            while not primary_client.wait(1, 1000) and time.monotonic() < until_s:
                continue
            setting = Setting(replica.url)
            assert setting.cache.get_or_compute(KEY, lambda: 2) == 1
            assert setting.cache.get_or_compute(Key[int]("new"), lambda: 3) == 3
            assert setting.cache.delete(KEY) is False
            assert setting.cache.get_or_compute(KEY, lambda: 4) == 4, "the replica still has what we wanted gone"
            assert setting.errors() == {StoreRefused}
            setting.close()
        primary.close()


def test_a_server_that_wants_a_password_is_a_server_that_is_down(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("requirepass", "right")
    for url in (own_redis.url, own_redis.url.replace("redis://", "redis://:wrong@")):
        setting = Setting(url)
        assert setting.cache.get_or_compute(KEY, lambda: 1) == 1
        assert setting.cache.delete(KEY) is False
        assert setting.errors() == {StoreUnavailable}
        assert "wrong" not in repr((setting.recorder.events, setting.store, setting.cache))
        setting.close()
    setting = Setting(own_redis.url.replace("redis://", "redis://:right@"))
    setting.cache.get_or_compute(KEY, lambda: 1)
    assert setting.cache.get(KEY) == 1
    setting.close()


@pytest.mark.parametrize("suffix", ["", "|lease", "|fence"])
def test_keys_that_hold_something_of_another_type_count_as_nothing(
    setting: Setting, own_redis: RedisServer, suffix: str
) -> None:
    """And the next value replaces them, but for a lease, which is waited for until it ends."""
    with redis.Redis.from_url(own_redis.url) as client:
        name = f"maestro-cache:cache:1:key:{KEY.text}{suffix}"
        client.rpush(name, "a list")
        client.pexpire(name, 200)
        assert setting.cache.get_or_compute(KEY, lambda: 1) == 1
        assert setting.cache.get(KEY) == 1
    assert len(setting.recorder.of(ForeignValue)) == (2 if suffix == "" else 0)


def test_a_tag_that_holds_something_of_another_type_is_replaced(setting: Setting, own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.rpush("maestro-cache:cache:1:all", "a list")
    setting.cache.get_or_compute(KEY, lambda: 1)
    assert setting.cache.get(KEY) == 1


def test_lost_tags_make_their_entries_unreachable_and_never_bring_them_back(
    setting: Setting, own_redis: RedisServer
) -> None:
    """A server that evicts tags first: tokens are random, so a new one never equals the old."""
    setting.cache.get_or_compute(KEY, lambda: 1, tags=("t",))
    with redis.Redis.from_url(own_redis.url) as client:
        for name in client.scan_iter("maestro-cache:cache:1:tag:*"):
            client.delete(name)
    assert setting.cache.get(KEY) is None
    setting.cache.get_or_compute(Key[int]("new"), lambda: 2, tags=("t",))
    assert setting.cache.get(KEY) is None


def test_tags_live_as_long_as_what_has_them(setting: Setting, own_redis: RedisServer) -> None:
    """Nothing stays for ever, and a tag never ends before its entries."""
    long = Policy(ttl_s=5000, stale_s=5000, jitter=0)
    setting.cache.get_or_compute(KEY, lambda: 1, policy=long, tags=("t",))
    setting.cache.get_or_compute(Key[int]("short"), lambda: 1, tags=("t",))
    with redis.Redis.from_url(own_redis.url) as client:
        lives = {name: client.pttl(name) for name in client.scan_iter()}
    assert len(lives) == 4, "two entries and two tags; leases and fences are gone"
    assert all(isinstance(life, int) and life > 0 for life in lives.values())
    age(own_redis.url, 9990)
    assert setting.cache.get(KEY) == 1


def test_who_asks_for_errors_gets_them(own_redis: RedisServer) -> None:
    setting = Setting(own_redis.url, raise_errors=True)
    own_redis.kill()
    with pytest.raises(StoreUnavailable, match="no answer"):
        setting.cache.get_or_compute(KEY, lambda: 1)
    with pytest.raises(StoreUnavailable, match="left alone"):
        setting.cache.get(KEY)
    setting.close()


@pytest.mark.parametrize(
    "words", [{"timeout_s": 0}, {"max_connections": 0}, {"max_value_bytes": 0}, {"max_compute_s": float("nan")}]
)
def test_settings_that_make_no_sense_are_refused(words: dict[str, float]) -> None:
    for kind in (RedisStore, AsyncRedisStore):
        with pytest.raises(InvalidPolicy, match="|".join(words)):
            kind("redis://127.0.0.1:1/0", **words)  # type: ignore[arg-type]  # wrong on purpose
