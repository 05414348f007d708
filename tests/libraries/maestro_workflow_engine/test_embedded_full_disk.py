"""A process that may not write any more: a real limit of the operating system, in place of a disk that is full."""

import json
import subprocess
import sys
from pathlib import Path

from maestro_workflow_engine import EmbeddedBackend
from maestro_workflow_engine.testing import ScriptedKind

PROGRAM = """
import asyncio, json, resource, signal, sys
from pathlib import Path
from maestro_workflow_engine import EmbeddedBackend, JournalUnavailable, parse_definition
from maestro_workflow_engine.testing import ScriptedKind

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (800_000, 800_000))
DEFINITION = parse_definition({"name": "full", "steps": {
    "m": {"kind": "test", "map": {"items": "${{ range(20) }}"}, "with": {"text": "x" * 100}},
}})

async def main():
    acknowledged = []
    async with EmbeddedBackend(Path(sys.argv[1]), kinds={"test": ScriptedKind()}) as backend:
        try:
            while True:
                acknowledged.append((await backend.start(DEFINITION)).workflow_id)
        except JournalUnavailable as error:
            print(json.dumps([acknowledged, error.code, str(error)]))

asyncio.run(main())
"""


async def test_nothing_acknowledged_is_lost_when_no_more_can_be_written(tmp_path: Path) -> None:
    """The engine stops with a clear error and closes cleanly; with room again, everything goes on to its end."""
    done = subprocess.run(  # noqa: ASYNC221 - nothing else has to run meanwhile
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{PROGRAM}", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    acknowledged, code, message = json.loads(done.stdout)
    assert code == "workflow.journal-unavailable"
    assert "nothing acknowledged is lost" in message
    assert len(acknowledged) > 5
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind()}) as backend:
        for workflow_id in acknowledged:
            assert (await backend.wait(workflow_id, 20)).status == "succeeded"
