"""Whom a program can call, while the registry is there and while it is not."""

from pathlib import Path

import pytest

from kit.servers import free_port
from maestro_service_registry import (
    Directory,
    Instance,
    LocalRegistry,
    Query,
    Registration,
    RegistryClient,
    RegistryServer,
    Unreachable,
)
from maestro_service_registry.testing import FlakyRegistry, ManualClock

KEY = "the holder's own key"
ORDERS = Query(service="orders", labels={"zone": "eu"})


def registration(name: str, zone: str = "eu") -> Registration:
    return Registration("orders", name, f"http://{name}", labels={"zone": zone}, ttl_s=60)


def names(instances: list[Instance]) -> list[str]:
    return [instance.instance for instance in instances]


def test_it_follows_what_comes_goes_and_no_longer_fits() -> None:
    """Step by step: the same as asking the registry each time, without asking."""
    with LocalRegistry() as registry:
        directory = Directory(registry, ORDERS)
        assert directory.age_s is None
        lease = registry.register(registration("a"), KEY)
        registry.register(registration("b"), KEY)
        registry.register(registration("far", "us"), KEY)
        directory.step()
        assert names(directory.instances()) == ["a", "b"]
        registry.register(registration("b", "us"), KEY)
        registry.register(registration("far", "eu"), KEY)
        directory.step()
        assert names(directory.instances()) == ["a", "far"]
        registry.renew(lease, "draining")
        directory.step()
        assert names(directory.instances()) == ["far"], "a draining instance takes nothing new"
        registry.deregister(lease)
        directory.step()
        assert names(directory.instances()) == ["far"]


def test_it_outlives_the_server_and_finds_it_again(tmp_path: Path) -> None:
    """Over HTTP: the server dies, the addresses stay; it comes back with other data, and the directory follows."""
    port = free_port()
    with RegistryServer(tmp_path / "one.db", port=port) as server:
        client = RegistryClient(server.url)
        client.register(registration("a"), KEY)
        directory = Directory(client, ORDERS)
        directory.step()
    with pytest.raises(Unreachable):
        directory.step()
    assert names(directory.instances()) == ["a"]
    with RegistryServer(tmp_path / "two.db", port=port) as server:
        server.registry.register(registration("b"), KEY)
        directory.step()
        assert names(directory.instances()) == ["b"]


def test_its_thread_keeps_up_by_itself() -> None:
    with RegistryServer() as server, Directory(RegistryClient(server.url), ORDERS) as directory:
        server.registry.register(registration("a"), KEY)
        assert directory.wait(lambda there: names(there) == ["a"], 30)
        server.registry.register(registration("b"), KEY)
        assert directory.wait(lambda there: names(there) == ["a", "b"], 30)


def test_its_age_says_how_old_the_news_is() -> None:
    clock = ManualClock()
    with LocalRegistry() as registry:
        flaky = FlakyRegistry(registry)
        directory = Directory(flaky, ORDERS, clock=clock)
        directory.step()
        clock.advance(7)
        assert directory.age_s == 7
        flaky.away = True
        with pytest.raises(Unreachable):
            directory.step()
        assert directory.age_s == 7
        flaky.away = False
        directory.step()
        assert directory.age_s == 0


def test_a_cache_file_outlives_the_program_too(tmp_path: Path) -> None:
    """A program that starts while the registry is away has the last addresses; those of other queries are left out."""
    cache = tmp_path / "cache" / "orders.json"
    with LocalRegistry() as registry:
        registry.register(registration("a"), KEY)
        Directory(registry, ORDERS, cache_file=cache).step()
        flaky = FlakyRegistry(registry)
        flaky.away = True
        later = Directory(flaky, ORDERS, cache_file=cache)
        assert names(later.instances()) == ["a"]
        assert later.age_s is None
        assert names(Directory(flaky, Query(service="bills"), cache_file=cache).instances()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"revision": 1, "items": [{"service": 1}]}', b"\xff" * 99])
def test_a_damaged_cache_is_left_aside(content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and replaced by what the registry says."""
    cache = tmp_path / "orders.json"
    cache.write_bytes(content)
    with LocalRegistry() as registry:
        directory = Directory(registry, ORDERS, cache_file=cache)
        assert directory.instances() == []
        assert "cannot be used and is left aside" in caplog.text
        registry.register(registration("a"), KEY)
        directory.step()
        assert names(Directory(registry, ORDERS, cache_file=cache).instances()) == ["a"]


def test_a_cache_that_cannot_be_written_is_told_and_nothing_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with LocalRegistry() as registry:
        registry.register(registration("a"), KEY)
        directory = Directory(registry, ORDERS, cache_file=tmp_path / "file" / "cache.json")
        directory.step()
        assert names(directory.instances()) == ["a"]
    assert "cannot be" in caplog.text
