"""A second machine runs none of the tests that a first one has run: a BuildGrid server is the remote cache."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from journeys.nested import ROOT, Repository, outside_environment

from kit.servers import free_port, serving

_FOLDER = "tests/libraries/maestro_resilience"
_GUIDE = ROOT / "docs/guides/remote-cache.md"
_TESTS = [f"{_FOLDER}/test_{subject}.py" for subject in ("backoff", "errors", "spec")]


@pytest.fixture(scope="module")
def cache_address(room: Path) -> Iterator[str]:
    """A BuildGrid server with an empty cache, set up as the guide says."""
    folder, port = room / "buildgrid", free_port()
    folder.mkdir()
    shown = re.search(r"^```yaml\n(.*?)^```$", _GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert shown, f"{_GUIDE} shows no settings of BuildGrid"
    settings = shown[1]
    for there, here in {"127.0.0.1:50051": f"127.0.0.1:{port}", "/var/cache/buildgrid": f"{folder}/blobs"}.items():
        assert there in settings
        settings = settings.replace(there, here)
    config = folder / "buildgrid.yml"
    config.write_text(settings, encoding="utf-8")
    command: list[str | Path] = [ROOT / "tests.journeys/buildgrid.pex/__main__.py", "server", "start", config]
    with serving(command, port=port, cwd=folder, env=outside_environment()):
        yield f"grpc://127.0.0.1:{port}"


def test_a_second_machine_runs_none_of_the_tests(repository: Repository, room: Path, cache_address: str) -> None:
    """Each has an empty store of its own: the first does the work, the second takes every result from the cache."""

    def run_with_empty_store(name: str) -> dict[str, str]:
        ran = repository.pants(
            f"--local-store-dir={room / name}",
            f"--remote-store-address={cache_address}",
            "--remote-instance-name=main",
            "--remote-cache-read",
            "--remote-cache-write",
            "test",
            *_TESTS,
            timeout_s=400,
        )
        assert ran.code == 0, ran.text
        return dict(re.findall(r"^✓ (\S+?):\S+ succeeded in [\d.]+s(.*)\.$", ran.text, re.MULTILINE))

    assert run_with_empty_store("first") == dict.fromkeys(_TESTS, "")
    assert run_with_empty_store("second") == dict.fromkeys(_TESTS, " (cached remotely)")
