"""The server of the tests: leaves nothing behind, however its user ends, and touches nothing that is not its own."""

import contextlib
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.postgres_server import VERSIONS, installed_at, postgres_server
from kit.processes import import_path

HOLDER = """
import sys
from pathlib import Path
from kit.postgres_server import postgres_server
with postgres_server(Path(sys.argv[1]), int(sys.argv[2])) as server:
    print(server.database(driver=""), flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def holder(folder: Path, version: int) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds a server, in an environment with nothing in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), str(version)],
        env={"PYTHONPATH": import_path()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        yield process


def process_of(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().split("\n", 1)[0])


def wait_until_gone(folder: Path, within_s: float = 30.0) -> None:
    """Until the folder is removed, which the keeper does last."""
    until = time.monotonic() + within_s
    while folder.exists():
        assert time.monotonic() < until, f"{folder} is still there"
        select.select([], [], [], 0.02)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("how", ["in good order", "killed", "killed with its group"])
def test_nothing_is_left_behind(version: int, how: str, tmp_path: Path) -> None:
    """No process and no folder, after the end of the block and after a SIGKILL of its holder, or of his whole group."""
    with holder(tmp_path / "log", version) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        folder = Path(url.partition("host=")[2])
        assert len(str(folder / ".s.PGSQL.5432")) < 100
        server = process_of(folder / "data")
        owner = (Path("/proc") / str(server)).stat().st_uid
        assert owner == (pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid())
        assert folder.stat().st_mode & 0o777 == 0o700
        if how == "killed":
            process.send_signal(signal.SIGKILL)
        elif how == "killed with its group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            assert process.stdin is not None
            process.stdin.close()
    wait_until_gone(folder)
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
    assert process.returncode == (0 if how == "in good order" else -signal.SIGKILL)


def test_no_rights_of_other_folders_are_changed(tmp_path: Path) -> None:
    """Neither above the wheel nor above the test's folder."""
    wheel, libraries = installed_at(VERSIONS[-1])
    places = [tmp_path, *tmp_path.parents, libraries, wheel / "bin", wheel / "bin" / "postgres", *wheel.parents]
    before = [place.stat().st_mode for place in places]
    with postgres_server(tmp_path / "log") as server:
        assert server.database().startswith("postgresql+asyncpg://")
    assert [place.stat().st_mode for place in places] == before


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log is in the error, and nothing is left."""
    monkeypatch.setattr("kit.postgres_server.installed_at", lambda version: (tmp_path / "none", tmp_path / "none"))
    monkeypatch.setattr("kit.postgres_server._TEMPORARY", str(tmp_path))
    with pytest.raises(AssertionError, match=r"did not start(.|\n)*No such file"):
        postgres_server(tmp_path / "log").__enter__()
    assert list(tmp_path.glob("pg*")) == []
