"""Bytes in Redis are not to be trusted: whatever is there, a reader gets a right value or none."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.redis_server import RedisServer
from maestro_cache import Cache, Draft, ForeignValue, JsonSerialiser, Key, NotStorable, NotStored, Policy, Value
from maestro_cache._redis_format import Foreign, decode, encode
from maestro_cache.redis import RedisStore
from maestro_cache.testing import Recorder

KEY = Key[Any]("k")
NAME = f"maestro-cache:cache:1:key:{KEY.text}"
POLICY = Policy(ttl_s=60, jitter=0, negative_ttl_s=5, negative_errors=(KeyError,))
JSON = JsonSerialiser()

DATA: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def cache(empty_redis: RedisServer, recorder: Recorder) -> Iterator[Cache]:
    store = RedisStore(empty_redis.url, timeout_s=10.0, max_value_bytes=1000)
    yield Cache(POLICY, store, listener=recorder)
    store.close()


@pytest.fixture
def client(empty_redis: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(empty_redis.url) as client:
        yield client


def exactly(value: Any) -> str:
    """A value with its types: 1, 1.0 and True are three."""
    return repr(value)


@given(DATA)
def test_json_gives_back_what_it_was_given(value: Any) -> None:
    try:
        data = JSON.dumps(value)
    except NotStorable:
        return
    assert exactly(JSON.loads(data)) == exactly(value)


@pytest.mark.parametrize(
    "value",
    [(1, 2), {1: "a"}, {"a": {2}}, b"bytes", float("nan"), float("inf"), object(), "\ud800", 10**5000, [[(1,)]]],
    ids=lambda value: type(value).__name__,
)
def test_json_refuses_what_would_come_back_as_something_else(value: Any, cache: Cache, recorder: Recorder) -> None:
    """A tuple would be a list on the second call: the caller gets it, the store does not, the listener is told."""
    assert cache.get_or_compute(KEY, lambda: value) is value
    assert cache.get(KEY) is None
    assert [event.error.code for event in recorder.of(NotStored)] == ["cache.not-storable"]
    assert cache.get_or_compute(KEY, lambda: 1) == 1, "the lease was given back"


def test_what_holds_itself_is_refused(cache: Cache) -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert cache.get_or_compute(KEY, lambda: ring) is ring
    assert cache.stats().not_stored == 1


def test_a_value_over_the_limit_is_told_and_not_stored(cache: Cache, recorder: Recorder) -> None:
    assert cache.set(KEY, "x" * 100)
    assert not cache.set(KEY, "x" * 1000)
    assert cache.get(KEY) is None, "the value that it should have replaced is not served either"
    assert "max_value_bytes is 1000" in str(recorder.of(NotStored)[0].error)


def test_more_tags_than_a_header_holds_are_told_and_not_stored(cache: Cache) -> None:
    assert cache.get_or_compute(KEY, lambda: 1, tags=tuple(f"tag-{number:050}" for number in range(1000))) == 1
    assert cache.stats().not_stored == 1


HOSTILE = [
    b"",
    b"\n",
    b"plain text",
    b"\x80\x04\x95pickle",
    b"{}\n1",
    b"[]\n1",
    b"null\n1",
    b'{"format": 1}\n1',
    b'{"format": 2, "id": "x", "stale_ms": 0, "compute_s": 0, "tags": {}, "serialiser": "json"}\n1',
    b'{"format": 1, "id": "x", "stale_ms": 0, "compute_s": 0, "tags": {}, "serialiser": "pickle"}\n1',
    b'{"format": 1, "id": "x", "stale_ms": 0, "compute_s": 0, "tags": {}, "serialiser": "json"}\nnot json',
    b'{"format": 1, "id": "x", "stale_ms": -5, "compute_s": 0, "tags": {}, "serialiser": "json"}\n1',
    b'{"format": 1, "id": "x", "stale_ms": NaN, "compute_s": 0, "tags": {}, "serialiser": "json"}\n1',
    b'{"format": 1, "id": "x", "stale_ms": 0, "compute_s": 1e999, "tags": {}, "serialiser": "json"}\n1',
    b'{"format": 1, "id": "x", "stale_ms": 0, "compute_s": 0, "tags": {"t": 1}, "serialiser": "json"}\n1',
    b'{"format": 1, "id": "x", "stale_ms": 0, "compute_s": 0, "tags": [], "serialiser": "json"}\n1',
    b'{"format": 1, "id": "x", "stale_ms": 0, "compute_s": 0, "tags": {}, "error": 1}\n[]',
    b'{"format": 1, "id": "x", "stale_ms": 0, "compute_s": 0, "tags": {}, "error": "builtins.KeyError"}\n{}',
    b"[" * 20000 + b"\n1",
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_bytes_that_are_no_entry_count_as_nothing_and_are_told(
    data: bytes, cache: Cache, client: redis.Redis, recorder: Recorder
) -> None:
    client.set(NAME, data, px=60_000)
    assert cache.get(KEY) is None
    assert cache.get_or_compute(KEY, lambda: 5) == 5
    assert cache.get(KEY) == 5, "it was replaced"
    assert len(recorder.of(ForeignValue)) == 3


def test_an_entry_that_never_expires_is_none_of_ours(cache: Cache, client: redis.Redis, recorder: Recorder) -> None:
    cache.set(KEY, 1)
    client.persist(NAME)
    assert cache.get(KEY) is None
    assert [event.problem for event in recorder.of(ForeignValue)] == ["it never expires"]


@pytest.mark.parametrize(
    ("name", "arguments"), [("builtins.SystemExit", "[]"), ("os.system", '["echo"]'), ("builtins.KeyError", "[]")]
)
def test_a_forged_error_raises_nothing_but_what_the_policy_names(
    cache: Cache, client: redis.Redis, name: str, arguments: str
) -> None:
    cache.set(KEY, 1)
    stored = client.get(NAME)
    assert isinstance(stored, bytes)
    header = json.loads(stored.partition(b"\n")[0]) | {"error": name}
    client.set(NAME, json.dumps(header).encode() + b"\n" + arguments.encode(), px=60_000)
    if name == "builtins.KeyError":
        with pytest.raises(KeyError):
            cache.get_or_compute(KEY, lambda: 2)
    else:
        assert cache.get_or_compute(KEY, lambda: 2) == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_entry_is_never_a_crash(data: st.DataObject) -> None:
    """Bytes flipped, cut or inserted anywhere: decoded as something, or Foreign; no other error."""
    good = encode(Draft(Value({"a": [1, "x"]}), 10, 5, 0.1), "id", {"t": "token"}, JSON, 10_000)
    place = data.draw(st.integers(0, len(good)))
    damaged = good[:place] + data.draw(st.binary(max_size=4)) + good[place + data.draw(st.integers(0, 4)) :]
    with suppress(Foreign):
        assert decode(damaged, 1000, 0.0, JSON).entry.served_until_s == 1.0


class Temperature:
    """A type that JSON does not know."""

    def __init__(self, degrees: float) -> None:
        self.degrees = degrees


def to_data(value: object) -> object:
    assert isinstance(value, Temperature)
    return {"degrees": value.degrees}


def from_data(data: Any) -> object:
    return Temperature(data["degrees"])


def test_a_serialiser_of_ones_own_is_used_and_another_ones_bytes_are_not(empty_redis: RedisServer) -> None:
    recorder = Recorder()
    serialiser = JsonSerialiser("temperature.1", to_data=to_data, from_data=from_data)
    store, plain = RedisStore(empty_redis.url, serialiser=serialiser), RedisStore(empty_redis.url)
    cache = Cache(POLICY, store, listener=recorder)
    cache.set(KEY, Temperature(21.5))
    assert cache.get(KEY).degrees == 21.5
    assert not cache.set(Key[Any]("wrong"), "no temperature"), "its to_data fails, which is told"
    assert cache.stats().not_stored == 1
    other = Cache(POLICY, plain, listener=recorder)
    assert other.get(KEY) is None
    assert recorder.of(ForeignValue)[0].problem == "another serialiser"
    store.close()
    plain.close()
