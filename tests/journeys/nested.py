"""A copy of the repository in a folder of its own, with Pants run inside it as a person would run it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Under Pants this is the root of the sandbox: what the test depends on lies there at its place.
ROOT = Path(__file__).resolve().parents[2]

_ROOMS = (".ci", ".github", "3rdparty", "benchmarks", "build-support", "contracts", "docs", "examples", "src", "tests")
_LEFT_BY_TOOLS = ("__pycache__", "node_modules", "dist", ".*_cache", ".hypothesis")
# What the outer Pants and pytest set for themselves would lead the inner ones astray.
_OF_THE_OUTER_RUN = ("PANTS_", "PEX_", "PYTEST_", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "XML_OUTPUT_FILE")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left: its exit code and all that it printed."""

    code: int
    text: str


def outside_environment() -> dict[str, str]:
    """The environment of the person who started the tests, as far as the BUILD beside this file passes it on."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_OUTER_RUN)}
    # The servers of a journey are on this machine, whatever proxy leads elsewhere.
    direct = ",".join(filter(None, [outside.get("NO_PROXY") or outside.get("no_proxy"), "127.0.0.1"]))
    return {**outside, "NO_PROXY": direct, "no_proxy": direct}


def run(command: list[str | Path], *, cwd: Path, env: Mapping[str, str], timeout_s: float) -> Ran:
    """Run a command with no input; raises AssertionError with what it printed when it takes too long."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that a run which hangs is ended with all it started
    )
    try:
        text, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        text, _ = process.communicate()
        raise AssertionError(f"{command} took more than {timeout_s} s:\n{text}") from None
    return Ran(process.returncode, text)


@dataclass(frozen=True, slots=True)
class Repository:
    """A copy of the repository that a test may change."""

    root: Path

    def run(
        self, *command: str | Path, timeout_s: float, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Ran:
        """Run a command in the copy (or in `cwd`), without Pants' daemon, which would outlive the test."""
        unwatched = {**outside_environment(), "PANTS_PANTSD": "false", "PANTS_DYNAMIC_UI": "false", **(env or {})}
        return run(list(command), cwd=cwd or self.root, env=unwatched, timeout_s=timeout_s)

    def pants(self, *arguments: str, timeout_s: float, env: Mapping[str, str] | None = None) -> Ran:
        """Run `./pants` in the copy."""
        return self.run(self.root / "pants", *arguments, timeout_s=timeout_s, env=env)

    def write(self, path: str, text: str) -> None:
        """Write a file of the copy, with its folders."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def copy_repository(into: Path) -> Repository:
    """Copy what the test depends on into an empty folder."""
    into.mkdir(parents=True, exist_ok=True)
    files = [ROOT / "pants", ROOT / "BUILD", ROOT / ".gitignore", *ROOT.glob("*.toml"), *ROOT.glob("*.md")]
    for file in files:
        if file.is_file():
            shutil.copy(file, into / file.name)
    for room in _ROOMS:
        if (ROOT / room).is_dir():
            shutil.copytree(ROOT / room, into / room, ignore=shutil.ignore_patterns(*_LEFT_BY_TOOLS))
    return Repository(into)
