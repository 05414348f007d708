"""The engine in a real service registry: found while it runs, draining while it stops, gone afterwards."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from services.maestro_engine.process import EngineProcess

from kit.processes import Signal
from kit.servers import free_port
from maestro_core_config import SecretText
from maestro_engine.http.about import CONTRACT_VERSION
from maestro_engine.presence.service import SERVICE, presence
from maestro_engine.settings import EngineSettings
from maestro_service_registry import Directory, InvalidRequest, Query, RegistryClient, RegistryServer

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer(access_token=TOKEN) as server:
        yield server


def directory_of(registry: RegistryServer) -> Directory:
    return Directory(RegistryClient(registry.url, access_token=TOKEN), Query(SERVICE))


def test_it_is_found_while_it_runs_and_says_that_it_stops(
    tmp_path: Path, started: list[EngineProcess], waiting: Signal, registry: RegistryServer
) -> None:
    """With address, contract and labels; `draining` from the signal on; then it is gone, not left to expire."""
    engine = EngineProcess(
        tmp_path / "data",
        "--port",
        "0",
        MAESTRO_ENGINE_REGISTRY_URL=registry.url,
        MAESTRO_ENGINE_REGISTRY_TOKEN=TOKEN,
        MAESTRO_ENGINE_REGISTRY_LABELS='{"zone": "eu"}',
        MAESTRO_ENGINE_DRAIN_S="60",
    )
    started.append(engine)
    with directory_of(registry) as directory:
        assert directory.wait(lambda there: len(there) == 1, timeout_s=30)
        (found,) = directory.instances()
        assert (found.url, found.contract, dict(found.labels)) == (engine.url, CONTRACT_VERSION, {"zone": "eu"})
        assert (found.instance, found.status) == (f"{socket.gethostname()}-{engine.url.split(':')[-1]}", "passing")
        held = {
            "kind": "shell",
            "with": {"command": f"echo > {tmp_path}/waiting; until test -f {tmp_path}/go; do sleep 0.1; done"},
        }
        engine.ask("/api/workflows", {"definition": {"name": "held", "steps": {"a": held}}})
        waiting.wait()
        engine.process.send_signal(signal.SIGTERM)

        assert directory.wait(lambda there: not there, timeout_s=30)
        client = RegistryClient(registry.url, access_token=TOKEN)
        assert client.get(SERVICE, found.instance).status == "draining"
        (tmp_path / "go").touch()
        assert engine.ended() == 0
        assert client.snapshot().instances == ()
    assert TOKEN not in "\n".join(engine.lines)


def test_a_registry_that_comes_later_does_not_matter(tmp_path: Path, started: list[EngineProcess]) -> None:
    """The engine starts and answers without it, says that it is not registered, and is found once it is there."""
    port = free_port()
    engine = EngineProcess(
        tmp_path,
        "--port",
        "0",
        MAESTRO_ENGINE_REGISTRY_URL=f"http://127.0.0.1:{port}",
        MAESTRO_ENGINE_REGISTRY_TOKEN=TOKEN,
    )
    started.append(engine)
    assert engine.ask("/api/health/ready")["ready"] is True
    engine.line_with("is not registered")
    with RegistryServer(port=port, access_token=TOKEN) as registry, directory_of(registry) as directory:
        assert directory.wait(lambda there: len(there) == 1, timeout_s=30)
    engine.process.terminate()
    assert engine.ended() == 0
    assert TOKEN not in "\n".join(engine.lines)


def test_without_a_registry_there_is_nothing_to_keep() -> None:
    """The setting is off by default."""
    with presence(EngineSettings(), "http://127.0.0.1:8000", CONTRACT_VERSION) as keeper:
        assert keeper is None


@pytest.mark.parametrize(
    ("address", "public_url", "url"),
    [
        ("http://127.0.0.1:8000", None, "http://127.0.0.1:8000"),
        ("http://0.0.0.0:8000", None, f"http://{socket.gethostname()}:8000"),
        ("http://[::]:8000", None, f"http://{socket.gethostname()}:8000"),
        ("http://0.0.0.0:8000", "https://engine.example", "https://engine.example"),
    ],
)
def test_others_are_told_an_address_that_they_can_use(
    registry: RegistryServer, address: str, public_url: str | None, url: str
) -> None:
    """That of all interfaces is none; the name stays that of host and port, whatever the address is from outside."""
    settings = EngineSettings(registry_url=registry.url, registry_token=SecretText(TOKEN), public_url=public_url)
    with presence(settings, address, CONTRACT_VERSION) as keeper, directory_of(registry) as directory:
        assert keeper is not None
        assert keeper.wait(timeout_s=10)
        assert directory.wait(lambda there: len(there) == 1, timeout_s=10)
        assert [each.url for each in directory.instances()] == [url]
        assert [each.instance for each in directory.instances()] == [f"{socket.gethostname()}-8000"]


def test_an_address_that_no_registry_takes_is_told_at_the_start() -> None:
    """And not tried again and again in the background."""
    settings = EngineSettings(registry_url="http://127.0.0.1:1", public_url="no address")
    with pytest.raises(InvalidRequest, match="url"):
        presence(settings, "http://127.0.0.1:8000", CONTRACT_VERSION)
