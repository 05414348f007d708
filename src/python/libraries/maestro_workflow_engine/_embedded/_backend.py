"""The embedded backend: durable workflows in one process, on one folder."""

import asyncio
import logging
import math
import random as _random
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Literal, Self

from maestro_workflow_engine._artifact_format import Cipher
from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._clock import SystemClock
from maestro_workflow_engine._commands import Cancel
from maestro_workflow_engine._embedded._children import Children, Templates
from maestro_workflow_engine._embedded._database import Synchronous, journal_error
from maestro_workflow_engine._embedded._dispatch import Dispatch
from maestro_workflow_engine._embedded._engine import Engine
from maestro_workflow_engine._embedded._hosted import Hosted
from maestro_workflow_engine._embedded._journal import Journal
from maestro_workflow_engine._embedded._lock import FolderLock
from maestro_workflow_engine._embedded._parking import Parking
from maestro_workflow_engine._embedded._reader import Reader, WorkflowRow
from maestro_workflow_engine._embedded._retention import Retention, RetentionPolicy
from maestro_workflow_engine._embedded._starting import Starting
from maestro_workflow_engine._embedded._values import microseconds
from maestro_workflow_engine._errors import EngineBroken, EngineClosed, EngineError, WorkflowNotFound
from maestro_workflow_engine._ports import Clock, StepKind
from maestro_workflow_engine._run import Run
from maestro_workflow_engine._runner import Runner
from maestro_workflow_engine._secrets import SecretSource
from maestro_workflow_engine._state import WorkflowState

_log: Final = logging.getLogger("maestro_workflow_engine")
_FOR_A_MONTH: Final = RetentionPolicy()


class EmbeddedBackend(Starting):
    """Durable workflows on SQLite: one process, one folder; open it with `async with`.

    `synchronous="FULL"` keeps every acknowledged event through a loss of power, `"NORMAL"` only through a crash of the
    process. `resume="none"` leaves unfinished workflows of earlier engines alone until `take_up` is asked for them.
    `random` gives numbers from 0 to 1 for the jitter of retries; `clock` governs retries, sleeps and timeouts.
    `templates` gives the definitions of child workflows that are named, `secrets` the values of secrets, `retention`
    says how long ended workflows are kept (None: for ever).
    At most `max_idle` workflows that only wait stay in memory, and of those that earlier engines left, at most
    `max_busy` go on at once. Opening raises EngineAlreadyRunning, JournalUnavailable, JournalCorrupt or JournalTooNew.
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
        secrets: SecretSource | None = None,
        cipher: Cipher | None = None,
        templates: Templates | None = None,
        retention: RetentionPolicy | None = _FOR_A_MONTH,
        max_output_bytes: int = 64 << 20,
        busy_timeout_s: float = 5.0,
        stop_grace_s: float = 10.0,
        max_idle: int = 1_000,
        max_busy: int = 1_000,
    ) -> None:
        if max_parallel < 1 or max_busy < 1:
            raise ValueError("max_parallel and max_busy must be at least 1")
        self.data_dir = Path(data_dir).absolute()
        self._kinds = dict(kinds)
        self._max_parallel = max_parallel
        self._synchronous = synchronous
        self._adopts_all = resume == "all"
        self._clock: Clock = clock or SystemClock()
        self._random = random
        self._secrets = secrets
        self._templates = templates
        self._retention_policy = retention
        self._max_output_bytes = max_output_bytes
        self._busy_timeout_s = busy_timeout_s
        self._stop_grace_s = stop_grace_s
        self._max_idle = max_idle
        self._max_busy = max_busy
        self._aside: set[asyncio.Task[None]] = set()
        super().__init__(ArtifactStore(self.data_dir / "artifacts", cipher))

    # --- opening and closing ---

    async def __aenter__(self) -> Self:
        """Open it and go on with every unfinished workflow: those that have something to do are taken up one by one."""
        path = self.data_dir / "journal.db"
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = FolderLock(self.data_dir)
        except OSError as error:
            raise journal_error(path, error) from error
        try:
            await self._open(path)
        except BaseException:
            if self._is_open:
                await self.close(drain_s=0)
            else:
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
            await self._build(journal)
            left_over = await asyncio.to_thread(self._scratch_folders)
        except BaseException:
            await self._reader.close()
            journal.connection.close()
            raise
        journal.run(asyncio.get_running_loop(), self._engine.on_durable, self._engine.on_failure)
        self._is_open = True
        await self._parking.take_up_late()
        await self._parking.set_alarm()
        self._run_aside(self._parking.wake())
        self._run_aside(self._go_on(left_over))
        if self._retention_policy is not None:
            self._run_aside(self._retention.run())

    async def _build(self, journal: Journal) -> None:
        """Put the parts together."""
        position, key = await self._reader.last_numbers()
        engine = self._engine = Engine(self._store, self._clock, self._random, position=position, key=key)
        engine.journal = journal
        engine.runner = Runner(
            self._kinds,
            self._store,
            self._clock,
            max_parallel=self._max_parallel,
            max_output_bytes=self._max_output_bytes,
            stop_grace_s=self._stop_grace_s,
            report=engine.report,
            give_up=lambda error: engine.on_failure(journal_error(journal.path, error), []),
            secrets=self._secrets,
            cancel_oldest=self._make_way,
            idle_s=await self._idle_s(),
        )
        for limit in await self._reader.limits():
            engine.runner.set_limit(limit)
        self._parking = Parking(
            engine,
            self._reader,
            self._clock,
            self._revived,
            max_idle=self._max_idle,
            max_busy=self._max_busy,
            last_key=key,
            adopts_all=self._adopts_all,
        )
        self._children = Children(
            engine,
            self._parking,
            self._reader,
            start=self._launch,
            state_of=self.get,
            load=self._store.load,
            templates=self._templates,
            run_aside=self._run_aside,
        )
        engine.dispatch = Dispatch(
            engine.runner,
            engine.timers,
            when_durable=engine.when_durable,
            waits_for_child=self._children.waits,
        )
        engine.came_to_rest = self._parking.consider
        engine.ended = self._ended
        engine.let_go = self._children.let_go
        self._retention = Retention(
            self._reader,
            self._store,
            policy=self._retention_policy or RetentionPolicy(),
            clock=self._clock,
            write=engine.write,
            forget=engine.forget,
            oldest_attempt_at=engine.oldest_attempt_at,
        )

    async def _idle_s(self) -> float:
        """How long ago, at least, the last attempt of an earlier engine has begun."""
        query = "SELECT at FROM events ORDER BY position DESC LIMIT 1"
        row = await self._reader.ask(lambda connection: connection.execute(query).fetchone())
        if row is None:
            return math.inf
        return (microseconds(self._clock.now()) - row[0]) / 1e6 if isinstance(row[0], int) else 0.0

    async def _go_on(self, left_over: list[str]) -> None:
        """Go on with what earlier engines have left."""
        await asyncio.gather(self._sweep(left_over), self._children.mend())
        if self._adopts_all:
            await self._parking.take_up_all()
        else:
            self._engine.dispatch.slots_are_known()

    def _ended(self, run: Hosted) -> None:
        self._parking.forget(run)
        self._children.ended(run)

    def _make_way(self, run: Run) -> None:
        """A newer workflow of the same concurrency key takes the place of this one."""
        self._engine.report(run, Cancel("a newer workflow of the same concurrency key has started"))

    def _run_aside(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry out something that nobody waits for; a fault in it stops the engine loudly."""
        task = asyncio.create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._end_aside)

    def _end_aside(self, task: asyncio.Task[None]) -> None:
        self._aside.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None or not self._is_open:
            return
        if isinstance(error, EngineError):
            self._engine.on_failure(error, [])
        else:
            _log.error("workflow.engine_broken", exc_info=error)
            self._engine.on_failure(EngineBroken(f"{type(error).__name__}: {error}"), [])

    async def _revived(self, row: WorkflowRow) -> Hosted:
        """An unfinished workflow as the journal has it; raises UnknownStepKind."""
        state = await self._stored_state(row)
        definition = state.definition
        if definition is None:
            raise WorkflowNotFound(row.id)
        self._check_kinds(definition)
        return Hosted(
            row.key,
            definition,
            state,
            row.base_dir,
            self._scratch(row.id),
            origin=await self._origin_of(state),
            is_parked=row.is_parked,
        )

    async def _origin_of(self, state: WorkflowState) -> WorkflowState | None:
        """The workflow that this one runs again, as it was; None when there is none, or it was deleted."""
        if state.origin is None:
            return None
        try:
            return await self.state_at(str(state.origin["workflow"]), int(str(state.origin["seq"])))
        except WorkflowNotFound:
            return None

    def _scratch_folders(self) -> list[str]:
        work = self.data_dir / "work"
        return [folder.name for folder in work.iterdir()] if work.is_dir() else []

    async def _sweep(self, names: list[str]) -> None:
        """Throw away scratch folders of workflows that have ended."""
        for name in names:
            try:
                is_wanted = (await self._reader.workflow(name)).finished_at is None
            except WorkflowNotFound:
                is_wanted = False
            if not is_wanted and name not in self._engine.runs and name not in self._starting:
                import shutil

                await asyncio.to_thread(shutil.rmtree, self.data_dir / "work" / name, ignore_errors=True)

    async def close(self, drain_s: float = 10.0) -> None:
        """Start nothing more, let running steps end within `drain_s` seconds, and leave the rest to the next opening.

        When the caller is cancelled meanwhile, draining is cut short.
        """
        if not self._is_open:
            return
        self._is_open = False
        self._engine.is_closing = True
        self._engine.stop_timers()
        self._parking.stop_alarm()
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
        aside = list(self._aside)
        for task in aside:
            task.cancel()
        await asyncio.gather(*aside, return_exceptions=True)
        await self._parking.close()
        await self._engine.journal.close()
        failure = self._engine.failure or EngineClosed()
        self._engine.hub.close(failure)
        self._engine.endings.close(failure)
        for name, kind in self._kinds.items():
            try:
                await kind.close()
            except Exception:  # one kind that cannot close must not keep the others from it
                _log.exception("workflow.kind_not_closed kind=%s", name)
        await self._engine.settle()
        await self._reader.close()
        self._lock.release()
