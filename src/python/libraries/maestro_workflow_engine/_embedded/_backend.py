"""The embedded backend: durable workflows in one process, on one folder."""

import asyncio
import contextlib
import logging
import random as _random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Literal, Self

from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._clock import SystemClock
from maestro_workflow_engine._commands import Start
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._embedded._database import Synchronous, journal_error
from maestro_workflow_engine._embedded._engine import Engine
from maestro_workflow_engine._embedded._journal import Journal
from maestro_workflow_engine._embedded._lock import FolderLock
from maestro_workflow_engine._embedded._questions import Questions
from maestro_workflow_engine._embedded._reader import Reader, WorkflowRow
from maestro_workflow_engine._errors import (
    EngineClosed,
    UnknownStepKind,
    WorkflowError,
    WorkflowExists,
    WorkflowFinished,
    WorkflowNotFound,
)
from maestro_workflow_engine._ids import check_labels, check_text, check_workflow_id, new_workflow_id
from maestro_workflow_engine._ports import Clock, Started, StepKind
from maestro_workflow_engine._run import Run, ScratchDir
from maestro_workflow_engine._runner import Runner
from maestro_workflow_engine._state import UNFINISHED, new_state

_log: Final = logging.getLogger("maestro_workflow_engine")


class EmbeddedBackend(Questions):
    """Durable workflows on SQLite: one process, one folder; open it with `async with`.

    `synchronous="FULL"` keeps every acknowledged event through a loss of power, `"NORMAL"` only through a crash of the
    process. `resume="none"` leaves unfinished workflows of earlier engines alone until `resume` is asked for them.
    `random` gives numbers from 0 to 1 for the jitter of retries; `clock` governs retries, sleeps and timeouts.
    Opening raises EngineAlreadyRunning, JournalUnavailable, JournalCorrupt or JournalTooNew.
    """

    journal_type: ClassVar[type[Journal]] = Journal

    def __init__(
        self,
        data_dir: Path,
        *,
        kinds: Mapping[str, StepKind],
        max_parallel: int = 64,
        synchronous: Synchronous = "FULL",
        resume: Literal["all", "none"] = "all",
        clock: Clock | None = None,
        random: Callable[[], float] = _random.random,
        max_output_bytes: int = 64 << 20,
        busy_timeout_s: float = 5.0,
        stop_grace_s: float = 10.0,
    ) -> None:
        if max_parallel < 1:
            raise ValueError("max_parallel must be at least 1")
        self.data_dir = Path(data_dir).absolute()
        self._kinds = dict(kinds)
        self._max_parallel = max_parallel
        self._synchronous = synchronous
        self._resumes_all = resume == "all"
        self._clock: Clock = clock or SystemClock()
        self._random = random
        self._max_output_bytes = max_output_bytes
        self._busy_timeout_s = busy_timeout_s
        self._stop_grace_s = stop_grace_s
        super().__init__(ArtifactStore(self.data_dir / "artifacts"))

    # --- opening and closing ---

    async def __aenter__(self) -> Self:
        """Open it and go on with every unfinished workflow."""
        path = self.data_dir / "journal.db"
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = FolderLock(self.data_dir)
        except OSError as error:
            raise journal_error(path, error) from error
        try:
            await self._open(path)
        except BaseException:
            self._lock.release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    async def _open(self, path: Path) -> None:
        try:
            await asyncio.to_thread(self._store.prepare)
        except OSError as error:
            raise journal_error(path, error) from error
        journal = await asyncio.to_thread(
            self.journal_type,
            path,
            synchronous=self._synchronous,
            busy_timeout_s=self._busy_timeout_s,
            keep_blob=self._store.keep_blob,
        )
        self._reader = Reader(path, self._busy_timeout_s)
        try:
            position, key = await self._reader.last_numbers()
            rows = await self._reader.unfinished()
            self._engine = Engine(self._store, self._clock, self._random, position=position, key=key)
            self._engine.journal = journal
            self._engine.runner = Runner(
                self._kinds,
                self._store,
                self._clock,
                max_parallel=self._max_parallel,
                max_output_bytes=self._max_output_bytes,
                stop_grace_s=self._stop_grace_s,
                report=self._engine.advance,
                give_up=lambda error: self._engine.on_failure(journal_error(path, error), []),
            )
            wanted = rows if self._resumes_all else []
            runs = [run for row in wanted if (run := await self._revived(row)) is not None]
            await asyncio.to_thread(self._sweep, {row.id for row in rows})
        except BaseException:
            await self._reader.close()
            journal.connection.close()
            raise
        journal.run(asyncio.get_running_loop(), self._engine.on_durable, self._engine.on_failure)
        self._is_open = True
        for run in runs:
            self._engine.resume(run)

    async def _revived(self, row: WorkflowRow) -> Run | None:
        """An unfinished workflow as the journal has it; None, and a line in the log, when this engine cannot run it."""
        try:
            return await self._run_of(row)
        except WorkflowError as error:
            _log.error("workflow.not_resumed workflow_id=%s: %s", row.id, error)
            self._held_back[row.id] = error
            return None

    async def _run_of(self, row: WorkflowRow) -> Run:
        definition = await self._definition(row.digest)
        self._check_kinds(definition)
        state = await self._reader.state(row.id, definition)
        return Run(row.key, definition, state, row.base_dir, self._scratch(row.id))

    def _scratch(self, workflow_id: str) -> ScratchDir:
        return ScratchDir(self.data_dir / "work" / workflow_id)

    def _sweep(self, unfinished: set[str]) -> None:
        """Throw away scratch folders of workflows that have ended."""
        work = self.data_dir / "work"
        for folder in work.iterdir() if work.is_dir() else ():
            if folder.name not in unfinished:
                shutil.rmtree(folder, ignore_errors=True)

    async def close(self, drain_s: float = 10.0) -> None:
        """Start nothing more, let running steps end within `drain_s` seconds, and leave the rest to the next opening.

        When the caller is cancelled meanwhile, draining is cut short.
        """
        if not self._is_open:
            return
        self._is_open = False
        self._engine.is_closing = True
        self._engine.stop_timers()
        try:
            await self._engine.runner.drain(drain_s)
        finally:
            # A task of its own, so that one more cancellation cannot leave the journal or a child process open.
            closing = asyncio.create_task(self._shut())
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                await closing
                raise

    async def _shut(self) -> None:
        await self._engine.runner.close()
        await self._engine.journal.close()
        self._engine.hub.close(self._engine.failure or EngineClosed())
        for run in self._engine.runs.values():
            run.done.set()
        for name, kind in self._kinds.items():
            try:
                await kind.close()
            except Exception:  # one kind that cannot close must not keep the others from it
                _log.exception("workflow.kind_not_closed kind=%s", name)
        await self._engine.settle()
        await self._reader.close()
        self._lock.release()

    def _check_working(self) -> None:
        self._check_open()
        if self._engine.failure is not None:
            raise self._engine.failure

    # --- commands ---

    async def start(
        self,
        definition: WorkflowDefinition,
        inputs: Mapping[str, object] | None = None,
        *,
        workflow_id: str | None = None,
        template: str | None = None,
        labels: Mapping[str, str] | None = None,
        base_dir: Path | None = None,
    ) -> Started:
        """Begin a workflow; it is durable when this returns. Raises InvalidInputs, UnknownStepKind, WorkflowExists.

        `base_dir` is the folder that relative paths in the definition start from: the current one when None.
        """
        self._check_working()
        self._check_kinds(definition)
        resolved = definition.resolve_inputs(inputs or {})
        given_labels = dict(labels or {})
        check_labels(given_labels)
        check_text(template, "the name of the template")
        folder = _absolute(base_dir)
        check_text(str(folder), "the base folder")
        if workflow_id is None:
            workflow_id = new_workflow_id(self._clock.now())
        else:
            check_workflow_id(workflow_id)
            await self._check_new(workflow_id)
        id_ = workflow_id
        state = new_state(definition, id_)
        self._keep_definition(definition)
        seq = await self._engine.start(
            lambda key: Run(key, definition, state, folder, self._scratch(id_)), Start(resolved, template, given_labels)
        )
        return Started(id_, seq)

    async def resume(self, workflow_id: str) -> None:
        """Go on with one workflow that opening with `resume="none"` left alone; again is fine.

        Raises UnknownStepKind, WorkflowFinished, WorkflowNotFound.
        """
        self._check_working()
        if workflow_id in self._engine.runs:
            return
        row = await self._reader.workflow(workflow_id)
        if row.status not in UNFINISHED:
            raise WorkflowFinished(workflow_id, row.status)
        run = await self._run_of(row)
        if workflow_id not in self._engine.runs:
            self._engine.resume(run)

    async def cancel(self, workflow_id: str, reason: str | None = None) -> int:
        """Begin to cancel and give the seq of that; again is fine. Raises WorkflowFinished, WorkflowNotFound."""
        self._check_working()
        run = self._engine.runs.get(workflow_id)
        if run is not None:
            return await self._engine.cancel(run, reason)
        state = await self.get(workflow_id)
        if not state.is_finished:
            await self.resume(workflow_id)
            return await self.cancel(workflow_id, reason)
        if state.status != "cancelled":
            raise WorkflowFinished(workflow_id, state.status)
        return state.seq

    def _check_kinds(self, definition: WorkflowDefinition) -> None:
        unknown = {step.kind: step.id for step in definition.steps.values() if step.kind not in self._kinds}
        if unknown:
            raise UnknownStepKind(unknown, list(self._kinds))

    async def _check_new(self, workflow_id: str) -> None:
        with contextlib.suppress(WorkflowNotFound):
            await self._reader.workflow(workflow_id)
            raise WorkflowExists(workflow_id)
        if workflow_id in self._engine.runs:
            raise WorkflowExists(workflow_id)
        self._check_working()


def _absolute(folder: Path | None) -> Path:
    return Path.cwd() if folder is None else Path(folder).absolute()
