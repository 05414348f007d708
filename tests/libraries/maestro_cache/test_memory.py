"""The store in memory: its bounds hold whatever happens, and what it keeps is what is used."""

import gc
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from maestro_cache import Cache, InvalidPolicy, Key, MemoryStore, NotStored, Policy
from maestro_cache._s3fifo import S3Fifo
from maestro_cache.testing import ManualClock, Recorder

KEYS = st.integers(0, 12).map(str)


class BoundedMap(RuleBasedStateMachine):
    """S3-FIFO against a dict: it may forget, and never invents, exceeds its room or miscounts."""

    def __init__(self) -> None:
        super().__init__()
        self.held = S3Fifo[int](max_entries=5, max_weight=20)
        self.model: dict[str, tuple[int, int]] = {}
        self.number = 0

    @rule(key=KEYS, weight=st.integers(0, 20))
    def put(self, key: str, weight: int) -> None:
        self.number += 1
        before = len(self.held)
        had = self.held.get(key) is not None
        evicted = self.held.put(key, self.number, weight)
        self.model[key] = (self.number, weight)
        assert self.held._nodes[key].item == self.number, "what came last is there"
        assert len(self.held) == before + (not had) - evicted

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        item = self.held.get(key)
        assert item is None or item == self.model[key][0]

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        self.held.remove(key)
        self.model.pop(key, None)
        assert self.held.get(key) is None

    @invariant()
    def keeps_its_bounds(self) -> None:
        there = {key: self.model[key] for key in self.model if self.held._nodes.get(key) is not None}
        assert len(there) == len(self.held) <= 5
        assert sum(weight for _, weight in there.values()) == self.held.weight <= 20
        assert len(self.held._small) + len(self.held._main) == len(self.held)


TestBoundedMap = BoundedMap.TestCase


def hit_rate(max_entries: int, trace: list[int]) -> float:
    held, hits = S3Fifo[int](max_entries, None), 0
    for number in trace:
        if held.get(str(number)) is None:
            held.put(str(number), number, 0)
        else:
            hits += 1
    return hits / len(trace)


def test_a_scan_does_not_push_out_what_is_used() -> None:
    """A popular half, interrupted by scans three times the room: the popular half stays."""
    rng, trace = random.Random(5), []
    for round_number in range(20):
        trace += [rng.randrange(50) for _ in range(500)]
        trace += range(1000 + 300 * round_number, 1300 + 300 * round_number)
    popular_hits = hit_rate(100, trace) * len(trace) / (20 * 500)
    assert popular_hits > 0.97


class Model(RuleBasedStateMachine):
    """Cache on MemoryStore against the plainest model: what may be served, and what must not be."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.store = MemoryStore(1000, clock=self.clock)
        self.cache = Cache(Policy(ttl_s=10, jitter=0), self.store)
        self.number = 0
        self.model: dict[str, tuple[int, float, str]] = {}

    def expected(self, key: str) -> int | None:
        held = self.model.get(key)
        return held[0] if held is not None and self.clock() < held[1] else None

    @rule(key=KEYS, tag=st.sampled_from("ab"))
    def get_or_compute(self, key: str, tag: str) -> None:
        expected = self.expected(key)
        self.number += 1
        found = self.cache.get_or_compute(Key[int](key), lambda: self.number, tags=(tag,))
        if expected is None:
            self.model[key] = (self.number, self.clock() + 10, tag)
        assert found == (self.number if expected is None else expected)

    @rule(key=KEYS, tag=st.sampled_from("ab"))
    def set(self, key: str, tag: str) -> None:
        self.number += 1
        assert self.cache.set(Key[int](key), self.number, tags=(tag,))
        self.model[key] = (self.number, self.clock() + 10, tag)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        assert self.cache.get(Key[int](key)) == self.expected(key)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        assert self.cache.delete(Key[int](key))
        self.model.pop(key, None)

    @rule(tag=st.sampled_from("ab"))
    def invalidate(self, tag: str) -> None:
        assert self.cache.invalidate_tags(tag)
        self.model = {key: held for key, held in self.model.items() if held[2] != tag}

    @rule()
    def clear(self) -> None:
        assert self.cache.clear()
        self.model = {}

    @rule(delay_s=st.sampled_from([0.5, 4.0, 9.5, 10.0]))
    def wait(self, delay_s: float) -> None:
        self.clock.advance(delay_s)


TestModel = Model.TestCase


def test_readers_get_the_same_object() -> None:
    cache = Cache(Policy(ttl_s=60))
    value = {"a": [1]}
    assert cache.get_or_compute(Key[dict[str, list[int]]]("k"), lambda: value) is value
    assert cache.get(Key[dict[str, list[int]]]("k")) is value


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=60))
@example([(0, 40), (1, 40), (0, 40), (2, 40), (2, 40), (0, 0), (0, 40)])
@example([(0, 1), (1, 40), (2, 40), (0, 40)])
def test_the_bound_in_bytes_holds_after_every_write(writes: list[tuple[int, int]]) -> None:
    store = MemoryStore(max_bytes=100, weigher=lambda value: len(str(value)))
    cache = Cache(Policy(ttl_s=60), store)
    for key, size in writes:
        assert cache.set(Key[str](key), "x" * size)
        assert store.size_bytes <= 100
        assert cache.get(Key[str](key)) == "x" * size, "what came last is there"


def failing(value: object) -> int:
    raise KeyError(value)


@pytest.mark.parametrize("weigher", [lambda value: 101, lambda value: -1, lambda value: 1.5, failing])
def test_what_cannot_be_weighed_or_is_too_heavy_is_told_and_not_stored(weigher: Any) -> None:
    recorder = Recorder()
    cache = Cache(Policy(ttl_s=60), MemoryStore(max_bytes=100, weigher=weigher), listener=recorder)
    assert cache.get_or_compute(Key[str]("k"), lambda: "value") == "value"
    assert cache.get(Key[str]("k")) is None
    assert [event.error.code for event in recorder.of(NotStored)] == ["cache.not-storable"]
    assert cache.stats().not_stored == 1


@pytest.mark.parametrize(
    "words",
    [
        {"max_entries": 0},
        {"max_entries": 1.5},
        {"max_bytes": 0, "weigher": len},
        {"max_bytes": 10},
        {"weigher": len},
    ],
)
def test_a_bound_that_makes_no_sense_is_refused(words: dict[str, Any]) -> None:
    with pytest.raises(InvalidPolicy, match="max_"):
        MemoryStore(**words)


def test_nothing_is_left_of_tags_that_no_entry_has() -> None:
    """Ten thousand tags used once and pushed out, or only invalidated, leave no trace."""
    store = MemoryStore(10)
    cache = Cache(Policy(ttl_s=60), store)
    for number in range(10_000):
        cache.set(Key[int](number), number, tags=(f"tag-{number}",))
        cache.invalidate_tags(f"unknown-{number}")
    gc.collect()
    assert len(store._marks) <= 2 * 10 + 2
    assert not store._leases


def test_expired_entries_go_when_they_are_read() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    cache = Cache(Policy(ttl_s=1), store)
    cache.set(Key[int]("k"), 1)
    clock.advance(1.0)
    assert len(store) == 1
    assert cache.get(Key[int]("k")) is None
    assert len(store) == 0


def test_threads_at_full_speed_do_not_break_the_bounds() -> None:
    """Eight threads read, write and invalidate at random; counts stay right and no value is another key's."""
    store = MemoryStore(50)
    cache = Cache(Policy(ttl_s=60), store)
    begin = threading.Barrier(8)

    def work(seed: int) -> None:
        rng = random.Random(seed)
        begin.wait(20)
        for _ in range(1500):
            number = rng.randrange(100)
            if rng.random() < 0.05:
                cache.invalidate_tags(f"t{number % 3}")
            elif rng.random() < 0.1:
                cache.delete(Key[int](number))
            else:
                found = cache.get_or_compute(Key[int](number), partial(int, number), tags=(f"t{number % 3}",))
                assert found == number

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, seed) for seed in range(8)]:
            done.result(60)
    assert len(store) <= 50
    assert len(store._held._small) + len(store._held._main) == len(store)
