"""The command `maestro` in a process of its own, as a person types it."""

import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

from kit.processes import import_path


def environment(**more: str) -> dict[str, str]:
    """What the command sees: our own modules, and nothing that changes how it looks."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    return {**kept, "PYTHONPATH": import_path(), "PYTHONUTF8": "1", **more}


def maestro(
    *arguments: str | Path,
    cwd: Path | None = None,
    given: str | None = None,
    limit_file_bytes: int | None = None,
    **more: str,
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; `given` is its standard input, and no file may grow beyond `limit_file_bytes`."""
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", *map(str, arguments)],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        preexec_fn=None if limit_file_bytes is None else partial(_limit_files, limit_file_bytes),
    )


def _limit_files(size_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def begin(*arguments: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Run the command beside the test; leave it with `with`."""
    return subprocess.Popen(
        [sys.executable, "-m", "maestro_cli", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
