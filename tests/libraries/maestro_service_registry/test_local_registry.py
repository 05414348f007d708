"""The registry in one process: the common promises, and what its database keeps over a crash."""

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.processes import import_path
from maestro_service_registry import (
    InvalidRequest,
    LeaseHeld,
    LocalRegistry,
    Probe,
    Query,
    Registration,
    Registry,
    RegistryError,
    StoreError,
    TooMany,
)
from maestro_service_registry.testing import ManualClock, RegistryConformance

ORDERS = Registration("orders", "a", "http://127.0.0.1:80", contract="1.2", labels={"zone": "eu"}, ttl_s=60)


class TestInMemory(RegistryConformance):
    """Every promise, with a clock that the tests move."""

    @contextlib.contextmanager
    def registry(self) -> Iterator[Registry]:
        self.clock = ManualClock()
        with LocalRegistry(clock=self.clock, expire=False) as registry:
            yield registry

    def let_leases_end(self, registry: Registry) -> None:
        self.clock.advance(61)


class TestOnDisk(RegistryConformance):
    """The same on a file, closed and opened again wherever time passes."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "registry.db"

    @contextlib.contextmanager
    def registry(self) -> Iterator[Registry]:
        self.clock = ManualClock()
        with LocalRegistry(self.path, clock=self.clock, expire=False) as registry:
            yield registry

    def let_leases_end(self, registry: Registry) -> None:
        self.clock.advance(61)


def test_a_restart_keeps_instances_tokens_and_revisions(tmp_path: Path) -> None:
    """What was registered is there with its holder; the next token and revision go on from the last."""
    path, clock = tmp_path / "r" / "registry.db", ManualClock()
    with LocalRegistry(path, clock=clock) as first:
        lease = first.register(ORDERS, "the holder's own key")
        revision = first.revision
    with LocalRegistry(path, clock=clock) as second:
        found = second.get("orders", "a")
        assert (found.token, found.contract, dict(found.labels)) == (lease.token, "1.2", {"zone": "eu"})
        assert second.revision == revision
        second.renew(lease)
        with pytest.raises(LeaseHeld):
            second.register(ORDERS, "the key of someone else")
        assert second.register(Registration("orders", "b", "http://b"), "another holder's").token > lease.token
        assert second.changes(revision - 1).lost, "what happened before the restart is not in memory any more"


def test_a_restart_gives_every_lease_its_whole_time(tmp_path: Path) -> None:
    """The registry was away, and nobody could renew: no holder loses by that, and nobody new gets in early."""
    path, clock = tmp_path / "registry.db", ManualClock()
    with LocalRegistry(path, clock=clock, expire=False) as first:
        first.register(ORDERS, "the holder's own key")
    clock.advance(3600)
    with LocalRegistry(path, clock=clock, expire=False) as second:
        clock.advance(59)
        with pytest.raises(LeaseHeld):
            second.register(ORDERS, "the key of someone else")
        clock.advance(1)
        second.register(ORDERS, "the key of someone else")


def test_leases_end_without_anyone_asking(tmp_path: Path) -> None:
    """On the real clock, by the registry's own thread: who waits for changes is told."""
    with LocalRegistry(tmp_path / "registry.db") as registry:
        registry.register(Registration("orders", "a", "http://a", ttl_s=0.5), "the holder's own key")
        revision = registry.revision
        (change,) = registry.changes(revision, wait_s=30).changes
        assert change.kind == "expired"


KILLED = """
import sys
from pathlib import Path
from maestro_service_registry import LocalRegistry, Registration
registry = LocalRegistry(Path(sys.argv[1]))
for number in range(10_000):
    lease = registry.register(Registration("orders", str(number), "http://a"), "the holder's own key")
    print(lease.token, flush=True)
"""


def test_a_killed_registry_has_every_lease_it_granted(tmp_path: Path) -> None:
    """SIGKILL between any two writes: whatever was answered is on disk, and no token comes twice."""
    path = tmp_path / "registry.db"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)],
        env={**os.environ, "PYTHONPATH": import_path()},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    granted = [int(process.stdout.readline()) for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    granted += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.stdout.close()
    process.wait(30)
    with LocalRegistry(path) as registry:
        there = {instance.token for instance in registry.snapshot().instances}
        assert set(granted) <= there
        assert registry.register(ORDERS, "the holder's own key").token > max(there)


def test_the_file_has_one_registry_and_one_reader(tmp_path: Path) -> None:
    """A second registry is refused; nobody else on the machine can read the file."""
    path = tmp_path / "registry.db"
    with LocalRegistry(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(StoreError, match="in use by another registry"):
            LocalRegistry(path)
    with LocalRegistry(path):
        pass


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough" * 99, b"SQLite format 3\x00" + b"\xff" * 500]
)
def test_a_file_that_is_no_registry_is_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"registry\.db cannot be used"):
        LocalRegistry(path)
    assert path.read_bytes() == content


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    with LocalRegistry(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer version"):
        LocalRegistry(path)


def test_a_full_registry_says_so_and_goes_on() -> None:
    with LocalRegistry(max_instances=2) as registry:
        for name in "ab":
            registry.register(Registration("orders", name, "http://a"), "the holder's own key")
        with pytest.raises(TooMany, match="2 instances"):
            registry.register(Registration("orders", "c", "http://a"), "the holder's own key")
        registry.register(Registration("orders", "a", "http://new"), "the holder's own key")
        assert registry.get("orders", "a").url == "http://new"


def test_a_closed_registry_wakes_those_who_wait() -> None:
    """And every later call is told that it is closed."""
    registry = LocalRegistry()
    registry.close()
    registry.close()
    with pytest.raises(RegistryError, match="closed"):
        registry.changes(0, wait_s=30)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"service": ""}, "service: "),
        ({"service": "a/b"}, "service: "),
        ({"instance": "-a"}, "instance: "),
        ({"instance": "a" * 129}, "instance: "),
        ({"url": "ftp://a"}, "url: "),
        ({"url": "http://user:secret@a"}, "url: no password"),
        ({"url": "http://a:0"}, "url: "),
        ({"url": "http://a:99999"}, "url: "),
        ({"url": "http://[::1"}, "url: "),
        ({"url": "http://a b"}, "url: "),
        ({"url": "http://a/?x=1"}, "url: no password, query"),
        ({"url": "http://ä"}, "url: "),
        ({"ttl_s": 0.1}, "ttl_s: "),
        ({"ttl_s": float("nan")}, "ttl_s: "),
        ({"ttl_s": float("inf")}, "ttl_s: "),
        ({"contract": "latest"}, "contract: "),
        ({"labels": {str(number): "" for number in range(33)}}, "labels: at most 32"),
        ({"labels": {"a": "b c"}}, "labels.a: "),
        ({"labels": {"a": "b" * 129}}, "labels.a: "),
        ({"probe": Probe("health")}, "probe.path: "),
        ({"probe": Probe("/h\r\nX: y")}, "probe.path: "),
        ({"probe": Probe("/", interval_s=1, timeout_s=2)}, "probe: "),
        ({"probe": Probe("/", interval_s=31, timeout_s=1)}, "probe.interval_s: "),
    ],
)
def test_a_wrong_registration_says_what_is_wrong(change: dict[str, object], problem: str) -> None:
    words: dict[str, object] = {"service": "orders", "instance": "a", "url": "http://a", "ttl_s": 60} | change
    with pytest.raises(InvalidRequest) as found:
        Registration(**words)  # type: ignore[arg-type]  # wrong on purpose
    assert any(each.startswith(problem) for each in found.value.problems)
    assert "secret" not in str(found.value)


def test_a_lease_does_not_print_its_key() -> None:
    with LocalRegistry() as registry:
        lease = registry.register(ORDERS, "the holder's own key")
        assert "own key" not in repr(lease)
        assert "own key" not in repr(registry.snapshot(Query()))


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """A wrong path would otherwise put a registry's tables among somebody's own."""
    path = tmp_path / "payroll.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE salaries (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="database of something else"):
        LocalRegistry(path)
    assert path.read_bytes() == before


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        LocalRegistry(tmp_path)


SECOND = """
import sys
from pathlib import Path
from maestro_service_registry import LocalRegistry, StoreError
try:
    LocalRegistry(Path(sys.argv[1]))
except StoreError as error:
    print(error)
"""


def test_a_second_registry_in_the_process_does_not_open_the_file_to_others(tmp_path: Path) -> None:
    """POSIX ends a process's locks on a file when it closes any descriptor of it."""
    path = tmp_path / "registry.db"
    with LocalRegistry(path):
        with pytest.raises(StoreError, match="in use by another registry"):
            LocalRegistry(path)
        other = subprocess.run(
            [sys.executable, "-c", SECOND, str(path)],
            env={**os.environ, "PYTHONPATH": import_path()},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert "in use by another registry" in other.stdout, other.stderr


def test_without_a_disk_reading_and_renewing_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that cannot be ended on disk is not shown, the others live on, and when the disk is back it is told."""
    clock = ManualClock()
    with LocalRegistry(clock=clock, expire=False) as registry:
        registry.register(ORDERS, "the holder's own key")
        registry.register(
            Registration("search", "s", "http://127.0.0.1:1", ttl_s=120, probe=Probe("/")), "the holder's own key"
        )
        probed, revision = registry.get("search", "s"), registry.revision
        clock.advance(61)
        real = registry._store.remove

        def full(*_: object) -> None:
            raise StoreError("database or disk is full")

        monkeypatch.setattr(registry._store, "remove", full)
        assert [each.service for each in registry.snapshot().instances] == ["search"]
        assert registry.changes(revision).changes == ()
        registry.renew_probed(probed)
        with pytest.raises(LookupError):
            registry.get("orders", "a")
        with pytest.raises(StoreError):
            _ = registry.revision  # what /v1/health asks
        monkeypatch.setattr(registry._store, "remove", real)
        clock.advance(61)
        assert [change.kind for change in registry.changes(revision).changes] == ["expired"]
        assert [each.service for each in registry.snapshot().instances] == ["search"]
