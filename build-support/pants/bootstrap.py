"""Installs Pants and its `pex` tool into one cache folder; `./pants` calls it with a Python that Pants runs on.

Safe to run twice at once: the second waits for the first. An interrupted run leaves no `ready` file, and the next one
begins anew.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from typing import IO

# Pants fetches this tool as one file from a download site. We build the very same bytes from the package index, so
# that one source of packages is enough. The hash is what Pants checks as well.
PEX_VERSION = "2.1.148"
PEX_SHA256 = "33eda6fad1efe372d626916c456c9643e1a99403c4d2e14ca521000b5f786e8c"
PEX_SIZE_BYTES = 3662545
PLATFORMS = ("linux_x86_64", "linux_arm64", "macos_x86_64", "macos_arm64")

HERE = os.path.dirname(os.path.abspath(__file__))


def main(home: str) -> None:
    os.makedirs(home, exist_ok=True)
    with open(os.path.join(home, "lock"), "w") as lock:
        take(lock)
        if is_ready(home):
            return
        print("pants: first use on this machine, installing Pants (about half a minute) ...", file=sys.stderr)
        install(home)
        with open(os.path.join(home, "ready"), "w") as ready:
            ready.write(sys.version)


def take(lock: IO[str]) -> None:
    """Waits for the lock, and says so when another holds it.

    It is free again when this process and those that it started have ended, however they end: a pip that outlives a
    killed run can't write into what the next one installs.
    """
    os.set_inheritable(lock.fileno(), True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("pants: another ./pants is installing Pants, waiting for it ...", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)


def is_ready(home: str) -> bool:
    """Whether an installation was finished, and the Python beneath it is still there."""
    return os.path.exists(os.path.join(home, "ready")) and os.access(
        os.path.join(home, "venv", "bin", "python"), os.X_OK
    )


def install(home: str) -> None:
    venv_dir, pex_dir, pex_file, ready = (os.path.join(home, name) for name in ("venv", "pex-library", "pex", "ready"))
    if os.path.exists(ready):  # but the Python beneath it is gone
        os.remove(ready)
    for left_over in (venv_dir, pex_dir):
        shutil.rmtree(left_over, ignore_errors=True)
    run([sys.executable, "-m", "venv", venv_dir])
    python = os.path.join(venv_dir, "bin", "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    run([*pip, "-r", os.path.join(HERE, "pants.lock")])
    # Pants needs another version of pex than the tool's, so the tool's is kept apart.
    run([*pip, "--no-deps", "--target", pex_dir, "-r", os.path.join(HERE, "pex.lock")])
    wanted = f"pex=={PEX_VERSION}"
    # The shebang would otherwise name the Python at hand, and the bytes would differ from machine to machine.
    shebang = "--python-shebang=/usr/bin/env python3.11"
    run([python, "-m", "pex", wanted, "-c", "pex", "--no-compile", shebang, "-o", pex_file], PYTHONPATH=pex_dir)
    check_pex(pex_file)
    known = [f"v{PEX_VERSION}|{platform}|{PEX_SHA256}|{PEX_SIZE_BYTES}" for platform in PLATFORMS]
    with open(os.path.join(home, "env"), "w") as env:
        env.write(f"export PANTS_PEX_CLI_VERSION=v{PEX_VERSION}\n")
        env.write(f'export PANTS_PEX_CLI_KNOWN_VERSIONS="{known}"\n')
        env.write(f"export PANTS_PEX_CLI_URL_TEMPLATE='file://{pex_file}'\n")


def check_pex(path: str) -> None:
    with open(path, "rb") as built:
        found = hashlib.sha256(built.read()).hexdigest()
    if found != PEX_SHA256:
        sys.exit(f"pants: the pex tool that was built has the SHA-256 {found}, expected {PEX_SHA256}; delete {path}")


def run(command: "list[str]", **extra_env: str) -> None:
    done = subprocess.run(command, env={**os.environ, **extra_env}, stdout=sys.stderr, close_fds=False)
    if done.returncode != 0:
        sys.exit(
            f"pants: could not install Pants: `{' '.join(command)}` ended with {done.returncode}; its output is above."
        )


if __name__ == "__main__":
    main(sys.argv[1])
