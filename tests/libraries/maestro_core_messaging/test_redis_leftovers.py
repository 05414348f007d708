"""The Redis of the tests ends with whoever holds it, also when it is frozen and he is killed."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.processes import import_path

HOLDER = """
import sys
from pathlib import Path
from kit.redis_server import redis_server
with redis_server(Path(sys.argv[1])) as server:
    if sys.argv[2] == "frozen":
        server.freeze()
    print(server._process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("state", ["running", "frozen"])
def test_nothing_is_left_of_a_server_whose_holder_is_killed(state: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "redis"), state],
        env={"PYTHONPATH": import_path()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as holder:
        assert holder.stdout is not None
        server = os.pidfd_open(int(holder.stdout.readline()))
        os.killpg(holder.pid, signal.SIGKILL)
    ended, _, _ = select.select([server], [], [], 30.0)
    os.close(server)
    assert ended, "the server is still there"
