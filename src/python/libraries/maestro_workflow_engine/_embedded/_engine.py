"""Where law, journal, runner and hub meet: the only place that decides and writes."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final

from maestro_workflow_engine import _decide
from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._artifacts import JSON_TYPE, ArtifactStore, hash_of
from maestro_workflow_engine._commands import Command, Migrate, Recover, Start, StepStarted
from maestro_workflow_engine._embedded._dispatch import Dispatch
from maestro_workflow_engine._embedded._endings import Endings
from maestro_workflow_engine._embedded._hosted import Hosted
from maestro_workflow_engine._embedded._journal import Journal, Record
from maestro_workflow_engine._embedded._rows import (
    migration_statements,
    parked_statement,
    priority_statement,
    start_statements,
    status_statements,
)
from maestro_workflow_engine._embedded._timers import Timers
from maestro_workflow_engine._embedded._values import Statement, encode
from maestro_workflow_engine._embedded._waits import timeout_statement, wait_statements
from maestro_workflow_engine._errors import EngineBroken, EngineError, WorkflowError
from maestro_workflow_engine._events import TERMINAL_TYPES, ArtifactRef, Event
from maestro_workflow_engine._hub import Hub
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._ports import Clock
from maestro_workflow_engine._run import Run
from maestro_workflow_engine._runner import INLINE_BYTES, Runner
from maestro_workflow_engine._state import WorkflowState, WorkflowStatus

_log: Final = logging.getLogger("maestro_workflow_engine")
_REMEMBERED: Final = 16
_KNOWN_DIGESTS: Final = 10_000
_MAY_WAIT: Final = frozenset({ev.STEP_WAITING, ev.STEP_FAILED, ev.STEP_REPEATED})
_MAY_SET_TIMEOUT: Final = frozenset({ev.WORKFLOW_STARTED, ev.WORKFLOW_MIGRATED})


class Engine:
    """The workflows in memory; their states run ahead of the journal, and the world sees only what is durable.

    `came_to_rest` hears of each of them that only waits now, `ended` of each that has ended, and `let_go` of children
    that nobody waits for any more.
    """

    journal: Journal
    runner: Runner
    dispatch: Dispatch
    came_to_rest: Callable[[Hosted], None]
    ended: Callable[[Hosted], None]
    let_go: Callable[[str], None]

    def __init__(
        self, store: ArtifactStore, clock: Clock, random: Callable[[], float], *, position: int, key: int
    ) -> None:
        self.runs: dict[str, Hosted] = {}
        """Those in memory: other unfinished ones rest in the journal."""
        self.remembered: OrderedDict[str, WorkflowState] = OrderedDict()
        """A few workflows that ended lately."""
        self.hub = Hub()
        self.endings = Endings()
        self.timers = Timers(clock, self.report)
        self.failure: EngineError | None = None
        self.is_closing = False
        self.durable_position = position
        self._store = store
        self._clock = clock
        self._random = random
        self._position = position
        self._key = key
        self._stored_definitions: set[str] = set()
        self._removals: set[asyncio.Task[None]] = set()

    # --- commands ---

    async def start(self, make_run: Callable[[int], Hosted], command: Start) -> int:
        """Begin a workflow; gives the seq up to which it is durable."""
        self._key += 1
        run = make_run(self._key)
        self.runs[run.id] = run
        now = self._clock.now()
        is_new = run.definition.digest not in self._stored_definitions
        if is_new:
            if len(self._stored_definitions) >= _KNOWN_DIGESTS:
                self._stored_definitions.clear()  # storing one again changes nothing
            self._stored_definitions.add(run.definition.digest)
        statements = start_statements(
            run.key,
            run.id,
            run.definition,
            command,
            base_dir=run.base_dir,
            started_at=now,
            with_definition=is_new,
        )
        waiter = asyncio.get_running_loop().create_future()
        self.advance(run, command, waiter=waiter, statements=statements, now=now)
        seq = run.state.seq
        await waiter
        return seq

    async def ask(self, run: Hosted, command: Command) -> int:
        """Carry out what a user asks for; gives the seq up to which that is durable."""
        self.advance(run, command)
        if self.failure is not None:
            raise self.failure
        seq = run.state.seq
        await self.durable(run, seq)
        return seq

    def take_up(self, run: Hosted) -> None:
        """Go on with a workflow that has rested in the journal, or that an earlier engine has left unfinished."""
        self.runs[run.id] = run
        if not run.is_parked:
            self.advance(run, Recover())
        if self.failure is not None:
            return
        if run.is_resting and not run.is_parked:
            run.is_parked = True
            self.journal.append(Record(run, run.key, [], [parked_statement(run.key, True)]))
        self.dispatch.take_up(run)

    def lay_down(self, run: Hosted) -> None:
        """Let a workflow rest in the journal alone."""
        self.timers.disarm_all(run)
        del self.runs[run.id]

    async def durable(self, run: Run, seq: int) -> None:
        """Wait until the events of a workflow up to `seq` are durable."""
        if run.durable_seq < seq:
            waiter = asyncio.get_running_loop().create_future()
            self.journal.append(Record(run, run.key, [], waiter=waiter))
            await waiter

    def when_durable(self, run: Hosted, then: Callable[[], None]) -> None:
        """Call back as soon as everything that has been decided about a workflow is durable."""
        if run.durable_seq == run.state.seq:
            then()
        else:
            waiter = asyncio.get_running_loop().create_future()
            waiter.add_done_callback(lambda done: None if done.cancelled() or done.exception() else then())
            self.journal.append(Record(run, run.key, [], waiter=waiter))

    async def write(self, statements: list[Statement]) -> None:
        """Write rows that belong to no event; they are durable when this returns."""
        if self.failure is not None:
            raise self.failure
        waiter = asyncio.get_running_loop().create_future()
        self.journal.append(Record(None, 0, [], statements, waiter=waiter))
        await waiter

    def ending(self, workflow_id: str) -> asyncio.Future[None]:
        """Done once the end of a workflow is durable; fails with what keeps it from ending here."""
        return self.endings.of(workflow_id)

    def oldest_attempt_at(self) -> datetime | None:
        """When the oldest attempt that runs now has begun."""
        running = (
            run.state.place(place)
            for run in self.runs.values()
            for place in run.state.in_flight
            if run.state.place(place).status == "running"
        )
        return min((each.started_at for each in running if each.started_at is not None), default=None)

    def forget(self, workflow_ids: set[str], digests: set[str]) -> None:
        """These may be deleted now: do not remember them, and store the definitions with the next that use them."""
        for workflow_id in workflow_ids:
            self.remembered.pop(workflow_id, None)
        self._stored_definitions -= digests

    def report(self, run: Run, command: Command) -> None:
        """What the runner or a timer has to say; about a workflow that has been laid down it comes too late."""
        hosted = self.runs.get(run.id)
        if hosted is run:
            self.advance(hosted, command)

    def advance(
        self,
        run: Hosted,
        command: Command,
        *,
        waiter: asyncio.Future[None] | None = None,
        statements: list[Statement] | None = None,
        now: datetime | None = None,
    ) -> None:
        """Decide, bring the state on, and hand what follows to the journal in one record; `now` None asks the clock.

        Raises CommandRefused, and then nothing has changed.
        """
        if self.failure is not None:
            return
        state = run.state
        before = state.status, state.name, state.inputs
        record = Record(run, run.key, [], statements or [], waiter=waiter)
        if type(command) is Migrate:
            run.dropped = tuple(state.in_flight)
        try:
            events = record.events = _decide.advance(
                state,
                command,
                now=now or self._clock.now(),
                random=self._random,
                load=self._store.load,
                origin=run.origin,
                position=self._position + 1,
            )
            if events:
                self._position += len(events)
                if type(command) is not StepStarted:
                    self._note(run, record, *before)
        except WorkflowError:
            raise
        except Exception as error:  # going on would mean to go on with a state that nobody understands
            _log.exception("workflow.engine_broken workflow_id=%s", run.id)
            self.on_failure(EngineBroken(f"{type(error).__name__}: {error}"), [record])
            return
        if type(command) is StepStarted:
            if events:
                self.journal.defer(record)
        elif events or waiter is not None:
            self.journal.append(record)

    def _note(self, run: Hosted, record: Record, status: WorkflowStatus, name: str, inputs: dict[str, JSON]) -> None:
        """What goes into the journal beside the events; `status`, `name` and `inputs` are those before them."""
        state, events, statements = run.state, record.events, record.statements
        if events[-1].type == ev.WORKFLOW_SUCCEEDED:
            self._slim(run, record)
        if events[0].type == ev.WORKFLOW_MIGRATED and state.definition is not None:
            statements += migration_statements(run.key, state.definition, (name, inputs), (state.name, state.inputs))
            run.migrate(state.definition)
        elif events[0].type == ev.WORKFLOW_PRIORITY_CHANGED:
            statements.append(priority_statement(run.key, state.priority))
            self.runner.reprioritize(run)
        if run.waiting or not _MAY_WAIT.isdisjoint([event.type for event in events]):
            statements += wait_statements(run.key, events, run.waiting)
        if events[0].type in _MAY_SET_TIMEOUT and run.time_up_at is not None:
            statements.append(timeout_statement(run.key, events[0], run.time_up_at, run.waiting))
        if run.waiting or run.children:
            record.let_go = run.let_go(events)
        if state.status != status:
            statements += status_statements(run.key, status, state)
            if state.status == "paused":
                self.runner.withdraw(run)
                self.timers.disarm_all(run)
        if (run.waiting or run.is_parked or state.status == "paused") and run.is_resting != run.is_parked:
            run.is_parked = not run.is_parked
            statements.append(parked_statement(run.key, run.is_parked))

    def _slim(self, run: Hosted, record: Record) -> None:
        """Outputs of a workflow that are too large for the journal become an artifact of the same transaction."""
        last = record.events[-1]
        text = encode(last.data["outputs"])
        if len(text) <= INLINE_BYTES:
            return
        content = text.encode()
        sha256 = hash_of(content)
        record.blobs.append((sha256, content))
        reference = run.state.outputs = ArtifactRef(sha256, len(content), JSON_TYPE)
        data = {"outputs_ref": reference.as_json()}
        record.events[-1] = Event(last.seq, last.workflow_id, last.type, last.at, data, last.position)

    # --- what the journal says ---

    def on_durable(self, records: list[Record]) -> None:
        """One transaction is on the disk: tell those who watch and wait, and start what may start now."""
        for record in records:
            run: Hosted = record.workflow
            events = record.events
            if events:
                run.durable_seq = events[-1].seq
                self.durable_position = events[-1].position
                self.hub.publish(run.id, events)
            if record.waiter is not None and not record.waiter.done():
                record.waiter.set_result(None)
            for event in events:
                self.dispatch.follow(run, event)
            for child in record.let_go:
                self.let_go(child)
            if events and events[-1].type in TERMINAL_TYPES:
                self._finish(run)
            elif events and run.is_parked:
                self.came_to_rest(run)

    def on_failure(self, error: EngineError, records: list[Record]) -> None:
        """The journal has failed: stop everything; what is durable goes on when the engine is opened again."""
        for record in records:
            if record.waiter is not None and not record.waiter.done():
                record.waiter.set_exception(error)
        if self.failure is not None:
            return
        _log.error("%s: %s", error.code, error)
        self.failure = error
        self.stop_timers()
        self.endings.close(error)
        self.runs.clear()
        self.remembered.clear()
        self.runner.halt()
        self.hub.close(error)

    def stop_timers(self) -> None:
        """Nothing becomes due any more."""
        self.timers.stop()
        for run in self.runs.values():
            self.timers.disarm_all(run)

    async def settle(self) -> None:
        """Wait for the scratch folders of ended workflows to be gone."""
        if self._removals:
            await asyncio.wait(self._removals)

    def _finish(self, run: Hosted) -> None:
        self.runs.pop(run.id, None)
        self.remembered[run.id] = run.state
        if len(self.remembered) > _REMEMBERED:
            self.remembered.popitem(last=False)
        self.endings.tell(run.id)
        self.ended(run)
        if run.scratch.is_made:
            removal = asyncio.create_task(run.scratch.remove())
            self._removals.add(removal)
            removal.add_done_callback(self._removals.discard)
