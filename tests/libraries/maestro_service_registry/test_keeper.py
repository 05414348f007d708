"""An instance stays registered while its program runs, and knows when it must not act."""

import threading
from queue import SimpleQueue

import pytest

from maestro_service_registry import (
    Keeper,
    LeaseHeld,
    LeaseLost,
    LocalRegistry,
    Registration,
    RegistryClient,
    RegistryServer,
    UnknownInstance,
    Unreachable,
)
from maestro_service_registry.testing import FlakyRegistry, ManualClock

ORDERS = Registration("orders", "a", "http://127.0.0.1:80", ttl_s=10)


def test_a_keeper_registers_renews_and_gives_back() -> None:
    """On the real clock and over HTTP: found while it runs, beyond its lease's time, and gone at once after."""
    heard: SimpleQueue[bool] = SimpleQueue()
    short = Registration("orders", "a", "http://127.0.0.1:80", ttl_s=0.5)
    with RegistryServer() as server:
        client = RegistryClient(server.url)
        start = client.snapshot().revision
        with Keeper(client, short, on_change=heard.put) as keeper:
            assert heard.get(timeout=30) is True
            first = client.get("orders", "a")
            assert keeper.token == first.token
            while client.get("orders", "a").renewed_at == first.renewed_at:
                assert client.changes(client.snapshot().revision, wait_s=0.05).changes == ()
        assert heard.get(timeout=30) is False
        with pytest.raises(UnknownInstance):
            client.get("orders", "a")
        kinds = [change.kind for change in client.changes(start).changes]
    assert kinds == ["registered", "deregistered"]


def test_entering_does_not_wait_for_a_registry_that_is_away() -> None:
    """The program goes on; the keeper registers as soon as it can."""
    with LocalRegistry() as registry:
        flaky = FlakyRegistry(registry)
        flaky.away = True
        with Keeper(flaky, ORDERS) as keeper:
            assert not keeper.valid
            with pytest.raises(LeaseLost, match="not held by this process"):
                _ = keeper.token
            flaky.away = False
            assert keeper.wait(30)


def test_a_holder_stops_before_the_registry_gives_its_lease_away() -> None:
    """Unheard, it counts from when it last asked, and ends at nine tenths of the time."""
    clock = ManualClock()
    with LocalRegistry(clock=clock, expire=False) as registry:
        flaky = FlakyRegistry(registry)
        keeper = Keeper(flaky, ORDERS, clock=clock)
        assert keeper.step() == pytest.approx(10 / 3)
        flaky.away = True
        clock.advance(8.9)
        with pytest.raises(Unreachable):
            keeper.step()
        assert keeper.valid
        clock.advance(0.2)
        assert not keeper.valid
        with pytest.raises(LeaseHeld):
            registry.register(ORDERS, "the key of someone else")


def test_a_lost_answer_costs_nothing() -> None:
    """The registry has granted and the keeper has not heard: asking again gives the same token."""
    with LocalRegistry() as registry:
        flaky = FlakyRegistry(registry)
        keeper = Keeper(flaky, ORDERS)
        flaky.lose_answers = True
        with pytest.raises(Unreachable):
            keeper.step()
        assert not keeper.valid
        granted = registry.get("orders", "a").token
        flaky.lose_answers = False
        keeper.step()
        assert keeper.token == granted


def test_who_lost_its_lease_takes_a_new_one_with_a_new_token() -> None:
    """A rival had it meanwhile: what was done under the old token can be told from what comes after."""
    clock = ManualClock()
    with LocalRegistry(clock=clock, expire=False) as registry:
        flaky = FlakyRegistry(registry)
        with Keeper(flaky, ORDERS) as keeper:
            assert keeper.wait(30)
            first = keeper.token
            flaky.away = True
            clock.advance(11)
            rival = registry.register(ORDERS, "the key of someone else")
            registry.deregister(rival)
            flaky.away = False
            keeper.say("draining")  # wakes it
            while registry.changes(registry.revision, wait_s=0.05) and (not keeper.valid or keeper.token == first):
                pass
            assert keeper.token > rival.token > first


def test_what_it_says_is_seen_at_once() -> None:
    """Draining is told without waiting for the next renewal, and again after the lease was lost."""
    with LocalRegistry() as registry, Keeper(registry, ORDERS) as keeper:
        assert keeper.wait(30)
        revision = registry.revision
        keeper.say("draining")
        (change,) = registry.changes(revision, wait_s=30).changes
        assert (change.kind, change.instance.status) == ("changed", "draining")


def test_a_second_keeper_waits_for_the_first() -> None:
    """Leader election: whoever is second takes over when the first one leaves."""
    with LocalRegistry() as registry:
        changed = threading.Event()
        with Keeper(registry, ORDERS) as first:
            assert first.wait(30)
            second = Keeper(registry, ORDERS, on_change=lambda valid: changed.set())
            second.__enter__()
            token = first.token
        try:
            assert changed.wait(30)
            assert second.token > token
        finally:
            second.__exit__(None, None, None)
