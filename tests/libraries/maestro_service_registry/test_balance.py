"""Which instance takes the next call."""

import random
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_service_registry import Balancer, Instance, NoInstance, rendezvous
from maestro_service_registry.testing import ManualClock

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def instances(*names: str, token: int = 1) -> list[Instance]:
    return [
        Instance("orders", name, f"http://{name}", None, {}, "passing", token, 15.0, None, NOW, NOW) for name in names
    ]


NAMES = st.lists(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=8, unique=True)


@given(NAMES, st.text())
def test_a_key_stays_unless_its_instance_goes(names: list[str], key: str) -> None:
    """Taking away any other instance moves it nowhere; the order of the instances does not matter."""
    there = instances(*names)
    chosen = rendezvous(key, there)
    assert rendezvous(key, list(reversed(there))) == chosen
    for gone in there:
        left = [each for each in there if each != gone]
        if left and gone != chosen:
            assert rendezvous(key, left) == chosen


def test_keys_spread_evenly() -> None:
    """10,000 keys on 8 instances: each within a tenth of its share."""
    there = instances(*"abcdefgh")
    counts = Counter(rendezvous(str(number), there).instance for number in range(10_000))
    assert all(abs(count - 1250) < 125 for count in counts.values()), counts


def test_round_robin_takes_turns() -> None:
    balancer = Balancer(lambda: instances("a", "b", "c"), "round-robin")
    taken = []
    for _ in range(6):
        with balancer.pick() as instance:
            taken.append(instance.instance)
    assert sorted(taken[:3]) == ["a", "b", "c"]
    assert taken[3:] == taken[:3]


def test_the_busy_are_spared() -> None:
    """Of two, the one with fewer calls under way is always taken."""
    balancer = Balancer(lambda: instances("a", "b"))
    with balancer.pick() as first, balancer.pick() as second:
        assert first.instance != second.instance
        with balancer.pick() as third, balancer.pick() as fourth:
            assert third.instance != fourth.instance


def test_two_choices_are_nearly_as_even_as_all() -> None:
    """1,000 calls at once on 10 instances: none has more than a few above its share."""
    balancer = Balancer(lambda: instances(*"abcdefghij"), random=random.Random(7))
    picks = [balancer.pick() for _ in range(1000)]
    counts = Counter(pick.__enter__().instance for pick in picks)
    for pick in picks:
        pick.__exit__(None, None, None)
    assert max(counts.values()) <= 105, counts


def fail(balancer: Balancer) -> str:
    with pytest.raises(ConnectionError), balancer.pick() as instance:
        raise ConnectionError
    return instance.instance


def test_who_keeps_failing_is_passed_over_for_longer_each_time() -> None:
    clock = ManualClock()
    there = instances("bad")
    balancer = Balancer(lambda: there, "round-robin", clock=clock)
    for pause_s in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0):
        there[:] = instances("bad")
        for _ in range(3):
            assert fail(balancer) == "bad"
        there[:] = instances("bad", "good")
        clock.advance(pause_s - 0.1)
        for _ in range(4):
            with balancer.pick() as instance:
                assert instance.instance == "good"
        clock.advance(0.2)


def test_success_forgives() -> None:
    balancer = Balancer(lambda: instances("a"), clock=ManualClock())
    for _ in range(10):
        fail(balancer)
        fail(balancer)
        with balancer.pick():
            pass
    with balancer.pick() as instance:
        assert instance.instance == "a"


def test_when_all_fail_all_are_used() -> None:
    """Better a bad address than none; and whoever registered anew begins anew."""
    there = instances("a", "b")
    balancer = Balancer(lambda: there, "round-robin", clock=ManualClock())
    failed = Counter(fail(balancer) for _ in range(12))
    assert set(failed) == {"a", "b"}
    there[:] = [*instances("a"), *instances("b", token=2)]
    for _ in range(4):
        with balancer.pick() as instance:
            assert instance.instance == "b"


def test_errors_of_the_caller_do_not_count() -> None:
    balancer = Balancer(lambda: instances("a", "b"), "round-robin", clock=ManualClock())
    for _ in range(9):
        with pytest.raises(KeyError), balancer.pick(fault=ConnectionError):
            raise KeyError
    assert {fail(balancer), fail(balancer)} == {"a", "b"}


def test_none_is_none() -> None:
    with pytest.raises(NoInstance), Balancer(list).pick():
        raise AssertionError("picked")
