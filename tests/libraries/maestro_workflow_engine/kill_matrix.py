"""Runs every scenario of the conformance suite and kills the process at each write of the journal, on either side.

A program of its own, since it forks: `python kill_matrix.py FOLDER SHARE [NAME…]` prints one JSON object per scenario.
SHARE is the number of kills per scenario, 0 for all of them.
"""

import asyncio
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from libraries.maestro_workflow_engine.kill_recovery import durable_events, recovered

from maestro_workflow_engine import EmbeddedBackend, StepKind
from maestro_workflow_engine._embedded._journal import Journal, Record
from maestro_workflow_engine.testing import ExecutionBackendConformance

Moment = Literal["before", "after"]
ACKNOWLEDGED_BY_SEQ = (
    "cancel", "pause", "resume", "signal", "answer", "retry", "skip", "set_budget", "set_priority",
)  # fmt: skip


class Log:
    """Lines that outlive the process which writes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, **line: Any) -> None:
        """One more line; what the operating system has taken is not lost with the process."""
        os.write(self._file, (json.dumps(line) + "\n").encode())

    def lines(self) -> list[dict[str, Any]]:
        """All of them."""
        return [json.loads(line) for line in self.path.read_text().splitlines()]


class Watched:
    """A step kind whose calls are written down before they begin."""

    def __init__(self, kind: StepKind, log: Log) -> None:
        self._kind = kind
        self._log = log
        self.check = kind.check
        self.close = kind.close

    async def run(self, call: Any) -> object:
        """Note the call and let the kind run."""
        self._log.note(begins=call.idempotency_key)
        return await self._kind.run(call)


def backend_that_dies(log: Log, number: int, moment: Moment) -> type[EmbeddedBackend]:
    """A backend whose process is killed at the n-th write, and which writes down what it has acknowledged; 0: never."""
    writes = 0

    class DyingJournal(Journal):
        """Counts its transactions over all backends of the process."""

        def commit(self, records: list[Record]) -> None:
            nonlocal writes
            is_write = any(record.events or record.statements for record in records)
            writes += is_write
            is_last = is_write and writes == number
            if is_last and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            super().commit(records)
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)
            if is_write and not number:
                log.note(write=writes)

    class DyingBackend(EmbeddedBackend):
        """Dies on time."""

        journal_type = DyingJournal

        async def start(self, *given: Any, **named: Any) -> Any:
            started = await super().start(*given, **named)
            log.note(workflow=started.workflow_id, seq=started.seq, what="start")
            return started

        async def rerun(self, *given: Any, **named: Any) -> Any:
            started = await super().rerun(*given, **named)
            log.note(workflow=started.workflow_id, seq=started.seq, what="rerun")
            return started

        async def delete(self, workflow_id: str) -> None:
            log.note(deletes=workflow_id)
            await super().delete(workflow_id)

        async def set_limit(self, limit: Any) -> None:
            await super().set_limit(limit)
            log.note(limit=limit.name)

        async def delete_limit(self, name: str) -> None:
            log.note(deletes_limit=name)
            await super().delete_limit(name)

    for name in ACKNOWLEDGED_BY_SEQ:
        setattr(DyingBackend, name, _noting(name, getattr(EmbeddedBackend, name), log))
    return DyingBackend


def _noting(name: str, command: Callable[..., Any], log: Log) -> Callable[..., Any]:
    async def carried_out(backend: EmbeddedBackend, workflow_id: str, *given: Any, **named: Any) -> Any:
        seq = await command(backend, workflow_id, *given, **named)
        log.note(workflow=workflow_id, seq=seq, what=name)
        return seq

    return carried_out


def suite(backend_type: type[EmbeddedBackend], log: Log) -> ExecutionBackendConformance:
    """The suite with that backend."""

    class Suite(ExecutionBackendConformance):
        """Opens backends that die."""

        def open_backend(self, folder: Path, kinds: Mapping[str, StepKind], **settings: Any) -> Any:
            log.note(opens=str(folder), kinds=sorted(kinds))
            watched = {name: Watched(kind, log) for name, kind in kinds.items()}
            return backend_type(folder, kinds=watched, synchronous="NORMAL", **settings)

    return Suite()


def scenarios() -> list[str]:
    """The names of all scenarios."""
    members = inspect.getmembers(ExecutionBackendConformance, inspect.iscoroutinefunction)
    return [name for name, _ in members if name.startswith("test_")]


def forked(work: Callable[[], None]) -> int:
    """Do something in a process of its own; how that ended. What it says goes to stderr."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException as error:  # the scenario's own failures are told by the status
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def played(name: str, folder: Path, number: int, moment: Moment) -> tuple[Log, int]:
    """Play a scenario until it ends or is killed."""
    folder.mkdir(parents=True)
    log = Log(folder / "log")
    (folder / "data").mkdir()

    def play() -> None:
        scenario = suite(backend_that_dies(log, number, moment), log)
        asyncio.run(getattr(scenario, name)(folder / "data"))

    return log, forked(play)


def case(name: str, folder: Path, number: int, moment: Moment) -> dict[str, Any]:
    """One kill, the opening after it, and what is wrong then."""
    log, status = played(name, folder, number, moment)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    before = {path: durable_events(path) for path in sorted((folder / "data").rglob("journal.db"))}
    result = folder / "result"

    def recover() -> None:
        result.write_text(json.dumps(asyncio.run(recovered(before, log.lines()))))

    if forked(recover) == 0:
        found = json.loads(result.read_text())
    else:  # why, it has said on stderr
        found = {"faults": ["the second start failed"], "workflows": 0, "acknowledged": 0, "ended": 0}
    if not killed and status != 0:
        found["faults"].append("the scenario failed before it was killed")
    return {"number": number, "moment": moment, "killed": killed, **found}


def matrix(name: str, folder: Path, share: int) -> dict[str, Any]:
    """All kills of one scenario, or so many of them, spread evenly."""
    log, status = played(name, folder / "whole", 0, "after")
    writes = sum("write" in line for line in log.lines())
    points: list[tuple[int, Moment]] = [(n, m) for n in range(1, writes + 1) for m in ("before", "after")]
    if share and len(points) > share:
        start = sum(name.encode()) % len(points)
        points = sorted(points[(start + turn * len(points) // share) % len(points)] for turn in range(share))
    cases = [case(name, folder / f"{moment}-{number}", number, moment) for number, moment in points]
    return {"scenario": name, "writes": writes, "whole": status == 0, "cases": cases}


if __name__ == "__main__":
    base, wanted = Path(sys.argv[1]), sys.argv[3:] or scenarios()
    for scenario_name in wanted:
        print(json.dumps(matrix(scenario_name, base / scenario_name, int(sys.argv[2]))), flush=True)
