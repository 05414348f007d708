"""Installs Pants and its `pex` tool into one cache folder; called by the launcher `pants`, with a Python that Pants runs on.

Safe to run twice at once: the second waits for the first. An interrupted run leaves no `ready` file, and the next begins anew.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv

# Pants fetches this tool as one file from a download site; we build the very same bytes from the package index instead, so
# that one source of packages is enough. The hash is what Pants checks as well.
PEX_VERSION = "2.1.148"
PEX_SHA256 = "33eda6fad1efe372d626916c456c9643e1a99403c4d2e14ca521000b5f786e8c"
PEX_SIZE_BYTES = 3662545
PLATFORMS = ("linux_x86_64", "linux_arm64", "macos_x86_64", "macos_arm64")

HERE = os.path.dirname(os.path.abspath(__file__))


def main(home: str) -> None:
    os.makedirs(home, exist_ok=True)
    with open(os.path.join(home, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(os.path.join(home, "ready")):
            return
        print("pants: first use on this machine, installing Pants (about half a minute) ...", file=sys.stderr)
        install(home)
        with open(os.path.join(home, "ready"), "w") as ready:
            ready.write(sys.version)


def install(home: str) -> None:
    venv_dir, pex_dir, pex_file = (os.path.join(home, name) for name in ("venv", "pex-library", "pex"))
    shutil.rmtree(venv_dir, ignore_errors=True)
    shutil.rmtree(pex_dir, ignore_errors=True)
    venv.create(venv_dir, with_pip=True)
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
        sys.exit(f"pants: the pex tool that was built has the SHA-256 {found}, expected {PEX_SHA256}; delete {path} and try again.")


def run(command: "list[str]", **extra_env: str) -> None:
    done = subprocess.run(command, env={**os.environ, **extra_env}, stdout=sys.stderr)
    if done.returncode != 0:
        sys.exit(f"pants: could not install Pants: `{' '.join(command)}` ended with {done.returncode}; its output is above.")


if __name__ == "__main__":
    main(sys.argv[1])
