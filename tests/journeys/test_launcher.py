"""`./pants` brings Pants by itself, once: it finds a Python that Pants runs on, or says what to install."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from journeys.nested import Ran, Repository, outside_environment, run

# What the launcher calls besides a Python.
WORDS = ("bash", "cat", "cksum", "cut", "dirname", "env", "uname")

# Stands for a Python that Pants runs on: it says so when asked, and installs a `pants` that tells who brought it.
PYTHON = """\
#!/bin/sh
case "$1" in
  -c) exit 0 ;;
esac
mkdir -p "$2/venv/bin"
printf '#!/bin/sh\\necho "pants brought by {name}, called with $*, in $PWD"\\n' >"$2/venv/bin/pants"
printf '#!/bin/sh\\n' >"$2/venv/bin/python"
chmod +x "$2/venv/bin/pants" "$2/venv/bin/python"
touch "$2/env" "$2/ready"
"""
TOO_NEW = "#!/bin/sh\nexit 1\n"
UV = """\
#!/bin/sh
echo "$@" >>"{folder}/uv-was-asked"
case "$2" in
  find) [ -e "{folder}/python-of-uv" ] && echo "{folder}/python-of-uv" ;;
  install) cp "{folder}/python-that-uv-has" "{folder}/python-of-uv" ;;
esac
"""


class Machine:
    """A machine with nothing on it but a shell and what a test puts there."""

    def __init__(self, folder: Path, repository: Repository) -> None:
        self.folder, self.repository = folder, repository
        self.path, self.home = folder / "bin", folder / "home"
        self.path.mkdir(parents=True)
        self.home.mkdir()
        for word in WORDS:
            found = shutil.which(word)
            assert found, f"{word} is not on PATH"
            (self.path / word).symlink_to(found)
        for word in ("mkdir", "chmod", "touch", "cp"):  # what the stubs call
            (self.path / word).symlink_to(str(shutil.which(word)))

    def put(self, name: str, script: str) -> Path:
        program = self.folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(script, encoding="utf-8")
        program.chmod(0o755)
        return program

    def pants(self, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Ran:
        cwd = cwd or self.repository.root
        launcher = f"./{os.path.relpath(self.repository.root / 'pants', cwd)}"
        all_of_it = {"PATH": str(self.path), "HOME": str(self.home), **(env or {})}
        return run([launcher, *arguments], cwd=cwd, env=all_of_it, timeout_s=30)


@pytest.fixture
def machine(tmp_path: Path, repository: Repository) -> Machine:
    return Machine(tmp_path / "machine", repository)


def test_it_takes_a_python_from_path(machine: Machine) -> None:
    """The first that Pants runs on; a newer one is passed over."""
    machine.put("bin/python3", TOO_NEW)
    machine.put("bin/python3.9", PYTHON.format(name="PATH"))
    assert "brought by PATH, called with test ::" in machine.pants("test", "::").text


def test_it_takes_a_python_from_pyenv(machine: Machine) -> None:
    """Also when pyenv's shim on PATH does not run because no version is chosen."""
    machine.put("bin/python3.9", TOO_NEW)
    machine.put("home/.pyenv/versions/3.9.18/bin/python", PYTHON.format(name="pyenv"))
    machine.put("elsewhere/versions/3.8.1/bin/python", PYTHON.format(name="the other pyenv"))
    assert "brought by pyenv" in machine.pants().text
    elsewhere = {"PYENV_ROOT": str(machine.folder / "elsewhere"), "MAESTRO_PANTS_HOME": str(machine.folder / "second")}
    assert "brought by the other pyenv" in machine.pants(env=elsewhere).text


def test_it_has_uv_fetch_a_python(machine: Machine) -> None:
    """When there is none, and only then."""
    machine.put("bin/uv", UV.format(folder=machine.folder))
    machine.put("python-that-uv-has", PYTHON.format(name="uv"))
    assert "brought by uv" in machine.pants().text
    asked = (machine.folder / "uv-was-asked").read_text(encoding="utf-8")
    assert "python install --quiet 3.9" in asked
    machine.pants()
    assert (machine.folder / "uv-was-asked").read_text(encoding="utf-8") == asked


def test_it_takes_the_python_that_it_is_told(machine: Machine) -> None:
    """A path with a space too; one that Pants does not run on is refused and not silently replaced."""
    machine.put("bin/python3.9", PYTHON.format(name="PATH"))
    told = machine.put("a folder/python", PYTHON.format(name="told"))
    assert "brought by told" in machine.pants(env={"MAESTRO_PANTS_PYTHON": str(told)}).text
    other = {"MAESTRO_PANTS_HOME": str(machine.folder / "second"), "MAESTRO_PANTS_PYTHON": "/no/such/python"}
    ran = machine.pants(env=other)
    assert ran.code == 1
    assert "MAESTRO_PANTS_PYTHON=/no/such/python is not a Python 3.7, 3.8 or 3.9 that runs" in ran.text


def test_it_says_what_to_install(machine: Machine) -> None:
    """Without any Python: what was looked for, and four ways on."""
    machine.put("bin/python3", TOO_NEW)
    ran = machine.pants("test", "::")
    assert ran.code == 1
    for line in (
        "no Python 3.7, 3.8 or 3.9 was found on PATH or in pyenv, and there is no uv that could fetch one",
        "  pyenv install 3.9\n",
        "  uv python install 3.9\n",
        "  install python3.9 and python3.9-venv with your system's packages\n",
        "  MAESTRO_PANTS_PYTHON=/path/to/python3.9 ./pants ...\n",
    ):
        assert line in ran.text


def test_it_says_what_it_needs_when_there_is_no_home(machine: Machine) -> None:
    ran = run(["./pants"], cwd=machine.repository.root, env={"PATH": str(machine.path)}, timeout_s=30)
    assert ran.code != 0
    assert "HOME: pants keeps its cache there" in ran.text


def test_it_works_from_a_folder_below_the_root(machine: Machine) -> None:
    """By a relative path; the folder stays the working directory, from which Pants finds the root."""
    machine.put("bin/python3.9", PYTHON.format(name="PATH"))
    below = machine.repository.root / "3rdparty/python"
    assert f"in {below}" in machine.pants("list", cwd=below).text


def test_it_begins_anew_when_its_python_is_gone(machine: Machine) -> None:
    """An upgrade of the system's Python must not leave a launcher that fails until someone deletes a cache."""
    machine.put("bin/python3.9", PYTHON.format(name="the old one"))
    assert "brought by the old one" in machine.pants().text
    (interpreter,) = machine.home.glob(".cache/maestro-pants/*/venv/bin/python")
    interpreter.unlink()
    machine.put("bin/python3.9", PYTHON.format(name="the new one"))
    assert "brought by the new one" in machine.pants().text


def test_an_interrupted_start_is_made_good_and_two_at_once_install_once(repository: Repository, tmp_path: Path) -> None:
    """With the real Pants: a first start is killed in the middle; then two at once both succeed, and one installs."""
    home = tmp_path / "pants"
    env = {**outside_environment(), "MAESTRO_PANTS_HOME": str(home), "PANTS_PANTSD": "false"}
    command: list[str | Path] = [repository.root / "pants", "--version"]

    first = subprocess.Popen(
        command,
        cwd=repository.root,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert ends_or_appears(first, home, "*/venv/bin/pip"), "the first start ended before it had installed anything"
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert list(home.glob("*/ready")) == []

    with ThreadPoolExecutor(2) as two:
        runs = [two.submit(run, command, cwd=repository.root, env=env, timeout_s=240) for _ in range(2)]
    both = [future.result() for future in runs]
    assert [ran.code for ran in both] == [0, 0], "\n".join(ran.text for ran in both)
    assert all(ran.text.strip().endswith("2.17.1") for ran in both)
    assert sorted(ran.text.count("first use on this machine") for ran in both) == [0, 1]
    assert sorted(ran.text.count("another ./pants is installing Pants, waiting for it") for ran in both) == [0, 1]
    assert len(list(home.glob("*/ready"))) == 1


def ends_or_appears(process: subprocess.Popen[bytes], folder: Path, pattern: str, within_s: float = 120.0) -> bool:
    """Waits until a file appears; False when the process ended without it."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if any(folder.glob(pattern)):
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            return any(folder.glob(pattern))
    raise AssertionError(f"{pattern} did not appear in {within_s} s")
